//! Plans: runs that the fuzzer draws for the server's machine.

use std::time::Duration;

use arbitrary::Arbitrary;
use protocol::access::{Access, Denied, Grants, Identity, Naming, Rights, Subject};
use protocol::address::Address;
use protocol::codec::DecodeError;
use protocol::frame::{ClientFrame, ErrorCode, Limits, Member, Message, Refused, RoomDraft};
use protocol::id::{Credentials, Name, RoomName, Seq};
use protocol::position::{Epoch, Offset};
use protocol::server::{AppendError, RoomView, SessionOpened};

use crate::frames::Any;
use crate::time::Pause;

/// A run: the server's limits, and the steps.
#[derive(Debug, Arbitrary)]
pub struct Plan {
    pub(super) limits: Any<Limits>,
    pub(super) burst: u8,
    /// Whether it begins with a welcomed client, so that the steps need no luck to get there.
    pub(super) is_live: bool,
    pub(super) steps: Vec<Step>,
}

#[derive(Debug, Arbitrary)]
pub(super) enum Step {
    /// Time passes, then the timer fires.
    Wait(Pause),
    /// Time passes, and the timer is late.
    Drift(Pause),
    /// The client sends any frame.
    Frame(Any<ClientFrame>),
    /// The client publishes the next number, or one near it.
    Publish(i8, Any<RoomName>, Any<String>),
    Garbage(Any<DecodeError>),
    SignOfLife,
    /// The oldest request is answered, or one nearby: the log and the rooms answer in any order.
    Answer(u8, Answer),
    RoomMoved(Any<RoomName>, Any<Offset>, u64),
    TakenOver,
    GoAway(u32, Option<(Any<Address>, u16)>),
    Shutdown,
    WriteStuck,
    Disconnected,
    Stalled(bool),
    /// An answer without a question.
    Odd(Odd),
}

/// The answer to a request; parts that do not concern it are ignored.
#[derive(Debug, Arbitrary)]
pub(super) struct Answer {
    pub(super) is_granted: bool,
    pub(super) failure: u8,
    pub(super) code: Any<ErrorCode>,
    pub(super) number: Any<Offset>,
    pub(super) version: u8,
    pub(super) session: Any<Credentials>,
    pub(super) refused: Vec<(Any<Seq>, Any<ErrorCode>)>,
    pub(super) view: View,
    pub(super) messages: Vec<Any<Message>>,
}

#[derive(Debug, Arbitrary)]
pub(super) struct View {
    pub(super) epoch: Any<Epoch>,
    pub(super) head: Any<Offset>,
    pub(super) trimmed: Any<Offset>,
    pub(super) members: Vec<Any<Member>>,
    pub(super) count: Option<u32>,
    pub(super) drafts: Vec<Any<RoomDraft>>,
    pub(super) version: u64,
}

#[derive(Debug, Arbitrary)]
pub(super) enum Odd {
    Admitted(Answer),
    SessionOpened(Answer),
    RoomOpened(u8, Any<RoomName>, Answer),
    Pulled(u8, Any<RoomName>, Any<Offset>, u64),
    CutOff(u8, Any<RoomName>),
    Appended(Any<Seq>, Any<RoomName>, Answer),
    NumberUsed(Any<Seq>, Answer),
    HistoryRead(Any<RoomName>, Answer),
}

impl Answer {
    /// One of two users, with a token that ends or none, for some rooms or all of them.
    pub(super) fn admitted(&self) -> Result<Access, Denied> {
        let version = u64::from(self.version);
        if self.is_granted {
            let one_room = || {
                "lobby=r"
                    .parse::<Grants>()
                    .map_or(Rights::ALL, Rights::from)
            };
            let subject = if version.is_multiple_of(3) {
                "bob"
            } else {
                "ada"
            };
            let subject = Subject::new(subject).ok();
            let identity = match subject {
                Some(subject) if !version.is_multiple_of(7) => Identity::Subject(subject),
                guest => Identity::Guest(guest),
            };
            return Ok(Access {
                identity,
                naming: if version.is_multiple_of(2) {
                    Naming::Vouched(Name::tidy("Ada"))
                } else {
                    Naming::Own {
                        usual: None,
                        is_marked: version.is_multiple_of(5),
                    }
                },
                rights: if version > 200 {
                    one_room()
                } else {
                    Rights::ALL
                },
                expires_in: (version > 100).then(|| Duration::from_secs(version - 100)),
            });
        }
        let denied = [
            Denied::TokenRequired,
            Denied::TokenInvalid,
            Denied::TokenExpired,
            Denied::Unavailable,
            Denied::Busy(Duration::from_secs(version)),
        ];
        Err(denied[usize::from(self.failure) % denied.len()])
    }

    pub(super) fn session_opened(&self) -> Option<SessionOpened> {
        let refused = self.refused.iter().take(3);
        self.is_granted.then(|| SessionOpened {
            credentials: self.session.0.clone(),
            resumed: self.failure.is_multiple_of(2),
            last_seq: self.number.0.get(),
            refused: refused
                .map(|(Any(seq), Any(code))| Refused {
                    seq: *seq,
                    code: *code,
                })
                .collect(),
        })
    }

    pub(super) fn room_view(self) -> Option<RoomView> {
        let View {
            epoch,
            head,
            trimmed,
            members,
            count,
            drafts,
            version,
        } = self.view;
        self.is_granted.then(|| RoomView {
            epoch: epoch.0,
            head: head.0,
            trimmed: trimmed.0,
            members: members.into_iter().map(|Any(member)| member).collect(),
            count,
            drafts: drafts.into_iter().map(|Any(author)| author).collect(),
            redacted: Vec::new(),
            version,
        })
    }

    pub(super) fn appended(&self) -> Result<Offset, AppendError> {
        if self.is_granted {
            return Ok(self.number.0);
        }
        Err(match self.failure % 8 {
            0 => AppendError::Conflict,
            1 => AppendError::UnknownSession,
            2 | 3 => AppendError::OutOfOrder,
            4 => AppendError::Refused(self.code.0),
            5 => AppendError::RateLimited(Duration::from_millis(self.version.into())),
            _ => AppendError::Unavailable,
        })
    }

    pub(super) fn page(self) -> Option<(Vec<Message>, bool)> {
        let messages = self.messages.into_iter().map(|Any(message)| message);
        self.is_granted
            .then(|| (messages.collect(), self.failure > 9))
    }
}
