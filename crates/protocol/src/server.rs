//! The server's machine for one connection: its client's identity and rights, and its reading of rooms.
//!
//! A [`Connection`] lives as long as its connection. What outlives the connection (the session's last
//! `seq`, the messages, its away members) is kept by the log and the rooms, and comes back in as facts.
//! [`Tutorial`] is the machine of a page that speaks bare text, [`Feed`] that of a listener, and [`Request`] decides
//! about one request over HTTP.

mod access;
mod acks;
mod allowance;
mod config;
mod connections;
mod drafts;
mod feed;
mod handshake;
mod input;
mod numbering;
mod output;
mod owed;
mod publish;
mod reader;
mod rename;
mod request;
mod rooms;
mod rules;
mod seats;
mod tutorial;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use self::access::Permit;
pub use self::allowance::Cost;
use self::allowance::{Allowance, FRAME, NEWS, PAGE};
pub use self::config::Config;
pub use self::connections::{OtherNode, Slot, TakeOver, reconnect_slots};
pub use self::feed::{Feed, FeedConfig, FeedInput, FeedTransmit};
pub use self::handshake::{Full, Page, Site};
pub use self::input::{AppendError, Input, RoomView, SessionOpened};
pub use self::numbering::{
    NumberError, Standing, Use, fence, repeated_append, repeated_post, repeated_refusal, standing,
};
pub use self::output::Transmit;
use self::owed::Owed;
pub use self::owed::RequestId;
use self::publish::Publisher;
pub use self::reader::{Pull, Reader, Span};
use self::rename::Renames;
pub use self::request::{
    Call, MessagePage, PostError, PostKey, Posted, Redaction, Request, RequestAnswer, RequestError,
    RequestInput, RequestTransmit, Which,
};
use self::rooms::Seat;
pub use self::rules::served_until;
use self::seats::Seats;
pub use self::tutorial::{Tutorial, TutorialInput, TutorialTransmit};
use crate::access::Access;
use crate::close::CloseCode;
use crate::codec::DecodeError;
use crate::frame::{
    Beat, ClientFrame, Elsewhere, ErrorCode, Message, Refusal, ServerFrame, Welcome,
};
use crate::heartbeat::{Heartbeat, Verdict};
use crate::id::{Credentials, Name, RoomName, SessionId};
use crate::rate::Bucket;
use crate::time::{Latest, Timestamp, millis};

/// The server's machine for one connection: the machine behind one WebSocket.
#[derive(Debug)]
pub struct Connection {
    config: Arc<Config>,
    state: State,
    /// A frame that waits: for `welcome`, or because too many answers are owed. Nothing follows it.
    held: Option<Box<Result<ClientFrame, DecodeError>>>,
    heartbeat: Heartbeat,
    latest: Latest,
    allowance: Allowance,
    transmits: VecDeque<Transmit>,
}

/// The client's slot, and when it was given. Boxed, as few are given before there is a session, and each connection has room
/// for one.
type Given = Box<(Timestamp, Slot)>;

#[derive(Debug)]
enum State {
    AwaitingHello {
        deadline: Timestamp,
        /// The client's slot, if the server is about to end: sent after `welcome`, as nothing comes before that.
        slot: Option<Given>,
    },
    /// The client is being authenticated.
    Admitting {
        /// When the session has to be open.
        deadline: Timestamp,
        name: Option<Name>,
        slot: Option<Given>,
        resume: Option<Credentials>,
    },
    Opening {
        deadline: Timestamp,
        name: Option<Name>,
        slot: Option<Given>,
        /// When the client was authenticated, and its access: a token that ends does not wait for the log (AC-2).
        admitted: (Timestamp, Access),
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
    owed: Owed,
    drafts: Bucket,
    /// Only for a session that was renamed: most are not.
    renames: Option<Box<Renames>>,
    seats: Seats,
}

impl Connection {
    /// The machine of a connection that opened now. All connections of a server share their configuration.
    pub fn new(now: Timestamp, config: impl Into<Arc<Config>>) -> Self {
        let config = config.into();
        Self {
            state: State::AwaitingHello {
                deadline: now + config.hello_timeout,
                slot: None,
            },
            held: None,
            heartbeat: Heartbeat::new(now, config.heartbeat()),
            latest: Latest::new(now),
            allowance: Allowance::new(now, &config),
            transmits: VecDeque::new(),
            config,
        }
    }

