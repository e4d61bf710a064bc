//! Tests of the storage, over areas in memory.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use protocol::id::{RoomName, Seq, SessionId, SessionKey};
use protocol::outbox::Stage;

use super::*;

#[derive(Clone, Debug, Default)]
pub(crate) struct Shelf {
    texts: Rc<RefCell<BTreeMap<String, String>>>,
    is_full: Rc<Cell<bool>>,
}

impl Area for Shelf {
    fn keys(&self) -> Vec<String> {
        self.texts.borrow().keys().cloned().collect()
    }

    fn get(&self, key: &str) -> Option<String> {
        self.texts.borrow().get(key).cloned()
    }

    fn set(&self, key: &str, text: &str) -> Result<(), StorageFailed> {
        if self.is_full.get() {
            return Err(StorageFailed);
        }
        self.texts
            .borrow_mut()
            .insert(key.to_owned(), text.to_owned());
        Ok(())
    }

    fn remove(&self, key: &str) {
        self.texts.borrow_mut().remove(key);
    }
}

fn credentials() -> Credentials {
    let id = SessionId::new("s1").unwrap();
    Credentials {
        id,
        key: SessionKey::new("secret").unwrap(),
    }
}

fn entry(id: u64) -> Entry {
    Entry {
        id: EntryId(id),
        seq: Seq::after(id),
        room: RoomName::lobby(),
        body: "hello \"there\"".into(),
        stage: Stage::Unsent,
    }
}

/// EO-4: the next page finds what one page kept.
#[test]
fn it_survives_a_reload() {
    let shelf = Shelf::default();
    let mut storage = Storage::new(Some(shelf.clone()));
    for change in [
        Store::Session(Some(credentials())),
        Store::Put(entry(3)),
        Store::Put(entry(10)),
        Store::Put(Entry {
            stage: Stage::Sent,
            ..entry(3)
        }),
        Store::Put(entry(4)),
        Store::Remove(EntryId(4)),
    ] {
        assert_eq!(storage.apply(&change, 1), Ok(()));
    }
    let mut stored = Storage::new(Some(shelf)).load();
    stored.outbox.sort_by_key(|entry| entry.id);
    assert_eq!(stored.credentials, Some(credentials()));
    assert_eq!(
        stored.outbox,
        [
            Entry {
                stage: Stage::Sent,
                ..entry(3)
            },
            entry(10)
        ]
    );
}

#[test]
fn garbage_is_ignored_and_removed() {
    let shelf = Shelf::default();
    let misplaced = serde_json::to_string(&entry(1)).unwrap();
    for (key, text) in [
        ("session", "{\"id\":\"\"}"),
        ("outbox.0", "[object Object]"),
        ("outbox.x", misplaced.as_str()),
        ("outbox.2", misplaced.as_str()),
        ("somebody.else", "theirs"),
    ] {
        shelf.set(key, text).unwrap();
    }
    let mut storage = Storage::new(Some(shelf.clone()));
    let stored = storage.load();
    assert_eq!(stored.credentials, None);
    assert_eq!(stored.outbox, []);
    assert_eq!(shelf.keys(), ["somebody.else"]);
}

/// RS-8: a copy of a tab forgets what was copied, and only that.
#[test]
fn clearing_leaves_what_is_not_ours() {
    let shelf = Shelf::default();
    shelf.set("name", "Ada").unwrap();
    let mut storage = Storage::new(Some(shelf.clone()));
    storage
        .apply(&Store::Session(Some(credentials())), 1)
        .unwrap();
    storage.apply(&Store::Put(entry(0)), 1).unwrap();
    storage.clear();
    assert_eq!(storage.load().credentials, None);
    assert_eq!(shelf.keys(), ["name"]);
}

#[test]
fn failure_is_told_once_and_leaves_nothing_out_of_date() {
    let shelf = Shelf::default();
    let mut storage = Storage::new(Some(shelf.clone()));
    storage.apply(&Store::Put(entry(0)), 1).unwrap();
    storage.apply(&Store::Put(entry(1)), 1).unwrap();
    shelf.is_full.set(true);
    let sent = Entry {
        stage: Stage::Sent,
        ..entry(0)
    };
    assert_eq!(storage.apply(&Store::Put(sent), 1), Err(StorageFailed));
    assert_eq!(storage.apply(&Store::Put(entry(2)), 1), Ok(()));
    assert_eq!(shelf.keys(), ["outbox.1"]);
    shelf.is_full.set(false);
    storage.apply(&Store::Put(entry(3)), 1).unwrap();
    storage.apply(&Store::Remove(EntryId(1)), 1).unwrap();
    assert_eq!(shelf.keys(), [""; 0]);
}

#[test]
fn absent_storage_is_an_empty_one_that_fails() {
    let mut storage = Storage::<Shelf>::new(None);
    assert_eq!(storage.load().credentials, None);
    assert_eq!(storage.load().outbox, []);
    assert_eq!(storage.apply(&Store::Remove(EntryId(0)), 1), Ok(()));
    assert_eq!(storage.apply(&Store::Put(entry(0)), 1), Err(StorageFailed));
    storage.clear();
}

