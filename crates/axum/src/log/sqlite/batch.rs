//! A batch: one transaction, and the operations in it.

mod refusals;
mod tables;

use std::mem;
use std::time::{Duration, Instant};

use everbeat_log::command::Outcome;
use everbeat_log::fold::{Changes, Fault, apply};
#[cfg(test)]
use everbeat_log::order::PackStore;
use everbeat_log::order::{Applied, FoldError, Verdict, fold_pack};
use everbeat_log::pack::Pack;
use protocol::id::SessionId;
use rusqlite::Connection;

use self::tables::Tables;
use super::node::Kept;
use super::queue::{Effect, Operation, Work};
use super::state::{self, Chain, State};
use super::{stream, unavailable};
use crate::log::LogError;

/// How much a probe stores: a database without room for this has none for messages.
const PROBE_BYTES: usize = 16 * 1024;

/// A batch.
pub(super) struct Batch<'c> {
    connection: &'c Connection,
    /// Whether the log is a node's, which takes packs instead of commands.
    is_node: bool,
    tables: Tables<'c>,
    changes: Changes,
    /// Each with the session that asks, if there is one.
    operations: Vec<(Option<SessionId>, Operation)>,
    /// The log's state before the batch, and how many rows had been changed on this connection by then.
    state: State,
    rows_changed: u64,
    failure: Option<LogError>,
}

/// The outcome of a batch.
pub(super) struct Committed {
    /// What readers want to know of; it is durable now.
    pub(super) changes: Changes,
    /// How far the node is, and what applies to all rooms, where a pack was folded.
    pub(super) folded: Option<(Applied, Kept)>,
    /// The history of all commits, this one included.
    pub(super) chain: Chain,
    /// To be answered with `failure`, in this order.
    pub(super) operations: Vec<Operation>,
    /// Why the operations failed; `None` where they did not.
    pub(super) failure: Option<LogError>,
    /// How long the commit took, with its sync.
    pub(super) took: Duration,
}

impl Committed {
    /// Makes the operations fail instead, and returns what would have been shown: it is stored, but not
    /// acknowledged.
    pub(super) fn withhold(&mut self, failure: LogError) -> Self {
        self.failure = Some(failure);
        Self {
            changes: mem::take(&mut self.changes),
            folded: None,
            chain: self.chain,
            operations: Vec::new(),
            failure: None,
            took: self.took,
        }
    }
}

impl<'c> Batch<'c> {
    /// Begins a transaction. Where that fails, the whole batch fails.
    pub(super) fn begin(
        connection: &'c Connection,
        is_node: bool,
        kept: &Kept,
        state: State,
    ) -> Self {
        // Takes the write lock at once: SQLite may refuse it to a transaction that read first.
        let begun = run(connection, "BEGIN IMMEDIATE");
        Self {
            connection,
            is_node,
            tables: Tables::new(connection, kept),
            changes: Changes::default(),
            operations: Vec::new(),
            state,
            rows_changed: connection.total_changes(),
            failure: begun.err().map(|error| unavailable(&error)),
        }
    }

    /// Fails the whole batch.
    pub(super) fn fail(&mut self, failure: LogError) {
        self.failure.get_or_insert(failure);
    }

    /// Performs an operation, unless the batch has failed already. It is answered after the commit.
    pub(super) fn perform(&mut self, mut operation: Operation) {
        operation.perform(|work| self.work(work));
        self.operations.push((operation.take_session(), operation));
    }

