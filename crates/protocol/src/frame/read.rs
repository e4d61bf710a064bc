//! Reads frames in two passes: first the `type`, then the fields of that type. In one pass serde would keep
//! everything that it reads until it has met the `type`, which costs time, and the page a good part of its size.

mod client;

use serde::Deserialize;

use super::{Draft, Elsewhere, ErrorCode, Member, Message, ServerFrame};
use crate::address::Address;
use crate::codec::{Decode, DecodeError, parse};
use crate::id::{Name, RoomName, Seq, SessionId};
use crate::position::Offset;

#[derive(Deserialize)]
struct Tag<T> {
    r#type: T,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Welcome,
    Joined,
    Message,
    History,
    Ack,
    Draft,
    Presence,
    GoAway,
    Renew,
    Error,
    Ping,
    Pong,
}

/// All fields of all frames that have no type of their own here, each optional. One reader for all frames makes the
/// page two kilobytes smaller than one for each.
#[derive(Deserialize)]
struct Fields {
    room: Option<RoomName>,
    seq: Option<Seq>,
    offset: Option<Offset>,
    session: Option<SessionId>,
    name: Option<Name>,
    body: Option<String>,
    messages: Option<Vec<Message>>,
    more: Option<bool>,
    #[serde(default)]
    joined: Vec<Member>,
    #[serde(default)]
    left: Vec<SessionId>,
    count: Option<u32>,
    reconnect_after_ms: Option<SafeInteger>,
    elsewhere: Option<Place>,
    reason: Option<String>,
    within_ms: Option<SafeInteger>,
}

/// An [`Elsewhere`] as it is written.
#[derive(Deserialize)]
struct Place {
    address: String,
    after_ms: SafeInteger,
}

impl Place {
    /// `None` for an address that is none: it is as good as one that the client does not know (RC-8).
    fn read(self) -> Option<Elsewhere> {
        Some(Elsewhere {
            address: Address::new(&self.address).ok()?,
            after_ms: self.after_ms.0,
        })
    }
}

#[derive(Deserialize)]
struct SafeInteger(#[serde(deserialize_with = "crate::id::safe_integer")] u64);

impl Fields {
    fn read(text: &str, kind: &Kind) -> Result<ServerFrame, DecodeError> {
        let fields: Self = parse(text)?;
        // A missing field is known only at the end of the text.
        let column = text.len() as u64;
        fields.frame(kind).ok_or(DecodeError::Malformed { column })
    }

    fn frame(self, kind: &Kind) -> Option<ServerFrame> {
        Some(match kind {
            Kind::History => ServerFrame::History {
                room: self.room?,
                messages: self.messages?,
                more: self.more?,
            },
            Kind::Ack => ServerFrame::Ack {
                seq: self.seq?,
                room: self.room?,
                offset: self.offset?,
            },
            Kind::Draft => ServerFrame::Draft(Draft {
                room: self.room?,
                session: self.session?,
                name: self.name?,
                body: self.body?,
            }),
            Kind::Presence => ServerFrame::Presence {
                room: self.room?,
                joined: self.joined,
                left: self.left,
                count: self.count,
            },
            Kind::GoAway => ServerFrame::GoAway {
                reconnect_after_ms: self.reconnect_after_ms?.0,
                elsewhere: self.elsewhere.and_then(Place::read),
                reason: self.reason?,
            },
            Kind::Renew => ServerFrame::Renew {
                within_ms: self.within_ms?.0,
            },
            // Read elsewhere.
            Kind::Welcome
            | Kind::Joined
            | Kind::Message
            | Kind::Error
            | Kind::Ping
            | Kind::Pong => return None,
        })
    }
}

impl Decode for ServerFrame {
    fn decode(text: &str) -> Result<Self, DecodeError> {
        let Tag { r#type } = parse(text)?;
        Ok(match r#type {
            Kind::Welcome => Self::Welcome(parse(text)?),
            Kind::Joined => Self::Joined(parse(text)?),
            Kind::Message => Self::Message(parse(text)?),
            Kind::Error => Self::Error(parse(text)?),
            Kind::Ping => Self::Ping,
            Kind::Pong => Self::Pong,
            other => Fields::read(text, &other)?,
        })
    }
}

impl Decode for ErrorCode {
    fn decode(text: &str) -> Result<Self, DecodeError> {
        parse(text)
    }
}
