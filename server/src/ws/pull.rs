//! What a room has for one reader, from its tail or from the log: the same for both dialects.

use protocol::position::Offset;
use protocol::server::Pull;

use super::Connection;
use crate::hub::room::{Entry, Room, Taken};

/// What to write, and where the reader stands afterwards.
pub(super) struct Batch {
    /// In the order in which they are to be written.
    pub(super) entries: Vec<Entry>,
    /// The last offset.
    pub(super) through: Offset,
    /// The last version of drafts and members.
    pub(super) version: u64,
}

/// Why there is no batch.
pub(super) enum Nothing {
    /// The room no longer reaches back to the reader's place.
    CutOff,
    /// The log cannot tell now.
    Unavailable,
}

/// Takes what a room has after a reader's place.
pub(super) async fn take(
    connection: &Connection,
    room: &Room,
    pull: Pull,
) -> Result<Batch, Nothing> {
    match room.take(pull) {
        Taken::Entries {
            messages: mut entries,
            changes,
            through,
            version,
        } => {
            entries.extend(changes.iter().cloned());
            Ok(Batch {
                entries,
                through,
                version,
            })
        }
        Taken::InLog => {
            let entries = Box::pin(read_log(connection, room, pull)).await?;
            let through = entries.last().map_or(pull.after, |last| last.offset);
            Ok(Batch {
                entries,
                through,
                version: pull.since,
            })
        }
        Taken::CutOff => Err(Nothing::CutOff),
    }
}

async fn read_log(connection: &Connection, room: &Room, pull: Pull) -> Result<Vec<Entry>, Nothing> {
    let log = connection.hub.log();
    let read = log.read(room.name().clone(), pull.after, pull.limit).await;
    let read = read.map_err(|_| Nothing::Unavailable)?;
    if read.first().is_none_or(|m| m.offset != pull.after.next()) {
        let refreshed = room.refresh(log.as_ref()).await;
        return Err(refreshed.map_or(Nothing::Unavailable, |()| Nothing::CutOff));
    }
    Ok(read.into_iter().map(Entry::message).collect())
}
