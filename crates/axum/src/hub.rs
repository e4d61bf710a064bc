//! The hub: the registry of connections and rooms in one server, over its log.

mod agenda;
pub mod bus;
mod cluster;
mod config;
mod connections;
mod entry;
pub mod feed;
pub mod inspect;
pub mod mailbox;
pub mod nodes;
pub mod pull;
mod replay;
pub mod report;
pub mod room;
mod tail;
pub mod tails;
#[cfg(test)]
mod tests;
pub mod trace;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use protocol::frame::{Member, Message};
use protocol::id::{ConnectionId, Generation, NodeName, RoomName, SessionId};
use protocol::position::Offset;
use protocol::presence::Presence;
use protocol::presence::pace::FanOut;
use protocol::time::Timestamp;
use tokio::time::timeout;

use self::agenda::Agenda;
pub use self::config::HubConfig;
use self::connections::Connections;
pub use self::connections::{Asking, Attached, Drain};
use self::feed::{Feed, What};
use self::nodes::Nodes;
use self::replay::Replays;
use self::room::{Entry, Paced, Room};
use self::tails::{TAILS_BYTES, Tails};
use crate::address::Network;
use crate::answers::{ANSWER_BYTES, Answers, NoRoom, Owed};
use crate::calendar::Calendar;
use crate::clock::{Clock, unix_ms};
use crate::log::{Log, LogError, Observer, PAGE_BYTES};
use crate::metrics::{Limit, Metrics, Now};

/// How long the operator's gauges wait for those of the log: scrapers wait for 10 s.
const LOG_PATIENCE: Duration = Duration::from_secs(1);

/// The rooms in use. The log notifies them of every message, as its observer.
#[derive(Debug)]
pub struct Rooms {
    open: Mutex<HashMap<RoomName, Arc<Room>>>,
    members_named: usize,
    agenda: Arc<Agenda<Room>>,
    tails: Arc<Tails>,
    fan_out: Option<Arc<Paced>>,
    /// Where there are several nodes: the way to the others.
    nodes: OnceLock<Arc<Nodes>>,
    metrics: Arc<Metrics>,
    feed: Feed,
    /// The redaction count; part of the key of cached pages.
    redactions: AtomicU64,
    /// The hub's, which the log notifies of openings.
    connections: Mutex<Connections>,
}

impl Rooms {
    /// Rooms, none of them open. Each names at most `members_named` members to its readers (PR-3).
    pub fn new(members_named: usize) -> Self {
        Self {
            open: Mutex::default(),
            members_named,
            agenda: Arc::default(),
            tails: Arc::new(Tails::new(TAILS_BYTES)),
            fan_out: None,
            nodes: OnceLock::new(),
            metrics: Arc::default(),
            feed: Feed::default(),
            redactions: AtomicU64::new(0),
            connections: Mutex::default(),
        }
    }

    /// Sets the most bytes that all rooms together keep in memory. To be called before any room is opened.
    #[must_use]
    pub fn with_tails(self, bytes: usize) -> Self {
        let tails = Arc::new(Tails::new(bytes));
        Self { tails, ..self }
    }

    /// Sets the most bytes a second of drafts and members that the readers of all rooms together get. `clock` is the
    /// hub's.
    #[must_use]
    pub fn with_fan_out(self, clock: Clock, bytes_per_s: u32) -> Self {
        let paced = Paced {
            clock,
            fan_out: Mutex::new(FanOut::new(clock.now(), bytes_per_s)),
            metrics: Arc::clone(&self.metrics),
        };
        let fan_out = Some(Arc::new(paced));
        Self { fan_out, ..self }
    }

    /// The room of this name, opened where it is not open.
    pub fn room(&self, name: &RoomName) -> Arc<Room> {
        let mut open = self.open.lock();
        let room = open.entry(name.clone()).or_insert_with(|| {
            let agenda = Arc::clone(&self.agenda);
            let tails = Arc::clone(&self.tails);
            let mut presence = Presence::new(self.members_named);
            if let Some(nodes) = self.nodes.get() {
                presence = nodes.open(name, presence);
            }
            let ways = (self.fan_out.clone(), self.nodes.get().cloned());
            let room = Arc::new(Room::new(name.clone(), presence, agenda, tails, ways));
            room.open();
            room
        });
        Arc::clone(room)
    }

    /// The room of this name, if it is open.
    pub fn open_one(&self, name: &RoomName) -> Option<Arc<Room>> {
        self.open.lock().get(name).cloned()
    }

