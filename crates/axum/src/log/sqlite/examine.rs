//! The examination at a start: is the log as long as it was, and is the database whole?

use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use protocol::position::{Epoch, Offset};
use rusqlite::{Connection, ErrorCode, params};

use super::epoch::{begin_anew, random_epoch, stored_epoch};
use super::error::explain;
use super::scrub::empty_write_ahead_log;
use super::state::{self, State};
use super::witness::{self, Testimony};
use super::{OpenError, integer, row};

/// How long a start may check for damage after an end that was not orderly. In that time SQLite checks some
/// hundred MB.
const CHECK_FOR: Duration = Duration::from_secs(2);

/// What a start found under the database's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing: this start makes the database.
    Nothing,
    /// A database of a server that kept no witness yet.
    Unwitnessed,
    /// A database that has had a witness since it was made, or brought up to now.
    Witnessed,
}

/// Why a database may not be the one that was served last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doubt {
    /// It has fewer commits than the witness saw, or others.
    Lost {
        /// How many the witness saw.
        acknowledged: u64,
    },
    /// The witness has another epoch: it is of another database, or of this one since it was copied.
    Other,
    /// There is no witness that can be read: this may be an older copy.
    Unknown,
}

/// Compares the database with its witness, and checks whether it is whole where the last server did not end in
/// order. A log that has lost commits, or for which no witness shows that it has not, takes a new epoch (RS-6): an
/// epoch that another one followed is never served again. Before this returns the new epoch is in the database's own
/// own file, not in its write-ahead log alone.
pub(super) fn examine(
    connection: &Connection,
    path: &Path,
    found: Found,
) -> Result<(Epoch, State), OpenError> {
    let failed = |error| explain(path, error);
    let epoch = stored_epoch(connection).map_err(failed)?;
    let epoch = epoch.ok_or_else(|| OpenError::Damaged {
        path: path.to_owned(),
        told: "it has no epoch".into(),
    })?;
    let state = state::load(connection).map_err(failed)?;
    let testimony = witness::read(path);
    let doubt = doubt(found, &epoch, &state, testimony.as_ref());
    if doubt.is_some() || testimony.as_ref().is_none_or(|said| !said.is_orderly) {
        check(connection, path)?;
    }
    if found == Found::Nothing && testimony.is_some() {
        tracing::warn!(
            path = %path.display(),
            "the witness tells of a database that is NOT HERE: it was moved away or removed. A new one is made"
        );
    }
    let Some(doubt) = doubt else {
        return Ok((epoch, state));
    };
    let renewed = random_epoch()?;
    renew(connection, &renewed).map_err(failed)?;
    if !empty_write_ahead_log(connection).map_err(failed)? {
        // If the write-ahead log were damaged next, the old epoch would be back.
        return Err(OpenError::Locked {
            path: path.to_owned(),
        });
    }
    report(doubt, path, &state);
    Ok((renewed, state))
}

/// The same for a node of a cluster. What its database lost, or lacks as an older copy, it folds again from the stream:
/// no epoch comes of that. But it must be what a number of whole packs made of it.
pub(super) fn examine_node(
    connection: &Connection,
    path: &Path,
    found: Found,
) -> Result<State, OpenError> {
    let failed = |error| explain(path, error);
    let state = state::load(connection).map_err(failed)?;
    let testimony = witness::read(path);
    if testimony.as_ref().is_none_or(|said| !said.is_orderly) {
        check(connection, path)?;
    }
    let is_whole =
        found == Found::Nothing || testimony.is_some_and(|said| !has_lost(&state, &said));
    if !is_whole && contradicts_itself(connection).map_err(failed)? {
        let path = path.to_owned();
        return Err(OpenError::Torn { path });
    }
    if !is_whole {
        tracing::warn!(
            path = %path.display(),
            commits = state.chain.commits,
            "the database has lost its newest commits, or is a copy: what it lacks is folded again from the stream"
        );
    }
    Ok(state)
}

