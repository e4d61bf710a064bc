//! When which room has to be looked at: for members that were away too long, and for news of a crowd.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use protocol::time::Timestamp;

use super::room::Room;

/// Rooms in the order in which they are due.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    rooms: Mutex<BTreeMap<Timestamp, Vec<Weak<Room>>>>,
}

impl Agenda {
    /// A room wants to be looked at.
    pub(super) fn put(&self, due: Timestamp, room: &Arc<Room>) {
        let mut rooms = self.rooms.lock();
        rooms.entry(due).or_default().push(Arc::downgrade(room));
    }

    /// Takes the rooms that are due.
    pub(super) fn take(&self, now: Timestamp) -> impl Iterator<Item = Arc<Room>> {
        let mut rooms = self.rooms.lock();
        let mut due = Vec::new();
        while let Some(first) = rooms.first_entry().filter(|first| *first.key() <= now) {
            due.extend(first.remove());
        }
        due.into_iter().filter_map(|room| room.upgrade())
    }
}
