//! The scrub: takes redacted texts out of the database's files (EO-8), in steps between the writer's batches.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};
use tokio::sync::watch;

use super::sweep::{self, Stale};

/// The pause between tries while a reader (a backup, say) holds the write-ahead log. A try that fails
/// costs some microseconds.
const RETRY_EVERY: Duration = Duration::from_millis(50);

/// The pause before the next step of a sweep.
const STEP_EVERY: Duration = Duration::from_millis(5);

/// After how long the journal says that redacted texts still stand in the files.
const TELL_AFTER: Duration = Duration::from_secs(10);

/// A scrub: due while redacted texts may still stand in the files. Durable in `state.must_scrub`.
pub(super) struct Scrub {
    database: PathBuf,
    is_due: watch::Sender<bool>,
    stage: Stage,
    /// A text was redacted since the sweep under way began.
    again: bool,
    since: Instant,
    tried: Instant,
    is_reported: bool,
}

/// The next step of a scrub.
enum Stage {
    /// Look for copies on the database's pages.
    Look,
    /// A thread is looking.
    Looking(Receiver<rusqlite::Result<Vec<Stale>>>),
    /// Overwrite these pages.
    Overwrite(Vec<Stale>),
    /// Empty the write-ahead log.
    Empty,
}

impl Scrub {
    /// A scrub as the database has it at the start.
    pub(super) fn new(database: &Path, is_due: bool) -> Self {
        let now = Instant::now();
        Self {
            database: database.to_owned(),
            is_due: watch::Sender::new(is_due),
            stage: Stage::Look,
            again: false,
            since: now,
            tried: now,
            is_reported: false,
        }
    }

    /// A watch on whether it is due.
    pub(super) fn watch(&self) -> watch::Receiver<bool> {
        self.is_due.subscribe()
    }

    pub(super) fn is_due(&self) -> bool {
        *self.is_due.borrow()
    }

    /// The pause before the next step.
    pub(super) fn pause(&self) -> Duration {
        match self.stage {
            Stage::Look | Stage::Empty => RETRY_EVERY,
            Stage::Looking(_) | Stage::Overwrite(_) => STEP_EVERY,
        }
    }

    /// Makes the scrub due, as a text was redacted just now, and takes a step.
    pub(super) fn demand(&mut self, connection: &Connection, timeout: Duration) {
        if self.is_due() {
            self.again = true;
        } else {
            self.since = Instant::now();
            self.is_reported = false;
            self.is_due.send_replace(true);
        }
        self.step(connection, timeout);
    }

    /// Takes the next step, where the scrub is due and the pause is over.
    pub(super) fn retry(&mut self, connection: &Connection, timeout: Duration) {
        if self.is_due() && self.tried.elapsed() >= self.pause() {
            self.step(connection, timeout);
        }
    }

    /// Takes the next step. It waits for no reader that is in the way; `timeout` is the connection's busy timeout
    /// for everything else.
    pub(super) fn step(&mut self, connection: &Connection, timeout: Duration) {
        if !self.is_due() {
            return;
        }
        self.tried = Instant::now();
        let stepped = connection
            .busy_timeout(Duration::ZERO)
            .and_then(|()| self.advance(connection));
        let restored = connection.busy_timeout(timeout);
        if let Err(error) = stepped.and(restored) {
            // Starts over: the pages may have changed since they were looked at.
            self.stage = Stage::Look;
            tracing::debug!(%error, "removed texts could not be looked for");
        }
        if self.is_due() && !self.is_reported && self.since.elapsed() >= TELL_AFTER {
            self.is_reported = true;
            tracing::warn!(
                "removed texts still stand in the database's files: another program, a backup say, \
                 reads the database since before; they go when it ends"
            );
        }
    }

    fn advance(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        self.stage = match std::mem::replace(&mut self.stage, Stage::Look) {
            Stage::Look => {
                self.again = false;
                Stage::Looking(look(self.database.clone()))
            }
            Stage::Looking(found) => match found.try_recv() {
                Ok(stale) => Stage::Overwrite(stale?),
                Err(TryRecvError::Empty) => Stage::Looking(found),
                Err(TryRecvError::Disconnected) => Stage::Look,
            },
            Stage::Overwrite(mut stale) => {
                let rest = stale.split_off(stale.len().min(sweep::PAGES_MAX));
                sweep::overwrite(connection, &stale)?;
                if rest.is_empty() {
                    self.empty(connection)?
                } else {
                    Stage::Overwrite(rest)
                }
            }
            Stage::Empty => self.empty(connection)?,
        };
        Ok(())
    }

    /// Takes the last step: empties the write-ahead log, and ends the scrub unless another one is needed.
    fn empty(&self, connection: &Connection) -> rusqlite::Result<Stage> {
        if !empty_write_ahead_log(connection)? {
            return Ok(Stage::Empty);
        }
        if !self.again {
            self.is_due.send_replace(false);
            if self.is_reported {
                tracing::info!("removed texts are gone from the database's files");
            }
        }
        Ok(Stage::Look)
    }
}

/// Looks for copies on a thread and a connection of its own, as it may take a second.
fn look(database: PathBuf) -> Receiver<rusqlite::Result<Vec<Stale>>> {
    let (found, receiver) = channel();
    let looking = thread::Builder::new().name("log-sweep".to_owned());
    // If the thread cannot be started, the receiver gets an error, and another try follows.
    let _ = looking.spawn(move || {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let stale = Connection::open_with_flags(database, flags)
            .and_then(|connection| sweep::look(&connection));
        // The writer may have ended meanwhile.
        let _ = found.send(stale);
    });
    receiver
}

/// Moves all of the write-ahead log into the database and truncates it; `false` where a reader is in the way.
pub(super) fn empty_write_ahead_log(connection: &Connection) -> rusqlite::Result<bool> {
    let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
    connection.query_row(checkpoint, [], |row| Ok(!row.get::<_, bool>(0)?))
}