    /// Takes a fact.
    pub fn handle_input(&mut self, now: Timestamp, input: Input) {
        let now = self.latest.advance(now);
        match input {
            _ if matches!(self.state, State::Closed) => {}
            Input::Received(frame) => self.received(now, frame),
            Input::SignOfLife => {
                self.heartbeat.on_received(now);
                self.allowance.spend(now, FRAME, FRAME);
            }
            Input::Throttled(wait) => self.allowance.pause(now, wait),
            Input::Admitted(answer) => self.admitted(now, answer),
            Input::SessionOpened(opened) => self.session_opened(now, opened),
            Input::RoomOpened { id, room, view } => self.room_opened(now, id, room, view),
            Input::RoomMoved {
                room,
                head,
                version,
            } => self.room_moved(room, head, version),
            Input::Pulled {
                id,
                room,
                through,
                version,
            } => self.pulled(id, room, through, version),
            Input::CutOff { id, room } => self.cut_off(id, room),
            Input::PullFailed { id, room } => self.pull_failed(now, id, &room),
            Input::Appended { seq, room, result } => self.appended(seq, room, result),
            Input::NumberUsed { seq, result } => self.number_used(seq, result),
            Input::HistoryRead { room, page } => self.history_read(room, page),
            Input::TakenOver => self.close(CloseCode::TAKEN_OVER),
            Input::Disconnected => self.close(CloseCode::DISCONNECTED),
            Input::GoAway(slot) => self.go_away(now, slot),
            Input::Shutdown => self.close(CloseCode::SERVICE_RESTART),
            Input::Stalled(is_stalled) => self.heartbeat.set_stalled(now, is_stalled),
            Input::SendQueue(queue) => self.heartbeat.on_send_queue(now, queue),
            Input::WriteStuck => self.close(CloseCode::SLOW),
        }
        self.serve_held(now);
    }

    /// Does what is due by now. Early and repeated calls are harmless. Returns the heartbeat's verdict, on which the
    /// machine has acted already: it is for a trace ([`Recorder::verdict`](crate::trace::Recorder::verdict)).
    pub fn handle_timeout(&mut self, now: Timestamp) -> Verdict {
        let now = self.latest.advance(now);
        let is_word_due = self.allowance.handle_timeout(now);
        match &self.state {
            State::AwaitingHello { deadline, .. } if now >= *deadline => {
                self.refuse(ErrorCode::HelloExpected);
                self.close(CloseCode::HELLO_TIMEOUT);
            }
            State::Admitting { deadline, .. } | State::Opening { deadline, .. }
                if now >= *deadline =>
            {
                self.refuse(ErrorCode::Unavailable);
                self.close(CloseCode::TRY_AGAIN_LATER);
            }
            State::AwaitingHello { .. }
            | State::Admitting { .. }
            | State::Opening { .. }
            | State::Closed => {}
            State::Live(_) => {
                let mut verdict = self.heartbeat.handle_timeout(now);
                if verdict == Verdict::Dead && self.held.is_some() {
                    // A client that is not read proves nothing by silence.
                    verdict = self.heartbeat.ask_again(now);
                }
                match verdict {
                    Verdict::Alive if is_word_due => self.send(ServerFrame::Ping),
                    Verdict::Alive => {}
                    Verdict::Ping => self.send(ServerFrame::Ping),
                    Verdict::Dead => {
                        self.close(CloseCode::DEAD);
                        return verdict;
                    }
                }
                self.forget_acks(now);
                self.flush_drafts(now);
                self.flush_rename(now);
                self.pull_again(now);
                self.watch_lease(now);
                return verdict;
            }
        }
        Verdict::Alive
    }

    /// The next thing that the driver must do.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        let next = self.transmits.pop_front();
        if next.is_none() {
            // A quiet connection keeps no queue.
            self.transmits = VecDeque::new();
        }
        next
    }

