//! The epoch of a log: which history its positions are of (RS-6).

use protocol::position::Epoch;
use rusqlite::Connection;

use super::OpenError;

/// The epoch that a database has.
pub(super) fn stored_epoch(connection: &Connection) -> rusqlite::Result<Epoch> {
    let sql = "SELECT value FROM meta WHERE key = 'epoch'";
    let text: String = connection.query_row(sql, [], |row| row.get(0))?;
    Ok(Epoch::new(&text))
}

/// A new epoch.
///
/// # Errors
/// [`OpenError::Random`] where the system gives no random numbers.
pub(super) fn random_epoch() -> Result<Epoch, OpenError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(OpenError::Random)?;
    let number = u128::from_be_bytes(bytes);
    Ok(Epoch::new(&format!("{number:032x}")))
}
