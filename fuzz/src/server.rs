//! The server's machine between a client, a log and rooms that may all misbehave.

mod plan;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use protocol::access::Access;
use protocol::close::CloseCode;
use protocol::codec::DecodeError;
use protocol::frame::{ClientFrame, ErrorCode, ServerFrame};
use protocol::id::{Credentials, RoomName, Seq, SessionId, SessionKey};
use protocol::position::Offset;
use protocol::server::{
    AppendError, Config, Connection, Input, Pull, RequestId, SessionOpened, Slot, Transmit,
};

pub use self::plan::Plan;
use self::plan::{Answer, Odd, Step};
use crate::codec;
use crate::frames::Any;
use crate::time::{Clock, settle};

/// How many answers of the log may be owed in a run.
const PENDING_MAX: usize = 4;

/// A question that the log or a room has not answered yet.
#[derive(Debug)]
enum Request {
    Admit,
    Session { wants_to_resume: bool },
    Room(RequestId, RoomName),
    Pull(RequestId, RoomName, Pull),
    Append(Seq, RoomName),
    Refuse(Seq, ErrorCode),
    History(RoomName),
}

/// Plays a run.
///
/// # Panics
/// If a check fails.
pub fn run(plan: Plan) {
    let config = Config {
        publish_burst: plan.burst.into(),
        pending_max: PENDING_MAX,
        limits: plan.limits.0,
        ..Config::default()
    };
    let clock = Clock::default();
    let mut driver = Driver {
        machine: Connection::new(clock.now(), config),
        config,
        clock,
        requests: VecDeque::new(),
        closed: None,
        is_welcome: false,
        is_plausible: true,
        highest: 0,
        held: None,
        acks_allowed: BTreeSet::new(),
        seats: BTreeSet::new(),
        pulling: BTreeMap::new(),
    };
    if plan.is_live {
        driver.begin();
    }
    for step in plan.steps {
        driver.play(step);
    }
}

#[derive(Debug)]
struct Driver {
    config: Config,
    clock: Clock,
    machine: Connection,
    requests: VecDeque<Request>,
    closed: Option<CloseCode>,
    is_welcome: bool,
    /// So far every answer belonged to a question.
    is_plausible: bool,
    /// The highest number settled or passed on.
    highest: u64,
    /// The lowest number refused for now (EO-7).
    held: Option<Seq>,
    /// The messages that the log reported as durable.
    acks_allowed: BTreeSet<(Seq, RoomName, Offset)>,
    seats: BTreeSet<RoomName>,
    /// Pulls under way.
    pulling: BTreeMap<RoomName, RequestId>,
}

impl Driver {
    fn play(&mut self, step: Step) {
        match step {
            Step::Wait(pause) => {
                self.clock.pass(pause, self.machine.poll_timeout());
                self.timer();
            }
            Step::Drift(pause) => self.clock.pass(pause, self.machine.poll_timeout()),
            Step::Frame(Any(frame)) => self.receive(Ok(frame)),
            Step::Publish(shift, Any(room), Any(body)) => {
                // Mostly the very next one.
                let shift = if shift > 0 { 1 } else { i64::from(shift / 16) };
                let seq = self.highest.saturating_add_signed(shift);
                let seq = Seq::new(seq).unwrap_or(Seq::FIRST);
                self.receive(Ok(ClientFrame::Publish { seq, room, body }));
            }
            Step::Garbage(Any(error)) => self.receive(Err(error)),
            Step::Answer(nth, answer) => self.answer(nth, answer),
            Step::TakenOver => self.end(Input::TakenOver, CloseCode::TAKEN_OVER),
            Step::Shutdown => self.end(Input::Shutdown, CloseCode::SERVICE_RESTART),
            Step::Stalled(is_stalled) => {
                self.input(Input::Stalled(is_stalled));
            }
            Step::WriteStuck => self.end(Input::WriteStuck, CloseCode::SLOW),
            Step::Disconnected => self.end(Input::Disconnected, CloseCode::DISCONNECTED),
            Step::Odd(odd) => self.odd(odd),
            Step::SignOfLife | Step::RoomMoved(..) | Step::GoAway(..) => self.happen(step),
        }
    }

