//! The log of the test world: the behaviour of the server's log in plain maps, with faults.

mod posts;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use protocol::access::Identity;
use protocol::frame::{ErrorCode, Message, Refused};
use protocol::id::{Credentials, Name, RoomName, Seq, SessionId, SessionKey};
use protocol::position::{Epoch, Offset};
use protocol::server::{
    AppendError, Input, PostKey, RequestInput, RequestTransmit, SessionOpened, Standing, Transmit,
    Use, repeated_append, repeated_refusal, standing,
};
use protocol::time::Timestamp;

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

/// The result of an operation.
#[derive(Debug)]
pub struct Done {
    /// The link whose connection asked, or the number of the request.
    pub asker: u64,
    /// The answer.
    pub answer: Answer,
    /// The message that became durable.
    pub message: Option<Message>,
    /// The message that was redacted.
    pub removed: Option<Message>,
}

/// The answer to an operation.
#[derive(Debug)]
pub enum Answer {
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

#[derive(Debug)]
struct Kept {
    key: SessionKey,
    owner: Identity,
    /// The settled numbers, from 1.
    settled: Vec<Settled>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Settled {
    Message {
        room: RoomName,
        body: String,
        offset: Offset,
    },
    Refused(ErrorCode),
}

#[derive(Debug)]
struct RoomLog {
    epoch: Epoch,
    messages: Vec<Message>,
    trimmed: Offset,
    /// The redacted messages (EO-8), in the order of their redactions.
    removed: Vec<Offset>,
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
    sessions: BTreeMap<SessionId, Kept>,
    rooms: BTreeMap<RoomName, RoomLog>,
    queue: VecDeque<(Timestamp, u64, Op)>,
    reads: VecDeque<(Timestamp, u64, Read)>,
    /// The first message of each key.
    posts: BTreeMap<PostKey, (RoomName, String, Offset)>,
    database: u64,
    opened: u64,
    /// Every message that ever was durable, in this or an earlier database.
    ever: BTreeMap<(SessionId, Seq, String), Vec<Message>>,
    /// Every message that ever was redacted, in its redacted form.
    ever_removed: Vec<Message>,
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
            sessions: BTreeMap::new(),
            rooms: BTreeMap::new(),
            queue: VecDeque::new(),
            reads: VecDeque::new(),
            posts: BTreeMap::new(),
            database: 1,
            opened: 0,
            ever: BTreeMap::new(),
            ever_removed: Vec::new(),
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
        due.filter(|_| !self.is_frozen)
    }

    fn commit_due(&self) -> Option<Timestamp> {
        let first = self.queue.front().filter(|_| !self.is_frozen);
        first.map(|(due, _, _)| *due)
    }

    /// Commits the next operation whose time has come.
    pub fn commit(&mut self, now: Timestamp) -> Option<Done> {
        self.commit_due().filter(|due| *due <= now)?;
        let (_, asker, op) = self.queue.pop_front()?;
        let (mut message, mut removed) = (None, None);
        let answer = match op {
            Op::Open { resume, owner } => {
                let opened = self.open_session(resume, owner);
                Answer::Connection(Input::SessionOpened(opened))
            }
            Op::Append {
                session,
                seq,
                room,
                name,
                body,
                is_repeat,
            } => {
                let new = self.next_message(now, &room, (session, seq), name, body);
                let offset = new.offset;
                let result = self.append(&new, is_repeat);
                message = (result == Ok(offset)).then_some(new);
                Answer::Connection(Input::Appended { seq, room, result })
            }
            Op::Refuse { session, seq, code } => {
                let result = self.refuse(&session, seq, code);
                Answer::Connection(Input::NumberUsed { seq, result })
            }
            Op::Post {
                key,
                session,
                room,
                name,
                body,
            } => {
                let new = self.next_message(now, &room, (session, Seq::FIRST), name, body);
                let posted = self.post(key, &new);
                let is_new = posted.as_ref().is_ok_and(|posted| !posted.is_repeat);
                message = is_new.then_some(new);
                Answer::Request(RequestInput::Posted(posted))
            }
            Op::Remove { room, offset } => {
                let (removal, gone) = self.removed_for(&room, offset);
                removed = gone;
                Answer::Request(RequestInput::Redacted(removal))
            }
        };
        Some(Done {
            asker,
            answer,
            message,
            removed,
        })
    }