    /// Does a piece of work. Where SQLite cannot, the whole batch fails.
    pub(super) fn work(&mut self, work: Work) -> Result<Effect, LogError> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        let done = match work {
            // Nodes would come apart.
            Work::Apply(_) if self.is_node => return Err(refused("a node's log takes packs only")),
            Work::Fold(..) if !self.is_node => return Err(refused("the log is not a node's")),
            Work::Apply(command) => apply(&mut self.tables, command, &mut self.changes),
            Work::Fold(sequence, pack) => return self.fold(sequence, pack).map(Effect::Verdict),
            Work::KeepStream(id) => {
                let kept = stream::keep(self.connection, &id);
                kept.map(|()| Outcome::Done).map_err(Fault::Store)
            }
            Work::Probe => self.probe().map_err(Fault::Store),
            #[cfg(test)]
            Work::Call(call) => {
                call();
                Ok(Outcome::Done)
            }
        };
        done.map(Effect::Outcome).map_err(|fault| match fault {
            // The rest of the batch is not concerned.
            Fault::Command(error) => error.into(),
            Fault::Store(error) => self.failure.insert(unavailable(&error)).clone(),
        })
    }

    /// Folds a pack, which is the only operation of its batch.
    fn fold(&mut self, sequence: u64, pack: Pack) -> Result<Verdict, LogError> {
        self.tables.of_pack(sequence);
        let folded = fold_pack(&mut self.tables, sequence, pack, &mut self.changes);
        folded.map_err(|error| match error {
            FoldError::Sequence { .. } => refused(&error.to_string()),
            FoldError::Store(error) => self.failure.insert(unavailable(&error)).clone(),
        })
    }

    /// Ends the transaction.
    pub(super) fn commit(mut self) -> Committed {
        let before = self.state.chain;
        if self.failure.is_none() {
            let stored = self.tables.store().and_then(|()| self.count());
            self.note(stored);
        }
        let begun = Instant::now();
        if self.failure.is_none() {
            let committed = run(self.connection, "COMMIT");
            self.note(committed);
        }
        let took = begun.elapsed();
        if self.failure.is_some() {
            self.state.chain = before;
            self.changes = Changes::default();
            // SQLite may have rolled back by itself already. If the rollback fails, so does the next BEGIN, which
            // ends in another rollback.
            if !self.connection.is_autocommit() {
                drop(run(self.connection, "ROLLBACK"));
            }
        }
        // A session's answers in a row: its task, once woken, finds them all, and sends them in one write.
        self.operations
            .sort_by(|(one, _), (other, _)| one.cmp(other));
        let operations = self.operations.into_iter().map(|(_, operation)| operation);
        let folded = self.failure.is_none().then(|| self.tables.folded());
        Committed {
            changes: self.changes,
            folded: folded.flatten(),
            chain: self.state.chain,
            operations: operations.collect(),
            failure: self.failure,
            took,
        }
    }

    /// The tables, as the fold sees them.
    #[cfg(test)]
    pub(super) const fn store(&mut self) -> &mut impl PackStore<Error = rusqlite::Error> {
        &mut self.tables
    }

    /// Stores as much as a message takes, and removes it.
    fn probe(&self) -> rusqlite::Result<Outcome> {
        let value = "x".repeat(PROBE_BYTES);
        let insert = "INSERT INTO meta (key, value) VALUES ('probe', ?1)";
        self.connection.prepare_cached(insert)?.execute([value])?;
        run(self.connection, "DELETE FROM meta WHERE key = 'probe'")?;
        Ok(Outcome::Done)
    }

    /// Counts the commit, if it changes anything: a commit that changes nothing needs no sync.
    fn count(&mut self) -> rusqlite::Result<()> {
        if self.connection.total_changes() == self.rows_changed {
            return Ok(());
        }
        let State { chain, must_scrub } = self.state;
        let Changes {
            messages, redacted, ..
        } = &self.changes;
        self.state = State {
            chain: chain.after(messages, redacted),
            must_scrub: must_scrub || !redacted.is_empty(),
        };
        state::store(self.connection, &self.state)
    }

    fn note<T>(&mut self, result: rusqlite::Result<T>) {
        if let Err(error) = result {
            self.failure = Some(unavailable(&error));
        }
    }
}

fn refused(why: &str) -> LogError {
    LogError::Unavailable(why.into())
}

fn run(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(drop)
}
