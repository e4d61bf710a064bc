//! What the tests of all logs share.

use std::io;
use std::sync::Arc;

use futures_util::future::join_all;
use parking_lot::Mutex;
use protocol::frame::{ErrorCode, Message};
use protocol::id::{Generation, Name, RoomName, Seq, SessionId};
use protocol::position::Offset;
use tempfile::TempDir;

use crate::log::memory::MemoryLog;
use crate::log::sqlite::{SqliteConfig, SqliteLog};
use crate::log::{Append, KeyHash, Log, LogError, Observer, OpenSession, OpenedSession, Refuse};

/// How many messages a room of the tests keeps.
pub(in crate::log) const HISTORY: u64 = 100;

/// No opening fences this one: where a test is not of fencing.
pub(in crate::log) const NEWEST: Generation = Generation(u64::MAX);

/// An observer that records its calls.
#[derive(Default)]
pub(in crate::log) struct Recorder(
    Mutex<Vec<Message>>,
    Mutex<Vec<(RoomName, Offset)>>,
    Mutex<Vec<(SessionId, Generation)>>,
);

impl Recorder {
    pub(in crate::log) fn seen(&self) -> Vec<Message> {
        self.0.lock().clone()
    }

    pub(in crate::log) fn trimmed(&self) -> Vec<(RoomName, Offset)> {
        self.1.lock().clone()
    }

    pub(in crate::log) fn opened(&self) -> Vec<(SessionId, Generation)> {
        self.2.lock().clone()
    }
}

impl Observer for Recorder {
    fn wakes(&self, _: &[Message]) -> usize {
        0
    }

    fn committed(&self, messages: &[Message]) {
        self.0.lock().extend_from_slice(messages);
    }

    fn opened(&self, session: &SessionId, generation: Generation) {
        self.2.lock().push((session.clone(), generation));
    }

    fn redacted(&self, message: &Message) {
        self.0.lock().push(message.clone());
    }

    fn trimmed(&self, room: &RoomName, through: Offset) {
        self.1.lock().push((room.clone(), through));
    }
}

/// The journal's lines from a piece of work, on the thread that does it.
pub(in crate::log) fn lines_of(work: impl FnOnce()) -> String {
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let lines = Lines::default();
    let journal = {
        let lines = lines.clone();
        tracing_subscriber::fmt()
            .with_writer(move || lines.clone())
            .finish()
    };
    tracing::subscriber::with_default(journal, work);
    let bytes = std::mem::take(&mut *lines.0.lock());
    String::from_utf8(bytes).unwrap()
}

/// A log under test, and the observer's record.
pub(in crate::log) struct Subject {
    pub(in crate::log) log: Box<dyn Log>,
    pub(in crate::log) observer: Arc<Recorder>,
    _directory: Option<TempDir>,
}

impl Subject {
    pub(in crate::log) fn memory() -> Self {
        let observer = Arc::<Recorder>::default();
        Self {
            log: Box::new(MemoryLog::new(HISTORY, observer.clone())),
            observer,
            _directory: None,
        }
    }

    pub(in crate::log) fn sqlite() -> Self {
        let observer = Arc::<Recorder>::default();
        let directory = tempfile::tempdir().unwrap();
        let config = SqliteConfig {
            history_per_room: HISTORY,
            ..SqliteConfig::default()
        };
        let path = directory.path().join("log.db");
        Self {
            log: Box::new(SqliteLog::open(&path, config, observer.clone()).unwrap()),
            observer,
            _directory: Some(directory),
        }
    }
}

pub(in crate::log) fn id(text: &str) -> SessionId {
    SessionId::new(text).unwrap()
}

pub(in crate::log) fn key_hash(text: &str) -> KeyHash {
    let mut hash = [7; 32];
    hash[..text.len()].copy_from_slice(text.as_bytes());
    hash
}

pub(in crate::log) fn seq(number: u64) -> Seq {
    Seq::new(number).unwrap()
}

pub(in crate::log) fn offset(number: u64) -> Offset {
    Offset::new(number).unwrap()
}

pub(in crate::log) fn room(name: &str) -> RoomName {
    RoomName::new(name).unwrap()
}

/// Opens a session whose key hash is that of its id.
pub(in crate::log) fn fresh(session: &str, at_ms: u64) -> OpenSession {
    OpenSession {
        resume: None,
        fresh: (id(session), key_hash(session)),
        at_ms,
    }
}

pub(in crate::log) fn resume(session: &str, at_ms: u64) -> OpenSession {
    OpenSession {
        resume: Some((id(session), vec![key_hash(session)])),
        fresh: (id("instead"), key_hash("instead")),
        at_ms,
    }
}

pub(in crate::log) fn append(session: &str, number: u64, in_room: &str, body: &str) -> Append {
    Append {
        session: id(session),
        generation: NEWEST,
        seq: seq(number),
        room: room(in_room),
        name: Name::tidy("Ada"),
        body: body.to_owned(),
        at_ms: 1_000 + number,
        is_repeat: false,
        erased: None,
    }
}

pub(in crate::log) fn refuse(session: &str, number: u64, code: ErrorCode) -> Refuse {
    Refuse {
        session: id(session),
        generation: NEWEST,
        seq: seq(number),
        code,
    }
}

/// Appends messages 1 to `last`, in one room.
pub(in crate::log) async fn append_many(log: &dyn Log, session: &str, in_room: &str, last: u64) {
    let appends = (1..=last).map(|n| log.append(append(session, n, in_room, &format!("body {n}"))));
    for answer in join_all(appends).await {
        answer.unwrap();
    }
}

/// Checks how a session was opened: whether it was resumed, and its last number, with no refusals.
pub(in crate::log) fn check_opened(
    opened: Result<OpenedSession, LogError>,
    resumed: bool,
    last_seq: u64,
) {
    let opened = opened.unwrap();
    assert_eq!((opened.resumed, opened.last_seq), (resumed, last_seq));
    assert_eq!(opened.refused, []);
}

pub(in crate::log) fn offsets(messages: &[Message]) -> Vec<u64> {
    messages.iter().map(|m| m.offset.get()).collect()
}

pub(in crate::log) fn is_unavailable<T>(result: &Result<T, LogError>) -> bool {
    matches!(result, Err(LogError::Unavailable(_)))
}
