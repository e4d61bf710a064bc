//! The client's machine between a page, a driver and a server that may all misbehave.

mod plan;

use std::time::Duration;

use protocol::address::{Address, Addresses};
use protocol::client::{Config, End, Input, Network, NoToken, Session, Transmit};
use protocol::close::CloseCode;
use protocol::codec::{DecodeError, encode};
use protocol::frame::{
    Beat, ClientFrame, Joined, Limits, Message, Refusal, Refused, ServerFrame, Welcome,
};
use protocol::id::{ConnectionId, Credentials, Name, RoomName, Seq, SessionId, SessionKey};
use protocol::outbox::{Entry, EntryId, OutboxLimit};
use protocol::position::{Epoch, Offset, Position};

pub use self::plan::Plan;
use self::plan::{Greeting, Stale, Step};
use crate::codec;
use crate::frames::{Any, node};
use crate::page::{Page, Storage};
use crate::time::{Clock, settle};

/// Plays a run.
///
/// # Panics
/// If a check fails.
pub fn run(plan: Plan) {
    let config = Config {
        window: usize::from(plan.window % 40),
        fetches_tokens: plan.fetches_tokens,
        outbox: OutboxLimit {
            entries: usize::from(plan.outbox_entries % 16),
            bytes: plan.outbox_bytes.into(),
        },
        ..Config::new(plan.seed)
    };
    let stored = plan.stored.into_iter().take(16).zip(0..);
    let stored = stored.map(|(left, id)| left.entry(EntryId(id))).collect();
    let credentials = plan.credentials.map(|Any(credentials)| credentials);
    let nodes = (0..plan.nodes % 4).map(node).collect();
    let mut driver = Driver::new(config, Storage::of(credentials, stored), nodes);
    if plan.is_live {
        driver.begin(plan.limits);
    }
    for step in plan.steps {
        driver.play(step);
    }
}

/// The connection as the driver knows it.
#[derive(Debug)]
struct Line {
    id: ConnectionId,
    is_open: bool,
    said_hello: bool,
}

#[derive(Debug)]
struct Driver {
    config: Config,
    /// The nodes that the client knows.
    nodes: Vec<Address>,
    clock: Clock,
    session: Session,
    storage: Storage,
    page: Page,
    line: Option<Line>,
    last_id: ConnectionId,
    limits: Limits,
    /// The highest number on the wire in this session.
    sent: u64,
    /// The most messages and bytes that the outbox may have: its limit, or what it began with.
    most: (usize, usize),
}

impl Driver {
    fn new(config: Config, storage: Storage, nodes: Vec<Address>) -> Self {
        let mut session = Session::new(config, storage.stored());
        if let Some((own, further)) = nodes.split_first() {
            let addresses = Addresses::new(own.clone(), further.iter().cloned());
            session = session.with_addresses(&addresses.expect("all are secure"));
        }
        let (entries, bytes) = storage.size();
        Self {
            clock: Clock::default(),
            page: Page::new(&session),
            session,
            line: None,
            last_id: ConnectionId::new(0),
            limits: Limits::default(),
            sent: 0,
            most: (
                entries.max(config.outbox.entries),
                bytes.max(config.outbox.bytes),
            ),
            storage,
            nodes,
            config,
        }
    }

