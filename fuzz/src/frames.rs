//! Frames and their parts, drawn from the fuzzer's bytes: mostly plausible, with some odd text.

use arbitrary::{Arbitrary, Result, Unstructured};
use protocol::address::Address;
use protocol::close::CloseCode;
use protocol::codec::DecodeError;
use protocol::frame::{
    Beat, ClientFrame, Draft, Elsewhere, ErrorCode, Joined, Limits, Member, Message, Refusal,
    Refused, RoomDraft, ServerFrame, Welcome,
};
use protocol::id::{
    Credentials, MAX_SAFE_INTEGER, Name, RoomName, Seq, SessionId, SessionKey, Token,
};
use protocol::position::{Epoch, Offset, Position};

/// A value of the core that the fuzzer can draw.
#[derive(Clone, Debug)]
pub struct Any<T>(pub T);

/// How a value is drawn.
trait Draw: Sized {
    fn draw(u: &mut Unstructured<'_>) -> Result<Self>;
}

impl<'a, T: Draw> Arbitrary<'a> for Any<T> {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        T::draw(u).map(Self)
    }
}

impl Draw for u32 {
    fn draw(u: &mut Unstructured<'_>) -> Result<Self> {
        u.arbitrary()
    }
}

impl<T: Draw> Draw for Option<T> {
    fn draw(u: &mut Unstructured<'_>) -> Result<Self> {
        if u.arbitrary()? {
            T::draw(u).map(Some)
        } else {
            Ok(None)
        }
    }
}

impl<T: Draw> Draw for Vec<T> {
    fn draw(u: &mut Unstructured<'_>) -> Result<Self> {
        let count = u.int_in_range(0..=3)?;
        (0..count).map(|_| T::draw(u)).collect()
    }
}

/// A text: what users type, what breaks JSON, what is too long, and anything.
impl Draw for String {
    fn draw(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(match u.int_in_range(0..=11)? {
            0 => Self::new(),
            1 | 2 => "a".into(),
            3 => "hello".into(),
            4 => (*u.choose(&["heartbeat", "heartbeat "])?).into(),
            5 => "\u{0}\"\\\n\u{7f}".into(),
            6 => "\u{1f468}\u{200d}\u{1f469} é\u{202e}".into(),
            7 => "\u{1}".repeat(u.int_in_range(1..=256)?),
            8 => "x".repeat(u.int_in_range(1..=20_000)?),
            _ => u.arbitrary::<&str>()?.to_owned(),
        })
    }
}

/// A number up to 2^53 - 1: mostly small, sometimes at the end.
fn number(u: &mut Unstructured<'_>) -> Result<u64> {
    Ok(match u.int_in_range(0..=9)? {
        0 => MAX_SAFE_INTEGER - u.int_in_range(0..=2)?,
        1 => u.int_in_range(0..=MAX_SAFE_INTEGER)?,
        _ => u.int_in_range(0..=8)?,
    })
}

/// A time in milliseconds as the wire carries it.
fn millis(u: &mut Unstructured<'_>) -> Result<u64> {
    let usual = [0, 1, 100, 1000, 5000, 25_000, 3_600_000, MAX_SAFE_INTEGER];
    if u.ratio(7, 8)? {
        u.choose(&usual).copied()
    } else {
        number(u)
    }
}

impl Draw for Address {
    fn draw(u: &mut Unstructured<'_>) -> Result<Self> {
        let number: u8 = u.int_in_range(0..=4)?;
        Ok(node(number))
    }
}

impl Draw for Elsewhere {
    fn draw(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self {
            address: Address::draw(u)?,
            after_ms: millis(u)?,
        })
    }
}

/// The address of a node.
pub fn node(number: u8) -> Address {
    Address::new(&format!("wss://node-{number}.example/ws")).expect("an address")
}

impl Draw for RoomName {
    fn draw(u: &mut Unstructured<'_>) -> Result<Self> {
        let number: u8 = u.int_in_range(0..=63)?;
        let name = match number {
            0..=31 => "lobby".to_owned(),
            32..=55 => format!("room-{}", number % 3),
            _ => format!("r_{number}"),
        };
        Ok(Self::new(&name).unwrap_or_else(|_| Self::lobby()))
    }
}

/// 1 to 64 visible ASCII characters.
fn credential(u: &mut Unstructured<'_>) -> Result<String> {
    if u.ratio(7, 8)? {
        return Ok(u.choose(&["s1", "s2", "s3"])?.to_string());
    }
    let text = u.arbitrary::<&str>()?;
    let visible: String = text
        .chars()
        .filter(char::is_ascii_graphic)
        .take(64)
        .collect();
    Ok(if visible.is_empty() {
        "s".into()
    } else {
        visible
    })
}

