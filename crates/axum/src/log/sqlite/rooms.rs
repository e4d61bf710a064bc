//! The operator's view of a log: its rooms, for the commands of `everbeat rooms`.

use std::path::Path;

use protocol::frame::Message;
use protocol::id::RoomName;
use protocol::position::Offset;
use rusqlite::{OptionalExtension, params};
use serde::Serialize;

use super::error::explain;
use super::format::FORMAT;
use super::open::{open, open_beside};
use super::state::{self, State};
use super::{OpenError, SqliteConfig, integer, readers, row, scrub, sweep};
use crate::log::PAGE_BYTES;

/// How many messages are read at once.
const PAGE: u32 = 1_000;

/// One room of a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RoomSummary {
    /// Its name.
    pub room: String,
    /// The offset of its newest message.
    pub head: u64,
    /// How many messages it holds.
    pub messages: u64,
    /// How many of them are redacted.
    pub removed: u64,
    /// The bytes of their texts.
    pub bytes: u64,
    /// When the oldest was published: Unix time in milliseconds; `None` where there is none.
    pub oldest_ms: Option<u64>,
    /// When the newest was published.
    pub newest_ms: Option<u64>,
}

/// All rooms of a log, by name. A server may be using it.
///
/// # Errors
/// [`OpenError`]: it names the file and what to do.
pub fn summaries(database: &Path) -> Result<Vec<RoomSummary>, OpenError> {
    let connection = open_beside(database, FORMAT)?;
    let read = || -> rusqlite::Result<Vec<RoomSummary>> {
        let mut statement = connection.prepare(
            "SELECT rooms.name, head, count(offset), count(removed_ms),
                 coalesce(sum(octet_length(body)), 0), min(at_ms), max(at_ms)
             FROM rooms LEFT JOIN messages ON messages.room = rooms.id
             GROUP BY rooms.id ORDER BY rooms.name",
        )?;
        let rows = statement.query_map([], |row| {
            let time = |column| -> rusqlite::Result<Option<u64>> {
                let time: Option<i64> = row.get(column)?;
                Ok(time.and_then(|time| u64::try_from(time).ok()))
            };
            Ok(RoomSummary {
                room: row.get(0)?,
                head: row::number(row, 1)?,
                messages: row::number(row, 2)?,
                removed: row::number(row, 3)?,
                bytes: row::number(row, 4)?,
                oldest_ms: time(5)?,
                newest_ms: time(6)?,
            })
        })?;
        rows.collect()
    };
    read().map_err(|error| explain(database, error))
}

/// Passes each message of a room to `each`, oldest first, as they are at one moment. Returns how many there were. A
/// server may be using the log.
///
/// # Errors
/// Those of `each`, or an [`OpenError`].
pub fn export<E: From<OpenError>>(
    database: &Path,
    room: &RoomName,
    mut each: impl FnMut(Message) -> Result<(), E>,
) -> Result<u64, E> {
    let connection = open_beside(database, FORMAT)?;
    let failed = |error| E::from(explain(database, error));
    connection.execute_batch("BEGIN").map_err(failed)?;
    let mut count = 0;
    let mut last = Offset::ZERO;
    loop {
        let page = readers::after(&connection, room, last, (PAGE, PAGE_BYTES)).map_err(failed)?;
        let Some(newest) = page.messages.last() else {
            return Ok(count);
        };
        last = newest.offset;
        for message in page.messages {
            each(message)?;
            count += 1;
        }
    }
}

/// The outcome of clearing a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cleared {
    /// How many messages were removed.
    pub messages: u64,
    /// Whether their texts are gone from the database's files. Another program that reads the database
    /// keeps them there: then the next server scrubs the files as soon as it can.
    pub is_scrubbed: bool,
}

/// Clears a room, while no server uses the log. Its next message has the next offset: a client that has not got
/// all messages sees a gap (RS-6). `None` where there is no such room.
///
/// # Errors
/// [`OpenError`]: it names the file and what to do.
pub fn clear(database: &Path, room: &RoomName) -> Result<Option<Cleared>, OpenError> {
    if !database.exists() {
        let path = database.to_owned();
        return Err(OpenError::Missing { path });
    }
    let mut database = open(database, &SqliteConfig::default())?;
    let connection = &database.connection;
    let chain = database.state.chain.after(&[], &[]);
    let clear = || -> rusqlite::Result<Option<Cleared>> {
        connection.pragma_update_and_check(None, "secure_delete", "ON", |_| Ok(()))?;
        let transaction = connection.unchecked_transaction()?;
        let head = transaction
            .query_row(
                "SELECT id, head FROM rooms WHERE name = ?1",
                [room.as_str()],
                |row| Ok((row.get::<_, i64>(0)?, row::number(row, 1)?)),
            )
            .optional()?;
        let Some((id, head)) = head else {
            return Ok(None);
        };
        let gone = transaction.execute("DELETE FROM messages WHERE room = ?1", [id])?;
        let trimmed = "UPDATE rooms SET trimmed = ?2 WHERE id = ?1";
        transaction.execute(trimmed, params![id, integer(head)])?;
        let must_scrub = true;
        state::store(&transaction, &State { chain, must_scrub })?;
        transaction.commit()?;
        for stale in sweep::look(connection)?.chunks(sweep::PAGES_MAX) {
            sweep::overwrite(connection, stale)?;
        }
        // Waits for readers as long as the connection's busy timeout says.
        let is_scrubbed = scrub::empty_write_ahead_log(connection)?;
        Ok(Some(Cleared {
            messages: gone as u64,
            is_scrubbed,
        }))
    };
    let cleared = clear().map_err(|error| explain(&database.path, error))?;
    if let Some(witness) = &mut database.witness {
        let reached = cleared.map_or(database.state.chain, |_| chain);
        witness.note(reached, true);
    }
    Ok(cleared)
}
