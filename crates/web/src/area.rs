//! The browser's storage: one area for the tab, one that all pages of an origin share.

use std::rc::Rc;

use crate::storage::StorageFailed;

/// A store of texts under keys.
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

/// The part of one of the browser's areas whose keys begin with a prefix. Its methods take keys without it.
///
/// Where the browser throws, the area counts as empty.
#[derive(Clone, Debug)]
pub struct BrowserArea {
    storage: web_sys::Storage,
    prefix: Rc<str>,
}

impl BrowserArea {
    /// The tab's own area (`sessionStorage`); `None` where the user has forbidden it.
    pub fn of_tab(prefix: &Rc<str>) -> Option<Self> {
        let storage = web_sys::window()?.session_storage().ok()??;
        Some(Self::new(storage, prefix))
    }

    /// The area that pages share (`localStorage`); `None` where the user has forbidden it.
    pub fn shared(prefix: &Rc<str>) -> Option<Self> {
        let storage = web_sys::window()?.local_storage().ok()??;
        Some(Self::new(storage, prefix))
    }

    fn new(storage: web_sys::Storage, prefix: &Rc<str>) -> Self {
        let prefix = prefix.clone();
        Self { storage, prefix }
    }

    fn whole(&self, key: &str) -> String {
        [&*self.prefix, key].concat()
    }
}

impl Area for BrowserArea {
    fn keys(&self) -> Vec<String> {
        let count = self.storage.length().unwrap_or(0);
        let keys = (0..count).filter_map(|index| self.storage.key(index).ok()?);
        keys.filter_map(|key| Some(key.strip_prefix(&*self.prefix)?.to_owned()))
            .collect()
    }

    fn get(&self, key: &str) -> Option<String> {
        self.storage.get_item(&self.whole(key)).ok()?
    }

    fn set(&self, key: &str, text: &str) -> Result<(), StorageFailed> {
        let set = self.storage.set_item(&self.whole(key), text);
        set.map_err(|_| StorageFailed)
    }

    fn remove(&self, key: &str) {
        // A text that cannot be removed cannot be read either.
        let _ = self.storage.remove_item(&self.whole(key));
    }
}
