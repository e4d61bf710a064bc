//! The page's WebAssembly entry: renders the page in place of the server's, then lets its session begin.

mod address;
mod calendar;
mod keeper;

use std::cell::RefCell;
use std::rc::Rc;

use app::words::Words;
use app::{
    AddressBar, App, Fault, Inspect, Keeper, Nodes, Observer, Options, SOCKET, TokenUrl, Visit,
    snapshot_of,
};
use everbeat_web::element::Element;
use leptos::mount::mount_to;
use leptos::prelude::*;
use wasm_bindgen::prelude::wasm_bindgen;
use web_sys::HtmlElement;

thread_local! {
    /// The owner of the page's state and of its driver.
    static OWNER: RefCell<Option<Owner>> = const { RefCell::new(None) };
    /// The handle by which the session is inspected: it outlives a page that is built anew.
    static INSPECT: Inspect = Inspect::default();
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
    let options = Options::at(SOCKET)
        .addresses(nodes.split_whitespace())
        .inspect(INSPECT.with(Inspect::clone));
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

/// Lets the inspector's element observe the session from now on; without one nothing observes it any more.
#[wasm_bindgen]
pub fn observe(element: Option<Element>) {
    let observer = element.map(|element| Rc::new(element) as Rc<dyn Observer>);
    INSPECT.with(|inspect| inspect.observe(observer));
}

/// Causes a fault of the session's connection, clock or machine; `ms`: how long it lasts, or how far the clock jumps. Without
/// a fault of this name nothing happens.
#[wasm_bindgen]
pub fn fault(name: &str, ms: u32) {
    if let Some(fault) = Fault::named(name, ms) {
        INSPECT.with(|inspect| inspect.fault(fault));
    }
}
