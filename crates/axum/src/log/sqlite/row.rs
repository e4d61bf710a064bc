//! Columns of a row as the protocol's own types, checked.

use protocol::id::{IdError, Seq, SessionId};
use protocol::position::Offset;
use rusqlite::Row;
use rusqlite::types::Type;

/// A number; an error if it is negative.
pub(super) fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, number))
}

/// An offset.
pub(super) fn offset(row: &Row<'_>, column: usize) -> rusqlite::Result<Offset> {
    checked(column, Type::Integer, Offset::new(number(row, column)?))
}

/// A message's `seq`.
pub(super) fn seq(row: &Row<'_>, column: usize) -> rusqlite::Result<Seq> {
    checked(column, Type::Integer, Seq::new(number(row, column)?))
}

/// A session's id.
pub(super) fn session(row: &Row<'_>, column: usize) -> rusqlite::Result<SessionId> {
    let text = row.get_ref(column)?.as_str()?;
    checked(column, Type::Text, SessionId::new(text))
}

/// The value of a column; an error where it is not valid.
pub(super) fn checked<T>(
    column: usize,
    kind: Type,
    value: Result<T, IdError>,
) -> rusqlite::Result<T> {
    value.map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, kind, Box::new(error)))
}
