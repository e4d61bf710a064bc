//! What the database of a cluster's node keeps beside the log: how far it is in the order of packs, and the last pack of
//! each node.

use std::sync::OnceLock;

use everbeat_log::command::Settings;
use everbeat_log::order::{Applied, Digest, LastPack};
use everbeat_log::pack::{Life, PackHash};
use parking_lot::Mutex;
use protocol::id::{NodeName, RoomName, Seq, SessionId};
use protocol::position::{Epoch, Offset};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, params};
use sha2::{Digest as _, Sha256};

use super::epoch::{store_epoch, stored_epoch};
use super::state::Chain;
use super::{integer, row};

/// What applies to all rooms.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    /// The log's epoch; `None` before the first pack of a cluster.
    pub(super) epoch: Option<Epoch>,
    /// The fewest messages that a full room keeps.
    pub(super) history_per_room: u64,
}

impl Kept {
    /// Takes over what a cluster sets, and stores it.
    pub(super) fn set(
        &mut self,
        connection: &Connection,
        settings: &Settings,
    ) -> rusqlite::Result<()> {
        if self.epoch.is_none() {
            store_epoch(connection, &settings.epoch)?;
            self.epoch = Some(settings.epoch.clone());
        }
        let sql = "INSERT OR REPLACE INTO meta (key, value) VALUES ('history_per_room', ?1)";
        connection.execute(sql, [settings.history_per_room.to_string()])?;
        self.history_per_room = settings.history_per_room;
        Ok(())
    }
}

/// How far the writer is, for all who ask the log.
#[derive(Debug)]
pub(super) struct Progress {
    epoch: OnceLock<Epoch>,
    applied: Mutex<Option<Applied>>,
}

impl Progress {
    /// That of a database that was opened.
    pub(super) fn new(epoch: Option<Epoch>, applied: Option<Applied>) -> Self {
        Self {
            epoch: epoch.map_or_else(OnceLock::new, OnceLock::from),
            applied: Mutex::new(applied),
        }
    }

    /// Notes a pack that was folded.
    pub(super) fn note(&self, applied: &Applied, epoch: Option<&Epoch>) {
        if let Some(epoch) = epoch {
            // Once there is an epoch it stays.
            self.epoch.get_or_init(|| epoch.clone());
        }
        *self.applied.lock() = Some(applied.clone());
    }

    /// The log's epoch; `None` before the first pack of a cluster.
    pub(super) fn epoch(&self) -> Option<Epoch> {
        self.epoch.get().cloned()
    }

    /// How far the node is; `None` on a single server.
    pub(super) fn applied(&self) -> Option<Applied> {
        self.applied.lock().clone()
    }
}

/// How far a node is in the order of packs; `None` in the database of a single server.
pub(super) fn applied(connection: &Connection) -> rusqlite::Result<Option<Applied>> {
    let sql = "SELECT applied, digest, pack FROM state WHERE applied IS NOT NULL";
    let applied = connection.prepare_cached(sql)?.query_row([], |row| {
        Ok(Applied {
            sequence: row::number(row, 0)?,
            digest: Digest(row.get(1)?),
            pack: PackHash(row.get(2)?),
        })
    });
    applied.optional()
}

/// Stores how far a node is.
pub(super) fn set_applied(connection: &Connection, applied: &Applied) -> rusqlite::Result<()> {
    let sql = "UPDATE state SET applied = ?1, digest = ?2, pack = ?3";
    let row = params![integer(applied.sequence), applied.digest.0, applied.pack.0];
    connection.prepare_cached(sql)?.execute(row).map(drop)
}

/// The last pack of a node.
pub(super) fn last_pack(
    connection: &Connection,
    node: &NodeName,
) -> rusqlite::Result<Option<LastPack>> {
    let sql = "SELECT life_count, life_nonce, last FROM nodes WHERE name = ?1";
    let last = connection
        .prepare_cached(sql)?
        .query_row([node.as_str()], |row| {
            Ok(LastPack {
                life: Life {
                    count: row::number(row, 0)?,
                    nonce: row.get::<_, i64>(1)?.cast_unsigned(),
                },
                number: row::number(row, 2)?,
            })
        });
    last.optional()
}

