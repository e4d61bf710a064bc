//! What the server asks of its log, as commands, and their outcomes, as its answers.

use everbeat_log::command::{Append, Command, CommandError, KeyHash, OpenSession, Outcome, Post};
use everbeat_log::command::{Redact, Refuse};
use everbeat_log::fold::body_hash;
use protocol::access::Identity;
use protocol::id::{Credentials, RoomName, Seq, SessionId, SessionKey};
use protocol::server::{AppendError, Input, NumberError, PostError, RequestInput, SessionOpened};
use protocol::time::Timestamp;

use super::{Answer, Log, Op};

/// An operation whose outcome is awaited: what its answer needs to know.
#[derive(Clone, Debug)]
pub(super) enum Asked {
    Open {
        resume: Option<Credentials>,
        fresh: Option<Credentials>,
    },
    Append {
        seq: Seq,
        room: RoomName,
    },
    Refuse {
        seq: Seq,
    },
    Post,
    Redact,
}

impl Log {
    /// The command of an operation.
    pub(super) fn command(&mut self, now: Timestamp, op: Op) -> (Command, Asked) {
        let mut asked = Asked::of(&op);
        let at_ms = millis(now);
        let command = match op {
            Op::Open { resume, owner } => {
                let new = self.fresh();
                let open = OpenSession {
                    resume: resume.map(|shown| (shown.id, vec![key_hash(&shown.key, &owner)])),
                    fresh: (new.id.clone(), key_hash(&new.key, &owner)),
                    at_ms,
                };
                if let Asked::Open { fresh, .. } = &mut asked {
                    *fresh = Some(new);
                }
                Command::Open(open)
            }
            Op::Append {
                session,
                generation,
                seq,
                room,
                name,
                body,
                is_repeat,
            } => Command::Append(Append {
                session,
                generation,
                seq,
                room,
                name,
                body,
                at_ms,
                is_repeat,
                erased: None,
            }),
            Op::Refuse {
                session,
                generation,
                seq,
                code,
            } => Command::Refuse(Refuse {
                session,
                generation,
                seq,
                code,
            }),
            Op::Post {
                key,
                session,
                room,
                name,
                body,
            } => Command::Post(Post {
                key,
                session,
                room,
                name,
                body,
                at_ms,
                erased: None,
            }),
            Op::Remove { room, offset } => Command::Redact(Redact {
                room,
                offset,
                at_ms,
            }),
        };
        (command, asked)
    }

    /// The credentials of the next fresh session.
    fn fresh(&mut self) -> Credentials {
        let (name, number) = match &mut self.member {
            None => (String::new(), self.opened + 1),
            Some(member) => (member.name().to_string(), member.next_number()),
        };
        Credentials {
            id: SessionId::new(&format!("{name}s{number}")).unwrap(),
            key: SessionKey::new(&format!("key{}-{name}{number}", self.database)).unwrap(),
        }
    }
}

impl Asked {
    /// What the answer to an operation needs to know.
    pub(super) fn of(op: &Op) -> Self {
        match op {
            Op::Open { resume, .. } => Self::Open {
                resume: resume.clone(),
                fresh: None,
            },
            Op::Append { seq, room, .. } => Self::Append {
                seq: *seq,
                room: room.clone(),
            },
            Op::Refuse { seq, .. } => Self::Refuse { seq: *seq },
            Op::Post { .. } => Self::Post,
            Op::Remove { .. } => Self::Redact,
        }
    }

    /// The answer, once the command is folded.
    pub(super) fn answer(self, result: Result<Outcome, CommandError>) -> Answer {
        match (self, result) {
            (Self::Open { resume, fresh }, Ok(Outcome::Opened(opened))) => {
                let credentials = resume.filter(|_| opened.resumed).or(fresh).unwrap();
                let generation = opened.generation;
                let opened = SessionOpened {
                    credentials,
                    resumed: opened.resumed,
                    last_seq: opened.last_seq,
                    refused: opened.refused,
                };
                Answer::Session(Some((opened, generation)))
            }
            (Self::Append { seq, room }, result) => {
                let result = match result {
                    Ok(Outcome::Appended(offset)) => Ok(offset),
                    result => Err(number_error(result).into()),
                };
                Answer::Connection(Input::Appended { seq, room, result })
            }
            (Self::Refuse { seq }, result) => {
                let result = match result {
                    Ok(Outcome::Refused(code)) => Ok(code),
                    result => Err(number_error(result).into()),
                };
                Answer::Connection(Input::NumberUsed { seq, result })
            }
            (Self::Post, result) => {
                let result = match result {
                    Ok(Outcome::Posted(posted)) => Ok(posted),
                    result => Err(number_error(result).into()),
                };
                Answer::Request(RequestInput::Posted(result))
            }
            (Self::Redact, Ok(Outcome::Redacted(redaction))) => {
                Answer::Request(RequestInput::Redacted(Some(redaction)))
            }
            (asked, result) => unreachable!("{asked:?}: {result:?}"),
        }
    }

    /// The answer where nothing can be stored.
    pub(super) fn unavailable(self) -> Answer {
        match self {
            Self::Open { .. } => Answer::Session(None),
            Self::Append { seq, room } => Answer::Connection(Input::Appended {
                seq,
                room,
                result: Err(AppendError::Unavailable),
            }),
            Self::Refuse { seq } => Answer::Connection(Input::NumberUsed {
                seq,
                result: Err(AppendError::Unavailable),
            }),
            Self::Post => Answer::Request(RequestInput::Posted(Err(PostError::Unavailable))),
            Self::Redact => Answer::Request(RequestInput::Redacted(None)),
        }
    }
}

fn number_error(result: Result<Outcome, CommandError>) -> NumberError {
    match result {
        Err(CommandError::Number(error)) => error,
        result => unreachable!("the outcome of another command: {result:?}"),
    }
}

/// A time as the log keeps it.
pub(super) fn millis(now: Timestamp) -> u64 {
    u64::try_from(now.since_origin().as_millis()).unwrap()
}

/// Tells keys and their owners apart (AC-3). Secrecy is no matter here, so the hash at hand is taken twice.
fn key_hash(key: &SessionKey, owner: &Identity) -> KeyHash {
    let owner = match owner {
        Identity::Guest(_) => "",
        Identity::Subject(subject) => subject.as_str(),
    };
    let half = body_hash(&format!("{}\0{owner}", key.expose()));
    std::array::from_fn(|at| half[at % half.len()])
}