    /// Where rooms keep too many bytes, frees those of the rooms that were idle for longest: first what can be read
    /// again from the log, then drafts.
    fn cool(&self) {
        if !self.tails.is_full() {
            return;
        }
        let open: Vec<Arc<Room>> = self.open.lock().values().cloned().collect();
        let used = open.into_iter();
        let mut used: Vec<_> = used
            .filter_map(|room| Some((room.last_used()?, room)))
            .collect();
        used.sort_unstable_by_key(|(last, _)| *last);
        let forgetting: [fn(&Arc<Room>); 2] = [|room| room.forget_tail(), Room::forget_drafts];
        for forget in forgetting {
            for (_, room) in &used {
                if self.tails.has_spare() {
                    return;
                }
                forget(room);
                self.metrics.limited(Limit::TailBytes);
            }
        }
    }

    /// Drops unused rooms. A room about to be used is held by its user: handles are given out under the same lock.
    fn sweep(&self) {
        self.open.lock().retain(|name, room| {
            let is_used = Arc::strong_count(room) > 1 || !room.is_idle();
            if !is_used && let Some(nodes) = self.nodes.get() {
                nodes.close(name);
            }
            is_used
        });
    }
}

impl Observer for Rooms {
    fn wakes(&self, messages: &[Message]) -> usize {
        let named: HashSet<&RoomName> = messages.iter().map(|message| &message.room).collect();
        let open = self.open.lock();
        let rooms = named.into_iter().filter_map(|name| open.get(name));
        rooms.map(|room| room.readers()).sum()
    }

    fn committed(&self, messages: &[Message]) {
        let mut touched: HashMap<&RoomName, Option<Arc<Room>>> = HashMap::new();
        for message in messages {
            let room = touched
                .entry(&message.room)
                .or_insert_with(|| self.open.lock().get(&message.room).cloned());
            if let Some(room) = room {
                room.committed(message);
            }
        }
        for room in touched.into_values().flatten() {
            room.wake();
        }
    }

    fn synced(&self, operations: usize, took: Duration) {
        self.metrics.synced(operations, took);
    }

    fn opened(&self, session: &SessionId, generation: Generation) {
        self.connections.lock().opened(session, generation);
    }

    fn node_up(&self, node: &NodeName) {
        self.feed.note(What::NodeUp(node.clone()), None);
        Self::node_up(self, node);
    }

    fn node_down(&self, node: &NodeName) {
        self.feed.note(What::NodeDown(node.clone()), None);
        Self::node_down(self, node);
    }

    fn redacted(&self, message: &Message) {
        // First: a reader that is notified must find no page that was read before the redaction.
        self.redactions.fetch_add(1, Ordering::AcqRel);
        if let Some(room) = self.open_one(&message.room) {
            room.redacted(message);
        }
    }

    fn trimmed(&self, room: &RoomName, through: Offset) {
        if let Some(room) = self.open_one(room) {
            room.trimmed(through);
        }
    }
}

/// The hub: what the connections of a server share.
pub struct Hub {
    rooms: Arc<Rooms>,
    log: Arc<dyn Log>,
    replays: Replays,
    answers: Answers,
    clock: Clock,
    calendar: Mutex<Calendar>,
    /// How many watch a session; changed under the lock of the connections.
    watchers: AtomicUsize,
}

impl Hub {
    /// A hub over a log whose observer is `rooms`. It caches at most `replay_bytes` of pages of the log.
    pub fn new(rooms: Arc<Rooms>, log: Arc<dyn Log>, replay_bytes: u64, clock: Clock) -> Self {
        let calendar = Calendar::new(clock.now(), unix_ms(), log.newest_ms());
        Self {
            rooms,
            log,
            replays: Replays::new(replay_bytes),
            answers: Answers::new(ANSWER_BYTES, PAGE_BYTES),
            clock,
            calendar: Mutex::new(calendar),
            watchers: AtomicUsize::new(0),
        }
    }

    /// Sets the memory budget for answers.
    #[must_use]
    pub fn with_answers(self, answers: Answers) -> Self {
        Self { answers, ..self }
    }

    /// Reserves memory for an answer to that address. To be called before the answer is read, and when the
    /// connection has written all that it has to write.
    ///
    /// # Errors
    /// [`NoRoom`] if there was no memory for some seconds; that is counted.
    pub async fn owe(&self, network: Option<Network>) -> Result<Owed, NoRoom> {
        let owed = self.answers.room(network).await;
        owed.inspect_err(|NoRoom| self.metrics().limited(Limit::AnswerBytes))
    }

