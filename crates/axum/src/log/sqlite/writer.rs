//! The writer: the one thread that writes to the database.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use everbeat_log::order::Applied;
use rusqlite::Connection;
use tokio::sync::watch;

use super::batch::{Batch, Committed};
use super::files::{Files, Lock};
use super::node::{Kept, Progress};
use super::notifier::Notifier;
use super::open::Database;
use super::queue::{Operation, Work};
use super::scrub::{self, Scrub};
use super::state::{Chain, State};
use super::watchdog::Calls;
use super::witness::Witness;
use super::{LogError, SqliteConfig};
use crate::supervise::reason;

/// Takes operations from the queue and commits them in batches.
pub(super) struct Writer {
    connection: Connection,
    operations: Receiver<Operation>,
    batch_max: usize,
    is_node: bool,
    kept: Kept,
    progress: Arc<Progress>,
    /// An operation that was taken from the queue and needs a batch of its own.
    held: Option<Operation>,
    busy_timeout: Duration,
    notifier: Notifier,
    path: PathBuf,
    chain: Chain,
    witness: Option<Witness>,
    files: Files,
    /// The error while the database's files are moved, and so nothing that is stored now would last.
    moved: Option<LogError>,
    /// A batch that was committed to files that had been moved by then: it is neither acknowledged nor shown
    /// until they are back. There is one at most, as the batches after it fail.
    withheld: Option<Committed>,
    scrub: Scrub,
    calls: Arc<Calls>,
    /// Whether the last batch could not be committed: the journal gets one line per trouble.
    failing: bool,
    /// Declared last, so dropped last: no other server may open the database before the connection is closed.
    _lock: Arc<Lock>,
}

impl Writer {
    pub(super) fn new(
        database: Database,
        operations: Receiver<Operation>,
        config: &SqliteConfig,
        notifier: Notifier,
        progress: Arc<Progress>,
    ) -> Self {
        Self {
            connection: database.connection,
            operations,
            batch_max: config.batch_max.max(1),
            is_node: config.is_node,
            kept: database.kept,
            progress,
            held: None,
            busy_timeout: config.busy_timeout,
            notifier,
            scrub: Scrub::new(&database.path, database.state.must_scrub),
            path: database.path,
            chain: database.state.chain,
            witness: database.witness,
            files: database.files,
            calls: database.calls,
            moved: None,
            withheld: None,
            failing: false,
            _lock: database.lock,
        }
    }

    /// A watch on whether redacted texts may still stand in the files.
    pub(super) fn scrubbing(&self) -> watch::Receiver<bool> {
        self.scrub.watch()
    }

    /// Works until the queue is closed and empty.
    pub(super) fn run(mut self) {
        self.scrub.step(&self.connection, self.busy_timeout);
        while let Some(first) = self.next() {
            self.work(first);
        }
        if let Err(error) = scrub::empty_write_ahead_log(&self.connection) {
            // Nothing is lost: the next server takes the rest from there.
            tracing::warn!(%error, "the write-ahead log was not emptied at the end");
        }
        if let Some(witness) = &mut self.witness {
            witness.note(self.chain, true);
        }
    }

