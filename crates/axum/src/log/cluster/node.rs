//! A node's log: calls become commands.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use everbeat_log::command::{
    Append, Command, Expire, ForgetPosts, OpenSession, OpenedSession, Outcome, Post, Redact,
    Refuse, Touch, Trim, Trimmed,
};
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use protocol::frame::ErrorCode;
use protocol::id::{RoomName, SessionId};
use protocol::position::Offset;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::config::{Chance, ClusterConfig};
use super::desk::Shared;
use super::driver::{self, Parts};
use super::erasure::Erasures;
use super::status::ClusterStatus;
use crate::clock::Clock;
use crate::log::engine::Engine;
use crate::log::sqlite::SqliteLog;
use crate::log::{
    Answer, KeyHash, Log, LogError, Observer, Page, Posted, Redaction, RoomLog, Stop,
};

/// The most sessions that one command touches or forgets, and the most keys of posts: a part of a pack.
const PIECE_MAX: usize = 512;

/// How long a closing node waits for what it has to send: longer than an election of the engine takes.
const FAREWELL: Duration = Duration::from_secs(10);

/// A node's log.
///
/// [`Log::close`] ends it in order. A drop ends its task, which leaves what was sent to the other nodes.
pub struct ClusterLog {
    sqlite: Arc<SqliteLog>,
    pub(super) shared: Arc<Shared>,
    erasures: Arc<Erasures>,
    /// The driver's task; `None` once its end is awaited.
    driver: Mutex<Option<JoinHandle<()>>>,
}

impl fmt::Debug for ClusterLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterLog").finish_non_exhaustive()
    }
}

impl ClusterLog {
    /// A node over this engine, which folds into this database ([`is_node`](crate::log::sqlite::SqliteConfig::is_node)). It attaches in the
    /// background, for as long as that takes: until then it is read, and takes nothing. `observer` hears of nodes. To be
    /// called on a runtime.
    ///
    /// # Errors
    /// [`LogError::Unavailable`] where the system has no randomness, or the database is not a node's.
    pub fn start(
        sqlite: SqliteLog,
        engine: Arc<dyn Engine>,
        config: ClusterConfig,
        observer: Arc<dyn Observer>,
        clock: Clock,
    ) -> Result<Self, LogError> {
        let chance = Chance::draw().ok_or_else(no_randomness)?;
        let sqlite = Arc::new(sqlite);
        let shared = Arc::new(Shared::new(config.node.clone(), clock));
        let erasures = Arc::new(Erasures::new(Arc::clone(&engine), Arc::clone(&sqlite)));
        let parts = Parts {
            sqlite: Arc::clone(&sqlite),
            engine,
            observer,
            erasures: Arc::clone(&erasures),
        };
        let driver = driver::run(config, chance, clock, parts, Arc::clone(&shared));
        let driver = Mutex::new(Some(tokio::spawn(driver)));
        Ok(Self {
            sqlite,
            shared,
            erasures,
            driver,
        })
    }

    /// Sends a command, and waits for its outcome. Its place in the order of this node is settled when this returns.
    fn send<T>(&self, command: Command) -> Answer<T>
    where
        T: TryFrom<Outcome> + Send + 'static,
    {
        let outcome = self.shared.push(command);
        Box::pin(async move { typed(outcome.await) })
    }

    /// Sends a command again and again, as long as a full piece was forgotten.
    fn in_pieces(&self, command: impl Fn() -> Command + Send + 'static) -> Answer<usize> {
        if !self.shared.keeps_house() {
            return ready(Ok(0));
        }
        let first = self.shared.push(command());
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            let mut piece: usize = typed(first.await)?;
            let mut forgotten = piece;
            while piece == PIECE_MAX {
                piece = typed(shared.push(command()).await)?;
                forgotten += piece;
            }
            Ok(forgotten)
        })
    }
}

impl Log for ClusterLog {
    fn newest_ms(&self) -> Option<u64> {
        self.sqlite.newest_ms()
    }

    fn open_session(&self, open: OpenSession) -> Answer<OpenedSession> {
        self.send(Command::Open(open))
    }

    /// What this node has folded.
    fn owns(&self, session: SessionId, shown: Vec<KeyHash>) -> Answer<bool> {
        self.sqlite.owns(session, shown)
    }

    fn append(&self, append: Append) -> Answer<Offset> {
        self.send(Command::Append(append))
    }

    fn refuse(&self, refuse: Refuse) -> Answer<ErrorCode> {
        self.send(Command::Refuse(refuse))
    }

    fn post(&self, post: Post) -> Answer<Posted> {
        self.send(Command::Post(post))
    }

    fn redact(&self, room: RoomName, offset: Offset, at_ms: u64) -> Answer<Redaction> {
        let command = Command::Redact(Redact {
            room: room.clone(),
            offset,
            at_ms,
        });
        let redacted = self.send(command);
        let erasures = Arc::clone(&self.erasures);
        // In a task of its own: the caller may go away, and the text has to leave the stream all the same.
        let erasing = tokio::spawn(async move {
            let redaction = redacted.await?;
            if redaction != Redaction::Missing {
                erasures.begin(room, offset);
            }
            Ok(redaction)
        });
        Box::pin(async { erasing.await.unwrap_or_else(|_| Err(stopped())) })
    }

