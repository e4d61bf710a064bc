//! The epoch of a log: the history that its positions belong to (RS-6).

use protocol::position::Epoch;
use rusqlite::{Connection, OptionalExtension};

use super::OpenError;

/// The epoch that is stored in a database; `None` before a cluster has given it one.
pub(super) fn stored_epoch(connection: &Connection) -> rusqlite::Result<Option<Epoch>> {
    let sql = "SELECT value FROM meta WHERE key = 'epoch'";
    let stored = connection.query_row(sql, [], |row| Ok(Epoch::new(row.get_ref(0)?.as_str()?)));
    stored.optional()
}

/// Stores an epoch, in place of the one before.
pub(super) fn store_epoch(connection: &Connection, epoch: &Epoch) -> rusqlite::Result<()> {
    let store = "INSERT OR REPLACE INTO meta (key, value) VALUES ('epoch', ?1)";
    connection.execute(store, [epoch.as_str()]).map(drop)
}

/// Begins another history: stores a new epoch, and forgets all sessions. The one never goes without the other, as the
/// log may lack messages that a session's client has acks for: their numbers would be taken for other texts (RS-6, EO-1).
/// So the clients begin anew, and their messages on the way are uncertain (RS-9).
pub(super) fn begin_anew(connection: &Connection, epoch: &Epoch) -> rusqlite::Result<()> {
    store_epoch(connection, epoch)?;
    connection.execute_batch("DELETE FROM receipts; DELETE FROM refusals; DELETE FROM sessions;")
}

/// A new, random epoch.
///
/// # Errors
/// [`OpenError::Random`] where the system gives no random numbers.
pub(super) fn random_epoch() -> Result<Epoch, OpenError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(OpenError::Random)?;
    let number = u128::from_be_bytes(bytes);
    Ok(Epoch::new(&format!("{number:032x}")))
}