impl Draw for SessionId {
    fn draw(u: &mut Unstructured<'_>) -> Result<Self> {
        Self::new(&credential(u)?).map_err(|_| arbitrary::Error::IncorrectFormat)
    }
}

impl Draw for Credentials {
    fn draw(u: &mut Unstructured<'_>) -> Result<Self> {
        let key = SessionKey::new(&credential(u)?);
        Ok(Self {
            id: SessionId::draw(u)?,
            key: key.map_err(|_| arbitrary::Error::IncorrectFormat)?,
        })
    }
}

impl Draw for Token {
    fn draw(u: &mut Unstructured<'_>) -> Result<Self> {
        Self::new(&credential(u)?).map_err(|_| arbitrary::Error::IncorrectFormat)
    }
}

impl Draw for Name {
    fn draw(u: &mut Unstructured<'_>) -> Result<Self> {
        String::draw(u).map(Self::from)
    }
}

impl Draw for Seq {
    fn draw(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self::new(number(u)?).unwrap_or(Self::FIRST))
    }
}

impl Draw for Offset {
    fn draw(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self::new(number(u)?).unwrap_or(Self::ZERO))
    }
}

impl Draw for Epoch {
    fn draw(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(match u.int_in_range(0..=7)? {
            0 => Self::new(u.arbitrary()?),
            1 => Self::new("e2"),
            _ => Self::new("e1"),
        })
    }
}

impl Draw for Position {
    fn draw(u: &mut Unstructured<'_>) -> Result<Self> {
        let (epoch, offset) = (Epoch::draw(u)?, Offset::draw(u)?);
        Ok(Self { epoch, offset })
    }
}

impl Draw for ErrorCode {
    fn draw(u: &mut Unstructured<'_>) -> Result<Self> {
        u.choose(&[
            Self::BadFrame,
            Self::BadRoom,
            Self::BodyEmpty,
            Self::BodyTooLarge,
            Self::Busy,
            Self::FrameTooLarge,
            Self::HelloExpected,
            Self::NotJoined,
            Self::RateLimited,
            Self::ReadDenied,
            Self::SeqConflict,
            Self::SeqGap,
            Self::TokenExpired,
            Self::TokenInvalid,
            Self::TokenRequired,
            Self::TooManyRooms,
            Self::Unavailable,
            Self::WriteDenied,
            Self::Unknown,
        ])
        .copied()
    }
}

impl Draw for CloseCode {
    fn draw(u: &mut Unstructured<'_>) -> Result<Self> {
        let usual = [
            1000, 1001, 1006, 1012, 1013, 4000, 4100, 4104, 4200, 4201, 4202,
        ];
        Ok(Self::new(if u.ratio(7, 8)? {
            *u.choose(&usual)?
        } else {
            u.arbitrary()?
        }))
    }
}

impl Draw for DecodeError {
    fn draw(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(match u.int_in_range(0..=3)? {
            0 => Self::Binary,
            1 => Self::TooLarge { limit: 65_536 },
            2 => Self::Unfit {
                code: ErrorCode::BadRoom,
                seq: Option::draw(u)?,
            },
            _ => Self::Malformed { column: 1 },
        })
    }
}

impl Draw for Limits {
    fn draw(u: &mut Unstructured<'_>) -> Result<Self> {
        if u.arbitrary()? {
            return Ok(Self::default());
        }
        let mut one_of = |numbers: [u32; 4]| u.choose(&numbers).copied();
        Ok(Self {
            frame_bytes: one_of([0, 1024, 4096, u32::MAX])?,
            body_bytes: one_of([0, 4, 8192, u32::MAX])?,
            rooms: one_of([0, 1, 2, u32::MAX])?,
            publishes_per_s: one_of([0, 1, 50, u32::MAX])?,
            drafts_per_s: one_of([0, 1, 20, u32::MAX])?,
            history: one_of([0, 1, 200, u32::MAX])?,
        })
    }
}

impl Draw for Beat {
    fn draw(u: &mut Unstructured<'_>) -> Result<Self> {
        let (interval_ms, timeout_ms) = if u.ratio(3, 4)? {
            (25_000, 5000)
        } else {
            (millis(u)?, millis(u)?)
        };
        Ok(Self {
            interval_ms,
            timeout_ms,
        })
    }
}

impl Draw for Member {
    fn draw(u: &mut Unstructured<'_>) -> Result<Self> {
        let (session, name) = (SessionId::draw(u)?, Name::draw(u)?);
        Ok(Self {
            session,
            name,
            away: u.arbitrary()?,
            user: u.arbitrary()?,
        })
    }
}

