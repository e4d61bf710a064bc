//! One machine alone, whose other end the test plays: for rules about numbers and times.

use std::time::Duration;

use everbeat_protocol::access::Access;
use everbeat_protocol::address::Address;
use everbeat_protocol::client::{
    Cause, Config, End, Event, Input, Session, Status, Stored, Transmit,
};
use everbeat_protocol::close::CloseCode;
use everbeat_protocol::frame::{Beat, ClientFrame, Joined, Limits, Message, ServerFrame, Welcome};
use everbeat_protocol::id::{
    ConnectionId, Credentials, Name, RoomName, Seq, SessionId, SessionKey,
};
use everbeat_protocol::position::{Epoch, Offset, Position};
use everbeat_protocol::server;
use everbeat_protocol::time::Timestamp;
use simulation::pair::Pair;

/// The most calls on the way to a time: more would mean a machine that keeps itself busy.
const CALLS_MAX: usize = 100_000;

/// The time this many milliseconds after the origin.
pub(crate) const fn at(ms: u64) -> Timestamp {
    Timestamp::from_millis(ms)
}

pub(crate) const fn secs(s: u64) -> Duration {
    Duration::from_secs(s)
}

pub(crate) const fn millis(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub(crate) fn credentials(id: &str) -> Credentials {
    Credentials {
        id: SessionId::new(id).unwrap(),
        key: SessionKey::new(&format!("key-{id}")).unwrap(),
    }
}

/// What a client shows that a close with this code stopped.
pub(crate) const fn stopped(code: CloseCode) -> Status {
    let cause = Cause::Closed(Some(code));
    Status::Stopped { cause }
}

/// A client that can fetch tokens.
pub(crate) fn fetching() -> Config {
    Config {
        fetches_tokens: true,
        ..Config::new(0)
    }
}

/// The welcome of a fresh session with the default configuration.
pub(crate) fn welcome() -> Welcome {
    Welcome {
        session: credentials("s1"),
        resumed: false,
        last_seq: 0,
        refused: Vec::new(),
        vouched: None,
        heartbeat: Beat {
            interval_ms: 25_000,
            timeout_ms: 5_000,
        },
        limits: Limits::default(),
    }
}

/// A client's machine and its output.
#[derive(Debug)]
pub(crate) struct Solo {
    pub(crate) session: Session,
    pub(crate) now: Timestamp,
    /// The newest connection.
    pub(crate) id: ConnectionId,
    /// The address of that one.
    pub(crate) address: Option<Address>,
    pub(crate) transmits: Vec<Transmit>,
    pub(crate) events: Vec<Event>,
}

impl Solo {
    pub(crate) fn new(config: Config, stored: Stored) -> Self {
        Self::of(Session::new(config, stored))
    }

    pub(crate) fn of(session: Session) -> Self {
        Self {
            session,
            now: at(0),
            id: ConnectionId::new(0),
            address: None,
            transmits: Vec::new(),
            events: Vec::new(),
        }
    }

    /// A client that was connected and welcomed at time 0.
    pub(crate) fn live(config: Config) -> Self {
        let mut solo = Self::new(config, Stored::default());
        solo.connect();
        solo.greet(welcome());
        solo.forget();
        solo
    }

    pub(crate) fn connect(&mut self) {
        self.act(|session, now| session.connect(now));
    }

    /// The connection opens and is welcomed, all at once.
    pub(crate) fn greet(&mut self, welcome: Welcome) {
        self.input(Input::Opened { id: self.id });
        self.frame(ServerFrame::Welcome(welcome));
    }

    pub(crate) fn frame(&mut self, frame: ServerFrame) {
        let (id, frame) = (self.id, Ok(frame));
        self.input(Input::Received { id, frame });
    }

    pub(crate) fn close(&mut self, code: Option<CloseCode>) {
        self.end(code.into());
    }

    /// The connection ends, or does not open.
    pub(crate) fn end(&mut self, end: End) {
        self.input(Input::Closed { id: self.id, end });
    }

    pub(crate) fn input(&mut self, input: Input) {
        self.act(|session, now| session.handle_input(now, input));
    }

    pub(crate) fn act<T>(&mut self, act: impl FnOnce(&mut Session, Timestamp) -> T) -> T {
        let answer = act(&mut self.session, self.now);
        while let Some(transmit) = self.session.poll_transmit() {
            if let Transmit::Open { id, address } = &transmit {
                self.id = *id;
                self.address.clone_from(address);
            }
            self.transmits.push(transmit);
        }
        while let Some(event) = self.session.poll_event() {
            self.events.push(event);
        }
        answer
    }

    /// Lets time pass; every timer fires when it is due.
    pub(crate) fn run_to(&mut self, end: Timestamp) {
        let mut calls = 0;
        while let Some(due) = self.session.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.act(Session::handle_timeout);
            calls += 1;
            assert!(calls < CALLS_MAX, "time stands still: {self:?}");
        }
        self.now = end;
    }

    /// Lets time jump: the timer fires only at the end of it.
    pub(crate) fn jump_to(&mut self, end: Timestamp) {
        self.now = end;
        self.act(Session::handle_timeout);
    }

    /// How long until the timer fires.
    pub(crate) fn wait(&self) -> Duration {
        self.session.poll_timeout().unwrap() - self.now
    }

    /// Forgets the output so far.
    pub(crate) fn forget(&mut self) {
        self.transmits.clear();
        self.events.clear();
    }

    pub(crate) fn frames(&self) -> Vec<&ClientFrame> {
        let mut frames = Vec::new();
        for transmit in &self.transmits {
            if let Transmit::Frame { frame, .. } = transmit {
                frames.push(frame);
            }
        }
        frames
    }

    pub(crate) fn pings(&self) -> usize {
        let pings = self.frames();
        pings.iter().filter(|f| ***f == ClientFrame::Ping).count()
    }

    pub(crate) fn closes(&self) -> Vec<CloseCode> {
        let code = |transmit: &Transmit| match transmit {
            Transmit::Close { code, .. } => Some(*code),
            _ => None,
        };
        self.transmits.iter().filter_map(code).collect()
    }

    pub(crate) fn opens(&self) -> usize {
        let is_open = |transmit: &&Transmit| matches!(transmit, Transmit::Open { .. });
        self.transmits.iter().filter(is_open).count()
    }
}

