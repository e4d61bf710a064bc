//! Reads the frames of clients: strict about frames, lenient about texts in them. A frame with an invalid text
//! (a room's name, say) is refused by itself: the connection and what is in flight on it go on.

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

use super::Tag;
use crate::codec::{Decode, DecodeError, parse};
use crate::frame::{ClientFrame, ErrorCode};
use crate::id::{Credentials, Name, RoomName, Seq, SessionId, SessionKey, Token, safe_integer};
use crate::position::{Offset, Position};

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Hello,
    Token,
    Join,
    Leave,
    Publish,
    Draft,
    History,
    Rename,
    Ping,
    Pong,
}

// Each of these names `type` too, though it is known: so a second `type` is a fault in one pass as in two.

#[derive(Deserialize)]
struct Hello {
    #[serde(rename = "type")]
    _type: IgnoredAny,
    session: Option<Shown>,
    name: Option<Name>,
    token: Option<Given<Token>>,
}

/// A session's credentials as the client showed them, not checked yet.
#[derive(Deserialize)]
struct Shown {
    id: Given<SessionId>,
    key: Given<SessionKey>,
}

#[derive(Deserialize)]
struct NewToken {
    #[serde(rename = "type")]
    _type: IgnoredAny,
    token: Given<Token>,
}

#[derive(Deserialize)]
struct Join {
    #[serde(rename = "type")]
    _type: IgnoredAny,
    room: Given<RoomName>,
    since: Option<Position>,
    limit: Option<Count>,
}

#[derive(Deserialize)]
struct Leave {
    #[serde(rename = "type")]
    _type: IgnoredAny,
    room: Given<RoomName>,
}

#[derive(Deserialize)]
struct Publish {
    #[serde(rename = "type")]
    _type: IgnoredAny,
    seq: Seq,
    room: Given<RoomName>,
    body: String,
}

#[derive(Deserialize)]
struct Draft {
    #[serde(rename = "type")]
    _type: IgnoredAny,
    room: Given<RoomName>,
    body: String,
}

#[derive(Deserialize)]
struct History {
    #[serde(rename = "type")]
    _type: IgnoredAny,
    room: Given<RoomName>,
    before: Offset,
    limit: Count,
}

#[derive(Deserialize)]
struct Rename {
    #[serde(rename = "type")]
    _type: IgnoredAny,
    name: Name,
}

/// A text, as the value it should be; none if the text is invalid.
struct Given<T>(Option<T>);

impl<'de, T: TryFrom<String>> Deserialize<'de> for Given<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(Self(T::try_from(text).ok()))
    }
}

/// A count; a number that is too large counts as the largest.
struct Count(u32);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let count = safe_integer(deserializer)?;
        Ok(Self(u32::try_from(count).unwrap_or(u32::MAX)))
    }
}

impl Given<RoomName> {
    /// The room, or the refusal of the frame that names it.
    fn or_refuse(self, seq: Option<Seq>) -> Result<RoomName, DecodeError> {
        let code = ErrorCode::BadRoom;
        self.0.ok_or(DecodeError::Unfit { code, seq })
    }
}

impl Given<Token> {
    /// The token. A text that cannot be one becomes an unsigned token, which is refused like any other (AC-1).
    fn or_unsigned(self) -> Token {
        self.0.unwrap_or_else(Token::unsigned)
    }
}

impl Shown {
    /// The credentials; none where there can be no such session: then the client gets a fresh one (RS-2).
    fn credentials(self) -> Option<Credentials> {
        Some(Credentials {
            id: self.id.0?,
            key: self.key.0?,
        })
    }
}

impl Decode for ClientFrame {
    /// One pass where `type` comes first, as clients write it. What cannot be read so is read in two passes,
    /// which find the position of the fault.
    fn decode(text: &str) -> Result<Self, DecodeError> {
        if let Some(kind) = Kind::leading(text) {
            match Self::read(&kind, text) {
                Err(DecodeError::Malformed { .. }) => {}
                read => return read,
            }
        }
        let Tag { r#type } = parse(text)?;
        Self::read(&r#type, text)
    }
}

impl Kind {
    /// The kind of a frame with fields that begins with its `type`, written without spaces and escapes.
    fn leading(text: &str) -> Option<Self> {
        let (name, _) = text.strip_prefix(r#"{"type":""#)?.split_once('"')?;
        Some(match name {
            "hello" => Self::Hello,
            "token" => Self::Token,
            "join" => Self::Join,
            "leave" => Self::Leave,
            "publish" => Self::Publish,
            "draft" => Self::Draft,
            "history" => Self::History,
            "rename" => Self::Rename,
            // The others have no field but `type`, and a pass shows whether the text is JSON.
            _ => return None,
        })
    }
}

impl ClientFrame {
    /// Reads a frame of this kind. The text of one without fields was read already.
    fn read(kind: &Kind, text: &str) -> Result<Self, DecodeError> {
        Ok(match kind {
            Kind::Hello => {
                let hello: Hello = parse(text)?;
                Self::Hello {
                    session: hello.session.and_then(Shown::credentials),
                    name: hello.name,
                    token: hello.token.map(Given::or_unsigned),
                }
            }
            Kind::Token => {
                let NewToken { token, .. } = parse(text)?;
                let token = token.or_unsigned();
                Self::Token { token }
            }
            Kind::Join => {
                let join: Join = parse(text)?;
                Self::Join {
                    room: join.room.or_refuse(None)?,
                    since: join.since,
                    limit: join.limit.map(|Count(limit)| limit),
                }
            }
            Kind::Leave => {
                let Leave { room, .. } = parse(text)?;
                let room = room.or_refuse(None)?;
                Self::Leave { room }
            }
            Kind::Publish => {
                let Publish {
                    seq, room, body, ..
                } = parse(text)?;
                let room = room.or_refuse(Some(seq))?;
                Self::Publish { seq, room, body }
            }
            Kind::Draft => {
                let Draft { room, body, .. } = parse(text)?;
                let room = room.or_refuse(None)?;
                Self::Draft { room, body }
            }
            Kind::History => {
                let history: History = parse(text)?;
                Self::History {
                    room: history.room.or_refuse(None)?,
                    before: history.before,
                    limit: history.limit.0,
                }
            }
            Kind::Rename => {
                let Rename { name, .. } = parse(text)?;
                Self::Rename { name }
            }
            Kind::Ping => Self::Ping,
            Kind::Pong => Self::Pong,
        })
    }
}
