//! Snapshots: a room as it is shown before the session is there.

use protocol::frame::Message;
use protocol::position::Position;
use serde::{Deserialize, Serialize};

/// A room as it was when the page was rendered, or when the client was last closed (RS-7).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The position from which the client joins.
    pub position: Position,
    /// The newest messages up to that position, oldest first.
    pub messages: Vec<Message>,
    /// Whether the log holds older ones.
    pub more: bool,
}
