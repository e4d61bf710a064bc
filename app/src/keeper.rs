//! What the browser keeps for the page: short texts under keys.

use std::sync::Arc;

/// How long, and for whom, a text is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shelf {
    /// For this tab, over reloads and visits elsewhere.
    Tab,
    /// For every page of this browser, until it is changed.
    Browser,
}

/// A place for short texts.
pub trait Keep {
    /// The text under a key.
    fn get(&self, shelf: Shelf, key: &str) -> Option<String>;
    /// Keeps a text under a key; an empty one forgets the key. Returns whether the browser does so: it
    /// may have no room, or keep nothing at all.
    fn set(&self, shelf: Shelf, key: &str, text: &str) -> bool;
}

/// The browser's storage. Given by the browser's entry through the context; absent on the server.
#[derive(Clone)]
pub struct Keeper(Arc<dyn Keep + Send + Sync>);

impl Keeper {
    /// Wraps what keeps texts.
    pub fn new(keep: impl Keep + Send + Sync + 'static) -> Self {
        Self(Arc::new(keep))
    }

    /// The text under a key; empty if there is none.
    pub fn get(&self, shelf: Shelf, key: &str) -> String {
        self.0.get(shelf, key).unwrap_or_default()
    }

    /// Keeps a text under a key, as [`Keep::set`].
    pub fn set(&self, shelf: Shelf, key: &str, text: &str) -> bool {
        self.0.set(shelf, key, text)
    }
}
