//! The server's end of one connection: who it is, what it may do, where it reads.
//!
//! A [`Session`] lives as long as its connection; what outlives the connection (the session's last
//! `seq`, the messages, who is away) is kept by the log and the rooms, and comes back in as facts.
//! [`Tutorial`] is the same for pages that speak bare text, [`Feed`] for who only listens.

mod access;
mod config;
mod drafts;
mod feed;
mod input;
mod output;
mod publish;
mod reader;
mod rooms;
mod seats;
mod tutorial;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use self::access::Permit;
pub use self::config::Config;
pub use self::feed::{Feed, FeedConfig, FeedInput, FeedTransmit};
pub use self::input::{AppendError, Input, RoomView, SessionOpened};
pub use self::output::Transmit;
use self::publish::Publisher;
pub use self::reader::{Pull, Reader, Span};
use self::rooms::Seat;
use self::seats::Seats;
pub use self::tutorial::{Tutorial, TutorialInput, TutorialTransmit};
use crate::access::Access;
use crate::close::CloseCode;
use crate::codec::DecodeError;
use crate::frame::{Beat, ClientFrame, ErrorCode, Message, Refusal, ServerFrame, Welcome};
use crate::heartbeat::{Heartbeat, Verdict};
use crate::id::{Credentials, MAX_SAFE_INTEGER, Name, RoomName, SessionId};
use crate::rate::Bucket;
use crate::time::{Latest, Timestamp};

/// The server's end of one connection.
#[derive(Debug)]
pub struct Session {
    config: Arc<Config>,
    state: State,
    heartbeat: Heartbeat,
    latest: Latest,
    transmits: VecDeque<Transmit>,
}

#[derive(Debug)]
enum State {
    AwaitingHello {
        deadline: Timestamp,
        /// When to go, if the server is about to: told after `welcome`, as nothing comes before it.
        slot: Option<Timestamp>,
    },
    /// It is asked who that is.
    Admitting {
        name: Option<Name>,
        slot: Option<Timestamp>,
        resume: Option<Credentials>,
    },
    Opening {
        name: Option<Name>,
        slot: Option<Timestamp>,
        access: Access,
    },
    Live(Live),
    Closed,
}

#[derive(Debug)]
struct Live {
    session: SessionId,
    name: Name,
    permit: Permit,
    publisher: Publisher,
    drafts: Bucket,
    seats: Seats,
}

impl Session {
    /// The end of a connection that opened now. All connections of a server share their config.
    pub fn new(now: Timestamp, config: impl Into<Arc<Config>>) -> Self {
        let config = config.into();
        Self {
            state: State::AwaitingHello {
                deadline: now + config.hello_timeout,
                slot: None,
            },
            heartbeat: Heartbeat::new(now, config.heartbeat()),
            latest: Latest::new(now),
            transmits: VecDeque::new(),
            config,
        }
    }

    /// A fact.
    pub fn handle_input(&mut self, now: Timestamp, input: Input) {
        let now = self.latest.advance(now);
        match input {
            _ if matches!(self.state, State::Closed) => {}
            Input::Received(frame) => self.received(now, frame),
            Input::SignOfLife => self.heartbeat.on_received(now),
            Input::Drained => self.heartbeat.on_left(now),
            Input::Admitted(answer) => self.admitted(now, answer),
            Input::SessionOpened(opened) => self.session_opened(now, opened),
            Input::RoomOpened { room, view } => self.room_opened(room, view),
            Input::RoomMoved {
                room,
                head,
                version,
            } => self.room_moved(room, head, version),
            Input::Pulled {
                room,
                through,
                version,
            } => self.pulled(room, through, version),
            Input::CutOff { room } => self.cut_off(room),
            Input::PullFailed { room } => self.pull_failed(now, &room),
            Input::Appended { seq, room, result } => self.appended(seq, room, result),
            Input::NumberUsed { seq, result } => self.number_used(seq, result),
            Input::HistoryRead { room, page } => self.history_read(room, page),
            Input::TakenOver => self.close(CloseCode::TAKEN_OVER),
            Input::Removed => self.close(CloseCode::REMOVED),
            Input::GoAway { reconnect_after } => self.go_away(now, reconnect_after),
            Input::Shutdown => self.close(CloseCode::SERVICE_RESTART),
            Input::WriteStuck => self.close(CloseCode::SLOW),
        }
    }

