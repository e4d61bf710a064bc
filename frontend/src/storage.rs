//! What survives a reload: the session's credentials and its outbox (EO-4), in `sessionStorage`, and
//! the id of the page that they belong to (RS-8).
//!
//! Storage may be absent, full, or hold whatever somebody else wrote there. None of it may keep the
//! page from working.

use protocol::client::{Store, Stored};
use protocol::id::Credentials;
use protocol::outbox::{Entry, EntryId};
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

const PAGE: &str = "everbeat.page";
const SESSION: &str = "everbeat.session";
const OUTBOX: &str = "everbeat.outbox.";

/// The browser does not keep what it was given: no storage, or no room in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the browser's storage keeps nothing more")]
pub struct StorageFailed;

/// Names the page that a storage belongs to, over its reloads. A copied tab has a copy of it, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageId(pub String);

/// A place for texts under keys.
pub trait Area {
    /// All keys, in any order.
    fn keys(&self) -> Vec<String>;
    /// The text under a key.
    fn get(&self, key: &str) -> Option<String>;
    /// Keeps a text under a key.
    ///
    /// # Errors
    /// [`StorageFailed`] if there is no room; what was under the key is then still there.
    fn set(&self, key: &str, text: &str) -> Result<(), StorageFailed>;
    /// Forgets a key and its text.
    fn remove(&self, key: &str);
}

/// The session and the outbox in an area, which may be absent.
#[derive(Debug)]
pub struct Storage<A> {
    area: Option<A>,
    health: Health,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Good,
    /// Something could not be kept. An outbox with holes helps nobody after a reload: from now on
    /// memory alone is relied on, and storage only ever loses things.
    Failed,
}

impl<A: Area> Storage<A> {
    /// What is kept in `area`.
    pub const fn new(area: Option<A>) -> Self {
        Self {
            area,
            health: Health::Good,
        }
    }

    /// The page that this one is a reload of, or a copy.
    pub fn page(&self) -> Option<PageId> {
        self.area.as_ref()?.get(PAGE).map(PageId)
    }

    /// Makes it a page's own. Where that cannot be written nothing else is kept either: it might be
    /// taken for another page's.
    pub fn adopt(&mut self, page: &PageId) {
        self.area.take_if(|area| area.set(PAGE, &page.0).is_err());
    }

    /// Everything that an earlier page left. What cannot be read is forgotten.
    pub fn load(&self) -> Stored {
        Stored {
            credentials: self.credentials(),
            outbox: self.outbox(),
        }
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.remove(PAGE);
        self.remove(SESSION);
        for (key, _) in self.outbox_keys() {
            self.remove(&key);
        }
    }

    /// Makes a change that is to survive a reload.
    ///
    /// # Errors
    /// [`StorageFailed`] the first time that it will not survive; after that nothing is kept any
    /// more, and nothing said.
    pub fn apply(&mut self, change: &Store) -> Result<(), StorageFailed> {
        match change {
            Store::Session(Some(credentials)) => self.write(SESSION, credentials),
            Store::Session(None) => {
                self.remove(SESSION);
                Ok(())
            }
            Store::Put(entry) => self.write(&outbox_key(entry.id), entry),
            Store::Remove(id) => {
                self.remove(&outbox_key(*id));
                Ok(())
            }
        }
    }

    fn write(&mut self, key: &str, value: &impl Serialize) -> Result<(), StorageFailed> {
        let text = serde_json::to_string(value).unwrap_or_default();
        let health = match &self.area {
            Some(area) if self.health == Health::Good && area.set(key, &text).is_ok() => {
                return Ok(());
            }
            _ => std::mem::replace(&mut self.health, Health::Failed),
        };
        // Better forgotten than out of date: an entry kept as unsent that was sent since then would
        // be doubled by a fresh session (RS-9).
        self.remove(key);
        if health == Health::Good {
            Err(StorageFailed)
        } else {
            Ok(())
        }
    }

    fn remove(&self, key: &str) {
        if let Some(area) = &self.area {
            area.remove(key);
        }
    }

    fn credentials(&self) -> Option<Credentials> {
        self.read(SESSION)
    }

    fn outbox(&self) -> Vec<Entry> {
        let mut entries = Vec::new();
        for (key, id) in self.outbox_keys() {
            match self.read::<Entry>(&key) {
                Some(entry) if Some(entry.id) == id => entries.push(entry),
                _ => self.remove(&key),
            }
        }
        entries
    }

    /// A value, or nothing: garbage is removed.
    fn read<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        let text = self.area.as_ref()?.get(key)?;
        let value = serde_json::from_str(&text).ok();
        if value.is_none() {
            self.remove(key);
        }
        value
    }

    /// The keys of outbox entries, each with the entry that it should hold.
    fn outbox_keys(&self) -> Vec<(String, Option<EntryId>)> {
        let keys = self.area.as_ref().map_or_else(Vec::new, Area::keys);
        keys.into_iter()
            .filter_map(|key| {
                let id = key.strip_prefix(OUTBOX)?.parse().ok().map(EntryId);
                Some((key, id))
            })
            .collect()
    }
}

/// The browser's own storage. Where it throws, it is as good as empty.
impl Area for web_sys::Storage {
    fn keys(&self) -> Vec<String> {
        let count = self.length().unwrap_or(0);
        (0..count)
            .filter_map(|index| self.key(index).ok()?)
            .collect()
    }

    fn get(&self, key: &str) -> Option<String> {
        self.get_item(key).ok()?
    }

    fn set(&self, key: &str, text: &str) -> Result<(), StorageFailed> {
        self.set_item(key, text).map_err(|_| StorageFailed)
    }

    fn remove(&self, key: &str) {
        // What cannot be removed cannot be read either.
        let _ = self.remove_item(key);
    }
}

fn outbox_key(id: EntryId) -> String {
    format!("{OUTBOX}{}", id.0)
}

#[cfg(test)]
mod tests;
