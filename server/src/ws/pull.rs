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

/// Takes what a room has after a reader's place; `None` if it no longer reaches back to there.
pub(super) async fn take(connection: &Connection, room: &Room, pull: Pull) -> Option<Batch> {
    match room.take(pull) {
        Taken::Entries {
            messages: mut entries,
            changes,
            through,
            version,
        } => {
            entries.extend(changes.iter().cloned());
            Some(Batch {
                entries,
                through,
                version,
            })
        }
        Taken::InLog => {
            let entries = read_log(connection, room, pull).await?;
            let through = entries.last().map_or(pull.after, |last| last.offset);
            Some(Batch {
                entries,
                through,
                version: pull.since,
            })
        }
        Taken::CutOff => None,
    }
}

async fn read_log(connection: &Connection, room: &Room, pull: Pull) -> Option<Vec<Entry>> {
    let log = connection.hub.log();
    let read = log
        .read(room.name().clone(), pull.after, pull.limit)
        .await
        .ok();
    let read = read.filter(|read| read.first().is_some_and(|m| m.offset == pull.after.next()));
    if read.is_none() {
        // If even that fails, the room is opened again later, and says so then.
        let _ = room.refresh(log.as_ref()).await;
    }
    Some(read?.into_iter().map(Entry::message).collect())
}
