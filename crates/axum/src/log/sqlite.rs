//! The log in an SQLite database: one file, one writer thread, several readers.
//!
//! Writes are committed in groups: the writer takes what is queued, up to a limit, into one
//! transaction, and answers all of it after the commit. So one sync of the disk serves many writes, and
//! the slower the disk, the larger the groups.

mod batch;
mod copy;
mod epoch;
mod error;
mod examine;
mod files;
mod format;
mod node;
mod notifier;
mod open;
mod queue;
mod readers;
mod rooms;
mod row;
mod scrub;
mod state;
mod stream;
mod sweep;
#[cfg(test)]
mod tests;
mod watchdog;
mod witness;
mod writer;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use everbeat_log::command::{Command, Expire, ForgetPosts, Outcome, Redact, Touch, Trim, Trimmed};
use everbeat_log::order::{Applied, Verdict};
use everbeat_log::pack::Pack;
use parking_lot::Mutex;
use protocol::frame::ErrorCode;
use protocol::id::{RoomName, SessionId};
use protocol::position::{Epoch, Offset};
use tokio::sync::watch;

pub use self::copy::{CopyError, adopt, backup, restore};
pub use self::error::OpenError;
pub use self::node::MessageSource;
use self::node::Progress;
use self::notifier::Notifier;
use self::queue::{Queue, Work};
use self::readers::Readers;
pub use self::rooms::{Cleared, RoomSummary, clear, export, summaries};
use self::watchdog::Watchdog;
use self::writer::Writer;
use super::{
    Answer, Append, KeyHash, Log, LogError, Observer, OpenSession, OpenedSession, PAGE_BYTES, Page,
    Post, Posted, Redaction, Refuse, RoomLog, typed,
};

/// The options of an SQLite log.
#[derive(Clone, Debug)]
pub struct SqliteConfig {
    /// The fewest messages that a full room keeps; it holds a few more, as trimming is done in larger pieces.
    /// A message costs about 120 bytes of disk beside its text; half of that stays until
    /// its session is forgotten.
    pub history_per_room: u64,
    /// The most operations in one commit. With 1 every message pays for a sync of its own.
    pub batch_max: usize,
    /// The most operations that wait for the writer, and the most that wait for a reader.
    /// Overflow: [`LogError::Unavailable`].
    pub queue_max: usize,
    /// The most bytes that a page of messages takes in frames (`--page-bytes`); a single message may be larger.
    pub page_bytes: u32,
    /// How many reads run at once, each on a connection of its own.
    pub readers: usize,
    /// The most bytes that the database file may grow to, without its write-ahead log; `None`
    /// leaves it to the disk. Overflow: [`LogError::Unavailable`].
    pub bytes_max: Option<u64>,
    /// Whether the log is a node's: it folds the packs of a cluster ([`SqliteLog::fold`]), and takes no other commands. A
    /// database of a single server joins with what it holds; all nodes must then begin with copies of it.
    pub is_node: bool,
    /// How long the writer waits for another program that holds a lock on the database (a backup, say).
    /// All writes wait meanwhile; then they are answered with [`LogError::Unavailable`].
    pub busy_timeout: Duration,
}

impl Default for SqliteConfig {
    fn default() -> Self {
        Self {
            history_per_room: 100_000,
            // At that size the sync is shared by so many operations that it hardly counts.
            batch_max: 4096,
            // A fraction of a second of work for the writer.
            queue_max: 8192,
            page_bytes: PAGE_BYTES,
            // Most reads are served from memory by the rooms.
            readers: 2,
            bytes_max: None,
            is_node: false,
            busy_timeout: Duration::from_secs(2),
        }
    }
}

/// A log in an SQLite database.
///
/// [`Log::close`] ends it in order. Dropping it does too, but blocks until the writer
/// has committed what was queued.
pub struct SqliteLog {
    queue: Arc<Queue>,
    /// The writer's thread; `None` once its end is awaited.
    writer: Mutex<Option<JoinHandle<()>>>,
    readers: Arc<Readers>,
    page_bytes: u32,
    progress: Arc<Progress>,
    /// Whether redacted texts may still stand in the files.
    scrubbing: watch::Receiver<bool>,
    newest_ms: Option<u64>,
    _watchdog: Watchdog,
}

impl fmt::Debug for SqliteLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteLog").finish_non_exhaustive()
    }
}

