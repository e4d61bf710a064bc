//! What leaves a log: texts that are redacted, and messages that are trimmed for age.

use protocol::id::RoomName;
use protocol::position::Offset;
use rusqlite::params;

use super::{Batch, Fault};
use crate::log::sqlite::{integer, readers, row};
use crate::log::trimming::TRIM_MAX;
use crate::log::{LogError, Redaction};

/// How many rooms one operation trims.
const ROOMS_MAX: i64 = 256;

/// The outcome of one part of a round through all rooms.
pub(in crate::log::sqlite) struct Trimmed {
    /// How many messages were trimmed.
    pub(in crate::log::sqlite) count: u64,
    /// The row id of the room after which the round goes on; `None` at its end.
    pub(in crate::log::sqlite) next: Option<i64>,
}

impl Batch<'_> {
    /// Redacts a message (EO-8): its text is overwritten where it stood.
    pub(in crate::log::sqlite) fn redact(
        &mut self,
        room: &RoomName,
        offset: Offset,
        at_ms: u64,
    ) -> Result<Redaction, Fault> {
        let found = readers::one(self.connection, room, offset)?;
        let Some(mut message) = found else {
            return Ok(Redaction::Missing);
        };
        if message.removed {
            return Ok(Redaction::Before);
        }
        // Also overwrites pages that the text leaves altogether, which are only marked as free otherwise.
        self.secure_delete("ON")?;
        let removed = self.run(
            "UPDATE messages SET body = '', removed_ms = ?3
             WHERE room = (SELECT id FROM rooms WHERE name = ?1) AND offset = ?2",
            params![room.as_str(), integer(offset.get()), integer(at_ms)],
        );
        self.secure_delete("FAST")?;
        removed?;
        message.body.clear();
        message.removed = true;
        self.changes.redacted.push(message);
        Ok(Redaction::Done)
    }

    /// Trims messages from before this time, in some of the rooms after this one.
    pub(in crate::log::sqlite) fn trim(
        &mut self,
        before_ms: u64,
        after: i64,
    ) -> Result<Trimmed, Fault> {
        let rooms: Vec<(i64, String)> = self
            .prepare("SELECT id, name FROM rooms WHERE id > ?1 ORDER BY id LIMIT ?2")?
            .query_map([after, ROOMS_MAX], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_, _>>()?;
        let mut count = 0;
        let mut last = after;
        for (id, name) in &rooms {
            let name = RoomName::new(name);
            let name = name.map_err(|error| LogError::Unavailable(error.to_string().into()))?;
            count += self.trim_room(&name, before_ms)?;
            // The rest is left to the next operation, so that this one is short.
            if count >= TRIM_MAX {
                return Ok(Trimmed {
                    count,
                    next: Some(last),
                });
            }
            last = *id;
        }
        let is_end = i64::try_from(rooms.len()).is_ok_and(|rooms| rooms < ROOMS_MAX);
        let next = (!is_end).then_some(last);
        Ok(Trimmed { count, next })
    }

    /// Trims one room from its oldest message on, up to the first that is not older.
    fn trim_room(&mut self, name: &RoomName, before_ms: u64) -> Result<u64, Fault> {
        let room = self.room(name)?;
        let oldest = "SELECT offset, at_ms FROM messages WHERE room = ?1 ORDER BY offset LIMIT ?2";
        let mut oldest = self.prepare(oldest)?;
        let mut rows = oldest.query(params![room.id, integer(TRIM_MAX)])?;
        let mut through = room.trimmed;
        while let Some(row) = rows.next()? {
            if row::number(row, 1)? >= before_ms {
                break;
            }
            through = row::offset(row, 0)?;
        }
        if through == room.trimmed {
            return Ok(0);
        }
        self.run(
            "DELETE FROM messages WHERE room = ?1 AND offset <= ?2",
            params![room.id, integer(through.get())],
        )?;
        // The batch stores it with the room's head when it commits.
        if let Some(room) = self.rooms.get_mut(name) {
            room.trimmed = through;
        }
        self.changes.trimmed.push((name.clone(), through));
        Ok(through.get() - room.trimmed.get())
    }

    fn secure_delete(&self, how: &str) -> rusqlite::Result<()> {
        self.connection
            .pragma_update_and_check(None, "secure_delete", how, |_| Ok(()))
    }
}
