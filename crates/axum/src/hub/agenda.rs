//! The agenda: when each room has a deadline, of members that are away (PR-1) or of news to a crowd (PR-3).

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use protocol::time::Timestamp;

/// Rooms in the order of their deadlines. It does not keep a room open.
#[derive(Debug)]
pub(super) struct Agenda<T> {
    due: Mutex<BTreeMap<Timestamp, Vec<Weak<T>>>>,
}

impl<T> Agenda<T> {
    /// Adds a deadline of a room.
    pub(super) fn put(&self, at: Timestamp, room: &Arc<T>) {
        let mut due = self.due.lock();
        due.entry(at).or_default().push(Arc::downgrade(room));
    }

    /// Takes the rooms that are due.
    pub(super) fn take(&self, now: Timestamp) -> impl Iterator<Item = Arc<T>> + use<T> {
        let mut due = self.due.lock();
        let mut taken = Vec::new();
        while let Some(first) = due.first_entry().filter(|first| *first.key() <= now) {
            taken.extend(first.remove());
        }
        taken.into_iter().filter_map(|room| room.upgrade())
    }
}

impl<T> Default for Agenda<T> {
    fn default() -> Self {
        Self {
            due: Mutex::default(),
        }
    }
}
