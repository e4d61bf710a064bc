//! The tables of a database, as a store of the fold.

use std::collections::HashMap;

use everbeat_log::command::{Expire, ForgetPosts, KeyHash, Redact, Settings};
use everbeat_log::fold::{Receipt, Room, Session, Store};
use everbeat_log::order::{Applied, LastPack, PackStore};
use protocol::frame::{ErrorCode, Message, Refused};
use protocol::id::{Generation, NodeName, RoomName, Seq, SessionId};
use protocol::position::{Epoch, Offset};
use protocol::server::PostKey;
use rusqlite::types::Type;
use rusqlite::{CachedStatement, Connection, OptionalExtension, Params, Row, params};

use super::refusals;
use crate::log::sqlite::node::{self, Kept};
use crate::log::sqlite::{integer, readers, row};

/// The tables within a transaction. Sessions, heads and what full rooms trim are kept in memory until its end: many
/// messages of a batch are often of one room, and some of one session.
pub(super) struct Tables<'c> {
    connection: &'c Connection,
    kept: Kept,
    /// The sequence of the pack that is folded.
    sequence: Option<u64>,
    applied: Option<Applied>,
    sessions: HashMap<SessionId, Known>,
    rooms: HashMap<RoomName, KnownRoom>,
    /// The room whose row was written to last, and the row's id: a message is followed by its receipt.
    last: Option<(RoomName, i64)>,
}

/// A session that was asked for in this batch.
#[derive(Clone, Copy)]
struct Known {
    session: Session,
    is_changed: bool,
}

/// A room that was asked for in this batch.
#[derive(Clone, Copy, Default)]
struct KnownRoom {
    /// Its row's id; `None` where it has none yet.
    id: Option<i64>,
    room: Room,
    is_changed: bool,
    /// Whether messages up to `room.trimmed` are still to be deleted.
    is_trimmed: bool,
}

impl<'c> Tables<'c> {
    /// The tables, nothing of which is in memory.
    pub(super) fn new(connection: &'c Connection, kept: &Kept) -> Self {
        Self {
            connection,
            kept: kept.clone(),
            sequence: None,
            applied: None,
            sessions: HashMap::new(),
            rooms: HashMap::new(),
            last: None,
        }
    }

    /// Messages from here on are of the pack of this sequence.
    pub(super) const fn of_pack(&mut self, sequence: u64) {
        self.sequence = Some(sequence);
    }

    /// How far the node is, and what applies to all rooms, if a pack was folded.
    pub(super) fn folded(&mut self) -> Option<(Applied, Kept)> {
        let applied = self.applied.take()?;
        Some((applied, self.kept.clone()))
    }

    /// Writes what was kept in memory.
    pub(super) fn store(&self) -> rusqlite::Result<()> {
        self.store_sessions()?;
        let sql = "UPDATE rooms SET head = ?2, trimmed = ?3 WHERE id = ?1";
        let mut update = self.prepare(sql)?;
        let changed = self.rooms.values().filter(|known| known.is_changed);
        for KnownRoom {
            id,
            room,
            is_trimmed,
            ..
        } in changed
        {
            let trimmed = integer(room.trimmed.get());
            // A room that holds messages has a row.
            if *is_trimmed {
                let sql = "DELETE FROM messages WHERE room = ?1 AND offset <= ?2";
                self.run(sql, params![id, trimmed])?;
            }
            update.execute(params![id, integer(room.head.get()), trimmed])?;
        }
        Ok(())
    }

    fn store_sessions(&self) -> rusqlite::Result<()> {
        let sql = "UPDATE sessions SET last_seq = ?2, generation = ?3 WHERE id = ?1";
        let mut update = self.prepare(sql)?;
        for (id, known) in self.sessions.iter().filter(|(_, known)| known.is_changed) {
            let last_seq = integer(known.session.last_seq);
            let generation = integer(known.session.generation.0);
            update.execute(params![id.as_str(), last_seq, generation])?;
        }
        Ok(())
    }