    fn play(&mut self, step: Step) {
        match step {
            Step::Wait(pause) => {
                self.clock.pass(pause, self.session.poll_timeout());
                self.timer();
            }
            Step::Drift(pause) => self.clock.pass(pause, self.session.poll_timeout()),
            Step::Online => self.network(Network::Online),
            Step::Offline => self.network(Network::Offline),
            Step::Visible => self.network(Network::Visible),
            Step::Frozen => self.network(Network::Frozen),
            Step::Reload => self.reload(),
            Step::Opened => self.opened(),
            Step::Closed(code) => self.closed(code.map(|Any(code)| code)),
            Step::Greet(greeting) => self.greet(greeting),
            Step::Frame(Any(frame)) => self.frame(Ok(frame)),
            Step::GoAway(ms, elsewhere) => self.frame(Ok(ServerFrame::GoAway {
                reconnect_after_ms: ms.into(),
                elsewhere: elsewhere.map(|Any(elsewhere)| elsewhere),
                reason: String::new(),
            })),
            Step::Pong => self.frame(Ok(ServerFrame::Pong)),
            Step::Token(token, denied) => {
                let none = if denied {
                    NoToken::Denied
                } else {
                    NoToken::Unavailable
                };
                self.input(Input::Token(token.map(|Any(token)| token).ok_or(none)));
            }
            Step::Garbage(Any(error)) => self.frame(Err(error)),
            Step::Stale(id, fact) => self.stale(ConnectionId::new(id.into()), fact),
            Step::Ack(_) | Step::Settle(..) | Step::LetIn(..) | Step::Message(..) => {
                self.answer(step);
            }
            wish => self.wish(wish),
        }
    }

    fn begin(&mut self, limits: Any<Limits>) {
        let lobby = || Any(RoomName::lobby());
        self.play(Step::Join(lobby(), None));
        self.play(Step::Connect);
        self.greet(Greeting {
            session: Any(Credentials {
                id: SessionId::new("s1").expect("plain ASCII"),
                key: SessionKey::new("k1").expect("plain ASCII"),
            }),
            is_same: true,
            settled: 0,
            refused: Vec::new(),
            beat: Any(Beat {
                interval_ms: 25_000,
                timeout_ms: 5000,
            }),
            limits,
        });
        self.play(Step::LetIn(lobby(), true, 0));
    }

    fn wish(&mut self, step: Step) {
        let now = self.clock.now();
        match step {
            Step::Connect => self.session.connect(now),
            Step::Disconnect => self.session.disconnect(now),
            Step::Join(Any(room), since) => {
                let since = since.map(|Any(since)| since);
                self.page.join(room.clone(), since.clone());
                self.session.join(now, room, since);
            }
            Step::Leave(Any(room)) => {
                self.page.leave(&room);
                self.session.leave(now, &room);
            }
            Step::Publish(Any(room), Any(body)) => {
                // Refused at once, or reported by an event.
                let _ = self.session.publish(now, room, body);
            }
            Step::Draft(Any(room), Any(body)) => self.session.draft(now, &room, body),
            Step::History(Any(room), Any(before), limit) => {
                self.session.history(now, room, before, limit);
            }
            Step::Rename(Any(name)) => self.session.rename(now, name),
            Step::SendAgain(nth) => {
                let id = self.entry(nth).map_or(EntryId(99), |entry| entry.id);
                self.session.send_again(now, id);
            }
            Step::Discard(nth) => {
                let id = self.entry(nth).map_or(EntryId(99), |entry| entry.id);
                self.session.discard(now, id);
            }
            _ => {}
        }
        self.drain();
    }

    /// The answers that a server which knows this client would send.
    fn answer(&mut self, step: Step) {
        let frame = match step {
            Step::Ack(nth) => {
                let Some(Entry { seq, room, .. }) = self.entry(nth).cloned() else {
                    return;
                };
                let offset = Offset::ZERO.next();
                ServerFrame::Ack { seq, room, offset }
            }
            Step::Settle(nth, Any(code), retry) => ServerFrame::Error(Refusal {
                code,
                message: String::new(),
                seq: self.entry(nth).map(|entry| entry.seq),
                unsettled: None,
                room: None,
                retry_after_ms: retry.map(u64::from),
            }),
            Step::LetIn(Any(room), recovered, shift) => {
                let position = self.position(&room);
                let from = shifted(position.offset, shift);
                ServerFrame::Joined(Joined {
                    room,
                    epoch: position.epoch,
                    head: from,
                    from,
                    recovered,
                    members: Vec::new(),
                    count: None,
                    drafts: Vec::new(),
                    read_only: false,
                })
            }
            Step::Message(Any(room), shift, Any(body)) => {
                let offset = shifted(self.position(&room).offset, shift.saturating_add(1));
                ServerFrame::Message(Message {
                    room,
                    offset,
                    session: SessionId::new("s9").expect("plain ASCII"),
                    seq: Seq::FIRST,
                    name: Name::tidy("Ada"),
                    at_ms: 0,
                    removed: body.is_empty(),
                    body,
                })
            }
            _ => return,
        };
        self.frame(Ok(frame));
    }

