//! The client's machine: it connects, sends heartbeats, reconnects, resumes its session, and loses no message.
//!
//! Facts go in through [`Session::handle_input`] and [`Session::handle_timeout`], a user's wishes through the
//! commands ([`Session::publish`], [`Session::draft`], …). After each of them the driver drains
//! [`Session::poll_transmit`] and [`Session::poll_event`], in this order, and arms its timer with
//! [`Session::poll_timeout`].

mod config;
mod connection;
mod found;
mod live;
mod outage;
mod output;
mod pages;
mod publish;
mod room;
mod route;
mod tokens;
mod uplink;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use fastrand::Rng;

pub use self::config::{CONNECT_TIMEOUT, Config};
use self::connection::{Live, State};
use self::found::Lost;
use self::outage::Outage;
pub use self::outage::Recovery;
pub use self::output::{Cause, Event, Fate, Status, Store, Transmit};
use self::room::Room;
use self::route::Route;
pub use self::tokens::NoToken;
use self::tokens::Tokens;
use crate::address::{Address, Addresses};
use crate::backoff::Backoff;
use crate::close::CloseCode;
use crate::codec::DecodeError;
use crate::frame::{ClientFrame, ErrorCode, Limits, Message, Refusal, ServerFrame};
use crate::id::{ConnectionId, Credentials, Name, RoomName, SessionId, Token};
use crate::outbox::{Entry, EntryId, Outbox, PublishError};
use crate::position::{Offset, Position};
use crate::time::{Latest, Timestamp};

/// A fact that the driver reports.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Input {
    /// The connection is open.
    Opened {
        /// Which one.
        id: ConnectionId,
    },
    /// A frame came, or something that is not one.
    Received {
        /// On which connection.
        id: ConnectionId,
        /// The frame, or why it is not one.
        frame: Result<ServerFrame, DecodeError>,
    },
    /// The connection is closed, or could not be opened.
    Closed {
        /// Which one.
        id: ConnectionId,
        /// How it ended, as far as the driver knows.
        end: End,
    },
    /// The socket holds so many bytes of what was sent on a connection (`WebSocket.bufferedAmount`). The driver
    /// reports a change before any other fact, before a command, and before [`Session::handle_timeout`]. A driver
    /// that cannot know it reports nothing.
    Buffered {
        /// On which connection.
        id: ConnectionId,
        /// In bytes.
        bytes: u64,
    },
    /// The page or the network changed.
    Network(Network),
    /// Messages of the log that the application has from elsewhere: those that a page was rendered with
    /// (RS-7). A message of the outbox that is among them is durable (RS-9).
    Seen(Vec<Message>),
    /// The answer to [`Transmit::FetchToken`]. It may also come unasked, with a token that the application
    /// has anyway.
    Token(Result<Token, NoToken>),
}

/// How a connection ended, or why it did not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// It is lost: no close frame came. So is a handshake whose answer the driver cannot see, as in a browser.
    Lost,
    /// A close frame came, with this code.
    Closed(CloseCode),
    /// The opening handshake was answered over HTTP, with another status than 101.
    Refused {
        /// The status (RFC 9110 section 15).
        status: u16,
        /// Its `Retry-After` (RFC 9110 section 10.2.3), where it is a number of seconds.
        retry_after: Option<Duration>,
    },
}

impl From<Option<CloseCode>> for End {
    fn from(code: Option<CloseCode>) -> Self {
        code.map_or(Self::Lost, Self::Closed)
    }
}

/// A change of the page or the network, as the browser reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Network {
    /// The browser believes that there is a network again.
    Online,
    /// The browser believes that there is none. That is a hint, and not reliable (RC-4).
    Offline,
    /// The page can be seen again, or woke up.
    Visible,
    /// The page goes to sleep: frozen, or into the back/forward cache (RC-6).
    Frozen,
}

/// What the client keeps over restarts: in a browser, what an earlier page of the same session left in the
/// storage (EO-4). Where nothing has to outlive the process it is the storage itself, by [`Stored::apply`].
#[derive(Clone, Debug, Default)]
pub struct Stored {
    /// The session to resume.
    pub credentials: Option<Credentials>,
    /// The messages that were not yet durable, in the order of their ids if [`Stored::apply`] keeps
    /// them.
    pub outbox: Vec<Entry>,
}

