//! What a client keeps while it is away: the counterpart of a browser tab's storage.

use std::collections::BTreeMap;

use protocol::client::{Store, Stored};
use protocol::id::Credentials;
use protocol::outbox::{Entry, EntryId};

/// A tab's storage in memory. A copy of it is what a duplicated tab starts with.
#[derive(Clone, Debug, Default)]
pub struct Storage {
    credentials: Option<Credentials>,
    outbox: BTreeMap<EntryId, Entry>,
}

impl Storage {
    /// Keeps what the machine wants kept.
    pub fn apply(&mut self, store: Store) {
        match store {
            Store::Session(credentials) => self.credentials = credentials,
            Store::Put(entry) => {
                self.outbox.insert(entry.id, entry);
            }
            Store::Remove(id) => {
                self.outbox.remove(&id);
            }
        }
    }

    /// What the next machine starts with.
    pub fn stored(&self) -> Stored {
        Stored {
            credentials: self.credentials.clone(),
            outbox: self.outbox.values().cloned().collect(),
        }
    }
}
