//! The storage of a page: what survives a reload and a closed tab. That is the session's credentials, its
//! outbox (EO-4), and the id of the page that they belong to (RS-8).
//!
//! The credentials are in the tab's own area (`sessionStorage`). The outbox is in the area that all
//! pages of the browser share (`localStorage`), under the page's id, so that another page can take it up
//! ([`crate::leftovers`]); beside it, as long as it is not empty, is a copy of the
//! credentials. A page with an empty outbox leaves nothing behind. What the shared area does not take, and
//! what a page without locks has, is in the tab's area.
//!
//! Storage may be absent, full, or hold texts of other programs. None of that may keep the page from working.

use protocol::client::{Store, Stored};
use protocol::id::Credentials;
use protocol::outbox::{Entry, EntryId, Stage};
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::area::Area;
use crate::leftovers::{self, Mark};

const PAGE: &str = "page";
/// The beginning of the keys of a page's things in the tab's area.
const TAB: &str = "";
const SESSION: &str = "session";
const OUTBOX: &str = "outbox.";

/// The browser does not keep what it was given: it has no storage, or no room in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the browser's storage keeps nothing more")]
pub struct StorageFailed;

/// The id of the page that a storage belongs to, over its reloads. A copied tab has a copy of it, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageId(pub String);

/// The session and the outbox of a page in the browser's areas, which may be absent.
#[derive(Debug)]
pub struct Storage<A> {
    tab: Option<A>,
    /// The area that pages share, and the beginning of the page's keys there.
    shared: Option<(A, String)>,
    credentials: Option<Credentials>,
    /// The entries that are in the shared area.
    left: Vec<EntryId>,
    /// The id of the entry with the number 0.
    first: u64,
    health: Health,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Good,
    /// Something could not be kept. An outbox with holes is of no use after a reload: from now on
    /// only memory counts, and storage only ever loses things.
    Failed,
}

impl<A: Area> Storage<A> {
    /// The storage in the area of a tab.
    pub const fn new(tab: Option<A>) -> Self {
        Self {
            tab,
            shared: None,
            credentials: None,
            left: Vec::new(),
            first: 0,
            health: Health::Good,
        }
    }

    /// The storage of a closed page in the area that pages share. Its entries get ids from `first` on, unlike those
    /// of this page.
    pub fn left_by(page: &PageId, shared: A, first: u64) -> Self {
        Self {
            shared: Some((shared, leftovers::prefix(page))),
            first,
            ..Self::new(None)
        }
    }

    /// The page of which this one is a reload, or a copy.
    pub fn page(&self) -> Option<PageId> {
        self.tab.as_ref()?.get(PAGE).map(PageId)
    }

    /// Makes the storage a page's own. If that cannot be written, nothing else is kept in the tab's area: it
    /// could be taken for another page's.
    pub fn adopt(&mut self, page: &PageId) {
        self.tab.take_if(|tab| tab.set(PAGE, &page.0).is_err());
    }

    /// From now on the outbox is in the area that pages share. Only for the page that holds the lock.
    pub fn share(&mut self, page: &PageId, shared: Option<A>) {
        self.shared = shared.map(|area| (area, leftovers::prefix(page)));
    }

    /// Everything that an earlier page left. Unreadable entries are forgotten.
    pub fn load(&mut self) -> Stored {
        let shared = self.shared.as_ref().map(|(area, prefix)| (area, &**prefix));
        let tab = self.tab.as_ref().map(|area| (area, TAB));
        let mut outbox = Vec::new();
        let mut left = Vec::new();
        for (area, prefix) in shared.into_iter().chain(tab) {
            let is_shared = prefix != TAB;
            for mut entry in entries(area, prefix) {
                entry.id.0 = entry.id.0.saturating_add(self.first);
                if is_shared {
                    left.push(entry.id);
                } else if left.contains(&entry.id) {
                    continue;
                }
                outbox.push(entry);
            }
        }
        // The copy is newer if a browser that crashed restores the tab as it was some time before.
        let mut areas = shared.into_iter().chain(tab);
        let credentials =
            areas.find_map(|(area, prefix)| read(area, &format!("{prefix}{SESSION}")));
        if credentials.is_none() {
            // A message sent in a session that is not known any more may have arrived or not.
            for entry in outbox.iter_mut().filter(|entry| entry.stage == Stage::Sent) {
                entry.stage = entry.stage.orphaned();
            }
        }
        self.left = left;
        self.credentials.clone_from(&credentials);
        Stored {
            credentials,
            outbox,
        }
    }

    /// Forgets everything in the tab's area.
    pub fn clear(&self) {
        if let Some(tab) = &self.tab {
            tab.remove(PAGE);
            tab.remove(SESSION);
            for key in keys(tab, OUTBOX) {
                tab.remove(&key);
            }
        }
    }