impl Stored {
    /// Keeps a change in memory. The outbox must be in the order of its ids, and stays so.
    pub fn apply(&mut self, change: Store) {
        match change {
            Store::Session(credentials) => self.credentials = credentials,
            Store::Put(entry) => match self.place(entry.id) {
                Ok(index) => {
                    if let Some(kept) = self.outbox.get_mut(index) {
                        *kept = entry;
                    }
                }
                Err(index) => self.outbox.insert(index, entry),
            },
            Store::Remove(id) => {
                if let Ok(index) = self.place(id) {
                    self.outbox.remove(index);
                }
            }
        }
    }

    /// The entry with this id, if [`Stored::apply`] keeps the outbox.
    pub fn entry(&self, id: EntryId) -> Option<&Entry> {
        self.outbox.get(self.place(id).ok()?)
    }

    fn place(&self, id: EntryId) -> Result<usize, usize> {
        self.outbox.binary_search_by_key(&id, |entry| entry.id)
    }
}

/// Counters, for diagnosis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Inputs of an older connection, dropped (PU-3).
    pub stale_inputs: u64,
    /// Messages received a second time, dropped (EO-3).
    pub repeated_messages: u64,
    /// Pings sent.
    pub pings: u64,
    /// Pings answered.
    pub pongs: u64,
}

/// One client's session: the machine. See the module's documentation for how to drive it.
#[derive(Debug)]
pub struct Session {
    config: Config,
    rng: Rng,
    backoff: Backoff,
    state: State,
    /// The browser's last report of the network.
    online: bool,
    route: Route,
    connections: u64,
    credentials: Option<Credentials>,
    name: Option<Name>,
    /// The name, if any, that a token vouched for in the last `welcome` of this page.
    vouched: Option<Option<Name>>,
    limits: Limits,
    tokens: Tokens,
    /// At most `limits.rooms` when the last one came. Overflow: [`ErrorCode::TooManyRooms`].
    rooms: BTreeMap<RoomName, Room>,
    outbox: Outbox,
    lost: Lost,
    /// Since a live connection ended, until all that was open is brought back.
    outage: Option<Outage>,
    transmits: VecDeque<Transmit>,
    events: VecDeque<Event>,
    latest: Latest,
    stats: Stats,
}

impl Session {
    /// A session that goes on where `stored` left off. It does nothing before [`Session::connect`].
    pub fn new(config: Config, stored: Stored) -> Self {
        let backoff = || Backoff::new(config.backoff_base, config.backoff_cap);
        let mut outbox = Outbox::restore(config.outbox, stored.outbox);
        if config.inherits && stored.credentials.is_none() {
            // Without a session nothing proves that these are this user's.
            outbox.orphan();
        }
        Self {
            rng: Rng::with_seed(config.seed),
            backoff: backoff(),
            tokens: Tokens::new(backoff()),
            state: State::Idle,
            online: true,
            route: Route::default(),
            connections: 0,
            credentials: stored.credentials,
            name: None,
            vouched: None,
            limits: Limits::default(),
            rooms: BTreeMap::new(),
            outbox,
            lost: Lost::default(),
            outage: None,
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            latest: Latest::default(),
            stats: Stats::default(),
            config,
        }
    }

    /// The same, with addresses of which each [`Transmit::Open`] names one (RC-8). Without them the driver knows the
    /// only one.
    #[must_use]
    pub fn with_addresses(mut self, addresses: &Addresses) -> Self {
        self.route = Route::new(addresses, &mut self.rng);
        self
    }

    /// Takes a fact. One of an older connection is dropped and counted (PU-3).
    pub fn handle_input(&mut self, now: Timestamp, input: Input) {
        let now = self.latest.advance(now);
        match input {
            Input::Opened { id } if self.is_current(id) => self.opened(now),
            Input::Received { id, frame } if self.is_current(id) => self.received(now, frame),
            Input::Closed { id, end } if self.is_current(id) => self.ended(now, end),
            Input::Buffered { id, bytes } if self.is_current(id) => self.buffered(now, bytes),
            Input::Seen(messages) => self.seen(now, &messages),
            Input::Token(answer) => self.token(now, answer),
            Input::Network(network) => self.network(now, network),
            Input::Opened { .. }
            | Input::Received { .. }
            | Input::Closed { .. }
            | Input::Buffered { .. } => {
                count(&mut self.stats.stale_inputs);
            }
        }
        self.end_outage();
    }

