//! What the columns of a row hold, as the protocol's own types.

use protocol::id::{IdError, Seq};
use protocol::position::Offset;
use rusqlite::Row;
use rusqlite::types::Type;

/// A number that was not negative when it was stored.
pub(super) fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, number))
}

/// An offset.
pub(super) fn offset(row: &Row<'_>, column: usize) -> rusqlite::Result<Offset> {
    checked(column, Type::Integer, Offset::new(number(row, column)?))
}

/// A number of a message.
pub(super) fn seq(row: &Row<'_>, column: usize) -> rusqlite::Result<Seq> {
    checked(column, Type::Integer, Seq::new(number(row, column)?))
}

/// What a column holds, or that it cannot be.
pub(super) fn checked<T>(
    column: usize,
    kind: Type,
    value: Result<T, IdError>,
) -> rusqlite::Result<T> {
    value.map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, kind, Box::new(error)))
}
