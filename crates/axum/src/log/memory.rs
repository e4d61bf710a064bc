//! A log in memory: nothing outlives it. For tests, with a switch that makes it fail.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use parking_lot::Mutex;
use protocol::frame::{ErrorCode, Message, Refused};
use protocol::id::{RoomName, Seq, SessionId};
use protocol::position::{Epoch, Offset};
use protocol::redactions::REDACTED_MAX;
use protocol::server::{Standing, Use, repeated_append, repeated_post, repeated_refusal, standing};

use super::trimming::trim_to;
use super::{
    Answer, Append, Gathering, KeyHash, Log, LogError, NumberError, Observer, OpenSession,
    OpenedSession, PAGE_BYTES, Page, Post, PostKey, Posted, REFUSED_MAX, Redaction, RoomLog,
};

/// A log in memory, which obeys the rules of every log.
///
/// Each call has taken effect when it returns its answer. The observer is called in the midst of
/// an append, and must not call the log.
pub struct MemoryLog {
    state: Mutex<State>,
    observer: Arc<dyn Observer>,
    epoch: Epoch,
    history_per_room: u64,
}

impl MemoryLog {
    /// An empty log, with an epoch of its own.
    pub fn new(history_per_room: u64, observer: Arc<dyn Observer>) -> Self {
        // The hasher's random keys differ from one hasher to the next: enough to tell logs apart.
        let epoch = Epoch::new(&format!("memory-{:016x}", RandomState::new().hash_one(())));
        Self {
            state: Mutex::default(),
            observer,
            epoch,
            history_per_room,
        }
    }

    /// From now on answers every write with [`LogError::Unavailable`] for this reason; `None` ends that.
    pub fn fail_with(&self, reason: Option<&str>) {
        self.state.lock().failing = reason.map(Arc::from);
    }

    fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut State) -> Result<T, LogError>,
    ) -> Answer<T> {
        let mut state = self.state.lock();
        let failure = state.closed.as_ref().or(state.failing.as_ref());
        let result = match failure {
            Some(reason) => Err(LogError::Unavailable(Arc::clone(reason))),
            None => work(&mut state),
        };
        Box::pin(std::future::ready(result))
    }

    fn read_room<T: Send + 'static>(
        &self,
        room: &RoomName,
        work: impl FnOnce(&Room) -> T,
    ) -> Answer<T> {
        let state = self.state.lock();
        let result = match &state.closed {
            Some(reason) => Err(LogError::Unavailable(Arc::clone(reason))),
            None => Ok(match state.rooms.get(room) {
                Some(room) => work(room),
                None => work(&Room::default()),
            }),
        };
        Box::pin(std::future::ready(result))
    }
}

impl Log for MemoryLog {
    fn open_session(&self, open: OpenSession) -> Answer<OpenedSession> {
        self.write(|state| state.open_session(open))
    }

    fn append(&self, append: Append) -> Answer<Offset> {
        self.write(|state| state.append(append, self.history_per_room, &*self.observer))
    }

    fn refuse(&self, session: SessionId, seq: Seq, code: ErrorCode) -> Answer<ErrorCode> {
        self.write(|state| state.refuse(&session, seq, code))
    }

    fn post(&self, post: Post) -> Answer<Posted> {
        let epoch = self.epoch.clone();
        self.write(|state| state.post(post, epoch, self.history_per_room, &*self.observer))
    }

    fn redact(&self, room: RoomName, offset: Offset, _at_ms: u64) -> Answer<Redaction> {
        self.write(|state| Ok(state.redact(&room, offset, &*self.observer)))
    }

    fn room(&self, room: RoomName) -> Answer<RoomLog> {
        let epoch = self.epoch.clone();
        self.read_room(&room, |room| RoomLog {
            epoch,
            head: room.head(),
            trimmed: room.trimmed,
            redacted: room.redacted(),
        })
    }

    fn read(&self, room: RoomName, after: Offset, limit: u32) -> Answer<Page> {
        self.read_room(&room, |room| {
            let later = room.messages.partition_point(|m| m.offset <= after);
            gather(room.messages.range(later..), limit)
        })
    }

    fn read_before(&self, room: RoomName, before: Offset, limit: u32) -> Answer<Page> {
        self.read_room(&room, |room| {
            let earlier = room.messages.partition_point(|m| m.offset < before);
            let mut page = gather(room.messages.range(..earlier).rev(), limit);
            page.messages.reverse();
            page
        })
    }

    fn touch(&self, sessions: Vec<SessionId>, at_ms: u64) -> Answer<()> {
        self.write(|state| {
            for id in &sessions {
                if let Some(session) = state.sessions.get_mut(id) {
                    session.touched_ms = session.touched_ms.max(at_ms);
                }
            }
            Ok(())
        })
    }