impl SqliteLog {
    /// Opens the database in this file, or makes a new one there, and starts the writer.
    ///
    /// A lock on a file with the suffix `.lock` keeps a second server away, and so does a lock on the database
    /// itself. The file stays after this process has ended; only the locks count. The file with the suffix
    /// `.witness` says to the next server how far this log had come.
    ///
    /// # Errors
    /// [`OpenError`]: each names the file, what was found there and what to do.
    pub fn open(
        path: &Path,
        config: SqliteConfig,
        observer: Arc<dyn Observer>,
    ) -> Result<Self, OpenError> {
        let database = open::open(path, &config)?;
        let readers = Readers::open(&database, &config)?;
        let progress = Arc::new(database.progress());
        let newest_ms = open::newest_ms(&database.connection).ok().flatten();
        let (queue, operations) = Queue::new(config.queue_max);
        let watchdog = Watchdog::start(Arc::clone(&database.calls)).map_err(OpenError::Thread)?;
        let notifier = Notifier::start(observer).map_err(OpenError::Thread)?;
        let writer = Writer::new(
            database,
            operations,
            &config,
            notifier,
            Arc::clone(&progress),
        );
        let scrubbing = writer.scrubbing();
        let thread = thread::Builder::new().name("log-writer".to_owned());
        let writer = thread
            .spawn(move || writer.run())
            .map_err(OpenError::Thread)?;
        Ok(Self {
            queue: Arc::new(queue),
            writer: Mutex::new(Some(writer)),
            readers: Arc::new(readers),
            page_bytes: config.page_bytes,
            progress,
            scrubbing,
            newest_ms,
            _watchdog: watchdog,
        })
    }

    /// The log's epoch. It stays; a cluster's log has none before its first pack was folded.
    pub fn epoch(&self) -> Option<Epoch> {
        self.progress.epoch()
    }

    /// How far a node is in the order of packs; `None` on a single server.
    pub fn applied(&self) -> Option<Applied> {
        self.progress.applied()
    }

    /// Folds the pack that the engine stored under this sequence, in one transaction; the answer comes after the commit, and
    /// after the observer was notified. Packs are folded in the order of the calls.
    ///
    /// An error does not say that the pack was not folded: [`SqliteLog::applied`] does. Where it was not, the same pack
    /// can be folded later.
    pub fn fold(&self, sequence: u64, pack: Pack) -> Answer<Verdict> {
        let folded = self.queue.push(None, Work::Fold(sequence, pack));
        Box::pin(async { folded.await?.verdict() })
    }

    /// Where a message came from; `None` where it is not there, or came on a single server.
    pub fn source(&self, room: RoomName, offset: Offset) -> Answer<Option<MessageSource>> {
        self.read_with(move |connection| node::source(connection, &room, offset))
    }

    /// The redacted messages that came with a pack of this sequence or a later one.
    pub fn redacted_since(&self, sequence: u64) -> Answer<Vec<(RoomName, Offset)>> {
        self.read_with(move |connection| node::redacted_since(connection, sequence))
    }

    /// Runs a read on a reader.
    fn read_with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&rusqlite::Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Answer<T> {
        if self.queue.is_closed() {
            return ready(Err(closed()));
        }
        Readers::read(&self.readers, work)
    }

    /// Applies a command on the writer. The answers to one session's commands are given in a row.
    fn apply<T: TryFrom<Outcome> + 'static>(
        &self,
        session: Option<&SessionId>,
        command: Command,
    ) -> Answer<T> {
        let outcome = self.queue.push(session.cloned(), Work::Apply(command));
        Box::pin(async { typed(outcome.await?.outcome()?) })
    }

    /// Applies a command that forgets in pieces of [`PIECE_MAX`], until a piece is not full. The first piece keeps its
    /// place in the order of calls; other operations may come between the others.
    fn in_pieces(&self, command: Command) -> Answer<usize> {
        let first = self.queue.push(None, Work::Apply(command.clone()));
        let queue = Arc::clone(&self.queue);
        Box::pin(async move {
            let mut piece: usize = typed(first.await?.outcome()?)?;
            let mut forgotten = piece;
            while piece == PIECE_MAX {
                let next = queue.push(None, Work::Apply(command.clone()));
                piece = typed(next.await?.outcome()?)?;
                forgotten += piece;
            }
            Ok(forgotten)
        })
    }

    /// Ends the writer once it has done what is queued; `None` where it was ended before.
    fn end_writer(&self) -> Option<JoinHandle<()>> {
        self.queue.close();
        let mut writer = self.writer.lock();
        writer.take()
    }
}

impl Log for SqliteLog {
    fn newest_ms(&self) -> Option<u64> {
        self.newest_ms
    }

    fn open_session(&self, open: OpenSession) -> Answer<OpenedSession> {
        self.apply(None, Command::Open(open))
    }

    fn owns(&self, session: SessionId, shown: Vec<KeyHash>) -> Answer<bool> {
        self.read_with(move |connection| readers::owns(connection, &session, &shown))
    }

    fn append(&self, append: Append) -> Answer<Offset> {
        let session = append.session.clone();
        self.apply(Some(&session), Command::Append(append))
    }

    fn refuse(&self, refuse: Refuse) -> Answer<ErrorCode> {
        let session = refuse.session.clone();
        self.apply(Some(&session), Command::Refuse(refuse))
    }

    fn post(&self, post: Post) -> Answer<Posted> {
        self.apply(None, Command::Post(post))
    }