    fn happen(&mut self, step: Step) {
        self.input(match step {
            Step::RoomMoved(Any(room), Any(head), version) => Input::RoomMoved {
                room,
                head,
                version,
            },
            Step::GoAway(ms, elsewhere) => Input::GoAway(Slot {
                reconnect_after: Duration::from_millis(ms.into()),
                elsewhere: elsewhere
                    .map(|(Any(address), ms)| (address, Duration::from_millis(ms.into()))),
            }),
            _ => Input::SignOfLife,
        });
    }

    fn begin(&mut self) {
        self.receive(Ok(ClientFrame::Hello {
            session: None,
            name: None,
            token: None,
        }));
        self.input(Input::Admitted(Ok(Access::ANYBODY)));
        self.requests.clear();
        self.input(Input::SessionOpened(Some(SessionOpened {
            credentials: Credentials {
                id: SessionId::new("s1").expect("plain ASCII"),
                key: SessionKey::new("k1").expect("plain ASCII"),
            },
            resumed: false,
            last_seq: 0,
            refused: Vec::new(),
        })));
    }

    /// A driver reads only when the machine wants it to (PU-4).
    fn receive(&mut self, frame: Result<ClientFrame, DecodeError>) {
        if !self.machine.wants_input() {
            return;
        }
        let is_ignored = match (&frame, self.held) {
            (
                Ok(ClientFrame::Publish { seq, .. })
                | Err(DecodeError::Unfit { seq: Some(seq), .. }),
                Some(held),
            ) => *seq > held,
            _ => false,
        };
        let count = self.input(Input::Received(frame));
        // EO-7: neither served nor refused, until the held one comes again.
        assert!(
            !is_ignored || count == 0,
            "what follows a held number is ignored"
        );
    }

    /// An input that ends an open connection with this code.
    fn end(&mut self, input: Input, code: CloseCode) {
        let expected = self.closed.or(Some(code));
        self.input(input);
        assert_eq!(self.closed, expected);
    }

    fn answer(&mut self, nth: u8, answer: Answer) {
        let nth = usize::from(nth / 64).min(self.requests.len().saturating_sub(1));
        let Some(request) = self.requests.remove(nth) else {
            return;
        };
        let input = match request {
            Request::Admit => Input::Admitted(answer.admitted()),
            Request::Session { wants_to_resume } => {
                let opened = answer.session_opened();
                Input::SessionOpened(opened.map(|opened| SessionOpened {
                    resumed: opened.resumed && wants_to_resume,
                    ..opened
                }))
            }
            Request::Room(id, room) => {
                // A room is not entered if its answer is of no use any more.
                let view = answer.room_view().filter(|_| self.machine.awaits(id));
                Input::RoomOpened { id, room, view }
            }
            Request::Pull(id, room, _) if !self.machine.awaits(id) => {
                Input::PullFailed { id, room }
            }
            Request::Pull(id, room, pull) if answer.is_granted => Input::Pulled {
                id,
                through: advanced(pull.after, u64::from(answer.failure).min(pull.limit.into())),
                version: pull.since.saturating_add(answer.version.into()),
                room,
            },
            Request::Pull(id, room, _) if answer.failure > 99 => Input::PullFailed { id, room },
            Request::Pull(id, room, _) => Input::CutOff { id, room },
            Request::Append(seq, room) => {
                let result = answer.appended();
                Input::Appended { seq, room, result }
            }
            Request::Refuse(seq, code) => Input::NumberUsed {
                seq,
                result: answer.appended().map(|_| code),
            },
            Request::History(room) => Input::HistoryRead {
                room,
                page: answer.page(),
            },
        };
        self.input(input);
    }