    fn expire(&self, before_ms: u64) -> Answer<usize> {
        self.write(|state| {
            let known = state.sessions.len();
            state.sessions.retain(|_, s| s.touched_ms >= before_ms);
            Ok(known - state.sessions.len())
        })
    }

    fn expire_unused(&self, before_ms: u64) -> Answer<usize> {
        self.write(|state| {
            let known = state.sessions.len();
            let is_kept = |s: &Session| s.touched_ms >= before_ms || !s.settled.is_empty();
            state.sessions.retain(|_, s| is_kept(s));
            Ok(known - state.sessions.len())
        })
    }

    fn sessions(&self) -> Answer<u64> {
        let state = self.state.lock();
        let count = match &state.closed {
            Some(reason) => Err(LogError::Unavailable(Arc::clone(reason))),
            None => Ok(state.sessions.len() as u64),
        };
        Box::pin(std::future::ready(count))
    }

    fn probe(&self) -> Answer<()> {
        self.write(|_| Ok(()))
    }

    fn forget_posts(&self, before_ms: u64) -> Answer<usize> {
        self.write(|state| {
            let known = state.posts.len();
            state.posts.retain(|_, post| post.at_ms >= before_ms);
            Ok(known - state.posts.len())
        })
    }

    fn trim(&self, before_ms: u64) -> Answer<u64> {
        self.write(|state| {
            let mut trimmed = 0;
            for (name, room) in &mut state.rooms {
                let old = room.messages.iter().take_while(|m| m.at_ms < before_ms);
                if let Some(last) = old.last().map(|message| message.offset) {
                    trimmed += last.get() - room.trimmed.get();
                    room.trim(last);
                    self.observer.trimmed(name, last);
                }
            }
            Ok(trimmed)
        })
    }

    fn close(&self) -> Answer<()> {
        let first = self.state.lock().closed.replace("the log is closed".into());
        Box::pin(std::future::ready(match first {
            Some(reason) => Err(LogError::Unavailable(reason)),
            None => Ok(()),
        }))
    }
}

/// As many of these messages as fit into a page.
fn gather<'a>(messages: impl Iterator<Item = &'a Message>, limit: u32) -> Page {
    let mut gathering = Gathering::new(limit, PAGE_BYTES);
    for message in messages {
        if !gathering.take(message.clone()) {
            break;
        }
    }
    gathering.page()
}

#[derive(Default)]
struct State {
    sessions: HashMap<SessionId, Session>,
    rooms: BTreeMap<RoomName, Room>,
    posts: HashMap<PostKey, FirstPost>,
    failing: Option<Arc<str>>,
    closed: Option<Arc<str>>,
}

struct Session {
    key_hash: KeyHash,
    touched_ms: u64,
    /// What each number was used for: that of `seq` at index `seq - 1`.
    settled: Vec<Settled>,
}

enum Settled {
    Message {
        room: RoomName,
        offset: Offset,
        body: String,
    },
    Refusal(ErrorCode),
}

#[derive(Default)]
struct Room {
    /// The messages after `trimmed`, without a hole.
    messages: VecDeque<Message>,
    trimmed: Offset,
    /// The redacted messages, in the order of their redaction.
    removed: Vec<Offset>,
}

/// What an idempotency key was used for first.
struct FirstPost {
    room: RoomName,
    body: String,
    at_ms: u64,
    offset: Offset,
}

/// Puts a message into its room.
fn store(
    rooms: &mut BTreeMap<RoomName, Room>,
    append: Append,
    history_per_room: u64,
    observer: &dyn Observer,
) -> Offset {
    let room = rooms.entry(append.room.clone()).or_default();
    let offset = room.head().next();
    let message = append.at(offset);
    room.messages.push_back(message.clone());
    if let Some(trimmed) = trim_to(offset, room.trimmed, history_per_room) {
        room.trim(trimmed);
    }
    observer.committed(&[message]);
    offset
}

impl Session {
    fn last_seq(&self) -> u64 {
        self.settled.len() as u64
    }

    fn settled(&self, seq: Seq) -> Option<&Settled> {
        let index = usize::try_from(seq.get() - 1).ok()?;
        self.settled.get(index)
    }

    /// The newest refusals, in order.
    fn refused(&self) -> Vec<Refused> {
        let numbered = (1..).zip(&self.settled);
        let refused = numbered.filter_map(|(number, settled)| match settled {
            Settled::Refusal(code) => Some(Refused {
                seq: Seq::new(number).ok()?,
                code: *code,
            }),
            Settled::Message { .. } => None,
        });
        let mut refused: Vec<Refused> = refused.collect();
        refused.split_off(refused.len().saturating_sub(REFUSED_MAX))
    }
}

impl Settled {
    /// What the number was used for, seen from the append that repeats it, if it is one.
    fn seen_from(&self, append: Option<&Append>) -> Use {
        match self {
            Self::Message { room, offset, body } => Use::Message {
                offset: *offset,
                same: append.is_some_and(|a| *room == a.room && *body == a.body),
            },
            Self::Refusal(code) => Use::Refusal(*code),
        }
    }
}

