//! A log in memory: nothing outlives it. For tests, with a switch that makes it fail.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use everbeat_log::command::{
    Command, Expire, ForgetPosts, Outcome, Redact, Settings, Touch, Trim, Trimmed,
};
use everbeat_log::fold::{Changes, Fault, Store, apply, is_shown};
use everbeat_log::memory::MemoryStore;
use parking_lot::Mutex;
use protocol::frame::{ErrorCode, Message};
use protocol::id::{RoomName, SessionId};
use protocol::position::{Epoch, Offset};
use protocol::redactions::REDACTED_MAX;

use super::{
    Answer, Append, Gathering, KeyHash, Log, LogError, Observer, OpenSession, OpenedSession,
    PAGE_BYTES, Page, Post, Posted, Redaction, Refuse, RoomLog, notify, typed,
};

/// A log in memory, which obeys the rules of every log.
///
/// Each call has taken effect when it returns its answer. The observer is called in the midst of
/// an append, and must not call the log.
pub struct MemoryLog {
    state: Mutex<State>,
    observer: Arc<dyn Observer>,
    epoch: Epoch,
}

struct State {
    store: MemoryStore,
    failing: Option<Arc<str>>,
    closed: Option<Arc<str>>,
}

impl MemoryLog {
    /// An empty log, with an epoch of its own.
    pub fn new(history_per_room: u64, observer: Arc<dyn Observer>) -> Self {
        // The hasher's random keys differ from one hasher to the next: enough to tell logs apart.
        let epoch = Epoch::new(&format!("memory-{:016x}", RandomState::new().hash_one(())));
        let mut store = MemoryStore::new();
        let settings = Settings {
            epoch: epoch.clone(),
            history_per_room,
        };
        let Ok(()) = store.set(&settings);
        let state = State {
            store,
            failing: None,
            closed: None,
        };
        Self {
            state: Mutex::new(state),
            observer,
            epoch,
        }
    }

    /// From now on answers every write with [`LogError::Unavailable`] for this reason; `None` ends that.
    pub fn fail_with(&self, reason: Option<&str>) {
        self.state.lock().failing = reason.map(Arc::from);
    }

    fn write<T: TryFrom<Outcome> + Send + 'static>(&self, command: Command) -> Answer<T> {
        let outcome = self.apply(&mut self.state.lock(), command);
        Box::pin(std::future::ready(outcome.and_then(typed)))
    }

    fn apply(&self, state: &mut State, command: Command) -> Result<Outcome, LogError> {
        if let Some(reason) = state.closed.as_ref().or(state.failing.as_ref()) {
            return Err(LogError::Unavailable(Arc::clone(reason)));
        }
        let mut changes = Changes::default();
        let outcome = apply(&mut state.store, command, &mut changes);
        notify(&changes, self.observer.as_ref());
        outcome.map_err(|fault| match fault {
            Fault::Command(error) => error.into(),
            Fault::Store(never) => match never {},
        })
    }

    fn read_with<T: Send + 'static>(&self, work: impl FnOnce(&MemoryStore) -> T) -> Answer<T> {
        let state = self.state.lock();
        let result = match &state.closed {
            Some(reason) => Err(LogError::Unavailable(Arc::clone(reason))),
            None => Ok(work(&state.store)),
        };
        Box::pin(std::future::ready(result))
    }
}

impl Log for MemoryLog {
    fn open_session(&self, open: OpenSession) -> Answer<OpenedSession> {
        self.write(Command::Open(open))
    }

    fn owns(&self, session: SessionId, shown: Vec<KeyHash>) -> Answer<bool> {
        self.read_with(|store| {
            let stored = store.key(&session);
            stored.is_some_and(|stored| is_shown(stored, &shown))
        })
    }

    fn append(&self, append: Append) -> Answer<Offset> {
        self.write(Command::Append(append))
    }

    fn refuse(&self, refuse: Refuse) -> Answer<ErrorCode> {
        self.write(Command::Refuse(refuse))
    }

    fn post(&self, post: Post) -> Answer<Posted> {
        self.write(Command::Post(post))
    }

    fn redact(&self, room: RoomName, offset: Offset, at_ms: u64) -> Answer<Redaction> {
        self.write(Command::Redact(Redact {
            room,
            offset,
            at_ms,
        }))
    }

    fn room(&self, room: RoomName) -> Answer<RoomLog> {
        self.read_with(|store| {
            let state = store.state(&room);
            let mut redacted: Vec<_> = store.redacted(&room).rev().take(REDACTED_MAX).collect();
            redacted.reverse();
            RoomLog {
                epoch: self.epoch.clone(),
                head: state.head,
                trimmed: state.trimmed,
                redacted: redacted.into_iter().cloned().collect(),
            }
        })
    }

    fn read(&self, room: RoomName, after: Offset, limit: u32) -> Answer<Page> {
        self.read_with(|store| gather(store.range(&room, after.next()..), limit))
    }

    fn read_before(&self, room: RoomName, before: Offset, limit: u32) -> Answer<Page> {
        self.read_with(|store| {
            let mut page = gather(store.range(&room, ..before).rev(), limit);
            page.messages.reverse();
            page
        })
    }

    fn touch(&self, sessions: Vec<SessionId>, at_ms: u64) -> Answer<()> {
        self.write(Command::Touch(Touch { sessions, at_ms }))
    }

    fn expire(&self, before_ms: u64) -> Answer<usize> {
        self.write(Command::Expire(Expire {
            before_ms,
            is_unused: false,
            limit: usize::MAX,
        }))
    }

    fn expire_unused(&self, before_ms: u64) -> Answer<usize> {
        self.write(Command::Expire(Expire {
            before_ms,
            is_unused: true,
            limit: usize::MAX,
        }))
    }

    fn sessions(&self) -> Answer<u64> {
        self.read_with(|store| store.sessions() as u64)
    }

    fn probe(&self) -> Answer<()> {
        self.write(Command::Touch(Touch {
            sessions: Vec::new(),
            at_ms: 0,
        }))
    }

    fn forget_posts(&self, before_ms: u64) -> Answer<usize> {
        self.write(Command::ForgetPosts(ForgetPosts {
            before_ms,
            limit: usize::MAX,
        }))
    }

    fn trim(&self, before_ms: u64) -> Answer<u64> {
        let mut state = self.state.lock();
        let mut round = || -> Result<u64, LogError> {
            let (mut count, mut next) = (0, Some(Trim::new(before_ms)));
            while let Some(part) = next {
                let outcome = self.apply(&mut state, Command::Trim(part))?;
                let trimmed: Trimmed = typed(outcome)?;
                count += trimmed.count;
                next = trimmed.next;
            }
            Ok(count)
        };
        Box::pin(std::future::ready(round()))
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
