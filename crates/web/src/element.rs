//! An observer that is an object of JavaScript: an element, say.

use protocol::id::Credentials;
use view::{Observer, TraceEntry};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

#[wasm_bindgen]
extern "C" {
    /// An object with the methods `take([kind, ms, connection, ordinal, text])` and `watch(id, key)`, called as
    /// [`Observer`]'s methods are.
    #[derive(Clone, Debug)]
    pub type Element;

    #[wasm_bindgen(method, catch)]
    fn take(this: &Element, entry: &js_sys::Array) -> Result<(), JsValue>;

    #[wasm_bindgen(method, catch)]
    fn watch(this: &Element, id: &str, key: &str) -> Result<(), JsValue>;
}

impl Observer for Element {
    fn take(&self, entry: &TraceEntry<'_>) {
        let array = js_sys::Array::of5(
            &entry.kind.as_str().into(),
            &entry.ms.into(),
            &(entry.connection as f64).into(),
            &(entry.ordinal as f64).into(),
            &entry.text.into(),
        );
        // An exception of an observer must not reach the session.
        let _ = self.take(&array);
    }

    fn watch(&self, session: &Credentials) {
        let _ = self.watch(session.id.as_str(), &String::from(session.key.clone()));
    }
}
