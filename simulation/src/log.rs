//! The log of the test world: the server's fold over a store in memory, with the times that operations take, and with
//! faults.

mod asked;
mod ever;
pub mod member;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use everbeat_log::command::{
    Command, CommandError, Expire, OpenedSession, Outcome, Redact, Settings, Touch,
};
use everbeat_log::fold::{Changes, Fault, Store, apply};
use everbeat_log::memory::MemoryStore;
use protocol::access::Identity;
use protocol::frame::{ErrorCode, Message};
use protocol::id::{Credentials, Generation, Name, RoomName, Seq, SessionId};
use protocol::position::{Epoch, Offset};
use protocol::server::{Input, PostKey, RequestInput, RequestTransmit, SessionOpened, Transmit};
use protocol::time::Timestamp;

use self::asked::Asked;
use self::ever::Ever;
use self::member::Member;

/// An operation on the log. Operations are done in the order in which they were asked for.
#[derive(Clone, Debug)]
pub enum Op {
    /// Resume or open a session.
    Open {
        /// The session that the client asks for.
        resume: Option<Credentials>,
        /// The owner that it must have (AC-3).
        owner: Identity,
    },
    /// Append a message.
    Append {
        /// Its session.
        session: SessionId,
        /// The opening of the session that it is published in.
        generation: Generation,
        /// Its number.
        seq: Seq,
        /// Its room.
        room: RoomName,
        /// The author's name.
        name: Name,
        /// The text.
        body: String,
        /// It may only be found, not appended.
        is_repeat: bool,
    },
    /// Use a number up.
    Refuse {
        /// Its session.
        session: SessionId,
        /// The opening of the session in which it was sent.
        generation: Generation,
        /// Its number.
        seq: Seq,
        /// Why.
        code: ErrorCode,
    },
    /// Append a message of a request, or find it.
    Post {
        /// What identifies it.
        key: PostKey,
        /// Its session, whose first message it is.
        session: SessionId,
        /// Its room.
        room: RoomName,
        /// The author's name.
        name: Name,
        /// The text.
        body: String,
    },
    /// Redact a message, for a request.
    Remove {
        /// Its room.
        room: RoomName,
        /// Its offset.
        offset: Offset,
    },
}

/// The result of operations that were committed together.
#[derive(Debug, Default)]
pub struct Done {
    /// What they changed.
    pub changes: Changes,
    /// The answers, each for the link whose connection asked, or for the request of this number.
    pub answers: Vec<(u64, Answer)>,
}

/// The answer to an operation.
#[derive(Debug)]
pub enum Answer {
    /// For a connection, about its session; `None` while the log cannot answer.
    Session(Option<(SessionOpened, Generation)>),
    /// For a connection.
    Connection(Input),
    /// For a request.
    Request(RequestInput),
}

/// A read of the log.
#[derive(Debug)]
pub enum Read {
    /// For a connection.
    Connection(Transmit),
    /// For a request.
    Request(RequestTransmit),
}

/// The log: what is durable.
#[derive(Debug)]
pub struct Log {
    /// How long a commit takes.
    pub commit_latency: Duration,
    /// How long a read takes; at zero it is answered at once.
    pub read_latency: Duration,
    /// Nothing is answered, and nothing committed.
    pub is_frozen: bool,
    /// Whether anything can be stored or read.
    pub is_available: bool,
    thawed_at: Option<Timestamp>,
    store: MemoryStore,
    /// Where there are several nodes: this one's part in their common log.
    pub(crate) member: Option<Box<Member>>,
    queue: VecDeque<(Timestamp, u64, Op)>,
    reads: VecDeque<(Timestamp, u64, Read)>,
    database: u64,
    /// How many sessions were opened, in this and earlier databases.
    opened: u64,
    /// The sessions of this database.
    sessions: BTreeSet<SessionId>,
    /// The latest time at which a session was connected.
    touched_ms: u64,
    /// What ever was durable, in this or an earlier database.
    ever: Ever,
    /// How far rooms were trimmed in what the node lost of its store.
    trimmed_once: BTreeMap<RoomName, Offset>,
}

impl Log {
    /// An empty log.
    pub fn new() -> Self {
        Self {
            commit_latency: Duration::ZERO,
            read_latency: Duration::ZERO,
            is_frozen: false,
            is_available: true,
            thawed_at: None,
            store: founded(1),
            member: None,
            queue: VecDeque::new(),
            reads: VecDeque::new(),
            database: 1,
            opened: 0,
            sessions: BTreeSet::new(),
            touched_ms: 0,
            ever: Ever::default(),
            trimmed_once: BTreeMap::new(),
        }
    }

    /// The log answers again.
    pub const fn thaw(&mut self, now: Timestamp) {
        self.is_frozen = false;
        self.thawed_at = Some(now);
    }

    /// Whether the log was frozen at that time, or since.
    pub fn was_frozen_since(&self, at: Timestamp) -> bool {
        self.is_frozen || self.thawed_at.is_some_and(|thawed| thawed >= at)
    }

