//! The thread that writes.

use std::iter;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::watch;

use super::batch::Batch;
use super::files::{Files, Lock};
use super::open::Database;
use super::queue::Operation;
use super::scrub::{self, Scrub};
use super::state::{Chain, State};
use super::witness::Witness;
use super::{LogError, SqliteConfig};
use crate::log::Observer;

/// How often it is looked whether the files are where they were: three calls of stat(2).
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Takes operations from the queue and commits them in batches.
pub(super) struct Writer {
    connection: Connection,
    operations: Receiver<Operation>,
    batch_max: usize,
    history_per_room: u64,
    busy_timeout: Duration,
    observer: Arc<dyn Observer>,
    path: PathBuf,
    chain: Chain,
    witness: Option<Witness>,
    files: Files,
    looked: Instant,
    /// Why nothing that is stored now would last.
    moved: Option<LogError>,
    scrub: Scrub,
    /// Whether the last batch could not be committed: one line in the log file per trouble.
    failing: bool,
    /// Declared last, so dropped last: nobody else may come in before the connection is closed.
    _lock: Arc<Lock>,
}

impl Writer {
    pub(super) fn new(
        database: Database,
        operations: Receiver<Operation>,
        config: &SqliteConfig,
        observer: Arc<dyn Observer>,
    ) -> Self {
        Self {
            connection: database.connection,
            operations,
            batch_max: config.batch_max.max(1),
            history_per_room: config.history_per_room,
            busy_timeout: config.busy_timeout,
            observer,
            path: database.path,
            chain: database.state.chain,
            witness: database.witness,
            files: database.files,
            looked: Instant::now(),
            moved: None,
            scrub: Scrub::new(database.state.must_scrub),
            failing: false,
            _lock: database.lock,
        }
    }

    /// Whether removed texts may still stand in the files.
    pub(super) fn scrubbing(&self) -> watch::Receiver<bool> {
        self.scrub.watch()
    }

    /// Works until the queue has ended and is empty.
    pub(super) fn run(mut self) {
        self.scrub.attempt(&self.connection, self.busy_timeout);
        while let Some(first) = self.next() {
            let failure = self.commit(first);
            self.report(failure);
        }
        if let Err(error) = scrub::empty_write_ahead_log(&self.connection) {
            // Nothing is lost: whoever opens the database next takes the rest from there.
            tracing::warn!(%error, "the write-ahead log was not emptied at the end");
        }
        if let Some(witness) = &mut self.witness {
            witness.note(self.chain, true);
        }
    }

    /// The next operation. Texts that are to leave the files are tried to be got rid of meanwhile.
    fn next(&mut self) -> Option<Operation> {
        loop {
            if !self.scrub.is_due() {
                return self.operations.recv().ok();
            }
            match self.operations.recv_timeout(scrub::RETRY_EVERY) {
                Ok(operation) => return Some(operation),
                Err(RecvTimeoutError::Timeout) => {
                    self.scrub.retry(&self.connection, self.busy_timeout);
                }
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
    }

    /// Commits one batch: this operation, and those that come meanwhile.
    fn commit(&mut self, first: Operation) -> Option<LogError> {
        self.look();
        let state = State {
            chain: self.chain,
            must_scrub: self.scrub.is_due(),
        };
        let mut batch = Batch::begin(&self.connection, self.history_per_room, state);
        if let Some(moved) = &self.moved {
            batch.fail(moved.clone());
        }
        let further = self.operations.try_iter();
        for operation in iter::once(first).chain(further).take(self.batch_max) {
            operation(&mut batch);
        }
        let committed = batch.commit();
        if committed.chain != self.chain {
            self.chain = committed.chain;
            if let Some(witness) = &mut self.witness {
                witness.note(self.chain, false);
            }
        }
        if !committed.messages.is_empty() {
            self.observer.committed(&committed.messages);
        }
        for message in &committed.removed {
            self.observer.removed(message);
        }
        for (room, through) in &committed.trimmed {
            self.observer.trimmed(room, *through);
        }
        if committed.removed.is_empty() {
            self.scrub.retry(&self.connection, self.busy_timeout);
        } else {
            self.scrub.demand(&self.connection, self.busy_timeout);
        }
        if committed.failure.is_none() {
            self.observer
                .synced(committed.answers.len(), committed.took);
        }
        for answer in committed.answers {
            answer(committed.failure.clone());
        }
        committed.failure
    }

    /// Looks now and then whether the files are still where they were. What is stored in one that was
    /// removed is gone with this process: that must not be acknowledged.
    fn look(&mut self) {
        if self.looked.elapsed() < LOOK_EVERY {
            return;
        }
        self.looked = Instant::now();
        let moved = self.files.moved();
        if let Some(path) = moved
            && self.moved.is_none()
        {
            tracing::error!(path = %path.display(), "a file of the database was removed or replaced under the running server: put it back, or restart the server");
        }
        self.moved = moved.map(|_| {
            LogError::Unavailable(
                "the database was removed or replaced under the running server".into(),
            )
        });
        if let Some(witness) = self.witness.as_mut().filter(|_| moved.is_none()) {
            witness.look(&self.path, self.chain);
        }
    }

    fn report(&mut self, failure: Option<LogError>) {
        let was_failing = std::mem::replace(&mut self.failing, failure.is_some());
        match failure {
            Some(error) if !was_failing => {
                tracing::error!(%error, "the log cannot store anything now");
            }
            None if was_failing => tracing::info!("the log stores again"),
            Some(_) | None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};

    use parking_lot::Mutex;

    use super::*;
    use crate::log::sqlite::open;
    use crate::log::sqlite::queue::Queue;
    use crate::log::tests::support::Recorder;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Lines {
        fn take(&self) -> String {
            let mut bytes = self.0.lock();
            String::from_utf8(std::mem::take(&mut *bytes)).unwrap()
        }
    }

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut lines = self.0.lock();
            lines.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A trouble of hours is two lines in the log file: one at its start, one at its end.
    #[test]
    fn trouble_is_told_once() {
        let directory = tempfile::tempdir().unwrap();
        let config = SqliteConfig::default();
        let database = open::open(&directory.path().join("log.db"), &config).unwrap();
        let (_queue, operations) = Queue::new(1);
        let observer = Arc::<Recorder>::default();
        let mut writer = Writer::new(database, operations, &config, observer);
        let lines = Lines::default();
        let told = {
            let lines = lines.clone();
            tracing_subscriber::fmt()
                .with_writer(move || lines.clone())
                .finish()
        };
        tracing::subscriber::with_default(told, || {
            let trouble = || Some(LogError::Unavailable("disk full".into()));
            writer.report(None);
            assert_eq!(lines.take(), "");
            writer.report(trouble());
            assert!(lines.take().contains("disk full"));
            writer.report(trouble());
            assert_eq!(lines.take(), "");
            writer.report(None);
            assert!(lines.take().contains("stores again"));
            writer.report(None);
            assert_eq!(lines.take(), "");
        });
    }
}
