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
