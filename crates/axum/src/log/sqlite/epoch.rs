//! The epoch of a log: the history that its positions belong to (RS-6).

use protocol::position::Epoch;
use rusqlite::Connection;

use super::OpenError;

/// The epoch that is stored in a database.
pub(super) fn stored_epoch(connection: &Connection) -> rusqlite::Result<Epoch> {
    let sql = "SELECT value FROM meta WHERE key = 'epoch'";
    let text: String = connection.query_row(sql, [], |row| row.get(0))?;
    Ok(Epoch::new(&text))
}

/// Begins another history: stores a new epoch, and forgets all sessions. The one never goes without the other, as the
/// log may lack messages that a session's client has acks for: their numbers would be taken for other texts (RS-6, EO-1).
/// So the clients begin anew, and their messages on the way are uncertain (RS-9).
pub(super) fn begin_anew(connection: &Connection, epoch: &Epoch) -> rusqlite::Result<()> {
    let renew = "UPDATE meta SET value = ?1 WHERE key = 'epoch'";
    connection.execute(renew, [epoch.as_str()])?;
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
