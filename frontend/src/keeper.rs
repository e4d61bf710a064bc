//! The browser's storage, as the page sees it.

use app::{Keep, Shelf};

use crate::storage::Area;

/// `sessionStorage` and `localStorage` of the window around us.
#[derive(Clone, Copy, Debug)]
pub struct WindowStorage;

/// A storage of the window; `None` where the person has forbidden it, which throws.
pub fn area(shelf: Shelf) -> Option<web_sys::Storage> {
    let window = web_sys::window()?;
    let area = match shelf {
        Shelf::Tab => window.session_storage(),
        Shelf::Browser => window.local_storage(),
    };
    area.ok().flatten()
}

impl Keep for WindowStorage {
    fn get(&self, shelf: Shelf, key: &str) -> Option<String> {
        Area::get(&area(shelf)?, key)
    }

    fn set(&self, shelf: Shelf, key: &str, text: &str) -> bool {
        let Some(area) = area(shelf) else {
            return text.is_empty();
        };
        if text.is_empty() {
            Area::remove(&area, key);
            return true;
        }
        Area::set(&area, key, text).is_ok()
    }
}