    /// Time has passed. Early and repeated calls are harmless.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        let now = self.latest.advance(now);
        match &self.state {
            State::AwaitingHello { deadline, .. } if now >= *deadline => {
                self.refuse(ErrorCode::HelloExpected);
                self.close(CloseCode::HELLO_TIMEOUT);
            }
            State::AwaitingHello { .. }
            | State::Admitting { .. }
            | State::Opening { .. }
            | State::Closed => {}
            State::Live(_) => {
                match self.heartbeat.handle_timeout(now) {
                    Verdict::Alive => {}
                    Verdict::Ping => self.send(ServerFrame::Ping),
                    Verdict::Dead => return self.close(CloseCode::DEAD),
                }
                self.flush_drafts(now);
                self.pull_again(now);
                self.watch_lease(now);
            }
        }
    }

    /// The next thing that the driver must do.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        let next = self.transmits.pop_front();
        if next.is_none() {
            // A quiet session keeps no queue.
            self.transmits = VecDeque::new();
        }
        next
    }

    /// When to call [`Session::handle_timeout`] next. A driver may keep a timer that fires earlier.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        match &self.state {
            State::AwaitingHello { deadline, .. } => Some(*deadline),
            State::Admitting { .. } | State::Opening { .. } | State::Closed => None,
            State::Live(live) => {
                let beat = self.heartbeat.poll_timeout();
                let due = live.seats.iter().filter_map(Seat::due);
                let due = due.chain(self.lease_due(live));
                Some(due.fold(beat, Timestamp::min))
            }
        }
    }

    /// Whether the driver should read on. Not while too many answers are outstanding: a client that
    /// sends faster than the log stores feels it as back-pressure.
    pub fn wants_input(&self) -> bool {
        match &self.state {
            State::AwaitingHello { .. } => true,
            State::Admitting { .. } | State::Opening { .. } | State::Closed => false,
            State::Live(live) => live.publisher.pending() < self.config.pending_max,
        }
    }

    /// The session on this connection, once it is known.
    pub fn id(&self) -> Option<&SessionId> {
        if let State::Live(live) = &self.state {
            Some(&live.session)
        } else {
            None
        }
    }

    /// How the client is called, once that is known.
    pub fn name(&self) -> Option<&Name> {
        if let State::Live(live) = &self.state {
            Some(&live.name)
        } else {
            None
        }
    }

    /// The smoothed round trip, once a ping was answered.
    pub const fn round_trip(&self) -> Option<Duration> {
        self.heartbeat.smoothed_rtt()
    }

    /// When the client last gave a sign of life.
    pub const fn heard_at(&self) -> Timestamp {
        self.heartbeat.heard_at()
    }

    fn received(&mut self, now: Timestamp, frame: Result<ClientFrame, DecodeError>) {
        self.heartbeat.on_received(now);
        match (&self.state, frame) {
            (_, Err(DecodeError::TooLarge { .. })) => {
                self.refuse(ErrorCode::FrameTooLarge);
                self.close(CloseCode::FRAME_TOO_LARGE);
            }
            (_, Err(DecodeError::Binary | DecodeError::Malformed { .. })) => {
                self.refuse(ErrorCode::BadFrame);
                self.close(CloseCode::BAD_FRAME);
            }
            (State::AwaitingHello { slot, .. }, Ok(hello)) if hello.is_hello() => {
                let slot = *slot;
                self.hello(slot, hello);
            }
            (State::Live(_), Ok(frame)) if !frame.is_hello() => {
                self.served(now, frame);
            }
            (State::Live(_), Err(DecodeError::Unfit { code, seq })) => match seq {
                Some(seq) => self.publish_unfit(now, seq, code),
                None => self.refuse(code),
            },
            (_, Ok(_) | Err(DecodeError::Unfit { .. })) => {
                self.refuse(ErrorCode::HelloExpected);
                self.close(CloseCode::BAD_FRAME);
            }
        }
    }

    /// RS-1, AC-1: who is that?
    fn hello(&mut self, slot: Option<Timestamp>, frame: ClientFrame) {
        let ClientFrame::Hello {
            session: resume,
            name,
            token,
        } = frame
        else {
            return;
        };
        self.state = State::Admitting { name, slot, resume };
        self.transmits.push_back(Transmit::Admit { token });
    }

    fn served(&mut self, now: Timestamp, frame: ClientFrame) {
        match frame {
            ClientFrame::Join { room, since, limit } => self.join(room, since, limit),
            ClientFrame::Leave { room } => self.leave(room),
            ClientFrame::Publish { seq, room, body } => self.publish(now, seq, room, body),
            ClientFrame::Draft { room, body } => self.draft(now, room, body),
            ClientFrame::History {
                room,
                before,
                limit,
            } => self.history(room, before, limit),
            ClientFrame::Rename { name } => self.rename(name),
            ClientFrame::Token { token } => self.renew(token),
            ClientFrame::Ping => self.send(ServerFrame::Pong),
            ClientFrame::Pong => {
                let round_trip = self.heartbeat.on_pong(now).map(Transmit::RoundTrip);
                self.transmits.extend(round_trip);
            }
            // Only the first frame is hello; `received` saw to it.
            ClientFrame::Hello { .. } => {}
        }
    }

    fn session_opened(&mut self, now: Timestamp, opened: Option<SessionOpened>) {
        let State::Opening { name, slot, access } = &mut self.state else {
            return;
        };
        let Some(opened) = opened else {
            self.refuse(ErrorCode::Unavailable);
            return self.close(CloseCode::TRY_AGAIN_LATER);
        };
        let slot = *slot;
        let session = opened.credentials.id.clone();
        let permit = Permit::new(
            now,
            std::mem::replace(access, Access::ANYBODY),
            &self.config,
        );
        let vouched = permit.vouched().cloned();
        let limits = self.config.limits;
        self.state = State::Live(Live {
            name: permit.name(name.as_ref(), &session),
            session,
            permit,
            publisher: Publisher::new(now, opened.last_seq, &self.config),
            drafts: Bucket::new(now, limits.drafts_per_s, limits.drafts_per_s),
            seats: Seats::default(),
        });
        self.heartbeat = Heartbeat::new(now, self.config.heartbeat());
        self.send(ServerFrame::Welcome(Welcome {
            session: opened.credentials,
            resumed: opened.resumed,
            last_seq: opened.last_seq,
            refused: opened.refused,
            vouched,
            heartbeat: Beat {
                interval_ms: millis(self.config.heartbeat_interval),
                timeout_ms: millis(self.config.heartbeat_timeout),
            },
            limits,
        }));
        if let Some(slot) = slot {
            self.go_away(now, slot - now);
        }
    }

    fn go_away(&mut self, now: Timestamp, reconnect_after: Duration) {
        match &mut self.state {
            State::AwaitingHello { slot, .. }
            | State::Admitting { slot, .. }
            | State::Opening { slot, .. } => {
                *slot = Some(now + reconnect_after);
            }
            State::Live(_) => self.send(ServerFrame::GoAway {
                reconnect_after_ms: millis(reconnect_after),
                reason: CloseCode::SERVICE_RESTART.reason().to_owned(),
            }),
            State::Closed => {}
        }
    }

    fn history_read(&mut self, room: RoomName, page: Option<(Vec<Message>, bool)>) {
        match page {
            Some((messages, more)) => self.send(ServerFrame::History {
                room,
                messages,
                more,
            }),
            None => self.refuse_room(ErrorCode::Unavailable, room),
        }
    }

    fn send(&mut self, frame: ServerFrame) {
        self.transmits.push_back(Transmit::Frame(frame));
    }

    fn refuse(&mut self, code: ErrorCode) {
        self.send(ServerFrame::Error(Refusal::new(code)));
    }

    fn refuse_room(&mut self, code: ErrorCode, room: RoomName) {
        let mut refusal = Refusal {
            room: Some(room),
            ..Refusal::new(code)
        };
        if code == ErrorCode::Unavailable {
            refusal = refusal.retry_after(self.config.unavailable_retry);
        }
        self.send(ServerFrame::Error(refusal));
    }

    fn close(&mut self, code: CloseCode) {
        self.state = State::Closed;
        self.transmits.push_back(Transmit::Close(code));
    }
}

/// A time as the wire carries it.
fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).map_or(MAX_SAFE_INTEGER, |ms| ms.min(MAX_SAFE_INTEGER))
}

impl Refusal {
    fn retry_after(self, wait: Duration) -> Self {
        // Rounded up: a client that comes back to the millisecond must not be too early again.
        Self {
            retry_after_ms: Some(millis(wait.saturating_add(Duration::from_millis(1)))),
            ..self
        }
    }
}
