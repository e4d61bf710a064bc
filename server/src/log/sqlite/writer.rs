//! The thread that writes.

use std::fs::File;
use std::iter;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use rusqlite::Connection;

use super::batch::Batch;
use super::open::Database;
use super::queue::Operation;
use super::{LogError, SqliteConfig};
use crate::log::Observer;

/// Takes operations from the queue and commits them in batches.
pub(super) struct Writer {
    connection: Connection,
    operations: Receiver<Operation>,
    batch_max: usize,
    history_per_room: u64,
    busy_timeout: Duration,
    observer: Arc<dyn Observer>,
    /// The write-ahead log may still hold a text that was removed.
    must_scrub: bool,
    /// Whether the last batch could not be committed: one line in the log file per trouble.
    failing: bool,
    /// Declared last, so dropped last: nobody else may come in before the connection is closed.
    _lock: Arc<File>,
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
            must_scrub: false,
            failing: false,
            _lock: database.lock,
        }
    }

    /// Works until the queue has ended and is empty.
    pub(super) fn run(mut self) {
        while let Ok(first) = self.operations.recv() {
            let failure = self.commit(first);
            self.report(failure);
        }
        let emptied = self
            .connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        if let Err(error) = emptied {
            // Nothing is lost: whoever opens the database next takes the rest from there.
            tracing::warn!(%error, "the write-ahead log was not emptied at the end");
        }
    }

    /// Commits one batch: this operation, and those that come meanwhile.
    fn commit(&mut self, first: Operation) -> Option<LogError> {
        let mut batch = Batch::begin(&self.connection, self.history_per_room);
        let further = self.operations.try_iter();
        for operation in iter::once(first).chain(further).take(self.batch_max) {
            operation(&mut batch);
        }
        let committed = batch.commit();
        if !committed.messages.is_empty() {
            self.observer.committed(&committed.messages);
        }
        for message in &committed.removed {
            self.observer.removed(message);
        }
        for (room, through) in &committed.trimmed {
            self.observer.trimmed(room, *through);
        }
        self.must_scrub |= !committed.removed.is_empty();
        self.scrub();
        if committed.failure.is_none() {
            self.observer
                .synced(committed.answers.len(), committed.took);
        }
        for answer in committed.answers {
            answer(committed.failure.clone());
        }
        committed.failure
    }

    /// Empties the write-ahead log of texts that were removed (EO-8). A reader may be using it: nobody
    /// waits for that, and it is tried again after the next commit.
    fn scrub(&mut self) {
        if !self.must_scrub {
            return;
        }
        let emptied = self.connection.busy_timeout(Duration::ZERO).and_then(|()| {
            let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
            self.connection
                .query_row(checkpoint, [], |row| row.get::<_, bool>(0))
        });
        let restored = self.connection.busy_timeout(self.busy_timeout);
        self.must_scrub = !matches!((emptied, restored), (Ok(false), Ok(())));
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
