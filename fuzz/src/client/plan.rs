//! Plans: runs that the fuzzer draws for the client's machine.

use arbitrary::Arbitrary;
use protocol::close::CloseCode;
use protocol::codec::DecodeError;
use protocol::frame::{Beat, Elsewhere, ErrorCode, Limits, ServerFrame};
use protocol::id::{Credentials, Name, RoomName, Seq, Token};
use protocol::outbox::{Entry, EntryId, Stage};
use protocol::position::{Offset, Position};

use crate::frames::Any;
use crate::time::Pause;

/// A run: what an earlier page left, and the steps that follow.
#[derive(Debug, Arbitrary)]
pub struct Plan {
    pub(super) seed: u64,
    pub(super) outbox_entries: u8,
    pub(super) outbox_bytes: u16,
    pub(super) window: u8,
    pub(super) fetches_tokens: bool,
    /// How many nodes the client knows.
    pub(super) nodes: u8,
    /// Whether it begins live and in the lobby, so that the steps need no luck to get there.
    pub(super) is_live: bool,
    pub(super) limits: Any<Limits>,
    pub(super) credentials: Option<Any<Credentials>>,
    pub(super) stored: Vec<Left>,
    pub(super) steps: Vec<Step>,
}

/// A message that an earlier page left.
#[derive(Debug, Arbitrary)]
pub(super) struct Left {
    pub(super) seq: Any<Seq>,
    pub(super) room: Any<RoomName>,
    pub(super) body: Any<String>,
    pub(super) stage: u8,
}

#[derive(Debug, Arbitrary)]
pub(super) enum Step {
    /// Time passes, then the timer fires.
    Wait(Pause),
    /// Time passes, and the timer is late.
    Drift(Pause),
    Connect,
    Disconnect,
    Join(Any<RoomName>, Option<Any<Position>>),
    Leave(Any<RoomName>),
    Publish(Any<RoomName>, Any<String>),
    Draft(Any<RoomName>, Any<String>),
    History(Any<RoomName>, Any<Offset>, u32),
    Rename(Any<Name>),
    SendAgain(u8),
    Discard(u8),
    Online,
    Offline,
    Visible,
    Frozen,
    /// The page is reloaded.
    Reload,
    Opened,
    Closed(Option<Any<CloseCode>>),
    /// The connection opens, the server welcomes.
    Greet(Greeting),
    /// The server sends an answer that fits.
    Ack(u8),
    Settle(u8, Any<ErrorCode>, Option<u16>),
    LetIn(Any<RoomName>, bool, i8),
    Message(Any<RoomName>, i8, Any<String>),
    /// The server ends, and may name a node.
    GoAway(u16, Option<Any<Elsewhere>>),
    Pong,
    /// The driver gives a token, or none, asked or not.
    Token(Option<Any<Token>>, bool),
    /// The server sends any frame.
    Frame(Any<ServerFrame>),
    Garbage(Any<DecodeError>),
    /// An input of another connection.
    Stale(u8, Stale),
}

#[derive(Debug, Arbitrary)]
pub(super) enum Stale {
    Opened,
    Closed(Option<Any<CloseCode>>),
    Frame(Any<ServerFrame>),
}

#[derive(Debug, Arbitrary)]
pub(super) struct Greeting {
    pub(super) session: Any<Credentials>,
    pub(super) is_same: bool,
    /// How many of the sent messages the server has.
    pub(super) settled: u8,
    pub(super) refused: Vec<(u8, Any<ErrorCode>)>,
    pub(super) beat: Any<Beat>,
    pub(super) limits: Any<Limits>,
}

impl Left {
    pub(super) fn entry(self, id: EntryId) -> Entry {
        let stages = [
            Stage::Unsent,
            Stage::Sent,
            Stage::Uncertain,
            Stage::Held,
            Stage::Refused(ErrorCode::BodyTooLarge),
        ];
        let Any(body) = self.body;
        Entry {
            id,
            seq: self.seq.0,
            room: self.room.0,
            body,
            stage: stages[usize::from(self.stage) % stages.len()],
        }
    }
}
