//! The readers: connections of their own beside the writer's, and their queries.

use std::sync::Arc;

use everbeat_log::fold::is_shown;
use parking_lot::Mutex;
use protocol::frame::Message;
use protocol::id::{Name, RoomName, SessionId};
use protocol::position::{Epoch, Offset};
use protocol::redactions::REDACTED_MAX;
use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::files::Lock;
use super::open::{Database, open_reader};
use super::watchdog::Calls;
use super::{OpenError, SqliteConfig, closed, integer, overloaded, ready, row, unavailable};
use crate::log::{Answer, Gathering, KeyHash, LogError, PATIENCE, Page, RoomLog};

/// A pool of connections for reading.
pub(super) struct Readers {
    idle: Mutex<Vec<Reader>>,
    /// One permit for each connection.
    free: Arc<Semaphore>,
    /// One permit for each read that runs or waits.
    places: Arc<Semaphore>,
    count: u32,
    calls: Arc<Calls>,
}

struct Reader {
    connection: Connection,
    /// Its number among the connections that the watchdog watches.
    number: usize,
    /// Dropped after the connection: no other server may open the database before it is closed.
    _lock: Arc<Lock>,
}

impl Readers {
    pub(super) fn open(database: &Database, config: &SqliteConfig) -> Result<Self, OpenError> {
        let count = u32::try_from(config.readers).unwrap_or(u32::MAX).max(1);
        let readers = (1..=count).map(|number| {
            Ok(Reader {
                number: number as usize,
                connection: open_reader(database, config)?,
                _lock: Arc::clone(&database.lock),
            })
        });
        let idle: Vec<Reader> = readers.collect::<Result<_, _>>()?;
        let places = config.queue_max.clamp(1, Semaphore::MAX_PERMITS);
        Ok(Self {
            free: Arc::new(Semaphore::new(idle.len())),
            idle: Mutex::new(idle),
            places: Arc::new(Semaphore::new(places)),
            count,
            calls: Arc::clone(&database.calls),
        })
    }

    /// Runs a read as soon as a connection is free. Answers within [`PATIENCE`](crate::log::PATIENCE), whatever the
    /// disk does.
    pub(super) fn read<T: Send + 'static>(
        readers: &Arc<Self>,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Answer<T> {
        let Ok(place) = Arc::clone(&readers.places).try_acquire_owned() else {
            return ready(Err(overloaded()));
        };
        let readers = Arc::clone(readers);
        let read = async move {
            let free = Arc::clone(&readers.free).acquire_owned().await;
            let free = free.map_err(|_| closed())?;
            // The read goes on even if its answer is no longer awaited: so it holds the permits and the connection
            // that must be given back.
            let read = tokio::task::spawn_blocking(move || {
                let _permits = (place, free);
                let reader = readers.take().ok_or_else(closed)?;
                let call = readers.calls.begin(reader.number);
                let result = work(&reader.connection);
                drop(call);
                readers.put(reader);
                result.map_err(|error| unavailable(&error))
            });
            let died = |_| LogError::Unavailable("the read died".into());
            read.await.map_err(died)?
        };
        // A read changes nothing: where it is late, its outcome is known.
        let late = |_| LogError::Unavailable("no answer in time".into());
        Box::pin(async move { timeout(PATIENCE, read).await.map_err(late)? })
    }

    /// Waits for the reads under way and closes the connections.
    pub(super) async fn close(self: Arc<Self>) {
        // The semaphore is fair: reads that waited before this are served first. Nothing else closes it.
        let Ok(all) = self.free.acquire_many(self.count).await else {
            return;
        };
        // Reads that have not begun must neither take a connection now, nor wait for one.
        self.free.close();
        drop(all);
        let closing = tokio::task::spawn_blocking(move || while self.take().is_some() {});
        // It fails only where the runtime is ending, and then the connections are closed with it.
        drop(closing.await);
    }

    fn take(&self) -> Option<Reader> {
        let mut idle = self.idle.lock();
        idle.pop()
    }

    fn put(&self, reader: Reader) {
        let mut idle = self.idle.lock();
        idle.push(reader);
    }
}