/// The server's machine and its output.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) machine: server::Connection,
    pub(crate) now: Timestamp,
    pub(crate) transmits: Vec<server::Transmit>,
    /// Its last question to the log or to a room.
    pub(crate) asked: server::RequestId,
}

impl Desk {
    pub(crate) fn new(config: server::Config) -> Self {
        Self {
            machine: server::Connection::new(at(0), config),
            now: at(0),
            transmits: Vec::new(),
            asked: server::RequestId(0),
        }
    }

    /// A connection that was welcomed with a fresh session at time 0.
    pub(crate) fn live(config: server::Config) -> Self {
        let mut desk = Self::new(config);
        desk.greet();
        desk.transmits.clear();
        desk
    }

    /// A client says hello and gets a fresh session.
    pub(crate) fn greet(&mut self) {
        self.open(opened());
    }

    /// A client of any kind says hello and gets this session.
    pub(crate) fn open(&mut self, opened: server::SessionOpened) {
        self.open_for(Access::ANYBODY, opened);
    }

    /// A client with this access says hello and gets this session.
    pub(crate) fn open_for(&mut self, access: Access, opened: server::SessionOpened) {
        self.frame(hello());
        self.input(server::Input::Admitted(Ok(access)));
        self.input(server::Input::SessionOpened(Some(opened)));
    }

    pub(crate) fn frame(&mut self, frame: ClientFrame) {
        self.input(server::Input::Received(Ok(frame)));
    }

    pub(crate) fn input(&mut self, input: server::Input) {
        self.machine.handle_input(self.now, input);
        self.drain();
    }