    /// The next operation. While there is none, goes on with a scrub that is due.
    fn next(&mut self) -> Option<Operation> {
        if let Some(held) = self.held.take() {
            return Some(held);
        }
        loop {
            if !self.scrub.is_due() {
                return self.operations.recv().ok();
            }
            match self.operations.recv_timeout(self.scrub.pause()) {
                Ok(operation) => return Some(operation),
                Err(RecvTimeoutError::Timeout) => {
                    self.scrub.retry(&self.connection, self.busy_timeout);
                }
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
    }

    /// Commits one batch, and reports trouble. A panic fails the batch, whose operations are answered so; the log
    /// goes on.
    fn work(&mut self, first: Operation) {
        let committed = catch_unwind(AssertUnwindSafe(|| self.commit(first)));
        let failure = committed.unwrap_or_else(|panic| Some(self.recover(panic.as_ref())));
        self.report(failure);
    }

    /// Rolls back what was begun when an operation panicked.
    fn recover(&self, panic: &(dyn Any + Send)) -> LogError {
        let panic = reason(panic);
        tracing::error!(
            panic,
            "the log's thread panicked: this is a bug; the log goes on"
        );
        // Should this fail, the next BEGIN fails too, and its batch rolls back.
        if !self.connection.is_autocommit() {
            drop(self.connection.execute_batch("ROLLBACK"));
        }
        LogError::Unavailable("an operation panicked".into())
    }

    /// Commits one batch: this operation, and those that are queued by then.
    fn commit(&mut self, first: Operation) -> Option<LogError> {
        if self.moved.is_some() {
            self.look();
        }
        if self.moved.is_none()
            && let Some(withheld) = self.withheld.take()
        {
            self.notifier.notify(withheld);
        }
        let call = self.calls.begin(0);
        let mut batch = self.begin();
        if let Some(moved) = &self.moved {
            batch.fail(moved.clone());
        }
        let mut held = None;
        let most = if first.is_alone() { 1 } else { self.batch_max };
        batch.perform(first);
        for operation in self.operations.try_iter().take(most - 1) {
            if operation.is_alone() {
                held = Some(operation);
                break;
            }
            batch.perform(operation);
        }
        let mut committed = batch.commit();
        self.held = held;
        self.follow(committed.chain);
        if let Some((applied, kept)) = committed.folded.take() {
            self.fold_on(applied, kept);
        }
        // Looked at after the commit, as the files may be moved at any time before it.
        self.look();
        let is_removal = !committed.changes.redacted.is_empty();
        if let Some(moved) = &self.moved
            && committed.failure.is_none()
        {
            self.withheld = Some(committed.withhold(moved.clone()));
        }
        if is_removal {
            self.scrub.demand(&self.connection, self.busy_timeout);
        } else {
            self.scrub.retry(&self.connection, self.busy_timeout);
        }
        drop(call);
        let failure = committed.failure.clone();
        self.notifier.notify(committed);
        failure
    }

    fn begin(&self) -> Batch<'_> {
        let state = State {
            chain: self.chain,
            must_scrub: self.scrub.is_due(),
        };
        Batch::begin(&self.connection, self.is_node, &self.kept, state)
    }

    /// Looks whether the files are still in their place. What is stored in a file that was removed is lost with this
    /// process: it must not be acknowledged. Four calls of stat(2), 2 µs in all: a sync takes far longer.
    fn look(&mut self) {
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
        match failure {
            Some(error) if !self.failing => {
                self.failing = true;
                tracing::error!(%error, "the log cannot store anything now");
            }
            // A batch that had nothing to store proves nothing: it succeeds on a full disk, too.
            None if self.failing && self.stores() => {
                self.failing = false;
                tracing::info!("the log stores again");
            }
            Some(_) | None => {}
        }
    }

    /// Notes in the witness how far the log has come, where it has come further.
    fn follow(&mut self, chain: Chain) {
        if chain != self.chain {
            self.chain = chain;
            if let Some(witness) = &mut self.witness {
                witness.note(self.chain, false);
            }
        }
    }

    /// Notes how far the node is.
    fn fold_on(&mut self, applied: Applied, kept: Kept) {
        if self.kept.epoch.is_none()
            && let (Some(epoch), Some(witness)) = (&kept.epoch, &mut self.witness)
        {
            witness.found(epoch.clone());
            witness.note(self.chain, false);
        }
        self.progress.note(&applied, kept.epoch.as_ref());
        self.kept = kept;
    }

    /// Whether the log can store, found out by storing something.
    fn stores(&mut self) -> bool {
        let _call = self.calls.begin(0);
        let mut batch = self.begin();
        let probed = batch.work(Work::Probe);
        let committed = batch.commit();
        self.follow(committed.chain);
        probed.is_ok() && committed.failure.is_none()
    }
}

#[cfg(test)]
mod tests {
    use everbeat_log::command::{Command, Touch};
    use protocol::id::{Generation, Name, RoomName, Seq, SessionId};
    use tokio::runtime;

    use super::*;
    use crate::log::sqlite::open;
    use crate::log::sqlite::queue::Queue;
    use crate::log::tests::support::{Recorder, lines_of};
    use crate::log::{Append, OpenSession};

    /// A writer over a database that has room for so many bytes, and its queue.
    fn writer(directory: &std::path::Path, bytes_max: Option<u64>) -> (Writer, Queue) {
        let config = SqliteConfig {
            bytes_max,
            ..SqliteConfig::default()
        };
        let database = open::open(&directory.join("log.db"), &config).unwrap();
        let (queue, operations) = Queue::new(10);
        let notifier = Notifier::start(Arc::<Recorder>::default()).unwrap();
        let progress = Arc::new(database.progress());
        let writer = Writer::new(database, operations, &config, notifier, progress);
        (writer, queue)
    }