    fn odd(&mut self, odd: Odd) {
        self.is_plausible = false;
        self.input(match odd {
            Odd::Admitted(answer) => Input::Admitted(answer.admitted()),
            Odd::SessionOpened(answer) => Input::SessionOpened(answer.session_opened()),
            Odd::RoomOpened(id, Any(room), answer) => {
                let (id, view) = (RequestId(id.into()), answer.room_view());
                Input::RoomOpened { id, room, view }
            }
            Odd::Pulled(id, Any(room), Any(through), version) => Input::Pulled {
                id: RequestId(id.into()),
                room,
                through,
                version,
            },
            Odd::CutOff(id, Any(room)) => {
                let id = RequestId(id.into());
                Input::CutOff { id, room }
            }
            Odd::Appended(Any(seq), Any(room), answer) => Input::Appended {
                seq,
                room,
                result: answer.appended(),
            },
            Odd::NumberUsed(Any(seq), answer) => Input::NumberUsed {
                seq,
                result: answer.appended().map(|_| answer.code.0),
            },
            Odd::HistoryRead(Any(room), answer) => Input::HistoryRead {
                room,
                page: answer.page(),
            },
        });
    }

    fn timer(&mut self) {
        let now = self.clock.now();
        settle(now, || {
            self.machine.handle_timeout(now);
            self.drain();
            self.machine.poll_timeout()
        });
    }

    /// Feeds an input. Returns how many outputs it leads to.
    fn input(&mut self, input: Input) -> usize {
        self.note(&input);
        self.machine.handle_input(self.clock.now(), input);
        self.drain()
    }

    /// Remembers what the checks need to know of a fact.
    fn note(&mut self, input: &Input) {
        if self.closed.is_some() {
            return;
        }
        match input {
            Input::SessionOpened(Some(opened)) if !self.is_welcome => {
                self.highest = opened.last_seq;
            }
            Input::Appended { seq, room, result } => match result {
                Ok(offset) => {
                    self.acks_allowed.insert((*seq, room.clone(), *offset));
                    self.settled(*seq);
                }
                Err(AppendError::Refused(_)) => self.settled(*seq),
                Err(_) => {}
            },
            Input::NumberUsed { seq, result } => {
                if matches!(result, Ok(_) | Err(AppendError::Refused(_))) {
                    self.settled(*seq);
                }
            }
            // The next question about the room has another number.
            Input::Pulled { id, room, .. }
            | Input::CutOff { id, room }
            | Input::PullFailed { id, room }
                if self.pulling.get(room) == Some(id) =>
            {
                self.pulling.remove(room);
            }
            _ => {}
        }
    }

    fn settled(&mut self, seq: Seq) {
        self.highest = self.highest.max(seq.get());
        self.held = self.held.filter(|held| *held > seq);
    }

    /// Does what the machine asks for, and checks it.
    fn drain(&mut self) -> usize {
        let before = self.seats.len().max(1);
        let mut count = 0;
        while let Some(transmit) = self.machine.poll_transmit() {
            assert_eq!(self.closed, None, "{transmit:?} after the close");
            count += 1;
            self.perform(transmit);
        }
        // PU-4: the outputs of one input are bounded: a rename needs one for each room, and a newer token
        // may rename the client and close each of its rooms.
        assert!(
            count <= 3 + 3 * before,
            "one input leads to {count} transmits"
        );
        // The readers of rooms ask by themselves, each one question at a time.
        let is_owed = |request: &&Request| {
            !matches!(
                request,
                Request::Admit | Request::Session { .. } | Request::Pull(..)
            )
        };
        let pending = self.requests.iter().filter(is_owed).count();
        assert!(
            !self.is_plausible || pending <= PENDING_MAX + self.seats.len(),
            "PU-4: {pending} answers owed"
        );
        assert!(
            self.seats.len() <= self.config.limits.rooms as usize,
            "PU-4: too many rooms"
        );
        if self.closed.is_some() {
            assert_eq!(self.machine.poll_timeout(), None);
            assert!(!self.machine.wants_input());
        }
        count
    }