    fn prepare(&self, sql: &str) -> rusqlite::Result<CachedStatement<'c>> {
        self.connection.prepare_cached(sql)
    }

    fn run(&self, sql: &str, params: impl Params) -> rusqlite::Result<usize> {
        self.prepare(sql)?.execute(params)
    }

    fn known(&mut self, id: &SessionId) -> rusqlite::Result<Option<Known>> {
        if let Some(known) = self.sessions.get(id) {
            return Ok(Some(*known));
        }
        let sql = "SELECT last_seq, generation FROM sessions WHERE id = ?1";
        let stored = self.prepare(sql)?.query_row([id.as_str()], |row| {
            Ok(Known {
                session: Session {
                    last_seq: row::number(row, 0)?,
                    generation: Generation(row::number(row, 1)?),
                },
                is_changed: false,
            })
        });
        let stored = stored.optional()?;
        if let Some(known) = stored {
            self.sessions.insert(id.clone(), known);
        }
        Ok(stored)
    }

    fn known_room(&mut self, name: &RoomName) -> rusqlite::Result<KnownRoom> {
        if let Some(known) = self.rooms.get(name) {
            return Ok(*known);
        }
        let sql = "SELECT id, head, trimmed FROM rooms WHERE name = ?1";
        let stored = self.prepare(sql)?.query_row([name.as_str()], |row| {
            Ok(KnownRoom {
                id: row.get(0)?,
                room: Room {
                    head: row::offset(row, 1)?,
                    trimmed: row::offset(row, 2)?,
                },
                ..KnownRoom::default()
            })
        });
        let known = stored.optional()?.unwrap_or_default();
        self.rooms.insert(name.clone(), known);
        Ok(known)
    }

    /// The id of a room's row, which is made where there is none.
    fn room_id(&mut self, name: &RoomName) -> rusqlite::Result<i64> {
        if let Some((last, id)) = &self.last
            && last == name
        {
            return Ok(*id);
        }
        let known = self.known_room(name)?;
        if let Some(id) = known.id {
            self.last = Some((name.clone(), id));
            return Ok(id);
        }
        let sql = "INSERT INTO rooms (name, head, trimmed) VALUES (?1, 0, 0)";
        self.run(sql, [name.as_str()])?;
        let id = self.connection.last_insert_rowid();
        let known = KnownRoom {
            id: Some(id),
            ..known
        };
        self.rooms.insert(name.clone(), known);
        Ok(id)
    }

    fn secure_delete(&self, how: &str) -> rusqlite::Result<()> {
        self.connection
            .pragma_update_and_check(None, "secure_delete", how, |_| Ok(()))
    }
}