impl Room {
    fn head(&self) -> Offset {
        self.messages.back().map_or(self.trimmed, |m| m.offset)
    }

    fn at(&self, offset: Offset) -> Option<usize> {
        let is_it = |message: &Message| message.offset.cmp(&offset);
        self.messages.binary_search_by(is_it).ok()
    }

    fn redacted(&self) -> Vec<Message> {
        let newest = self.removed.len().saturating_sub(REDACTED_MAX);
        let there = self.removed[newest..]
            .iter()
            .filter_map(|offset| self.at(*offset));
        there.map(|index| self.messages[index].clone()).collect()
    }

    fn trim(&mut self, through: Offset) {
        let gone = self.messages.partition_point(|m| m.offset <= through);
        self.messages.drain(..gone);
        self.removed.retain(|offset| *offset > through);
        self.trimmed = through;
    }
}

impl State {
    fn open_session(&mut self, open: OpenSession) -> Result<OpenedSession, LogError> {
        if let Some((id, key_hashes)) = &open.resume
            && let Some(session) = self.sessions.get_mut(id)
            && key_hashes.contains(&session.key_hash)
        {
            session.touched_ms = session.touched_ms.max(open.at_ms);
            return Ok(OpenedSession {
                resumed: true,
                last_seq: session.last_seq(),
                refused: session.refused(),
            });
        }
        let (id, key_hash) = open.fresh;
        if self.sessions.contains_key(&id) {
            return Err(LogError::Unavailable("the session id is taken".into()));
        }
        let session = Session {
            key_hash,
            touched_ms: open.at_ms,
            settled: Vec::new(),
        };
        self.sessions.insert(id, session);
        Ok(OpenedSession {
            resumed: false,
            last_seq: 0,
            refused: Vec::new(),
        })
    }

    fn append(
        &mut self,
        append: Append,
        history_per_room: u64,
        observer: &dyn Observer,
    ) -> Result<Offset, LogError> {
        let session = self.sessions.get_mut(&append.session);
        let session = match standing(
            session.as_ref().map(|s| s.last_seq()),
            append.seq,
            append.is_repeat,
        )? {
            Standing::Next => session.ok_or(NumberError::UnknownSession)?,
            Standing::Settled => {
                let settled = session.and_then(|s| s.settled(append.seq));
                return Ok(repeated_append(
                    settled.map(|s| s.seen_from(Some(&append))),
                )?);
            }
        };
        let (room, body) = (append.room.clone(), append.body.clone());
        let offset = store(&mut self.rooms, append, history_per_room, observer);
        session
            .settled
            .push(Settled::Message { room, offset, body });
        Ok(offset)
    }

    fn post(
        &mut self,
        post: Post,
        epoch: Epoch,
        history_per_room: u64,
        observer: &dyn Observer,
    ) -> Result<Posted, LogError> {
        if let Some(first) = self.posts.get(&post.key) {
            let same = first.room == post.room && first.body == post.body;
            return Ok(repeated_post(epoch, first.offset, same)?);
        }
        let first = FirstPost {
            room: post.room.clone(),
            body: post.body.clone(),
            at_ms: post.at_ms,
            offset: Offset::ZERO,
        };
        let key = post.key;
        let offset = store(
            &mut self.rooms,
            post.into_append(),
            history_per_room,
            observer,
        );
        self.posts.insert(key, FirstPost { offset, ..first });
        Ok(Posted {
            epoch,
            offset,
            is_repeat: false,
        })
    }

    fn redact(&mut self, name: &RoomName, offset: Offset, observer: &dyn Observer) -> Redaction {
        let found = self.rooms.get_mut(name);
        let Some((room, index)) = found.and_then(|room| {
            let index = room.at(offset)?;
            Some((room, index))
        }) else {
            return Redaction::Missing;
        };
        let message = &mut room.messages[index];
        if message.removed {
            return Redaction::Before;
        }
        message.removed = true;
        message.body.clear();
        room.removed.push(offset);
        observer.redacted(message);
        Redaction::Done
    }

    fn refuse(&mut self, id: &SessionId, seq: Seq, code: ErrorCode) -> Result<ErrorCode, LogError> {
        let session = self.sessions.get_mut(id);
        match standing(session.as_ref().map(|s| s.last_seq()), seq, false)? {
            Standing::Next => {
                let session = session.ok_or(NumberError::UnknownSession)?;
                session.settled.push(Settled::Refusal(code));
                Ok(code)
            }
            Standing::Settled => {
                let settled = session.and_then(|s| s.settled(seq));
                Ok(repeated_refusal(settled.map(|s| s.seen_from(None)))?)
            }
        }
    }
}
