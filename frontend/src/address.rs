//! The browser's address bar.

use wasm_bindgen::JsValue;

/// Shows another path, as a step of its own in the history.
pub(crate) fn show(path: &str) {
    let history = web_sys::window().and_then(|window| window.history().ok());
    if let Some(history) = history {
        // A browser refuses it to pages that do it too often; the address then stays behind the page.
        let _ = history.push_state_with_url(&JsValue::NULL, "", Some(path));
    }
}

/// The path that the address bar shows.
pub(crate) fn path() -> String {
    let location = web_sys::window().map(|window| window.location());
    location
        .and_then(|location| location.pathname().ok())
        .unwrap_or_default()
}
