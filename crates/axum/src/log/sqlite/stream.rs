//! Where the packs of a node's log come from.

use everbeat_log::order::LastPack;
use protocol::id::NodeName;
use rusqlite::{Connection, OptionalExtension};

use super::queue::Work;
use super::{SqliteLog, node};
use crate::log::Answer;

impl SqliteLog {
    /// The id of the engine's stream that this node's packs come from; `None` before the first one.
    pub fn stream(&self) -> Answer<Option<String>> {
        self.read_with(|connection| {
            let sql = "SELECT value FROM meta WHERE key = 'stream'";
            connection.query_row(sql, [], |row| row.get(0)).optional()
        })
    }

    /// Keeps that id.
    pub fn keep_stream(&self, id: String) -> Answer<()> {
        let kept = self.queue.push(None, Work::KeepStream(id));
        Box::pin(async { kept.await.map(drop) })
    }

    /// The last pack of a node that is folded here; `None` where there was none.
    pub fn last_pack(&self, name: NodeName) -> Answer<Option<LastPack>> {
        self.read_with(move |connection| node::last_pack(connection, &name))
    }
}

/// Stores the id of the stream.
pub(super) fn keep(connection: &Connection, id: &str) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO meta (key, value) VALUES ('stream', ?1)";
    connection.execute(sql, [id]).map(drop)
}