    /// Keeps a change over a reload. `now_ms`: Unix time.
    ///
    /// # Errors
    /// [`StorageFailed`] the first time that this fails; after that nothing is kept any
    /// more, and no error returned.
    pub fn apply(&mut self, change: &Store, now_ms: u64) -> Result<(), StorageFailed> {
        match change {
            Store::Session(credentials) => {
                self.credentials.clone_from(credentials);
                self.copy_credentials();
                let Some(tab) = &self.tab else {
                    return Ok(());
                };
                let is_kept = match credentials {
                    Some(credentials) => self.is_good() && write(tab, SESSION, credentials).is_ok(),
                    None => false,
                };
                if !is_kept {
                    tab.remove(SESSION);
                }
                self.judge(is_kept || credentials.is_none())
            }
            Store::Put(entry) => {
                let is_kept = self.is_good() && self.put(entry, now_ms);
                if !is_kept {
                    // Better forgotten than outdated: an entry kept as unsent that was sent since then
                    // would be doubled by a fresh session (RS-9).
                    self.remove(entry.id);
                }
                self.judge(is_kept)
            }
            Store::Remove(id) => {
                self.remove(*id);
                Ok(())
            }
        }
    }

    fn is_good(&self) -> bool {
        self.health == Health::Good
    }

    fn judge(&mut self, is_kept: bool) -> Result<(), StorageFailed> {
        if is_kept {
            return Ok(());
        }
        match std::mem::replace(&mut self.health, Health::Failed) {
            Health::Good => Err(StorageFailed),
            Health::Failed => Ok(()),
        }
    }

    /// Keeps an entry if there is room. First what is needed to take it up, then the entry itself: so an entry that
    /// is there can be taken up.
    fn put(&mut self, entry: &Entry, now_ms: u64) -> bool {
        let number = self.number(entry.id);
        let kept = &Entry {
            id: EntryId(number),
            ..entry.clone()
        };
        if self.share_entry(kept, now_ms) {
            if !self.left.contains(&entry.id) {
                self.left.push(entry.id);
            }
            if let Some(tab) = &self.tab {
                tab.remove(&format!("{OUTBOX}{number}"));
            }
            return true;
        }
        self.unshare(entry.id);
        self.tab
            .as_ref()
            .is_some_and(|tab| write(tab, &format!("{OUTBOX}{number}"), kept).is_ok())
    }

    fn share_entry(&self, entry: &Entry, now_ms: u64) -> bool {
        let Some((area, prefix)) = &self.shared else {
            return false;
        };
        if self.left.is_empty() {
            let mark = Mark {
                at_ms: now_ms,
                is_gone: false,
            };
            let session = format!("{prefix}{SESSION}");
            let is_ready = mark.write(area, prefix).is_ok()
                && match &self.credentials {
                    Some(credentials) => write(area, &session, credentials).is_ok(),
                    None => true,
                };
            if !is_ready {
                leftovers::forget(area, prefix);
                return false;
            }
        }
        write(area, &format!("{prefix}{OUTBOX}{}", entry.id.0), entry).is_ok()
    }

    fn remove(&mut self, id: EntryId) {
        self.unshare(id);
        let number = self.number(id);
        if let Some(tab) = &self.tab {
            tab.remove(&format!("{OUTBOX}{number}"));
        }
    }

    /// Forgets an entry in the shared area; with the last one also what would help to take it up.
    fn unshare(&mut self, id: EntryId) {
        let number = self.number(id);
        if let Some((area, prefix)) = &self.shared {
            area.remove(&format!("{prefix}{OUTBOX}{number}"));
            let before = self.left.len();
            self.left.retain(|left| *left != id);
            if before > 0 && self.left.is_empty() {
                leftovers::forget(area, prefix);
            }
        }
    }

    fn copy_credentials(&self) {
        let Some((area, prefix)) = &self.shared else {
            return;
        };
        let key = format!("{prefix}{SESSION}");
        let is_kept = match &self.credentials {
            Some(credentials) if !self.left.is_empty() => write(area, &key, credentials).is_ok(),
            _ => false,
        };
        if !is_kept {
            // Without credentials the sent messages are uncertain.
            area.remove(&key);
        }
    }

    const fn number(&self, id: EntryId) -> u64 {
        id.0.saturating_sub(self.first)
    }
}

fn write<A: Area>(area: &A, key: &str, value: &impl Serialize) -> Result<(), StorageFailed> {
    let text = serde_json::to_string(value).map_err(|_| StorageFailed)?;
    area.set(key, &text)
}

/// A value, or none: an unreadable one is removed.
fn read<T: DeserializeOwned>(area: &impl Area, key: &str) -> Option<T> {
    let text = area.get(key)?;
    let value = serde_json::from_str(&text).ok();
    if value.is_none() {
        area.remove(key);
    }
    value
}

/// The outbox under a prefix. A value that is not an entry of the key's number is removed.
fn entries<A: Area>(area: &A, prefix: &str) -> Vec<Entry> {
    let outbox = format!("{prefix}{OUTBOX}");
    let mut entries = Vec::new();
    for key in keys(area, &outbox) {
        let number = key[outbox.len()..].parse().ok().map(EntryId);
        match read::<Entry>(area, &key) {
            Some(entry) if Some(entry.id) == number => entries.push(entry),
            _ => area.remove(&key),
        }
    }
    entries
}

/// The keys that begin so.
pub(crate) fn keys<A: Area>(area: &A, prefix: &str) -> Vec<String> {
    let mut keys = area.keys();
    keys.retain(|key| key.starts_with(prefix));
    keys
}

#[cfg(test)]
pub(crate) mod tests;