    fn redact(&self, room: RoomName, offset: Offset, at_ms: u64) -> Answer<Redaction> {
        let redact = Redact {
            room,
            offset,
            at_ms,
        };
        self.apply(None, Command::Redact(redact))
    }

    fn scrubbed(&self) -> Answer<()> {
        let mut scrubbing = self.scrubbing.clone();
        Box::pin(async move {
            let done = scrubbing.wait_for(|is_due| !is_due).await;
            done.map(drop).map_err(|_| closed())
        })
    }

    fn room(&self, room: RoomName) -> Answer<RoomLog> {
        let Some(epoch) = self.epoch() else {
            let reason = "the cluster's log has no epoch yet".into();
            return ready(Err(LogError::Unavailable(reason)));
        };
        self.read_with(move |connection| readers::room(connection, &room, epoch))
    }

    fn read(&self, room: RoomName, after: Offset, limit: u32) -> Answer<Page> {
        let most = (limit, self.page_bytes);
        self.read_with(move |connection| readers::after(connection, &room, after, most))
    }

    fn read_before(&self, room: RoomName, before: Offset, limit: u32) -> Answer<Page> {
        let most = (limit, self.page_bytes);
        self.read_with(move |connection| readers::before(connection, &room, before, most))
    }

    fn touch(&self, sessions: Vec<SessionId>, at_ms: u64) -> Answer<()> {
        let touch = move |sessions| Work::Apply(Command::Touch(Touch { sessions, at_ms }));
        let mut first = sessions;
        let rest = first.split_off(first.len().min(PIECE_MAX));
        let first = self.queue.push(None, touch(first));
        let queue = Arc::clone(&self.queue);
        Box::pin(async move {
            first.await?;
            for piece in rest.chunks(PIECE_MAX) {
                queue.push(None, touch(piece.to_vec())).await?;
            }
            Ok(())
        })
    }

    fn expire(&self, before_ms: u64) -> Answer<usize> {
        self.in_pieces(Command::Expire(Expire {
            before_ms,
            is_unused: false,
            limit: PIECE_MAX,
        }))
    }

    fn expire_unused(&self, before_ms: u64) -> Answer<usize> {
        self.in_pieces(Command::Expire(Expire {
            before_ms,
            is_unused: true,
            limit: PIECE_MAX,
        }))
    }

    fn forget_posts(&self, before_ms: u64) -> Answer<usize> {
        self.in_pieces(Command::ForgetPosts(ForgetPosts {
            before_ms,
            limit: PIECE_MAX,
        }))
    }

    fn trim(&self, before_ms: u64) -> Answer<u64> {
        let part = |part| Work::Apply(Command::Trim(part));
        let first = self.queue.push(None, part(Trim::new(before_ms)));
        let queue = Arc::clone(&self.queue);
        Box::pin(async move {
            let mut trimmed: Trimmed = typed(first.await?.outcome()?)?;
            let mut count = trimmed.count;
            while let Some(next) = trimmed.next {
                trimmed = typed(queue.push(None, part(next)).await?.outcome()?)?;
                count += trimmed.count;
            }
            Ok(count)
        })
    }

    fn sessions(&self) -> Answer<u64> {
        self.read_with(readers::sessions)
    }

    fn probe(&self) -> Answer<()> {
        let probed = self.queue.push(None, Work::Probe);
        Box::pin(async { typed(probed.await?.outcome()?) })
    }

    fn close(&self) -> Answer<()> {
        let Some(writer) = self.end_writer() else {
            return ready(Err(closed()));
        };
        let readers = Arc::clone(&self.readers);
        Box::pin(async move {
            readers.close().await;
            let join = tokio::task::spawn_blocking(move || writer.join());
            match join.await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(_)) | Err(_) => Err(LogError::Unavailable("the log's thread died".into())),
            }
        })
    }
}

impl Drop for SqliteLog {
    fn drop(&mut self) {
        let Some(writer) = self.end_writer() else {
            return;
        };
        // An observer that owns the log is dropped on the writer's thread: a thread cannot wait for itself.
        if writer.thread().id() != thread::current().id() {
            // A panic has been reported by the thread itself, and has no other receiver here.
            drop(writer.join());
        }
    }
}

/// The most sessions, or posts, that one operation touches or forgets: other operations wait for it.
const PIECE_MAX: usize = 512;

fn ready<T: Send + 'static>(result: Result<T, LogError>) -> Answer<T> {
    Box::pin(std::future::ready(result))
}

fn closed() -> LogError {
    LogError::Unavailable("the log is closed".into())
}

fn overloaded() -> LogError {
    LogError::Unavailable("too many operations are waiting".into())
}

fn unavailable(error: &rusqlite::Error) -> LogError {
    LogError::Unavailable(error.to_string().into())
}

/// A number as SQLite stores it. All numbers of the protocol fit; a time that does not is clamped.
fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