/// Stores the last pack of a node.
pub(super) fn set_last_pack(
    connection: &Connection,
    node: &NodeName,
    last: &LastPack,
) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO nodes (name, life_count, life_nonce, last)
               VALUES (?1, ?2, ?3, ?4)";
    let row = params![
        node.as_str(),
        integer(last.life.count),
        last.life.nonce.cast_signed(),
        integer(last.number),
    ];
    connection.prepare_cached(sql)?.execute(row).map(drop)
}

/// Where a message came from: from there its text is erased (EO-8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageSource {
    /// The engine's sequence of the pack that it came in.
    pub sequence: u64,
    /// Its session.
    pub session: SessionId,
    /// Its number in that session.
    pub seq: Seq,
}

/// Where a message came from; `None` where it is not there, or came on a single server.
pub(super) fn source(
    connection: &Connection,
    room: &RoomName,
    offset: Offset,
) -> rusqlite::Result<Option<MessageSource>> {
    let sql = "SELECT sequence, session, seq FROM messages
               WHERE room = (SELECT id FROM rooms WHERE name = ?1) AND offset = ?2
                 AND sequence IS NOT NULL";
    let key = params![room.as_str(), integer(offset.get())];
    let mut found = connection.prepare_cached(sql)?;
    let source = found.query_row(key, |row| {
        Ok(MessageSource {
            sequence: row::number(row, 0)?,
            session: row::session(row, 1)?,
            seq: row::seq(row, 2)?,
        })
    });
    source.optional()
}

/// Makes this the database of a node, where it is none yet. A digest of what it holds goes ahead of all packs: nodes that
/// begin with different databases never have the same one.
pub(super) fn join(connection: &Connection, chain: Chain) -> rusqlite::Result<(Kept, Applied)> {
    let sql = "SELECT value FROM meta WHERE key = 'history_per_room'";
    let history: Option<String> = connection.query_row(sql, [], |row| row.get(0)).optional()?;
    let kept = Kept {
        epoch: stored_epoch(connection)?,
        // Before the first settings nothing is trimmed.
        history_per_room: history
            .and_then(|text| text.parse().ok())
            .unwrap_or(u64::MAX),
    };
    if let Some(applied) = applied(connection)? {
        return Ok((kept, applied));
    }
    let mut applied = Applied::default();
    if let Some(epoch) = &kept.epoch {
        let mut hash = Sha256::new_with_prefix(epoch.as_str());
        hash.update(chain.commits.to_be_bytes());
        hash.update(chain.hash);
        applied.digest = Digest(hash.finalize().into());
    }
    set_applied(connection, &applied)?;
    Ok((kept, applied))
}

/// Makes this the database of a single server.
pub(super) fn leave(connection: &Connection) -> rusqlite::Result<()> {
    // A copy of an older server has never been a node's.
    let sql = "SELECT EXISTS (SELECT 1 FROM pragma_table_info('state') WHERE name = 'applied')";
    if !connection.query_row(sql, [], |row| row.get(0))? {
        return Ok(());
    }
    connection.execute_batch(
        "UPDATE state SET applied = NULL, digest = NULL, pack = NULL;
         UPDATE messages SET sequence = NULL WHERE sequence IS NOT NULL;
         DELETE FROM nodes;
         DELETE FROM meta WHERE key IN ('history_per_room', 'stream');",
    )
}

/// The messages that are redacted and came with a pack of this sequence or a later one, by their rooms.
pub(super) fn redacted_since(
    connection: &Connection,
    sequence: u64,
) -> rusqlite::Result<Vec<(RoomName, Offset)>> {
    // The index of redacted messages holds them alone.
    let sql = "SELECT rooms.name, messages.offset
               FROM messages JOIN rooms ON rooms.id = messages.room
               WHERE messages.removed_ms IS NOT NULL AND messages.sequence >= ?1
               ORDER BY messages.sequence";
    connection
        .prepare_cached(sql)?
        .query_map([integer(sequence)], |row| {
            let name = RoomName::new(row.get_ref(0)?.as_str()?);
            let name = row::checked(0, Type::Text, name)?;
            Ok((name, row::offset(row, 1)?))
        })?
        .collect()
}