    /// Does what is due by now. Early and repeated calls are harmless.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        let now = self.latest.advance(now);
        match &self.state {
            State::Waiting { until, .. } if now >= *until => self.open(now),
            State::Connecting { deadline, .. } | State::Handshaking { deadline, .. }
                if now >= *deadline =>
            {
                self.drop_connection(now, CloseCode::DEAD, Cause::NoAnswer);
            }
            State::Fetching { deadline } if now >= *deadline => self.not_fetched(now),
            State::Live(_) => self.live_timeout(now),
            State::Idle
            | State::Waiting { .. }
            | State::Fetching { .. }
            | State::Connecting { .. }
            | State::Handshaking { .. }
            | State::Stopped { .. } => {}
        }
    }

    /// Connects now, whatever the session waits for. Does nothing if it is connected or connecting, nor
    /// for the outbox of a closed page in which nothing is left to send (RS-8).
    pub fn connect(&mut self, now: Timestamp) {
        let now = self.latest.advance(now);
        match self.state {
            _ if self.config.inherits && !self.is_owing() => {}
            State::Idle | State::Waiting { .. } | State::Stopped { .. } => {
                self.backoff.reset();
                self.open(now);
            }
            State::Fetching { .. }
            | State::Connecting { .. }
            | State::Handshaking { .. }
            | State::Live(_) => {}
        }
    }

    /// Ends the connection and stays away until [`Session::connect`].
    pub fn disconnect(&mut self, now: Timestamp) {
        self.latest.advance(now);
        if let Some(id) = self.connection() {
            self.transmits.push_back(Transmit::Close {
                id,
                code: CloseCode::NORMAL,
            });
        }
        self.forget_connection();
        self.enter(State::Idle);
    }

    /// Joins a room, and stays in it over all connections. `since`: what the page already shows (RS-7).
    ///
    /// Over the server's `limits.rooms` the room is not joined: [`Event::Refused`] reports
    /// [`ErrorCode::TooManyRooms`], as the server would.
    pub fn join(&mut self, now: Timestamp, room: RoomName, since: Option<Position>) {
        let now = self.latest.advance(now);
        let rooms_max = self.limits.rooms as usize;
        if self.rooms.len() >= rooms_max && !self.rooms.contains_key(&room) {
            let refusal = Refusal {
                room: Some(room),
                ..Refusal::new(ErrorCode::TooManyRooms)
            };
            return self.events.push_back(Event::Refused(refusal));
        }
        self.rooms.insert(room.clone(), Room::new(since));
        self.take_seat(now, &room);
    }

    /// Leaves a room.
    pub fn leave(&mut self, now: Timestamp, room: &RoomName) {
        let now = self.latest.advance(now);
        if self.rooms.remove(room).is_some() && self.live().is_some() {
            self.send(now, ClientFrame::Leave { room: room.clone() });
        }
    }

    /// Puts a message into the outbox and sends it as soon as it can be sent.
    ///
    /// # Errors
    /// Why the message is not taken; the caller keeps the text (EO-4).
    pub fn publish(
        &mut self,
        now: Timestamp,
        room: RoomName,
        body: String,
    ) -> Result<EntryId, PublishError> {
        let now = self.latest.advance(now);
        if body.is_empty() {
            return Err(PublishError::Empty);
        }
        let limit = self.limits.body_bytes;
        if body.len() > limit as usize {
            return Err(PublishError::TooLarge {
                bytes: body.len(),
                limit,
            });
        }
        let entry = self.outbox.push(room, body)?;
        if let Some(joined) = self.rooms.get_mut(&entry.room) {
            joined.take_draft();
        }
        let id = entry.id;
        self.events.push_back(Event::Queued(entry));
        self.send_new(now, id);
        Ok(id)
    }

    /// Takes the text of an input box. The latest text wins; it is sent again after a reconnect.
    pub fn draft(&mut self, now: Timestamp, room: &RoomName, body: String) {
        let now = self.latest.advance(now);
        if body.len() > self.limits.body_bytes as usize {
            return;
        }
        if let Some(joined) = self.rooms.get_mut(room) {
            joined.write_draft(body);
            self.flush_drafts(now);
        }
    }

    /// Asks for older messages. Without a live connection nothing happens.
    pub fn history(&mut self, now: Timestamp, room: RoomName, before: Offset, limit: u32) {
        let now = self.latest.advance(now);
        if let State::Live(live) = &mut self.state {
            live.pages.asked(now, &room);
            self.send(
                now,
                ClientFrame::History {
                    room,
                    before,
                    limit,
                },
            );
        }
    }

    /// Sets the name that others see, now and after each reconnect.
    pub fn rename(&mut self, now: Timestamp, name: Name) {
        let now = self.latest.advance(now);
        self.name = Some(name.clone());
        if self.live().is_some() {
            self.send(now, ClientFrame::Rename { name });
        }
    }

    /// Takes a message that another page left, for the user to decide about (RS-8).
    ///
    /// # Errors
    /// [`PublishError::OutboxFull`]: there is no room for it now.
    pub fn inherit(&mut self, now: Timestamp, entry: Entry) -> Result<EntryId, PublishError> {
        self.latest.advance(now);
        let entry = self.outbox.inherit(entry)?;
        let id = entry.id;
        self.transmits
            .push_back(Transmit::Store(Store::Put(entry.clone())));
        self.events.push_back(Event::Queued(entry));
        Ok(id)
    }

    /// Sends a message that waited for the user's decision (RS-8, RS-9).
    pub fn send_again(&mut self, now: Timestamp, id: EntryId) {
        let now = self.latest.advance(now);
        if let Some(entry) = self.outbox.send_again(id).cloned() {
            self.report_fate(&entry, Fate::Waiting);
            self.send_new(now, id);
        }
    }

    /// Drops a message that waited for the user's decision (EO-7, RS-8, RS-9).
    pub fn discard(&mut self, now: Timestamp, id: EntryId) {
        self.latest.advance(now);
        if self.outbox.discard(id).is_some() {
            self.transmits.push_back(Transmit::Store(Store::Remove(id)));
        }
    }

    /// The next thing that the driver must do; they are to be done in this order.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// The next thing that the application should know.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When to call [`Session::handle_timeout`] next. A driver may keep a timer that fires earlier.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        match &self.state {
            State::Idle | State::Stopped { .. } => None,
            State::Waiting { until, .. } => Some(*until),
            State::Fetching { deadline }
            | State::Connecting { deadline, .. }
            | State::Handshaking { deadline, .. } => Some(*deadline),
            State::Live(live) => self.live_deadline(live),
        }
    }

    /// The address in use, or of the next try, where the session was made with addresses.
    pub fn address(&self) -> Option<&Address> {
        self.route.address()
    }

    /// The session to resume, once the server gave one.
    pub const fn credentials(&self) -> Option<&Credentials> {
        self.credentials.as_ref()
    }

    /// The session's public id, once the server gave one.
    pub fn id(&self) -> Option<&SessionId> {
        self.credentials.as_ref().map(|credentials| &credentials.id)
    }

    /// The connection's state, as the page shows it.
    pub fn status(&self) -> Status {
        match &self.state {
            State::Idle => Status::Idle,
            State::Waiting {
                until,
                cause,
                ceiling,
                ..
            } => Status::Waiting {
                until: *until,
                cause: *cause,
                attempt: self.backoff.attempt(),
                ceiling: *ceiling,
                offline: !self.online,
            },
            State::Fetching { .. } | State::Connecting { .. } | State::Handshaking { .. } => {
                Status::Connecting
            }
            State::Live(_) => Status::Live,
            State::Stopped { cause } => Status::Stopped { cause: *cause },
        }
    }

    /// The messages that are not yet durable; those that wait for the user come last.
    pub fn outbox(&self) -> impl Iterator<Item = &Entry> {
        self.outbox.iter()
    }

    /// Whether the outbox holds a message that the session will send by itself, now or after a reconnect.
    pub fn is_owing(&self) -> bool {
        self.outbox.waiting() > 0
    }

    /// The name that the client asked for.
    pub const fn name(&self) -> Option<&Name> {
        self.name.as_ref()
    }

    /// This client's position in a room.
    pub fn position(&self, room: &RoomName) -> Option<&Position> {
        self.rooms.get(room)?.position()
    }

    /// Counters.
    pub const fn stats(&self) -> Stats {
        self.stats
    }

    fn live(&self) -> Option<&Live> {
        if let State::Live(live) = &self.state {
            Some(live)
        } else {
            None
        }
    }
}

/// One more.
const fn count(counter: &mut u64) {
    *counter = counter.saturating_add(1);
}