    /// Asks for an operation; it is done after the earlier ones, when its commit is through.
    pub fn submit(&mut self, now: Timestamp, link: u64, op: Op) {
        if self.member.is_some() {
            return self.send(now, link, op);
        }
        let due = now + self.commit_latency;
        let due = self.queue.back().map_or(due, |(last, _, _)| due.max(*last));
        self.queue.push_back((due, link, op));
    }

    /// Asks for a read, which is done after what was asked for before. If reads take no time, it is returned: then it
    /// can be done at once.
    pub fn read_later(&mut self, now: Timestamp, asker: u64, what: Read) -> Option<Read> {
        let takes_time = self.is_frozen || !self.read_latency.is_zero() || !self.reads.is_empty();
        if !takes_time {
            return Some(what);
        }
        let due = now + self.read_latency;
        let due = self.reads.back().map_or(due, |(last, _, _)| due.max(*last));
        self.reads.push_back((due, asker, what));
        None
    }

    /// The next read whose time has come, and the link or request that asked for it.
    pub fn next_read(&mut self, now: Timestamp) -> Option<(u64, Read)> {
        let first = self.reads.front().filter(|_| !self.is_frozen);
        first.filter(|(due, _, _)| *due <= now)?;
        self.reads.pop_front().map(|(_, asker, what)| (asker, what))
    }

    /// When the next commit or read is through.
    pub fn due(&self) -> Option<Timestamp> {
        let read = self.reads.front().map(|(due, _, _)| *due);
        let due = self.commit_due().into_iter().chain(read).min();
        let due = due.filter(|_| !self.is_frozen);
        let member = self
            .member
            .as_ref()
            .and_then(|member| member.due(self.is_frozen));
        due.into_iter().chain(member).min()
    }

    fn commit_due(&self) -> Option<Timestamp> {
        let first = self.queue.front().filter(|_| !self.is_frozen);
        first.map(|(due, _, _)| *due)
    }

    /// Commits the next operation whose time has come.
    pub fn commit(&mut self, now: Timestamp) -> Option<Done> {
        if self.member.is_some() {
            return self.fold(now);
        }
        self.commit_due().filter(|due| *due <= now)?;
        let (_, asker, op) = self.queue.pop_front()?;
        let mut changes = Changes::default();
        let answer = if self.is_available {
            self.touched_ms = self.touched_ms.max(asked::millis(now));
            let (command, asked) = self.command(now, op);
            let result = self.apply(command, &mut changes);
            asked.answer(result)
        } else {
            Asked::of(&op).unavailable()
        };
        let answers = vec![(asker, answer)];
        Some(Done { changes, answers })
    }

    /// Applies a command, and remembers what is durable by it.
    fn apply(&mut self, command: Command, changes: &mut Changes) -> Result<Outcome, CommandError> {
        let result = apply(&mut self.store, command, changes).map_err(|fault| match fault {
            Fault::Command(error) => error,
            Fault::Store(never) => match never {},
        });
        self.opened += u64::from(matches!(
            result,
            Ok(Outcome::Opened(OpenedSession { resumed: false, .. }))
        ));
        let opened = changes.opened.iter().map(|(session, _)| session.clone());
        self.sessions.extend(opened);
        let epoch = self.epoch();
        self.ever.learn(&epoch, changes);
        result
    }

    fn epoch(&mut self) -> Epoch {
        let Ok(epoch) = self.store.epoch();
        // Only a node that has not begun has none, and it serves no client.
        epoch.unwrap_or_else(|| Epoch::new("none"))
    }

    /// The newest opening of a session.
    pub fn generation(&mut self, session: &SessionId) -> Option<Generation> {
        let Ok(found) = self.store.session(session);
        found.map(|found| found.generation)
    }

    /// Whether clients can be served.
    pub(crate) fn is_ready(&self) -> bool {
        self.member.as_ref().is_none_or(|member| member.is_ready())
    }

    /// What it holds, as it is kept.
    pub const fn store(&self) -> &MemoryStore {
        &self.store
    }

    /// A room's epoch, head, and the offset up to which it is trimmed.
    pub fn state(&mut self, room: &RoomName) -> (Epoch, Offset, Offset) {
        let state = self.store.state(room);
        (self.epoch(), state.head, state.trimmed)
    }

    /// The offset up to which a room is trimmed.
    pub fn trimmed(&self, room: &RoomName) -> Offset {
        self.store.state(room).trimmed
    }

    /// The offset up to which a room was ever trimmed, also where the node lost that part of its store since.
    pub fn trimmed_ever(&self, room: &RoomName) -> Offset {
        let once = self.trimmed_once.get(room).copied();
        self.trimmed(room).max(once.unwrap_or_default())
    }

    /// The messages after an offset; `None` if some of them are trimmed.
    pub fn read(&self, room: &RoomName, after: Offset, limit: u32) -> Option<Vec<Message>> {
        if after < self.trimmed(room) {
            return None;
        }
        let newer = self.messages(room).skip_while(|m| m.offset <= after);
        Some(newer.take(limit as usize).cloned().collect())
    }