    fn perform(&mut self, transmit: Transmit) {
        match transmit {
            Transmit::Frame(frame) => self.sent(&frame),
            Transmit::Close(code) => self.closed = Some(code),
            Transmit::RoundTrip(_) => {}
            Transmit::Admit { .. } => self.requests.push_back(Request::Admit),
            Transmit::OpenSession { resume, .. } => self.requests.push_back(Request::Session {
                wants_to_resume: resume.is_some(),
            }),
            Transmit::OpenRoom { id, room } => {
                self.pulling.remove(&room);
                self.seats.insert(room.clone());
                self.requests.push_back(Request::Room(id, room));
            }
            Transmit::LeaveRoom { room } => {
                self.pulling.remove(&room);
                assert!(self.seats.remove(&room), "left without being there: {room}");
            }
            Transmit::Rename { room, .. } | Transmit::Draft { room, .. } => {
                assert!(self.seats.contains(&room), "not in {room}");
            }
            Transmit::Pull { id, room, pull } => {
                let before = self.pulling.insert(room.clone(), id);
                assert_eq!(before, None, "two pulls at once in {room}");
                self.requests.push_back(Request::Pull(id, room, pull));
            }
            Transmit::Append {
                seq, room, body, ..
            } => {
                let limit = self.config.limits.body_bytes as usize;
                let is_new = self.passed_on(seq);
                assert!(
                    !is_new || (1..=limit).contains(&body.len()),
                    "a bad text is appended"
                );
                self.requests.push_back(Request::Append(seq, room));
            }
            Transmit::Refuse { seq, code } => {
                self.passed_on(seq);
                self.requests.push_back(Request::Refuse(seq, code));
            }
            Transmit::History { room, limit, .. } => {
                assert!(
                    limit <= self.config.limits.history.max(1),
                    "more than a page"
                );
                self.requests.push_back(Request::History(room));
            }
        }
    }

    /// EO-1, EO-7: numbers go to the log without a hole, and none overtakes a held one.
    /// Returns whether it is a new one.
    fn passed_on(&mut self, seq: Seq) -> bool {
        let is_new = seq.get() > self.highest || self.held == Some(seq);
        assert!(
            seq.get() <= self.highest + 1,
            "{seq} skips numbers after {}",
            self.highest
        );
        assert!(
            self.held.is_none_or(|held| seq <= held),
            "{seq} overtakes {:?}",
            self.held
        );
        self.held = self.held.filter(|held| *held != seq);
        self.highest = self.highest.max(seq.get());
        is_new
    }

    fn sent(&mut self, frame: &ServerFrame) {
        codec::survives(frame);
        match frame {
            ServerFrame::Welcome(_) => {
                assert!(!self.is_welcome, "welcomed twice");
                self.is_welcome = true;
            }
            // RS-1: before `welcome` only an error that ends the connection.
            ServerFrame::Error(refusal) => {
                if let (Some(seq), Some(_)) = (refusal.seq, refusal.retry_after_ms) {
                    self.held = Some(self.held.map_or(seq, |held| held.min(seq)));
                }
            }
            frame => {
                let is_allowed = self.is_welcome || !self.is_plausible;
                assert!(is_allowed, "RS-1: {frame:?} before the welcome");
            }
        }
        if let ServerFrame::Ack { seq, room, offset } = frame {
            let allowed = self.acks_allowed.contains(&(*seq, room.clone(), *offset));
            assert!(allowed, "EO-2: {frame:?} without the log's word");
        }
        assert!(
            !matches!(frame, ServerFrame::Message(_)),
            "messages come from the room"
        );
    }
}

fn advanced(offset: Offset, count: u64) -> Offset {
    Offset::new(offset.get() + count).unwrap_or(offset)
}