    pub(crate) fn run_to(&mut self, end: Timestamp) {
        let mut calls = 0;
        while let Some(due) = self.machine.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.machine.handle_timeout(self.now);
            self.drain();
            calls += 1;
            assert!(calls < CALLS_MAX, "time stands still: {self:?}");
        }
        self.now = end;
    }

    fn drain(&mut self) {
        while let Some(transmit) = self.machine.poll_transmit() {
            if let server::Transmit::OpenRoom { id, .. } | server::Transmit::Pull { id, .. } =
                &transmit
            {
                self.asked = *id;
            }
            self.transmits.push(transmit);
        }
    }

    /// The client asks to be in the lobby.
    pub(crate) fn join(&mut self, since: Option<Position>) {
        self.frame(ClientFrame::Join {
            room: lobby(),
            since,
            limit: None,
        });
    }

    /// The lobby is opened, in answer to the last question.
    pub(crate) fn enter(&mut self, view: server::RoomView) {
        self.input(server::Input::RoomOpened {
            id: self.asked,
            room: lobby(),
            view: Some(view),
        });
    }

    pub(crate) fn frames(&self) -> Vec<&ServerFrame> {
        let mut frames = Vec::new();
        for transmit in &self.transmits {
            if let server::Transmit::Frame(frame) = transmit {
                frames.push(frame);
            }
        }
        frames
    }

    pub(crate) fn closes(&self) -> Vec<CloseCode> {
        let code = |transmit: &server::Transmit| match transmit {
            server::Transmit::Close(code) => Some(*code),
            _ => None,
        };
        self.transmits.iter().filter_map(code).collect()
    }
}

/// The first frame of a client without credentials and token.
pub(crate) const fn hello() -> ClientFrame {
    ClientFrame::Hello {
        session: None,
        name: None,
        token: None,
    }
}

/// A fresh session, as the log opens it.
pub(crate) fn opened() -> server::SessionOpened {
    server::SessionOpened {
        credentials: credentials("s1"),
        resumed: false,
        last_seq: 0,
        refused: Vec::new(),
    }
}

/// The answer to a `join` of the lobby without members, from this offset on.
pub(crate) fn joined(from: u64, head: u64) -> Joined {
    Joined {
        room: lobby(),
        epoch: Epoch::new("e"),
        head: offset(head),
        from: offset(from),
        recovered: true,
        members: Vec::new(),
        count: None,
        drafts: Vec::new(),
        read_only: false,
    }
}

/// A lobby without members, with messages up to this one.
pub(crate) fn view(head: u64) -> server::RoomView {
    server::RoomView {
        epoch: Epoch::new("e"),
        head: offset(head),
        trimmed: Offset::ZERO,
        members: Vec::new(),
        count: None,
        drafts: Vec::new(),
        redacted: Vec::new(),
        version: 1,
    }
}

/// The room that these tests use.
pub(crate) fn lobby() -> RoomName {
    RoomName::lobby()
}

/// An offset of a test.
pub(crate) fn offset(number: u64) -> Offset {
    Offset::new(number).unwrap()
}

/// A message from the lobby.
pub(crate) fn message(number: u64) -> ServerFrame {
    ServerFrame::Message(Message {
        room: lobby(),
        offset: offset(number),
        session: SessionId::new("s9").unwrap(),
        seq: Seq::FIRST,
        name: Name::tidy("nine"),
        at_ms: 0,
        body: format!("m{number}"),
        removed: false,
    })
}

/// The same message, redacted.
pub(crate) fn removed(number: u64) -> Message {
    let ServerFrame::Message(message) = message(number) else {
        unreachable!("it is a message");
    };
    Message {
        body: String::new(),
        removed: true,
        ..message
    }
}

/// What a page shows of the lobby, as texts.
pub(crate) fn seen(pair: &Pair, client: usize) -> Vec<&str> {
    pair.clients[client].shown(&lobby()).bodies()
}

/// A message for the lobby.
pub(crate) fn publish(seq: u64, body: &str) -> ClientFrame {
    ClientFrame::Publish {
        seq: Seq::new(seq).unwrap(),
        room: lobby(),
        body: body.into(),
    }
}

/// The log's answer to it.
pub(crate) fn appended(seq: u64, result: Result<u64, server::AppendError>) -> server::Input {
    server::Input::Appended {
        seq: Seq::new(seq).unwrap(),
        room: lobby(),
        result: result.map(offset),
    }
}

/// The numbers passed on to the log.
pub(crate) fn appends(desk: &Desk) -> Vec<u64> {
    let seq = |transmit: &server::Transmit| match transmit {
        server::Transmit::Append { seq, .. } => Some(seq.get()),
        _ => None,
    };
    desk.transmits.iter().filter_map(seq).collect()
}