    /// Runs the next operation on the writer, and returns its answer.
    fn done<T>(
        writer: &mut Writer,
        answer: impl Future<Output = Result<T, LogError>>,
    ) -> Result<T, LogError> {
        let first = writer.operations.recv().unwrap();
        writer.work(first);
        answered(answer)
    }

    fn answered<T>(answer: impl Future<Output = Result<T, LogError>>) -> Result<T, LogError> {
        let runtime = runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(answer)
    }

    /// A full database still takes what needs no room. That is no reason to report that it stores again.
    #[test]
    fn what_stores_nothing_proves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let (mut writer, queue) = writer(directory.path(), Some(256 * 1024));
        let id = SessionId::new("ada").unwrap();
        let fill = |writer: &mut Writer| {
            for number in 1..100 {
                let append = Append {
                    session: SessionId::new("ada").unwrap(),
                    generation: Generation(1),
                    seq: Seq::new(number).unwrap(),
                    room: RoomName::lobby(),
                    name: Name::tidy("Ada"),
                    body: "x".repeat(8 * 1024),
                    at_ms: 1,
                    is_repeat: false,
                    erased: None,
                };
                let appended = queue.push(None, Work::Apply(Command::Append(append)));
                if done(writer, appended).is_err() {
                    return;
                }
            }
            panic!("a small database took 800 KiB");
        };
        let touch = |writer: &mut Writer, at_ms| {
            let sessions = vec![id.clone()];
            let touch = Touch { sessions, at_ms };
            let touched = queue.push(None, Work::Apply(Command::Touch(touch)));
            done(writer, touched).unwrap();
        };
        let open = OpenSession {
            resume: None,
            fresh: (id.clone(), [7; 32]),
            at_ms: 1,
        };
        let opened = queue.push(None, Work::Apply(Command::Open(open)));
        done(&mut writer, opened).unwrap();
        assert!(lines_of(|| fill(&mut writer)).contains("cannot store"));
        assert_eq!(lines_of(|| touch(&mut writer, 2)), "");
        let room = "PRAGMA max_page_count = 100000";
        writer.connection.query_row(room, [], |_| Ok(())).unwrap();
        assert!(lines_of(|| touch(&mut writer, 3)).contains("stores again"));
    }

    /// An operation that panics is not done, nor is the rest of its batch; the next batch is.
    #[test]
    fn a_panic_costs_a_batch_and_not_the_log() {
        let directory = tempfile::tempdir().unwrap();
        let (mut writer, queue) = writer(directory.path(), None);
        let open = || {
            let open = OpenSession {
                resume: None,
                fresh: (SessionId::new("ada").unwrap(), [7; 32]),
                at_ms: 1,
            };
            Work::Apply(Command::Open(open))
        };
        let opened = queue.push(None, open());
        let panic = Work::Call(Box::new(|| panic!("a panic for a test")));
        let panicked = queue.push(None, panic);
        let lines = lines_of(|| {
            assert!(done(&mut writer, opened).is_err());
        });
        assert!(lines.contains("a panic for a test"), "{lines}");
        assert!(answered(panicked).is_err());
        let again = queue.push(None, open());
        assert!(done(&mut writer, again).is_ok(), "the id is free");
    }

    /// A trouble of hours is two lines in the journal: one at its start, one at its end.
    #[test]
    fn trouble_is_told_once() {
        let directory = tempfile::tempdir().unwrap();
        let config = SqliteConfig::default();
        let database = open::open(&directory.path().join("log.db"), &config).unwrap();
        let (_queue, operations) = Queue::new(1);
        let notifier = Notifier::start(Arc::<Recorder>::default()).unwrap();
        let progress = Arc::new(database.progress());
        let mut writer = Writer::new(database, operations, &config, notifier, progress);
        let trouble = || Some(LogError::Unavailable("disk full".into()));
        assert_eq!(lines_of(|| writer.report(None)), "");
        assert!(lines_of(|| writer.report(trouble())).contains("disk full"));
        assert_eq!(lines_of(|| writer.report(trouble())), "");
        assert!(lines_of(|| writer.report(None)).contains("stores again"));
        assert_eq!(lines_of(|| writer.report(None)), "");
    }
}