/// RS-8: the id of its page stays with a storage, and goes with it.
#[test]
fn it_belongs_to_a_page() {
    let shelf = Shelf::default();
    let mut storage = Storage::new(Some(shelf.clone()));
    assert_eq!(storage.page(), None);
    let page = PageId("p1".into());
    storage.adopt(&page);
    assert_eq!(Storage::new(Some(shelf)).page(), Some(page));
    storage.clear();
    assert_eq!(storage.page(), None);
}

/// RS-8: what could be taken for another page's is not written at all, which is an error.
#[test]
fn without_an_owner_nothing_is_kept() {
    let shelf = Shelf::default();
    let mut storage = Storage::new(Some(shelf.clone()));
    shelf.is_full.set(true);
    storage.adopt(&PageId("p1".into()));
    shelf.is_full.set(false);
    assert_eq!(storage.apply(&Store::Put(entry(0)), 1), Err(StorageFailed));
    assert!(shelf.keys().is_empty());
}

fn page() -> PageId {
    PageId("p1".into())
}

/// A page with both areas.
fn owned(tab: &Shelf, shared: &Shelf) -> Storage<Shelf> {
    let mut storage = Storage::new(Some(tab.clone()));
    storage.adopt(&page());
    storage.share(&page(), Some(shared.clone()));
    storage
}

/// RS-8, EO-4: the outbox of a closed tab can be taken up, with its credentials; and a page whose messages
/// are all durable leaves nothing.
#[test]
fn the_outbox_outlives_the_tab_and_nothing_else_does() {
    let (tab, shared) = (Shelf::default(), Shelf::default());
    let mut storage = owned(&tab, &shared);
    storage
        .apply(&Store::Session(Some(credentials())), 1)
        .unwrap();
    assert!(shared.keys().is_empty());
    for id in [0, 1] {
        storage.apply(&Store::Put(entry(id)), 1).unwrap();
    }
    assert_eq!(tab.keys(), ["page", "session"]);

    const FIRST: u64 = 1 << 40;
    let mut left = Storage::left_by(&page(), shared.clone(), FIRST);
    let stored = left.load();
    assert_eq!(stored.credentials, Some(credentials()));
    let ids: Vec<u64> = stored.outbox.iter().map(|entry| entry.id.0).collect();
    assert_eq!(ids, [FIRST, FIRST + 1]);
    let sent = Entry {
        stage: Stage::Sent,
        ..stored.outbox[1].clone()
    };
    left.apply(&Store::Put(sent), 2).unwrap();
    left.apply(&Store::Remove(EntryId(FIRST)), 2).unwrap();
    // The page itself would find the same.
    let stored = owned(&tab, &shared).load();
    let expected = Entry {
        stage: Stage::Sent,
        ..entry(1)
    };
    assert_eq!(stored.outbox, [expected]);
    left.apply(&Store::Remove(EntryId(FIRST + 1)), 2).unwrap();
    assert!(shared.keys().is_empty());
}

/// EO-4: an entry that the shared area does not take is in the tab's, once.
#[test]
fn a_full_shared_area_is_no_loss() {
    let (tab, shared) = (Shelf::default(), Shelf::default());
    let mut storage = owned(&tab, &shared);
    storage.apply(&Store::Put(entry(0)), 1).unwrap();
    shared.is_full.set(true);
    let sent = Entry {
        stage: Stage::Sent,
        ..entry(0)
    };
    storage.apply(&Store::Put(sent.clone()), 1).unwrap();
    storage.apply(&Store::Put(entry(1)), 1).unwrap();
    assert!(shared.keys().is_empty());
    shared.is_full.set(false);
    let mut again = owned(&tab, &shared);
    let mut outbox = again.load().outbox;
    // Without a session the fate of a sent message is unknown.
    let uncertain = Entry {
        stage: Stage::Uncertain,
        ..sent
    };
    outbox.sort_by_key(|entry| entry.id);
    assert_eq!(outbox, [uncertain, entry(1)]);
    again.apply(&Store::Put(entry(1)), 1).unwrap();
    assert_eq!(tab.keys(), ["outbox.0", "page"]);
    again.apply(&Store::Remove(EntryId(0)), 1).unwrap();
    again.apply(&Store::Remove(EntryId(1)), 1).unwrap();
    assert_eq!((tab.keys().len(), shared.keys().len()), (1, 0));
}

/// RS-9: a session that is given up is not resumed by another page, either.
#[test]
fn the_copy_of_the_credentials_follows() {
    let (tab, shared) = (Shelf::default(), Shelf::default());
    let mut storage = owned(&tab, &shared);
    storage.apply(&Store::Put(entry(0)), 1).unwrap();
    let found = |shared: &Shelf| {
        let mut left = Storage::left_by(&page(), shared.clone(), 0);
        left.load().credentials
    };
    assert_eq!(found(&shared), None);
    storage
        .apply(&Store::Session(Some(credentials())), 1)
        .unwrap();
    assert_eq!(found(&shared), Some(credentials()));
    storage.apply(&Store::Session(None), 1).unwrap();
    assert_eq!(found(&shared), None);
}