    fn scrubbed(&self) -> Answer<()> {
        let (here, stream) = (self.sqlite.scrubbed(), self.erasures.done());
        Box::pin(async move {
            here.await?;
            stream.await
        })
    }

    fn barrier(&self) -> Answer<()> {
        self.shared.barrier()
    }

    fn room(&self, room: RoomName) -> Answer<RoomLog> {
        self.sqlite.room(room)
    }

    fn read(&self, room: RoomName, after: Offset, limit: u32) -> Answer<Page> {
        self.sqlite.read(room, after, limit)
    }

    fn read_before(&self, room: RoomName, before: Offset, limit: u32) -> Answer<Page> {
        self.sqlite.read_before(room, before, limit)
    }

    /// Each node notes the sessions that are connected to it.
    fn touch(&self, sessions: Vec<SessionId>, at_ms: u64) -> Answer<()> {
        let pieces = sessions.chunks(PIECE_MAX).map(|piece| {
            self.send::<()>(Command::Touch(Touch {
                sessions: piece.to_vec(),
                at_ms,
            }))
        });
        let pieces: Vec<_> = pieces.collect();
        Box::pin(async move {
            for piece in pieces {
                piece.await?;
            }
            Ok(())
        })
    }

    fn expire(&self, before_ms: u64) -> Answer<usize> {
        self.in_pieces(move || {
            Command::Expire(Expire {
                before_ms,
                is_unused: false,
                limit: PIECE_MAX,
            })
        })
    }

    fn expire_unused(&self, before_ms: u64) -> Answer<usize> {
        self.in_pieces(move || {
            Command::Expire(Expire {
                before_ms,
                is_unused: true,
                limit: PIECE_MAX,
            })
        })
    }

    fn sessions(&self) -> Answer<u64> {
        self.sqlite.sessions()
    }

    /// Whether this node takes commands: its engine answers and stores, it has folded all that was acknowledged, and its
    /// database stores.
    fn probe(&self) -> Answer<()> {
        let refusal = self.shared.refusal();
        let trouble = self.shared.status().trouble;
        let refusal = refusal.or_else(|| trouble.map(Arc::from));
        let (reached, stored) = (self.shared.barrier(), self.sqlite.probe());
        Box::pin(async move {
            if let Some(refusal) = refusal {
                return Err(LogError::Unavailable(refusal));
            }
            reached.await?;
            stored.await
        })
    }

    fn forget_posts(&self, before_ms: u64) -> Answer<usize> {
        self.in_pieces(move || {
            Command::ForgetPosts(ForgetPosts {
                before_ms,
                limit: PIECE_MAX,
            })
        })
    }

    fn trim(&self, before_ms: u64) -> Answer<u64> {
        if !self.shared.keeps_house() {
            return ready(Ok(0));
        }
        let first = self.shared.push(Command::Trim(Trim::new(before_ms)));
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            let mut piece: Trimmed = typed(first.await)?;
            let mut trimmed = piece.count;
            while let Some(next) = piece.next {
                piece = typed(shared.push(Command::Trim(next)).await)?;
                trimmed += piece.count;
            }
            Ok(trimmed)
        })
    }

    fn cluster(&self) -> Option<ClusterStatus> {
        Some(self.shared.status())
    }

    fn set_load(&self, connections: usize) {
        self.shared.set_load(connections);
    }

    fn set_draining(&self) {
        self.shared.set_draining();
    }

    fn stopped(&self) -> BoxFuture<'static, Stop> {
        self.shared.stopped()
    }

    /// Finishes what callers asked for, for as long as an election may take; then ends. What was sent by then without
    /// being seen again has an unknown outcome: it may be folded by the other nodes.
    fn close(&self) -> Answer<()> {
        let Some(driver) = self.driver.lock().take() else {
            return ready(Err(stopped()));
        };
        self.shared.close();
        self.erasures.end();
        let (shared, sqlite) = (Arc::clone(&self.shared), Arc::clone(&self.sqlite));
        Box::pin(async move {
            let mut driver = driver;
            if timeout(FAREWELL, &mut driver).await.is_err() {
                driver.abort();
                // It is over when this returns: nothing is folded any more.
                let _ = driver.await;
            }
            shared.end("the node has ended".into());
            sqlite.close().await
        })
    }
}

impl Drop for ClusterLog {
    fn drop(&mut self) {
        self.erasures.end();
        if let Some(driver) = self.driver.lock().take() {
            driver.abort();
        }
    }
}

/// The outcome that a command has.
fn typed<T: TryFrom<Outcome>>(outcome: Result<Outcome, LogError>) -> Result<T, LogError> {
    // The fold gives each command an outcome of its own kind.
    let mismatched = |_| LogError::Unknown("the outcome is that of another command".into());
    T::try_from(outcome?).map_err(mismatched)
}

fn ready<T: Send + 'static>(result: Result<T, LogError>) -> Answer<T> {
    Box::pin(std::future::ready(result))
}

fn no_randomness() -> LogError {
    LogError::Unavailable("the system has no randomness".into())
}

fn stopped() -> LogError {
    LogError::Unavailable("the node has ended".into())
}