    /// Keeps the reservation of a page that the connection's machine was given, until the page is sent. It is kept
    /// here, as a field in each connection would add to the cost of a quiet one.
    pub fn owes(&self, id: ConnectionId, owed: Owed) {
        self.answers.keep(id, owed);
    }

    /// The reservation of the page that the connection's machine sends now: of the first page that it was given.
    pub fn owed(&self, id: ConnectionId) -> Option<Owed> {
        self.answers.kept(id)
    }

    /// How many bytes could be reserved for answers now.
    pub fn answers_left(&self) -> usize {
        self.answers.left()
    }

    /// The log.
    pub fn log(&self) -> &Arc<dyn Log> {
        &self.log
    }

    /// The messages after an offset, at most `limit`, for a reader that is far behind the head. Empty, or with a
    /// later first message, where the log no longer reaches back there.
    ///
    /// # Errors
    /// [`LogError::Unavailable`] if the log cannot be read now.
    pub async fn replay(
        &self,
        room: &RoomName,
        after: Offset,
        limit: u32,
    ) -> Result<Arc<[Entry]>, LogError> {
        let log = self.log.as_ref();
        let redactions = self.rooms.redactions.load(Ordering::Acquire);
        let page = (room, after, limit);
        let page = self.replays.page(log, page, redactions).await?;
        self.metrics().replayed(page.len());
        Ok(page)
    }

    /// The counters.
    pub fn metrics(&self) -> &Metrics {
        &self.rooms.metrics
    }

    /// What happened last, for the operator.
    pub fn feed(&self) -> &Feed {
        &self.rooms.feed
    }

    /// The gauges. A log that does not answer does not delay the others.
    pub async fn now(&self) -> Now {
        let resumable = timeout(LOG_PATIENCE, self.log.sessions()).await;
        let resumable = resumable.ok().and_then(Result::ok);
        let cluster = self.log.cluster();
        let connections = self.rooms.connections.lock();
        let live = connections.sessions.len();
        Now {
            connections: connections.mailboxes.len(),
            live,
            away: resumable.map(|count| count.saturating_sub(live as u64)),
            rooms: self.rooms.open.lock().len(),
            is_draining: connections.drain.is_some(),
            cluster: cluster.as_ref().map(Into::into).unwrap_or_default(),
        }
    }

    /// The clock of all machines.
    pub const fn clock(&self) -> Clock {
        self.clock
    }

    /// The Unix time in milliseconds to store with what is stored now.
    pub fn stamp(&self) -> u64 {
        self.calendar(Calendar::stamp)
    }

    /// The Unix time in milliseconds before which to forget what is kept for `age`. `None` while the clock is in
    /// doubt.
    pub fn cutoff(&self, age: Duration) -> Option<u64> {
        self.calendar(|calendar, now, unix_ms| calendar.cutoff(now, unix_ms, age))
    }

    /// Asks the calendar, and reports in the journal if it doubts the clock.
    fn calendar<T>(&self, ask: impl FnOnce(&mut Calendar, Timestamp, u64) -> T) -> T {
        let mut calendar = self.calendar.lock();
        let answer = ask(&mut calendar, self.clock.now(), unix_ms());
        if let Some((doubt, patience)) = calendar.take_doubt() {
            tracing::warn!(
                %doubt,
                ?patience,
                "nothing is forgotten by its age until the clock has run evenly for a while"
            );
        }
        answer
    }

    /// Opens a room: loads the state of its log, where it is not known yet. That makes no member.
    ///
    /// # Errors
    /// [`LogError::Unavailable`] if the log cannot be read now.
    pub async fn load_room(&self, name: &RoomName) -> Result<Arc<Room>, LogError> {
        let room = self.rooms.room(name);
        room.load(self.log.as_ref()).await?;
        Ok(room)
    }

    /// The members of a room that are named, and how many there are in all (PR-3).
    pub async fn members(&self, name: &RoomName) -> (Vec<Member>, u32) {
        let room = self.look_in(name).await;
        room.map_or_else(Default::default, |room| room.members())
    }

    /// Keeps the bytes of all rooms within their bound; never returns.
    pub async fn keep_tails(&self) {
        loop {
            self.rooms.tails.full().await;
            self.rooms.cool();
        }
    }

    /// Handles the timeouts of rooms that are due.
    pub fn handle_timeout(&self, now: Timestamp) {
        for room in self.rooms.agenda.take(now) {
            room.handle_timeout(now);
        }
    }

    /// Drops unused rooms, and the cached pages if none was read since the last sweep.
    pub fn sweep(&self) {
        self.replays.sweep();
        self.rooms.sweep();
    }
}