    fn position(&self, room: &RoomName) -> Position {
        let unknown = || Position {
            epoch: Epoch::new("e1"),
            offset: Offset::ZERO,
        };
        self.page.position(room).cloned().unwrap_or_else(unknown)
    }

    fn entry(&self, nth: u8) -> Option<&Entry> {
        let count = self.session.outbox().count();
        self.session.outbox().nth(usize::from(nth) % count.max(1))
    }

    fn greet(&mut self, greeting: Greeting) {
        self.opened();
        let known = self.storage.stored().credentials;
        let resumed = greeting.is_same && known.is_some();
        let refused = greeting.refused.into_iter();
        let last_seq = self.sent.saturating_sub(u64::from(greeting.settled % 4));
        let welcome = Welcome {
            session: known.filter(|_| resumed).unwrap_or(greeting.session.0),
            resumed,
            last_seq: if resumed { last_seq } else { 0 },
            refused: refused
                .map(|(nth, Any(code))| Refused {
                    seq: self.entry(nth).map_or(Seq::FIRST, |entry| entry.seq),
                    code,
                })
                .collect(),
            vouched: None,
            heartbeat: greeting.beat.0,
            limits: greeting.limits.0,
        };
        self.frame(Ok(ServerFrame::Welcome(welcome)));
    }

    fn reload(&mut self) {
        let now = self.clock.now();
        let fresh = Self::new(self.config, self.storage.clone(), self.nodes.clone());
        let (clock, sent) = (std::mem::take(&mut self.clock), self.sent);
        *self = Self {
            clock,
            sent,
            ..fresh
        };
        self.session.connect(now);
        self.drain();
    }

    fn timer(&mut self) {
        let now = self.clock.now();
        settle(now, || {
            self.session.handle_timeout(now);
            self.drain();
            self.session.poll_timeout()
        });
    }

    fn network(&mut self, network: Network) {
        self.input(Input::Network(network));
    }

    fn opened(&mut self) {
        let Some(line) = &mut self.line else { return };
        line.is_open = true;
        let id = line.id;
        self.input(Input::Opened { id });
    }

    fn closed(&mut self, code: Option<CloseCode>) {
        if let Some(Line { id, .. }) = self.line.take() {
            // Numbers that are no code stand for the status of a refused handshake.
            let end = match code.map(CloseCode::get) {
                Some(status @ ..1000) => End::Refused {
                    status,
                    retry_after: (status % 2 == 0).then(|| Duration::from_secs(status.into())),
                },
                _ => code.into(),
            };
            self.input(Input::Closed { id, end });
        }
    }

    /// A frame of the server; it can come on an open connection only.
    fn frame(&mut self, frame: Result<ServerFrame, DecodeError>) {
        if let Some(Line {
            id, is_open: true, ..
        }) = self.line
        {
            if let Ok(ServerFrame::Welcome(welcome)) = &frame {
                self.limits = welcome.limits;
            }
            self.input(Input::Received { id, frame });
        }
    }

