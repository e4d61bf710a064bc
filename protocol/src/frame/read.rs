//! Reading frames: first what a text is, then what it holds. In one go serde would keep everything
//! that it reads until it has met the `type`, which costs time, and the page a good part of its size.

use serde::Deserialize;

use super::{ClientFrame, ErrorCode, Member, Message, ServerFrame};
use crate::codec::{Decode, DecodeError, parse};
use crate::id::{RoomName, Seq, SessionId};
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

#[derive(Deserialize)]
struct History {
    room: RoomName,
    messages: Vec<Message>,
    more: bool,
}

#[derive(Deserialize)]
struct Ack {
    seq: Seq,
    room: RoomName,
    offset: Offset,
}

#[derive(Deserialize)]
struct Presence {
    room: RoomName,
    #[serde(default)]
    joined: Vec<Member>,
    #[serde(default)]
    left: Vec<SessionId>,
    count: Option<u32>,
}

#[derive(Deserialize)]
struct GoAway {
    #[serde(deserialize_with = "crate::id::safe_integer")]
    reconnect_after_ms: u64,
    reason: String,
}

#[derive(Deserialize)]
struct Renew {
    #[serde(deserialize_with = "crate::id::safe_integer")]
    within_ms: u64,
}

impl Decode for ServerFrame {
    fn decode(text: &str) -> Result<Self, DecodeError> {
        let Tag { r#type } = parse(text)?;
        Ok(match r#type {
            Kind::Welcome => Self::Welcome(parse(text)?),
            Kind::Joined => Self::Joined(parse(text)?),
            Kind::Message => Self::Message(parse(text)?),
            Kind::History => {
                let History {
                    room,
                    messages,
                    more,
                } = parse(text)?;
                Self::History {
                    room,
                    messages,
                    more,
                }
            }
            Kind::Ack => {
                let Ack { seq, room, offset } = parse(text)?;
                Self::Ack { seq, room, offset }
            }
            Kind::Draft => Self::Draft(parse(text)?),
            Kind::Presence => {
                let Presence {
                    room,
                    joined,
                    left,
                    count,
                } = parse(text)?;
                Self::Presence {
                    room,
                    joined,
                    left,
                    count,
                }
            }
            Kind::GoAway => {
                let GoAway {
                    reconnect_after_ms,
                    reason,
                } = parse(text)?;
                Self::GoAway {
                    reconnect_after_ms,
                    reason,
                }
            }
            Kind::Renew => {
                let Renew { within_ms } = parse(text)?;
                Self::Renew { within_ms }
            }
            Kind::Error => Self::Error(parse(text)?),
            Kind::Ping => Self::Ping,
            Kind::Pong => Self::Pong,
        })
    }
}

impl Decode for ClientFrame {
    fn decode(text: &str) -> Result<Self, DecodeError> {
        parse(text)
    }
}

impl Decode for ErrorCode {
    fn decode(text: &str) -> Result<Self, DecodeError> {
        parse(text)
    }
}