    /// The next message of its room, if it is appended.
    fn next_message(
        &mut self,
        now: Timestamp,
        room: &RoomName,
        (session, seq): (SessionId, Seq),
        name: Name,
        body: String,
    ) -> Message {
        Message {
            room: room.clone(),
            offset: self.room(room).head().next(),
            session,
            seq,
            name,
            at_ms: u64::try_from(now.since_origin().as_millis()).unwrap(),
            body,
            removed: false,
        }
    }

    fn open_session(
        &mut self,
        resume: Option<Credentials>,
        owner: Identity,
    ) -> Option<SessionOpened> {
        if !self.is_available {
            return None;
        }
        if let Some(credentials) = resume
            && let Some(kept) = self.sessions.get(&credentials.id)
            && kept.key == credentials.key
            && kept.owner.admits(&owner)
        {
            return Some(SessionOpened {
                credentials,
                resumed: true,
                last_seq: kept.settled.len() as u64,
                refused: kept.refused(),
            });
        }
        self.opened += 1;
        let credentials = Credentials {
            id: SessionId::new(&format!("s{}", self.opened)).unwrap(),
            key: SessionKey::new(&format!("key{}-{}", self.database, self.opened)).unwrap(),
        };
        let kept = Kept {
            key: credentials.key.clone(),
            owner,
            settled: Vec::new(),
        };
        self.sessions.insert(credentials.id.clone(), kept);
        Some(SessionOpened {
            credentials,
            resumed: false,
            last_seq: 0,
            refused: Vec::new(),
        })
    }

    fn append(&mut self, new: &Message, is_repeat: bool) -> Result<Offset, AppendError> {
        let (last_seq, used) = self.used(&new.session, new.seq, Some(new))?;
        match standing(last_seq, new.seq, is_repeat)? {
            Standing::Settled => Ok(repeated_append(used)?),
            Standing::Next => {
                let settled = Settled::Message {
                    room: new.room.clone(),
                    body: new.body.clone(),
                    offset: new.offset,
                };
                self.settle(&new.session, settled);
                Ok(self.keep(new))
            }
        }
    }

    fn keep(&mut self, new: &Message) -> Offset {
        let key = (new.session.clone(), new.seq, new.body.clone());
        self.ever.entry(key).or_default().push(new.clone());
        self.room(&new.room).messages.push(new.clone());
        new.offset
    }

    fn refuse(
        &mut self,
        session: &SessionId,
        seq: Seq,
        code: ErrorCode,
    ) -> Result<ErrorCode, AppendError> {
        let (last_seq, used) = self.used(session, seq, None)?;
        match standing(last_seq, seq, false)? {
            Standing::Settled => Ok(repeated_refusal(used)?),
            Standing::Next => {
                self.settle(session, Settled::Refused(code));
                Ok(code)
            }
        }
    }

    /// The session's last number, and the use of this one, seen from the message that repeats it.
    fn used(
        &self,
        session: &SessionId,
        seq: Seq,
        repeat: Option<&Message>,
    ) -> Result<(Option<u64>, Option<Use>), AppendError> {
        if !self.is_available {
            return Err(AppendError::Unavailable);
        }
        let settled = self.sessions.get(session).map(|kept| &kept.settled);
        let index = usize::try_from(seq.get() - 1).unwrap();
        let used = settled.and_then(|settled| settled.get(index));
        let used = used.map(|used| match used {
            Settled::Message { room, body, offset } => Use::Message {
                offset: *offset,
                same: repeat.is_some_and(|new| *room == new.room && *body == new.body),
            },
            Settled::Refused(code) => Use::Refusal(*code),
        });
        Ok((settled.map(|settled| settled.len() as u64), used))
    }

    fn settle(&mut self, session: &SessionId, settled: Settled) {
        if let Some(kept) = self.sessions.get_mut(session) {
            kept.settled.push(settled);
        }
    }

    fn room(&mut self, room: &RoomName) -> &mut RoomLog {
        let epoch = Epoch::new(&format!("e{}-{room}", self.database));
        self.rooms.entry(room.clone()).or_insert_with(|| RoomLog {
            epoch,
            messages: Vec::new(),
            trimmed: Offset::ZERO,
            removed: Vec::new(),
        })
    }

    /// A room's epoch, head, and the offset up to which it is trimmed.
    pub fn state(&mut self, room: &RoomName) -> (Epoch, Offset, Offset) {
        let log = self.room(room);
        (log.epoch.clone(), log.head(), log.trimmed)
    }

    /// The offset up to which a room is trimmed.
    pub fn trimmed(&self, room: &RoomName) -> Offset {
        self.rooms.get(room).map_or(Offset::ZERO, |log| log.trimmed)
    }