impl Store for Tables<'_> {
    type Error = rusqlite::Error;

    fn epoch(&mut self) -> rusqlite::Result<Option<Epoch>> {
        Ok(self.kept.epoch.clone())
    }

    fn history_per_room(&self) -> u64 {
        self.kept.history_per_room
    }

    fn set(&mut self, settings: &Settings) -> rusqlite::Result<()> {
        self.kept.set(self.connection, settings)
    }

    fn session(&mut self, id: &SessionId) -> rusqlite::Result<Option<Session>> {
        Ok(self.known(id)?.map(|known| known.session))
    }

    // Not compared in constant time: the time tells something about the hash of 128 random bits or more, and brings
    // an attacker no nearer to the key.
    fn key_hash(&mut self, id: &SessionId) -> rusqlite::Result<Option<KeyHash>> {
        let sql = "SELECT key_hash FROM sessions WHERE id = ?1";
        let mut stored = self.prepare(sql)?;
        stored.query_row([id.as_str()], |row| row.get(0)).optional()
    }

    fn add_session(
        &mut self,
        id: &SessionId,
        key_hash: &KeyHash,
        session: Session,
        at_ms: u64,
    ) -> rusqlite::Result<()> {
        self.run(
            "INSERT INTO sessions (id, key_hash, last_seq, touched_ms, generation)
             VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                id.as_str(),
                key_hash,
                integer(session.last_seq),
                integer(at_ms),
                integer(session.generation.0),
            ],
        )?;
        Ok(())
    }

    fn update_session(&mut self, id: &SessionId, session: Session) -> rusqlite::Result<()> {
        if let Some(known) = self.sessions.get_mut(id) {
            known.session = session;
            known.is_changed = true;
        }
        Ok(())
    }

    fn touch(&mut self, id: &SessionId, at_ms: u64) -> rusqlite::Result<()> {
        // The time only moves forward, also where the clock is set back.
        let sql = "UPDATE sessions SET touched_ms = ?2 WHERE id = ?1 AND touched_ms < ?2";
        self.run(sql, params![id.as_str(), integer(at_ms)])?;
        Ok(())
    }

    fn expire(&mut self, expire: &Expire) -> rusqlite::Result<usize> {
        // What the batch holds of them in memory goes too; the others are read again when they are needed.
        self.store_sessions()?;
        self.sessions.clear();
        let sql = if expire.is_unused {
            "SELECT id FROM sessions WHERE last_seq = 0 AND touched_ms < ?1
             ORDER BY touched_ms, id LIMIT ?2"
        } else {
            "SELECT id FROM sessions WHERE touched_ms < ?1 ORDER BY touched_ms, id LIMIT ?2"
        };
        let bounds = [integer(expire.before_ms), integer(expire.limit as u64)];
        let ids: Vec<String> = self
            .prepare(sql)?
            .query_map(bounds, |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        let mut receipts = self.prepare("DELETE FROM receipts WHERE session = ?1")?;
        let mut refusals = self.prepare("DELETE FROM refusals WHERE session = ?1")?;
        let mut sessions = self.prepare("DELETE FROM sessions WHERE id = ?1")?;
        for id in &ids {
            receipts.execute([id])?;
            refusals.execute([id])?;
            sessions.execute([id])?;
        }
        Ok(ids.len())
    }

    fn receipt(&mut self, id: &SessionId, seq: Seq) -> rusqlite::Result<Option<Receipt>> {
        let sql = "SELECT rooms.name, receipts.offset, receipts.body_hash
                   FROM receipts JOIN rooms ON rooms.id = receipts.room
                   WHERE receipts.session = ?1 AND receipts.seq = ?2";
        let key = params![id.as_str(), integer(seq.get())];
        self.prepare(sql)?.query_row(key, receipt).optional()
    }

    fn add_receipt(&mut self, id: &SessionId, seq: Seq, receipt: &Receipt) -> rusqlite::Result<()> {
        let room = self.room_id(&receipt.room)?;
        self.run(
            "INSERT INTO receipts (session, seq, room, offset, body_hash)
             VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                id.as_str(),
                integer(seq.get()),
                room,
                integer(receipt.offset.get()),
                receipt.body_hash,
            ],
        )?;
        Ok(())
    }

    fn refusal(&mut self, id: &SessionId, seq: Seq) -> rusqlite::Result<Option<ErrorCode>> {
        refusals::of(self.connection, id, seq)
    }

    fn add_refusal(&mut self, id: &SessionId, seq: Seq, code: ErrorCode) -> rusqlite::Result<()> {
        refusals::add(self.connection, id, seq, code)
    }

    fn refused(&mut self, id: &SessionId) -> rusqlite::Result<Vec<Refused>> {
        refusals::newest(self.connection, id)
    }

    fn post(&mut self, key: &PostKey) -> rusqlite::Result<Option<Receipt>> {
        let sql = "SELECT rooms.name, posts.offset, posts.body_hash
                   FROM posts JOIN rooms ON rooms.id = posts.room WHERE posts.key = ?1";
        self.prepare(sql)?.query_row([key], receipt).optional()
    }

    fn add_post(&mut self, key: &PostKey, receipt: &Receipt, at_ms: u64) -> rusqlite::Result<()> {
        let room = self.room_id(&receipt.room)?;
        self.run(
            "INSERT INTO posts (key, room, offset, body_hash, at_ms) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                key,
                room,
                integer(receipt.offset.get()),
                receipt.body_hash,
                integer(at_ms),
            ],
        )?;
        Ok(())
    }

    fn forget_posts(&mut self, forget: &ForgetPosts) -> rusqlite::Result<usize> {
        self.run(
            "DELETE FROM posts WHERE key IN
                 (SELECT key FROM posts WHERE at_ms < ?1 ORDER BY at_ms, key LIMIT ?2)",
            [integer(forget.before_ms), integer(forget.limit as u64)],
        )
    }

    fn room(&mut self, name: &RoomName) -> rusqlite::Result<Room> {
        Ok(self.known_room(name)?.room)
    }

    fn add_message(&mut self, message: &Message) -> rusqlite::Result<()> {
        let room = self.room_id(&message.room)?;
        self.run(
            "INSERT INTO messages (room, offset, session, seq, name, at_ms, body, sequence)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                room,
                integer(message.offset.get()),
                message.session.as_str(),
                integer(message.seq.get()),
                message.name.as_str(),
                integer(message.at_ms),
                message.body,
                self.sequence.map(integer),
            ],
        )?;
        if let Some(known) = self.rooms.get_mut(&message.room) {
            known.room.head = message.offset;
            known.is_changed = true;
        }
        Ok(())
    }

    fn message(&mut self, room: &RoomName, offset: Offset) -> rusqlite::Result<Option<Message>> {
        // What is trimmed is deleted at the end of the batch.
        if offset <= self.known_room(room)?.room.trimmed {
            return Ok(None);
        }
        readers::one(self.connection, room, offset)
    }

    /// The text is overwritten where it stood.
    fn redact(&mut self, redact: &Redact) -> rusqlite::Result<()> {
        let room = self.room_id(&redact.room)?;
        // Also overwrites pages that the text leaves altogether, which are only marked as free otherwise.
        self.secure_delete("ON")?;
        let redacted = self.run(
            "UPDATE messages SET body = '', removed_ms = ?3 WHERE room = ?1 AND offset = ?2",
            params![room, integer(redact.offset.get()), integer(redact.at_ms)],
        );
        self.secure_delete("FAST")?;
        redacted.map(drop)
    }

    fn trim(&mut self, room: &RoomName, through: Offset) -> rusqlite::Result<()> {
        if self.known_room(room)?.room.trimmed < through
            && let Some(known) = self.rooms.get_mut(room)
        {
            known.room.trimmed = through;
            known.is_changed = true;
            known.is_trimmed = true;
        }
        Ok(())
    }

    fn aged(
        &mut self,
        room: &RoomName,
        before_ms: u64,
        limit: u64,
    ) -> rusqlite::Result<Option<Offset>> {
        let known = self.known_room(room)?;
        let sql = "SELECT offset, at_ms FROM messages WHERE room = ?1 AND offset > ?2
                   ORDER BY offset LIMIT ?3";
        let mut oldest = self.prepare(sql)?;
        let trimmed = integer(known.room.trimmed.get());
        let mut rows = oldest.query(params![known.id, trimmed, integer(limit)])?;
        let mut last = None;
        while let Some(row) = rows.next()?
            && row::number(row, 1)? < before_ms
        {
            last = Some(row::offset(row, 0)?);
        }
        Ok(last)
    }

    fn rooms(&mut self, after: Option<&RoomName>, limit: usize) -> rusqlite::Result<Vec<RoomName>> {
        // No room's name is empty.
        let after = after.map_or("", RoomName::as_str);
        let sql = "SELECT name FROM rooms WHERE name > ?1 ORDER BY name LIMIT ?2";
        self.prepare(sql)?
            .query_map(params![after, integer(limit as u64)], |row| name(row, 0))?
            .collect()
    }
}

impl PackStore for Tables<'_> {
    fn applied(&mut self) -> rusqlite::Result<Applied> {
        Ok(node::applied(self.connection)?.unwrap_or_default())
    }

    fn set_applied(&mut self, applied: &Applied) -> rusqlite::Result<()> {
        self.applied = Some(applied.clone());
        node::set_applied(self.connection, applied)
    }

    fn last_pack(&mut self, node: &NodeName) -> rusqlite::Result<Option<LastPack>> {
        node::last_pack(self.connection, node)
    }

    fn set_last_pack(&mut self, node: &NodeName, last: &LastPack) -> rusqlite::Result<()> {
        node::set_last_pack(self.connection, node, last)
    }
}

fn receipt(row: &Row<'_>) -> rusqlite::Result<Receipt> {
    Ok(Receipt {
        room: name(row, 0)?,
        offset: row::offset(row, 1)?,
        body_hash: row.get(2)?,
    })
}

fn name(row: &Row<'_>, column: usize) -> rusqlite::Result<RoomName> {
    let name = RoomName::new(row.get_ref(column)?.as_str()?);
    row::checked(column, Type::Text, name)
}