    /// When to call [`Connection::handle_timeout`] next. A driver may keep a timer that fires earlier.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let resumes = self.allowance.poll_timeout();
        match &self.state {
            State::AwaitingHello { deadline, .. }
            | State::Admitting { deadline, .. }
            | State::Opening { deadline, .. } => {
                Some(resumes.map_or(*deadline, |resumes| resumes.min(*deadline)))
            }
            State::Closed => None,
            State::Live(live) => {
                let beat = self.heartbeat.poll_timeout();
                let due = live.seats.iter().filter_map(Seat::due);
                let renames = live.renames.as_ref().and_then(|renames| renames.due());
                due.chain(self.lease_due(live))
                    .chain(renames)
                    .chain(resumes)
                    .chain(beat)
                    .min()
            }
        }
    }

    /// Whether the driver should report the system's send queue now, by [`Input::SendQueue`] and before
    /// [`Connection::handle_timeout`]. In quiet it never should.
    pub fn wants_send_queue(&self, now: Timestamp) -> bool {
        self.heartbeat.wants_send_queue(now)
    }

    /// Whether the driver should read on (back-pressure). It should not while a frame waits because too many answers
    /// are owed: until then it reads, so that pings are answered and an end is noticed. Nor should it while the
    /// frames that came are not paid for, which is soon.
    pub const fn wants_input(&self) -> bool {
        let is_open = !matches!(self.state, State::Closed);
        is_open && self.held.is_none() && !self.allowance.is_paused()
    }

    /// Whether the answer to this question is still of use: the room was neither left nor entered anew meanwhile.
    /// An answer that is of no use has to be given, but has no other effect.
    pub fn awaits(&self, id: RequestId) -> bool {
        match &self.state {
            State::Live(live) => live.seats.iter().any(|seat| seat.awaits(id)),
            _ => false,
        }
    }

    /// The cost of the frames since the last call, for the limits over more than one connection. Where these are
    /// exceeded, the driver says so by [`Input::Throttled`].
    pub fn take_cost(&mut self) -> Cost {
        self.allowance.take_cost()
    }

    /// The session on this connection, once it is known.
    pub fn id(&self) -> Option<&SessionId> {
        if let State::Live(live) = &self.state {
            Some(&live.session)
        } else {
            None
        }
    }

    /// The session's name, once it is known.
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
        let cost = frame.as_ref().map_or(FRAME, cost);
        self.allowance.spend(now, cost, cost);
        match (&mut self.state, frame) {
            (_, Err(DecodeError::TooLarge { .. })) => {
                self.refuse(ErrorCode::FrameTooLarge);
                self.close(CloseCode::FRAME_TOO_LARGE);
            }
            (_, Err(DecodeError::Binary | DecodeError::Malformed { .. })) => {
                self.refuse(ErrorCode::BadFrame);
                self.close(CloseCode::BAD_FRAME);
            }
            (State::AwaitingHello { slot, .. }, Ok(hello)) if hello.is_hello() => {
                let slot = slot.take();
                self.hello(now, slot, hello);
            }
            (State::Live(_) | State::Admitting { .. } | State::Opening { .. }, frame)
                if !frame.as_ref().is_ok_and(ClientFrame::is_hello) =>
            {
                self.take_up(now, frame);
            }
            (_, Ok(_) | Err(DecodeError::Unfit { .. })) => {
                self.refuse(ErrorCode::HelloExpected);
                self.close(CloseCode::BAD_FRAME);
            }
        }
    }

    /// Serves a frame if that can be done now, else keeps it.
    fn take_up(&mut self, now: Timestamp, frame: Result<ClientFrame, DecodeError>) {
        if self.held.is_some() {
            // The driver reads on though it should not: there is no place for this frame.
            self.close(CloseCode::TRY_AGAIN_LATER);
        } else if self.can_serve(&frame) {
            self.served(now, frame);
        } else {
            self.held = Some(Box::new(frame));
        }
    }

    /// Serves the frame that was kept, if that can be done now.
    fn serve_held(&mut self, now: Timestamp) {
        if let Some(frame) = &self.held
            && self.can_serve(frame)
            && let Some(frame) = self.held.take()
        {
            self.served(now, *frame);
        }
    }

    fn can_serve(&self, frame: &Result<ClientFrame, DecodeError>) -> bool {
        let State::Live(live) = &self.state else {
            return false;
        };
        let is_question = matches!(
            frame,
            Ok(ClientFrame::Join { .. }
                | ClientFrame::Publish { .. }
                | ClientFrame::History { .. })
                | Err(DecodeError::Unfit { seq: Some(_), .. })
        );
        !is_question || live.owed.count() < self.config.pending_max
    }

    /// RS-1, AC-1: has the client authenticated.
    fn hello(&mut self, now: Timestamp, slot: Option<Given>, frame: ClientFrame) {
        let ClientFrame::Hello {
            session: resume,
            name,
            token,
        } = frame
        else {
            return;
        };
        self.state = State::Admitting {
            deadline: now + self.config.welcome_timeout,
            name,
            slot,
            resume,
        };
        self.transmits.push_back(Transmit::Admit { token });
    }

    fn served(&mut self, now: Timestamp, frame: Result<ClientFrame, DecodeError>) {
        let frame = match frame {
            Ok(frame) => frame,
            Err(DecodeError::Unfit { code, seq }) => {
                return match seq {
                    Some(seq) => self.publish_unfit(now, seq, code),
                    None => self.refuse(code),
                };
            }
            // These end the connection; `received` saw to it.
            Err(_) => return,
        };
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
            ClientFrame::Rename { name } => self.rename(now, &name),
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
        let State::Opening {
            name,
            slot,
            admitted: (since, access),
            ..
        } = &mut self.state
        else {
            return;
        };
        let Some(opened) = opened else {
            self.refuse(ErrorCode::Unavailable);
            return self.close(CloseCode::TRY_AGAIN_LATER);
        };
        let slot = slot.take();
        let session = opened.credentials.id.clone();
        let permit = Permit::new(
            *since,
            std::mem::replace(access, Access::ANYBODY),
            &self.config,
        );
        let vouched = permit.vouched().cloned();
        let limits = self.config.limits;
        self.state = State::Live(Live {
            name: permit.name(name.as_ref(), &session),
            session,
            permit,
            publisher: Publisher::new(opened.last_seq),
            owed: Owed::default(),
            drafts: Bucket::new(now, limits.drafts_per_s, limits.drafts_per_s),
            renames: None,
            seats: Seats::default(),
        });
        self.heartbeat.restart(now);
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
        if let Some(given) = slot {
            let (at, slot) = *given;
            self.go_away(now, slot.later(now - at));
        }
    }

    fn go_away(&mut self, now: Timestamp, given: Slot) {
        match &mut self.state {
            State::AwaitingHello { slot, .. }
            | State::Admitting { slot, .. }
            | State::Opening { slot, .. } => {
                *slot = Some(Box::new((now, given)));
            }
            State::Live(_) => {
                let elsewhere = given.elsewhere.map(|(address, after)| Elsewhere {
                    address,
                    after_ms: millis(after),
                });
                self.send(ServerFrame::GoAway {
                    reconnect_after_ms: millis(given.reconnect_after),
                    elsewhere,
                    reason: CloseCode::SERVICE_RESTART.reason().to_owned(),
                });
            }
            State::Closed => {}
        }
    }

    fn history_read(&mut self, room: RoomName, page: Option<(Vec<Message>, bool)>) {
        self.answered();
        match page {
            Some((messages, more)) => self.send(ServerFrame::History {
                room,
                messages,
                more,
            }),
            None => self.refuse_room(ErrorCode::Unavailable, room),
        }
    }

    /// Counts one answer that came, of those that are owed.
    const fn answered(&mut self) {
        if let State::Live(live) = &mut self.state {
            live.owed.answered();
        }
    }

    fn send(&mut self, frame: ServerFrame) {
        if frame != ServerFrame::Ping {
            self.heartbeat.on_sent(self.latest.get());
        }
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
        self.held = None;
        self.transmits.push_back(Transmit::Close(code));
    }
}

/// The cost of a frame; none of frames that have a rate of their own, which is applied where they are served.
const fn cost(frame: &ClientFrame) -> u32 {
    match frame {
        ClientFrame::Publish { .. } | ClientFrame::Draft { .. } => 0,
        ClientFrame::Join { .. } | ClientFrame::Leave { .. } => NEWS,
        ClientFrame::History { .. } | ClientFrame::Token { .. } => PAGE,
        ClientFrame::Hello { .. }
        | ClientFrame::Rename { .. }
        | ClientFrame::Ping
        | ClientFrame::Pong => FRAME,
    }
}

impl Refusal {
    fn retry_after(self, wait: Duration) -> Self {
        // Rounded up: a client that reconnects to the millisecond must not be too early again.
        Self {
            retry_after_ms: Some(millis(wait.saturating_add(Duration::from_millis(1)))),
            ..self
        }
    }
}
