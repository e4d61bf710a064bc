//! Removed texts leave the files (EO-8): the duty to see to it, until it is done.

use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::watch;

/// How often it is tried again while a reader, a backup say, holds the write-ahead log. A try that cannot
/// go on costs some microseconds.
pub(super) const RETRY_EVERY: Duration = Duration::from_millis(50);

/// After how long the journal is told that texts which were removed still stand in the files.
const TELL_AFTER: Duration = Duration::from_secs(10);

/// Whether removed texts may still stand in the files. Durable in `state.must_scrub`.
pub(super) struct Scrub {
    is_due: watch::Sender<bool>,
    since: Instant,
    tried: Instant,
    is_told: bool,
}

impl Scrub {
    /// As it stands in the database at the start.
    pub(super) fn new(is_due: bool) -> Self {
        let now = Instant::now();
        Self {
            is_due: watch::Sender::new(is_due),
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

    /// A text was removed just now.
    pub(super) fn demand(&mut self, connection: &Connection, timeout: Duration) {
        if !self.is_due() {
            self.since = Instant::now();
            self.is_told = false;
            self.is_due.send_replace(true);
        }
        self.attempt(connection, timeout);
    }

    /// Tries again where it is due, and not tried a moment ago.
    pub(super) fn retry(&mut self, connection: &Connection, timeout: Duration) {
        if self.is_due() && self.tried.elapsed() >= RETRY_EVERY {
            self.attempt(connection, timeout);
        }
    }

    /// Moves everything from the write-ahead log into the database, where the text is overwritten, and
    /// empties the log. Nobody waits for a reader that is using it; `timeout` is what the connection
    /// waits otherwise.
    pub(super) fn attempt(&mut self, connection: &Connection, timeout: Duration) {
        if !self.is_due() {
            return;
        }
        let emptied = connection
            .busy_timeout(Duration::ZERO)
            .and_then(|()| empty_write_ahead_log(connection));
        let restored = connection.busy_timeout(timeout);
        self.tried = Instant::now();
        if matches!((emptied, restored), (Ok(true), Ok(()))) {
            self.is_due.send_replace(false);
            if self.is_told {
                tracing::info!("removed texts are gone from the database's files");
            }
        } else if !self.is_told && self.since.elapsed() >= TELL_AFTER {
            self.is_told = true;
            tracing::warn!(
                "removed texts still stand in the database's files: another program, a backup say, \
                 reads the database since before; they go when it ends"
            );
        }
    }
}

/// Moves all of the write-ahead log into the database and truncates it; `false` where a reader is in the way.
pub(super) fn empty_write_ahead_log(connection: &Connection) -> rusqlite::Result<bool> {
    let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
    connection.query_row(checkpoint, [], |row| Ok(!row.get::<_, bool>(0)?))
}
