//! What a start looks at: is the log as long as it was, and is the database whole?

use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use protocol::position::{Epoch, Offset};
use rusqlite::{Connection, ErrorCode, params};

use super::epoch::{random_epoch, stored_epoch};
use super::error::explain;
use super::state::{self, State};
use super::witness::{self, Testimony};
use super::{OpenError, integer, row};

/// How long a start may look for damage after an end that was not orderly. In that time SQLite checks some
/// hundred MB.
const CHECK_FOR: Duration = Duration::from_secs(2);

/// Compares the database with its witness, and looks whether it is whole where the last server did not end in
/// order. A log that has lost commits takes a new epoch (RS-6).
pub(super) fn examine(connection: &Connection, path: &Path) -> Result<(Epoch, State), OpenError> {
    let failed = |error| explain(path, error);
    let epoch = stored_epoch(connection).map_err(failed)?;
    let state = state::load(connection).map_err(failed)?;
    let testimony = witness::read(path).filter(|said| {
        let is_ours = said.epoch == epoch;
        if !is_ours {
            tracing::warn!(
                path = %path.display(),
                "the witness beside the database is of another one: was that moved away? It is not looked at"
            );
        }
        is_ours
    });
    let lost = testimony.as_ref().filter(|said| has_lost(&state, said));
    if lost.is_some() || testimony.as_ref().is_none_or(|said| !said.is_orderly) {
        check(connection, path)?;
    }
    let Some(lost) = lost else {
        return Ok((epoch, state));
    };
    let renewed = random_epoch()?;
    renew(connection, &renewed).map_err(failed)?;
    tracing::error!(
        path = %path.display(),
        acknowledged = lost.chain.commits,
        found = state.chain.commits,
        "the log has LOST COMMITS that were acknowledged: its write-ahead log is damaged, or an older copy of it \
         was put in place. Its rooms have a new epoch, so that clients are told of the gap, and sessions begin anew"
    );
    Ok((renewed, state))
}

/// Whether the log is not what the witness saw, or what came after it.
fn has_lost(state: &State, said: &Testimony) -> bool {
    let (here, there) = (state.chain, said.chain);
    here.commits < there.commits || (here.commits == there.commits && here.hash != there.hash)
}

/// Looks for pages that contradict each other, for a while.
fn check(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    match quick_check(connection, CHECK_FOR).map_err(|error| explain(path, error))? {
        Some(told) if told != "ok" => Err(OpenError::Damaged {
            path: path.to_owned(),
            told,
        }),
        Some(_) => Ok(()),
        None => {
            tracing::info!(
                path = %path.display(),
                patience = ?CHECK_FOR,
                "the server before did not end in order, and the database is too large to be checked at a start; \
                 `everbeat backup` checks all of it"
            );
            Ok(())
        }
    }
}

/// What SQLite finds; `None` where it was not done in time.
fn quick_check(connection: &Connection, patience: Duration) -> rusqlite::Result<Option<String>> {
    let interrupt = connection.get_interrupt_handle();
    let (done, is_done) = channel::<()>();
    let told = thread::scope(|scope| {
        scope.spawn(move || {
            if is_done.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
                interrupt.interrupt();
            }
        });
        let told = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
        drop(done);
        told
    });
    match told {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => {
            Ok(None)
        }
        told => told.map(Some),
    }
}

/// Makes what is left a log of its own. SQLite may have put pages of different commits together: what was moved
/// into the database already counts as new, what the write-ahead log still has as old. So no count is believed:
/// sessions go (RS-9: what was on the way is uncertain), and each room keeps the dense run of messages that
/// ends with its newest.
fn renew(connection: &Connection, epoch: &Epoch) -> rusqlite::Result<()> {
    let transaction = connection.unchecked_transaction()?;
    let renew = "UPDATE meta SET value = ?1 WHERE key = 'epoch'";
    transaction.execute(renew, [epoch.as_str()])?;
    transaction.execute_batch(
        "DELETE FROM receipts; DELETE FROM refusals; DELETE FROM sessions;
         DELETE FROM messages WHERE room NOT IN (SELECT id FROM rooms);",
    )?;
    let rooms: Vec<(i64, Offset)> = transaction
        .prepare("SELECT id, head FROM rooms")?
        .query_map([], |row| Ok((row.get(0)?, row::offset(row, 1)?)))?
        .collect::<Result<_, _>>()?;
    for (room, head) in rooms {
        let (first, newest) = transaction.query_row(
            "SELECT max(offset) FILTER (WHERE NOT EXISTS (
                     SELECT 1 FROM messages AS before
                     WHERE before.room = messages.room AND before.offset = messages.offset - 1)),
                 max(offset)
             FROM messages WHERE room = ?1",
            [room],
            |row| Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, Option<i64>>(1)?)),
        )?;
        let (first, newest) = match (first, newest) {
            (Some(first), Some(newest)) => (first, newest),
            _ => (integer(head.get()) + 1, integer(head.get())),
        };
        transaction.execute(
            "DELETE FROM messages WHERE room = ?1 AND offset < ?2",
            params![room, first],
        )?;
        transaction.execute(
            "UPDATE rooms SET head = ?2, trimmed = ?3 WHERE id = ?1",
            params![room, newest, first - 1],
        )?;
    }
    // A post whose message is gone may come again.
    transaction.execute_batch(
        "DELETE FROM posts WHERE offset > coalesce(
                 (SELECT trimmed FROM rooms WHERE id = posts.room), -1)
             AND NOT EXISTS (SELECT 1 FROM messages
                 WHERE messages.room = posts.room AND messages.offset = posts.offset)",
    )?;
    transaction.commit()
}