    /// The newest messages before an offset, and whether there are older ones.
    pub fn read_before(
        &self,
        room: &RoomName,
        before: Offset,
        limit: u32,
    ) -> Option<(Vec<Message>, bool)> {
        if !self.is_available {
            return None;
        }
        let older = self.messages(room).take_while(|m| m.offset < before);
        let older: Vec<&Message> = older.collect();
        let skipped = older.len().saturating_sub(limit as usize);
        let page = older[skipped..].iter().copied().cloned().collect();
        Some((page, skipped > 0))
    }

    /// All messages that a room holds, oldest first.
    pub fn messages(&self, room: &RoomName) -> impl DoubleEndedIterator<Item = &Message> {
        self.store.messages(room)
    }

    /// The texts of the messages that a room holds.
    pub fn bodies(&self, room: &RoomName) -> Vec<&str> {
        self.messages(room).map(|message| &*message.body).collect()
    }

    /// Redacts a message at once (EO-8); returns it. `None` if it is not there, or was redacted before.
    pub fn remove(&mut self, now: Timestamp, room: &RoomName, offset: Offset) -> Option<Message> {
        let mut changes = Changes::default();
        let redact = Redact {
            room: room.clone(),
            offset,
            at_ms: asked::millis(now),
        };
        // Where there is no such message, nothing changes.
        let _ = self.apply(Command::Redact(redact), &mut changes);
        changes.redacted.pop()
    }

    /// A room's newest redactions, at most so many, oldest first.
    pub fn removed(&self, room: &RoomName, max: usize) -> Vec<Message> {
        let newest = self.store.redacted(room).rev().take(max).cloned();
        let mut removed: Vec<Message> = newest.collect();
        removed.reverse();
        removed
    }

    /// Whether a message is durable as a page shows it, also in its redacted form, in this or an earlier database.
    pub fn holds(&self, message: &Message) -> bool {
        self.ever.holds(message)
    }

    /// Whether a message was ever redacted.
    pub fn was_removed(&self, message: &Message) -> bool {
        let mut redacted = message.clone();
        redacted.body.clear();
        redacted.removed = true;
        self.ever.holds(&redacted)
    }

    /// Whether a message of this session, number and text is durable, in this or an earlier database.
    pub fn knows(&self, session: &SessionId, seq: Seq, body: &str) -> bool {
        self.ever.knows(session, seq, body)
    }

    /// Every message that ever was durable, as it was written, in no particular order.
    pub fn ever(&self) -> impl Iterator<Item = &Message> {
        self.ever.messages()
    }

    /// A session's last settled number.
    pub fn last_seq(&self, session: &SessionId) -> Option<u64> {
        let Ok(found) = self.store.clone().session(session);
        found.map(|found| found.last_seq)
    }

    /// The engine lost what it had acked: until the alarm, nothing is sure.
    pub(crate) const fn void(&mut self) {
        self.ever.void();
    }

    /// Whether nothing is sure.
    pub const fn is_void(&self) -> bool {
        self.ever.is_void()
    }

    /// Takes everything that was durable at another node.
    pub fn learn(&mut self, other: &Self) {
        self.ever.merge(&other.ever);
    }

    /// The server dies: operations that were not committed are lost.
    pub fn crash(&mut self) {
        self.queue.clear();
        self.reads.clear();
        if let Some(member) = &mut self.member {
            member.crash();
        }
    }

    /// The server dies after this commit, before any connection gets its answer.
    pub fn commit_and_crash(&mut self) {
        while let Some(due) = self.commit_due() {
            self.commit(due);
        }
    }

    /// Begins another database: everything is forgotten.
    pub fn replace(&mut self) {
        self.database += 1;
        self.queue.clear();
        self.reads.clear();
        self.sessions.clear();
        self.store = founded(self.database);
    }

    /// The number of the database, from 1.
    pub const fn database(&self) -> u64 {
        self.database
    }

    /// Trims a room up to this offset.
    pub fn trim(&mut self, room: &RoomName, through: Offset) {
        let Ok(()) = self.store.trim(room, through);
    }

    /// Lets a session expire (RS-9): all others were connected since.
    pub fn forget(&mut self, session: &SessionId) {
        for command in self.forgetting(session) {
            let result = self.apply(command, &mut Changes::default());
            assert!(result.is_ok(), "{result:?}");
        }
    }
}

impl Log {
    /// The commands that let a session expire.
    pub(crate) fn forgetting(&mut self, session: &SessionId) -> [Command; 2] {
        self.sessions.remove(session);
        self.touched_ms += 1;
        let touch = Touch {
            sessions: self.sessions.iter().cloned().collect(),
            at_ms: self.touched_ms,
        };
        let expire = Expire {
            before_ms: self.touched_ms,
            is_unused: false,
            limit: usize::MAX,
        };
        [Command::Touch(touch), Command::Expire(expire)]
    }
}

impl Default for Log {
    fn default() -> Self {
        Self::new()
    }
}

/// An empty store. The numbers of databases have one length: how long an epoch is does not depend on them.
fn founded(database: u64) -> MemoryStore {
    let mut store = MemoryStore::new();
    let settings = Settings {
        epoch: Epoch::new(&format!("epoch-{database:03}")),
        history_per_room: u64::MAX,
    };
    let Ok(()) = store.set(&settings);
    store
}
