//! Numbers that were used up by a refusal for good (EO-7). Consecutive ones that were refused for the same reason
//! share a row, so that a client which is refused all the time does not fill the disk.

use everbeat_log::command::REFUSED_MAX;
use protocol::frame::{ErrorCode, Refused};
use protocol::id::{Seq, SessionId};
use rusqlite::{Connection, OptionalExtension, params};

use crate::log::sqlite::{integer, row};

/// Keeps that a number is refused.
pub(super) fn add(
    connection: &Connection,
    session: &SessionId,
    seq: Seq,
    code: ErrorCode,
) -> rusqlite::Result<()> {
    let row = params![session.as_str(), integer(seq.get()), code.as_str()];
    // The row that ends just before this number can only be the session's newest.
    let extend = "UPDATE refusals SET count = count + 1
        WHERE session = ?1 AND code = ?3 AND seq + count = ?2
          AND seq = (SELECT max(seq) FROM refusals WHERE session = ?1)";
    if connection.prepare_cached(extend)?.execute(row)? == 0 {
        let add = "INSERT INTO refusals (session, seq, code, count) VALUES (?1, ?2, ?3, 1)";
        connection.prepare_cached(add)?.execute(row)?;
    }
    Ok(())
}

/// The reason for which a number was refused, if it was.
pub(super) fn of(
    connection: &Connection,
    session: &SessionId,
    seq: Seq,
) -> rusqlite::Result<Option<ErrorCode>> {
    let sql = "SELECT code, seq + count FROM refusals WHERE session = ?1 AND seq <= ?2
               ORDER BY seq DESC LIMIT 1";
    let row = connection
        .prepare_cached(sql)?
        .query_row(params![session.as_str(), integer(seq.get())], |row| {
            let code = ErrorCode::parse(row.get_ref(0)?.as_str()?);
            Ok((code, row::number(row, 1)?))
        })
        .optional()?;
    Ok(row.and_then(|(code, end)| (seq.get() < end).then_some(code)))
}

/// The newest refusals of a session, in order.
pub(super) fn newest(
    connection: &Connection,
    session: &SessionId,
) -> rusqlite::Result<Vec<Refused>> {
    let sql = "SELECT seq, code, count FROM refusals WHERE session = ?1 ORDER BY seq DESC LIMIT ?2";
    let mut newest_first = connection.prepare_cached(sql)?;
    let limit = integer(REFUSED_MAX as u64);
    let mut rows = newest_first.query(params![session.as_str(), limit])?;
    let mut refused = Vec::new();
    while refused.len() < REFUSED_MAX
        && let Some(row) = rows.next()?
    {
        let first = row::seq(row, 0)?;
        let code = ErrorCode::parse(row.get_ref(1)?.as_str()?);
        let numbers = first.get()..first.get() + row::number(row, 2)?;
        let numbers = numbers.rev().take(REFUSED_MAX - refused.len());
        let numbers = numbers.filter_map(|number| Seq::new(number).ok());
        refused.extend(numbers.map(|seq| Refused { seq, code }));
    }
    refused.reverse();
    Ok(refused)
}
