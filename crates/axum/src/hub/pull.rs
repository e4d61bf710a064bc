//! Pulls: what a room has for one reader, from its tail or from the log. The same for both dialects and for listeners
//! over HTTP.

use protocol::position::Offset;
use protocol::server::Pull;

use super::Hub;
use super::room::{Entry, Room, Taken};
use crate::address::Network;
use crate::answers::{NoRoom, Owed};
use crate::metrics::Metrics;
use crate::text_frame::TextFrame;

/// A pull's outcome: what to write, and where the reader's cursor stands then.
pub struct Batch<T> {
    /// The frames, in the order in which they are to be written.
    pub frames: Vec<T>,
    /// The offset of the last message.
    pub through: Offset,
    /// The version of drafts and members that the reader then has.
    pub version: u64,
    /// How many bytes its entries have.
    pub bytes: usize,
}

/// Why a pull has no batch.
pub enum Nothing {
    /// The messages are in the log, and are to be read there.
    InLog,
    /// The room no longer reaches back to the reader's cursor.
    CutOff,
    /// The log cannot be read now.
    Unavailable,
}

/// Counts the frames that are handed to a connection.
pub fn count(frames: &[TextFrame], metrics: &Metrics) {
    metrics.delivered(frames.len());
    metrics.sent(frames.iter().map(TextFrame::len).sum());
}

/// Takes what a room's tail has after a reader's cursor, without waiting; `pick` makes of an entry what this
/// reader gets of it.
pub fn take<T>(
    room: &Room,
    pull: Pull,
    pick: impl Fn(&Entry) -> Option<T>,
) -> Result<Batch<T>, Nothing> {
    match room.take(pull, &pick) {
        Taken::Entries {
            messages: mut frames,
            changes,
            through,
            version,
            bytes,
        } => {
            let bytes = bytes + changes.iter().map(Entry::bytes).sum::<usize>();
            frames.extend(changes.iter().filter_map(pick));
            Ok(Batch {
                frames,
                through,
                version,
                bytes,
            })
        }
        Taken::InLog => Err(Nothing::InLog),
        Taken::CutOff => Err(Nothing::CutOff),
    }
}

/// As [`take`], for a large batch or one that is in the log: first reserves memory among the answers, which may take
/// some seconds. The caller must have written all that it has to write.
pub async fn take_much<T>(
    hub: &Hub,
    room: &Room,
    pull: Pull,
    network: Option<Network>,
    pick: impl Fn(&Entry) -> Option<T>,
) -> Result<(Batch<T>, Owed), Nothing> {
    let owed = hub.owe(network).await;
    let mut owed = owed.map_err(|NoRoom| Nothing::Unavailable)?;
    let batch = match take(room, pull, &pick) {
        Err(Nothing::InLog) => read_log(hub, room, pull, pick).await?,
        taken => taken?,
    };
    owed.shrink(batch.bytes);
    Ok((batch, owed))
}

/// Reads what is no longer in the tail from the log.
async fn read_log<T>(
    hub: &Hub,
    room: &Room,
    pull: Pull,
    pick: impl Fn(&Entry) -> Option<T>,
) -> Result<Batch<T>, Nothing> {
    let page = hub.replay(room.name(), pull.after, pull.limit).await;
    let page = page.map_err(|_| Nothing::Unavailable)?;
    if page.first().is_none_or(|m| m.offset != pull.after.next()) {
        let refreshed = room.refresh(hub.log().as_ref()).await;
        return Err(refreshed.map_or(Nothing::Unavailable, |()| Nothing::CutOff));
    }
    Ok(Batch {
        bytes: page.iter().map(Entry::bytes).sum(),
        frames: page.iter().filter_map(pick).collect(),
        through: page.last().map_or(pull.after, |last| last.offset),
        version: pull.since,
    })
}