impl Draw for RoomDraft {
    fn draw(u: &mut Unstructured<'_>) -> Result<Self> {
        let Member { session, name, .. } = Member::draw(u)?;
        let body = String::draw(u)?;
        Ok(Self {
            session,
            name,
            body,
        })
    }
}

impl Draw for Message {
    fn draw(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self {
            room: RoomName::draw(u)?,
            offset: Offset::draw(u)?,
            session: SessionId::draw(u)?,
            seq: Seq::draw(u)?,
            name: Name::draw(u)?,
            at_ms: millis(u)?,
            body: String::draw(u)?,
            removed: u.arbitrary()?,
        })
    }
}

impl Draw for Refused {
    fn draw(u: &mut Unstructured<'_>) -> Result<Self> {
        let (seq, code) = (Seq::draw(u)?, ErrorCode::draw(u)?);
        Ok(Self { seq, code })
    }
}

impl Draw for Refusal {
    fn draw(u: &mut Unstructured<'_>) -> Result<Self> {
        let code = ErrorCode::draw(u)?;
        Ok(Self {
            code,
            message: code.message().to_owned(),
            seq: Option::draw(u)?,
            unsettled: Option::draw(u)?,
            room: Option::draw(u)?,
            retry_after_ms: if u.arbitrary()? {
                Some(millis(u)?)
            } else {
                None
            },
        })
    }
}

impl Draw for Joined {
    fn draw(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self {
            room: RoomName::draw(u)?,
            epoch: Epoch::draw(u)?,
            head: Offset::draw(u)?,
            from: Offset::draw(u)?,
            recovered: u.arbitrary()?,
            members: Vec::draw(u)?,
            count: Option::draw(u)?,
            drafts: Vec::draw(u)?,
            read_only: u.arbitrary()?,
        })
    }
}

impl Draw for Welcome {
    fn draw(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Self {
            session: Credentials::draw(u)?,
            resumed: u.arbitrary()?,
            last_seq: number(u)?,
            refused: Vec::draw(u)?,
            vouched: Option::draw(u)?,
            heartbeat: Beat::draw(u)?,
            limits: Limits::draw(u)?,
        })
    }
}

impl Draw for ClientFrame {
    fn draw(u: &mut Unstructured<'_>) -> Result<Self> {
        let room = RoomName::draw(u)?;
        Ok(match u.int_in_range(0..=9)? {
            0 => Self::Hello {
                session: Option::draw(u)?,
                name: Option::draw(u)?,
                token: Option::draw(u)?,
            },
            1 => Self::Join {
                room,
                since: Option::draw(u)?,
                limit: u.arbitrary()?,
            },
            2 => Self::Leave { room },
            3 => Self::Publish {
                seq: Seq::draw(u)?,
                room,
                body: String::draw(u)?,
            },
            4 => Self::Draft {
                room,
                body: String::draw(u)?,
            },
            5 => Self::History {
                room,
                before: Offset::draw(u)?,
                limit: u.arbitrary()?,
            },
            6 => Self::Rename {
                name: Name::draw(u)?,
            },
            7 => Self::Ping,
            8 => Self::Token {
                token: Token::draw(u)?,
            },
            _ => Self::Pong,
        })
    }
}

impl Draw for ServerFrame {
    fn draw(u: &mut Unstructured<'_>) -> Result<Self> {
        let room = RoomName::draw(u)?;
        Ok(match u.int_in_range(0..=11)? {
            0 => Self::Welcome(Welcome::draw(u)?),
            1 => Self::Joined(Joined::draw(u)?),
            2 => Self::Message(Message::draw(u)?),
            3 => Self::History {
                room,
                messages: Vec::draw(u)?,
                more: u.arbitrary()?,
            },
            4 => Self::Ack {
                seq: Seq::draw(u)?,
                room,
                offset: Offset::draw(u)?,
            },
            5 => {
                let RoomDraft {
                    session,
                    name,
                    body,
                } = RoomDraft::draw(u)?;
                Self::Draft(Draft {
                    room,
                    session,
                    name,
                    body,
                })
            }
            6 => Self::Presence {
                room,
                joined: Vec::draw(u)?,
                left: Vec::draw(u)?,
                count: Option::draw(u)?,
            },
            7 => Self::GoAway {
                reconnect_after_ms: millis(u)?,
                elsewhere: Option::draw(u)?,
                reason: String::draw(u)?,
            },
            8 => Self::Error(Refusal::draw(u)?),
            9 => Self::Ping,
            10 => Self::Renew {
                within_ms: millis(u)?,
            },
            _ => Self::Pong,
        })
    }
}