/// The state of a room's log.
pub(super) fn room(
    connection: &Connection,
    room: &RoomName,
    epoch: Epoch,
) -> rusqlite::Result<RoomLog> {
    let stored = connection
        .prepare_cached("SELECT head, trimmed FROM rooms WHERE name = ?1")?
        .query_row([room.as_str()], |row| {
            Ok((row::offset(row, 0)?, row::offset(row, 1)?))
        })
        .optional()?;
    let (head, trimmed) = stored.unwrap_or_default();
    let mut redacted = messages(
        connection,
        "SELECT offset, session, seq, name, at_ms, body, removed_ms FROM messages
         WHERE room = (SELECT id FROM rooms WHERE name = ?1) AND removed_ms IS NOT NULL
         ORDER BY removed_ms DESC LIMIT ?2",
        room,
        params![room.as_str(), integer(REDACTED_MAX as u64)],
    )?;
    redacted.reverse();
    Ok(RoomLog {
        epoch,
        head,
        trimmed,
        redacted,
    })
}

/// One message.
pub(super) fn one(
    connection: &Connection,
    room: &RoomName,
    offset: Offset,
) -> rusqlite::Result<Option<Message>> {
    let sql = "SELECT offset, session, seq, name, at_ms, body, removed_ms FROM messages
               WHERE room = (SELECT id FROM rooms WHERE name = ?1) AND offset = ?2";
    let key = params![room.as_str(), integer(offset.get())];
    Ok(messages(connection, sql, room, key)?.pop())
}

/// The messages after an offset, oldest first: at most so many, of at most so many bytes.
pub(super) fn after(
    connection: &Connection,
    room: &RoomName,
    after: Offset,
    most: (u32, u32),
) -> rusqlite::Result<Page> {
    let sql = "SELECT offset, session, seq, name, at_ms, body, removed_ms FROM messages
               WHERE room = (SELECT id FROM rooms WHERE name = ?1) AND offset > ?2
               ORDER BY offset LIMIT ?3";
    page(connection, sql, room, after, most)
}

/// The newest messages before an offset, oldest first: at most so many, of at most so many bytes.
pub(super) fn before(
    connection: &Connection,
    room: &RoomName,
    before: Offset,
    most: (u32, u32),
) -> rusqlite::Result<Page> {
    let sql = "SELECT offset, session, seq, name, at_ms, body, removed_ms FROM messages
               WHERE room = (SELECT id FROM rooms WHERE name = ?1) AND offset < ?2
               ORDER BY offset DESC LIMIT ?3";
    let mut page = page(connection, sql, room, before, most)?;
    page.messages.reverse();
    Ok(page)
}

/// Reads from an offset on, row by row, until the page is full: what does not fit never stands in memory.
fn page(
    connection: &Connection,
    sql: &str,
    room: &RoomName,
    from: Offset,
    (limit, bytes): (u32, u32),
) -> rusqlite::Result<Page> {
    let mut gathering = Gathering::new(limit, bytes);
    let mut statement = connection.prepare_cached(sql)?;
    // One row more than asked for tells whether there are more.
    let and_one = i64::from(limit) + 1;
    let bounds = params![room.as_str(), integer(from.get()), and_one];
    for message in statement.query_map(bounds, |row| message(room, row))? {
        if !gathering.take(message?) {
            break;
        }
    }
    Ok(gathering.page())
}

/// Whether there is such a session, and one of these hashes is that of its key.
pub(super) fn owns(
    connection: &Connection,
    session: &SessionId,
    shown: &[KeyHash],
) -> rusqlite::Result<bool> {
    let mut sql = connection.prepare_cached("SELECT key_hash FROM sessions WHERE id = ?1")?;
    let stored = sql.query_row([session.as_str()], |row| row.get(0));
    let stored: Option<KeyHash> = stored.optional()?;
    Ok(stored.is_some_and(|stored| is_shown(&stored, shown)))
}

pub(super) fn sessions(connection: &Connection) -> rusqlite::Result<u64> {
    let mut sql = connection.prepare_cached("SELECT count(*) FROM sessions")?;
    sql.query_row([], |row| row::number(row, 0))
}

fn messages(
    connection: &Connection,
    sql: &str,
    room: &RoomName,
    bounds: &[&dyn ToSql],
) -> rusqlite::Result<Vec<Message>> {
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(bounds, |row| message(room, row))?;
    rows.collect()
}

fn message(room: &RoomName, row: &Row<'_>) -> rusqlite::Result<Message> {
    Ok(Message {
        room: room.clone(),
        offset: row::offset(row, 0)?,
        session: row::session(row, 1)?,
        seq: row::seq(row, 2)?,
        name: Name::tidy(row.get_ref(3)?.as_str()?),
        at_ms: row::number(row, 4)?,
        body: row.get(5)?,
        removed: row.get::<_, Option<i64>>(6)?.is_some(),
    })
}
