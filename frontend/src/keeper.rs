//! The browser's storage, for the page.

use app::{Keep, Shelf};
use everbeat_web::area::{Area, BrowserArea};

/// The window's `sessionStorage` and `localStorage`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WindowStorage;

/// An area of the storage; `None` where the user has forbidden it. The page's keys need no prefix.
fn area(shelf: Shelf) -> Option<BrowserArea> {
    match shelf {
        Shelf::Tab => BrowserArea::of_tab(&"".into()),
        Shelf::Browser => BrowserArea::shared(&"".into()),
    }
}

impl Keep for WindowStorage {
    fn get(&self, shelf: Shelf, key: &str) -> Option<String> {
        area(shelf)?.get(key)
    }

    fn set(&self, shelf: Shelf, key: &str, text: &str) -> bool {
        let Some(area) = area(shelf) else {
            return text.is_empty();
        };
        if text.is_empty() {
            area.remove(key);
            return true;
        }
        area.set(key, text).is_ok()
    }
}
