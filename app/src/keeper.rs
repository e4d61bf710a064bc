//! The browser's storage for the page: short texts under keys.

use std::sync::Arc;

/// The area of the storage: for how long, and for which pages, a text is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shelf {
    /// For this tab, over reloads and visits to other pages.
    Tab,
    /// For every page of this browser, until it is changed.
    Browser,
}

/// A storage for short texts.
pub trait Keep {
    /// The text under a key.
    fn get(&self, shelf: Shelf, key: &str) -> Option<String>;
    /// Stores a text under a key; an empty text removes the key. Returns whether the browser stored it: its
    /// storage may be full or forbidden.
    fn set(&self, shelf: Shelf, key: &str, text: &str) -> bool;
}

/// The browser's storage. The browser's entry gives it through the context; absent on the server.
#[derive(Clone)]
pub struct Keeper(Arc<dyn Keep + Send + Sync>);

impl Keeper {
    /// Wraps a storage.
    pub fn new(keep: impl Keep + Send + Sync + 'static) -> Self {
        Self(Arc::new(keep))
    }

    /// The text under a key; empty if there is none.
    pub fn get(&self, shelf: Shelf, key: &str) -> String {
        self.0.get(shelf, key).unwrap_or_default()
    }

    /// Stores a text under a key, as [`Keep::set`].
    pub fn set(&self, shelf: Shelf, key: &str, text: &str) -> bool {
        self.0.set(shelf, key, text)
    }
}