/// Whether rooms and messages, or sessions and their numbers, are of different commits.
fn contradicts_itself(connection: &Connection) -> rusqlite::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM rooms
            WHERE head <> coalesce((SELECT max(offset) FROM messages WHERE room = rooms.id), trimmed)
                OR head - trimmed <> (SELECT count(*) FROM messages WHERE room = rooms.id))
        OR EXISTS (SELECT 1 FROM messages WHERE room NOT IN (SELECT id FROM rooms))
        OR EXISTS (SELECT 1 FROM sessions
            WHERE last_seq <> (SELECT count(*) FROM receipts WHERE session = sessions.id)
                + coalesce((SELECT sum(count) FROM refusals WHERE session = sessions.id), 0))";
    connection.query_row(sql, [], |row| row.get(0))
}

/// Why the database may not be the one that was served last; `None` where it is.
fn doubt(found: Found, epoch: &Epoch, state: &State, said: Option<&Testimony>) -> Option<Doubt> {
    match (found, said) {
        // A new database has a new epoch as well.
        (Found::Nothing, _) | (Found::Unwitnessed, None) => None,
        (Found::Witnessed, None) => Some(Doubt::Unknown),
        (_, Some(said)) if said.epoch != *epoch => Some(Doubt::Other),
        (_, Some(said)) => has_lost(state, said).then_some(Doubt::Lost {
            acknowledged: said.chain.commits,
        }),
    }
}

fn report(doubt: Doubt, path: &Path, state: &State) {
    let path = path.display();
    match doubt {
        Doubt::Lost { acknowledged } => tracing::error!(
            %path,
            acknowledged,
            found = state.chain.commits,
            "the log has LOST COMMITS that were acknowledged: its write-ahead log is damaged, or an older copy of \
             it was put in place. Its rooms have a new epoch, so that clients are told of the gap, and sessions \
             begin anew"
        ),
        Doubt::Other => tracing::warn!(
            %path,
            "the witness beside the database is of ANOTHER ONE, or of what this one became later: an older copy \
             may be in place. Its rooms have a new epoch, so that clients are told of the gap, and sessions begin \
             anew"
        ),
        Doubt::Unknown => tracing::warn!(
            %path,
            "there is NO WITNESS beside the database that can be read: nothing tells whether this is an older copy. \
             Its rooms have a new epoch, so that clients are told of the gap, and sessions begin anew"
        ),
    }
}

/// Whether the log is neither what the witness saw nor a continuation of it.
fn has_lost(state: &State, said: &Testimony) -> bool {
    let (here, there) = (state.chain, said.chain);
    here.commits < there.commits || (here.commits == there.commits && here.hash != there.hash)
}

/// Checks for pages that contradict each other, for at most [`CHECK_FOR`].
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

/// What SQLite finds; `None` where the check did not end in time.
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

/// Makes a log of its own of what is left. SQLite may have mixed pages of different commits: pages that were moved
/// into the database count as new, those that the write-ahead log still has as old. So no count is trusted:
/// sessions are forgotten with the epoch, and each room keeps the dense run of messages that ends with its newest.
fn renew(connection: &Connection, epoch: &Epoch) -> rusqlite::Result<()> {
    let transaction = connection.unchecked_transaction()?;
    begin_anew(&transaction, epoch)?;
    transaction.execute_batch("DELETE FROM messages WHERE room NOT IN (SELECT id FROM rooms)")?;
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
    // A post whose message was lost may be repeated.
    transaction.execute_batch(
        "DELETE FROM posts WHERE offset > coalesce(
                 (SELECT trimmed FROM rooms WHERE id = posts.room), -1)
             AND NOT EXISTS (SELECT 1 FROM messages
                 WHERE messages.room = posts.room AND messages.offset = posts.offset)",
    )?;
    transaction.commit()
}
