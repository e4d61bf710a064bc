//! Removed texts leave the files (EO-8): the duty to see to it, until it is done.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};
use tokio::sync::watch;

use super::sweep::{self, Stale};

/// How often it is tried again while a reader, a backup say, holds the write-ahead log. A try that cannot
/// go on costs some microseconds.
const RETRY_EVERY: Duration = Duration::from_millis(50);

/// How soon a sweep's next step is taken.
const STEP_EVERY: Duration = Duration::from_millis(5);

/// After how long the journal says that redacted texts still stand in the files.
const TELL_AFTER: Duration = Duration::from_secs(10);

/// Whether removed texts may still stand in the files. Durable in `state.must_scrub`.
pub(super) struct Scrub {
    database: PathBuf,
    is_due: watch::Sender<bool>,
    stage: Stage,
    /// A text was removed that the sweep under way did not see removed.
    again: bool,
    since: Instant,
    tried: Instant,
    is_told: bool,
}

/// What comes next.
enum Stage {
    /// To look for copies on the database's pages.
    Look,
    /// A thread does that.
    Looking(Receiver<rusqlite::Result<Vec<Stale>>>),
    /// To overwrite these.
    Overwrite(Vec<Stale>),
    /// To empty the write-ahead log.
    Empty,
}

impl Scrub {
    /// As it stands in the database at the start.
    pub(super) fn new(database: &Path, is_due: bool) -> Self {
        let now = Instant::now();
        Self {
            database: database.to_owned(),
            is_due: watch::Sender::new(is_due),
            stage: Stage::Look,
            again: false,
            since: now,
            tried: now,
            is_told: false,
        }
    }

    /// For those who wait until it is done.
    pub(super) fn watch(&self) -> watch::Receiver<bool> {
        self.is_due.subscribe()
    }

    pub(super) fn is_due(&self) -> bool {
        *self.is_due.borrow()
    }

    /// How long to wait before the next step.
    pub(super) fn pause(&self) -> Duration {
        match self.stage {
            Stage::Look | Stage::Empty => RETRY_EVERY,
            Stage::Looking(_) | Stage::Overwrite(_) => STEP_EVERY,
        }
    }

    /// A text was removed just now.
    pub(super) fn demand(&mut self, connection: &Connection, timeout: Duration) {
        if self.is_due() {
            self.again = true;
        } else {
            self.since = Instant::now();
            self.is_told = false;
            self.is_due.send_replace(true);
        }
        self.step(connection, timeout);
    }

    /// Goes on where it is due, and it is time.
    pub(super) fn retry(&mut self, connection: &Connection, timeout: Duration) {
        if self.is_due() && self.tried.elapsed() >= self.pause() {
            self.step(connection, timeout);
        }
    }

    /// Takes the next step. It waits for no reader that is in the way; `timeout` is what the connection
    /// waits for otherwise.
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
            // From the beginning: what was found may be something else by now.
            self.stage = Stage::Look;
            tracing::debug!(%error, "removed texts could not be looked for");
        }
        if self.is_due() && !self.is_told && self.since.elapsed() >= TELL_AFTER {
            self.is_told = true;
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

    /// The last step.
    fn empty(&self, connection: &Connection) -> rusqlite::Result<Stage> {
        if !empty_write_ahead_log(connection)? {
            return Ok(Stage::Empty);
        }
        if !self.again {
            self.is_due.send_replace(false);
            if self.is_told {
                tracing::info!("removed texts are gone from the database's files");
            }
        }
        Ok(Stage::Look)
    }
}

/// Looks for copies on a thread of its own, and by a connection of its own: it may take a second.
fn look(database: PathBuf) -> Receiver<rusqlite::Result<Vec<Stale>>> {
    let (found, receiver) = channel();
    let looking = thread::Builder::new().name("log-sweep".to_owned());
    // Where there is no thread the receiver learns it: it is tried again.
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
