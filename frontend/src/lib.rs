//! The page's WebAssembly entry: renders the page in place of the server's, then lets its session begin.

mod address;
mod calendar;
mod keeper;

use std::cell::RefCell;

use app::words::Words;
use app::{AddressBar, App, Keeper, Nodes, Options, SOCKET, TokenUrl, Visit, snapshot_of};
use leptos::mount::mount_to;
use leptos::prelude::*;
use wasm_bindgen::prelude::wasm_bindgen;
use web_sys::HtmlElement;

thread_local! {
    /// The owner of the page's state and of its driver.
    static OWNER: RefCell<Option<Owner>> = const { RefCell::new(None) };
}

/// Builds the page within `parent`, from the data and the words that came with the server's page. The page's script
/// (`app/src/boot.js`) calls it, and puts `parent` in place of the page before. If this program built that
/// one, too, its driver ends.
///
/// Throws if building fails; then there is no socket, no timer and no lock.
#[wasm_bindgen]
pub fn start(parent: HtmlElement, data: Option<String>, words: String) {
    console_error_panic_hook::set_once();
    let owner = Owner::new();
    let is_built = owner.with(|| RwSignal::new(false));
    let page = owner.with(|| {
        mount_to(parent, move || {
            provide_context(Words::carried(words));
            provide_context(AddressBar::new(address::show));
            provide_context(Keeper::new(keeper::WindowStorage));
            provide_context(calendar::CLOCK);
            let snapshot = data.as_deref().and_then(snapshot_of);
            provide_context(Visit::at(&address::path(), snapshot));
            view! { <App options=options().start_when(is_built) /> }
        })
    });
    page.forget();
    if let Some(before) = OWNER.replace(Some(owner)) {
        before.cleanup();
    }
    is_built.set(true);
}

/// The options of the page's session: this server, its token endpoint, if it has one, and its nodes, if there are several.
fn options() -> Options {
    let nodes = content(Nodes::SELECTOR).unwrap_or_default();
    let options = Options::at(SOCKET).addresses(nodes.split_whitespace());
    match content(TokenUrl::SELECTOR) {
        Some(url) => options.token_url(url),
        None => options,
    }
}

/// The content of a `meta` element of the page.
fn content(selector: &str) -> Option<String> {
    let meta = document().query_selector(selector).ok().flatten();
    meta?.get_attribute("content")
}

/// Whether the driver has ended because the browser threw an exception through it.
#[wasm_bindgen]
pub fn is_broken() -> bool {
    everbeat_web::is_broken()
}