    /// The messages after an offset; `None` if some of them are trimmed.
    pub fn read(&mut self, room: &RoomName, after: Offset, limit: u32) -> Option<Vec<Message>> {
        let log = self.room(room);
        if after < log.trimmed {
            return None;
        }
        let newer = log.messages.iter().filter(|m| m.offset > after);
        Some(newer.take(limit as usize).cloned().collect())
    }

    /// The newest messages before an offset, and whether there are older ones.
    pub fn read_before(
        &mut self,
        room: &RoomName,
        before: Offset,
        limit: u32,
    ) -> Option<(Vec<Message>, bool)> {
        if !self.is_available {
            return None;
        }
        let older: Vec<&Message> = self
            .room(room)
            .messages
            .iter()
            .filter(|m| m.offset < before)
            .collect();
        let skipped = older.len().saturating_sub(limit as usize);
        let page = older[skipped..].iter().copied().cloned().collect();
        Some((page, skipped > 0))
    }

    /// All messages that a room holds.
    pub fn messages(&self, room: &RoomName) -> &[Message] {
        self.rooms.get(room).map_or(&[], |log| &log.messages)
    }

    /// The texts of the messages that a room holds.
    pub fn bodies(&self, room: &RoomName) -> Vec<&str> {
        self.messages(room)
            .iter()
            .map(|message| message.body.as_str())
            .collect()
    }

    /// Redacts a message (EO-8). Returns its redacted form; `None` if it is not there,
    /// or was redacted before.
    pub fn remove(&mut self, room: &RoomName, offset: Offset) -> Option<Message> {
        let log = self.rooms.get_mut(room)?;
        let mut messages = log.messages.iter_mut();
        let message = messages.find(|m| m.offset == offset && !m.removed)?;
        message.body.clear();
        message.removed = true;
        let message = message.clone();
        log.removed.push(offset);
        self.ever_removed.push(message.clone());
        Some(message)
    }

    /// The newest redacted messages of a room, as long as they are there.
    pub fn removed(&self, room: &RoomName, max: usize) -> Vec<Message> {
        let Some(log) = self.rooms.get(room) else {
            return Vec::new();
        };
        let newest = log.removed.len().saturating_sub(max);
        let of = |offset: &Offset| log.messages.iter().find(|m| m.offset == *offset);
        log.removed[newest..]
            .iter()
            .filter_map(of)
            .cloned()
            .collect()
    }

    /// Whether this very message is durable, or was in an earlier database.
    pub fn holds(&self, message: &Message) -> bool {
        if message.removed {
            return self.ever_removed.contains(message);
        }
        let key = (message.session.clone(), message.seq, message.body.clone());
        self.ever.get(&key).is_some_and(|all| all.contains(message))
    }

    /// Whether this message ever was durable.
    pub fn knows(&self, session: &SessionId, seq: Seq, body: &str) -> bool {
        self.ever
            .contains_key(&(session.clone(), seq, body.to_owned()))
    }

    /// Every message that ever was durable, in no particular order.
    pub fn ever(&self) -> impl Iterator<Item = &Message> {
        self.ever.values().flatten()
    }

    /// A session's last settled number.
    pub fn last_seq(&self, session: &SessionId) -> Option<u64> {
        Some(self.sessions.get(session)?.settled.len() as u64)
    }

    /// The server dies: operations that were not committed are lost.
    pub fn crash(&mut self) {
        self.queue.clear();
        self.reads.clear();
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
        self.rooms.clear();
        self.posts.clear();
    }

    /// The number of the database, from 1.
    pub const fn database(&self) -> u64 {
        self.database
    }

    /// Trims a room up to this offset.
    pub fn trim(&mut self, room: &RoomName, through: Offset) {
        let log = self.room(room);
        log.messages.retain(|message| message.offset > through);
        log.trimmed = log.trimmed.max(through);
    }

    /// Lets a session expire (RS-9).
    pub fn forget(&mut self, session: &SessionId) {
        self.sessions.remove(session);
    }
}

impl Default for Log {
    fn default() -> Self {
        Self::new()
    }
}

impl RoomLog {
    fn head(&self) -> Offset {
        self.messages
            .last()
            .map_or(self.trimmed, |message| message.offset)
    }
}

impl Kept {
    fn refused(&self) -> Vec<Refused> {
        let refused = |(seq, settled): (u64, &Settled)| match settled {
            Settled::Refused(code) => Some(Refused {
                seq: Seq::after(seq),
                code: *code,
            }),
            Settled::Message { .. } => None,
        };
        (0_u64..).zip(&self.settled).filter_map(refused).collect()
    }
}