    fn stale(&mut self, id: ConnectionId, fact: Stale) {
        if self.line.as_ref().is_some_and(|line| line.id == id) {
            return;
        }
        let before = self.session.stats().stale_inputs;
        self.input(match fact {
            Stale::Opened => Input::Opened { id },
            Stale::Closed(code) => Input::Closed {
                id,
                end: code.map(|Any(code)| code).into(),
            },
            Stale::Frame(Any(frame)) => Input::Received {
                id,
                frame: Ok(frame),
            },
        });
        // PU-3: dropped and counted.
        assert_eq!(self.session.stats().stale_inputs, before + 1);
    }

    fn input(&mut self, input: Input) {
        self.session.handle_input(self.clock.now(), input);
        self.drain();
    }

    /// Does the machine's I/O, and checks it.
    fn drain(&mut self) {
        // PU-4: the outputs of one input are bounded: some for each message and each room.
        let mut bound = 32 + 8 * (self.most.0 + 1) + 4 * self.page.rooms();
        let mut count = || {
            bound = bound.checked_sub(1).expect("one input leads to ever more");
        };
        while let Some(transmit) = self.session.poll_transmit() {
            count();
            self.perform(transmit);
        }
        while let Some(event) = self.session.poll_event() {
            count();
            self.page.fold(event);
        }
        self.storage.agrees_with(&self.session);
        self.page.agrees_with(&self.session);
        let (entries, bytes) = self.storage.size();
        assert!(
            entries <= self.most.0 && bytes <= self.most.1,
            "the outbox is over its limit"
        );
        let due = self.session.poll_timeout();
        assert_eq!(
            due.is_none(),
            self.is_at_rest(),
            "a timer exactly where something is to come"
        );
    }

    fn is_at_rest(&self) -> bool {
        use protocol::client::Status;
        matches!(self.session.status(), Status::Idle | Status::Stopped { .. })
    }

    fn perform(&mut self, transmit: Transmit) {
        match transmit {
            Transmit::Open { id, address } => {
                let is_known = address.as_ref().map_or(self.nodes.is_empty(), |address| {
                    self.nodes.contains(address)
                });
                assert!(is_known, "RC-8: a connection to {address:?}");
                assert!(self.line.is_none(), "two connections at once");
                assert!(id > self.last_id, "a connection's id used twice");
                self.last_id = id;
                self.line = Some(Line {
                    id,
                    is_open: false,
                    said_hello: false,
                });
            }
            Transmit::Frame { id, frame } => self.sent(id, &frame),
            Transmit::Close { id, .. } => {
                let line = self.line.take();
                assert_eq!(line.map(|line| line.id), Some(id), "closed twice");
            }
            Transmit::FetchToken => {
                assert!(
                    self.config.fetches_tokens,
                    "asked a driver that has no tokens"
                );
            }
            Transmit::Store(store) => self.storage.apply(store),
        }
    }

    fn sent(&mut self, id: ConnectionId, frame: &ClientFrame) {
        codec::survives(frame);
        let line = self
            .line
            .as_mut()
            .filter(|line| line.id == id && line.is_open);
        let line = line.unwrap_or_else(|| panic!("no open connection for {frame:?}"));
        let is_hello = matches!(frame, ClientFrame::Hello { .. });
        assert_eq!(is_hello, !line.said_hello, "RS-1: {frame:?}");
        line.said_hello = true;
        if let ClientFrame::Publish { seq, body, .. } = frame {
            self.storage.knows_sent(*seq, body);
            self.sent = seq.get();
        }
        // If a limit leaves room for any text at all.
        let is_text = matches!(
            frame,
            ClientFrame::Publish { .. } | ClientFrame::Draft { .. }
        );
        if is_text && self.limits.frame_bytes >= 1024 {
            let bytes = encode(frame).len();
            assert!(
                bytes <= self.limits.frame_bytes as usize,
                "a frame of {bytes} bytes"
            );
        }
    }
}

fn shifted(offset: Offset, shift: i8) -> Offset {
    let number = offset.get().saturating_add_signed(shift.into());
    Offset::new(number).unwrap_or(offset)
}
