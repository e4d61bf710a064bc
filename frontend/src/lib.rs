//! The page's WebAssembly entry: renders the page in place of the server's, and starts its session's driver.

mod address;
mod keeper;

use std::cell::{Cell, RefCell};

use app::{
    AddressBar, App, Connector, Keeper, Place, Report, Reporter, TokenUrl, Visit, snapshot_of,
};
use everbeat_web::Options;
use leptos::mount::mount_to;
use leptos::prelude::*;
use wasm_bindgen::prelude::wasm_bindgen;
use web_sys::HtmlElement;

thread_local! {
    /// Whether the page was built to its end.
    static IS_BUILT: Cell<bool> = const { Cell::new(false) };
    /// The owner of the page's state and of its driver.
    static OWNER: RefCell<Option<Owner>> = const { RefCell::new(None) };
}

/// Builds the page within `parent`, from the data that came with the server's page. The page's script
/// (`app/src/boot.js`) calls it, and puts `parent` in place of the page before. If this program built that
/// one, too, its driver ends.
///
/// Throws if building fails; then there is no socket, no timer and no lock.
#[wasm_bindgen]
pub fn start(parent: HtmlElement, data: Option<String>) {
    console_error_panic_hook::set_once();
    IS_BUILT.set(false);
    let owner = Owner::new();
    let page = owner.with(|| {
        mount_to(parent, move || {
            provide_context(Connector::new(|commands, report| {
                if IS_BUILT.get() {
                    everbeat_web::start(options(), commands, watched(report))
                } else {
                    Box::new(|| {})
                }
            }));
            provide_context(AddressBar::new(address::show));
            provide_context(Keeper::new(keeper::WindowStorage));
            provide_context(Visit {
                place: Place::at(&address::path()),
                snapshot: data.as_deref().and_then(snapshot_of),
            });
            view! { <App/> }
        })
    });
    page.forget();
    if let Some(before) = OWNER.replace(Some(owner)) {
        before.cleanup();
    }
    IS_BUILT.set(true);
}

/// The options of the page's session: this server, and its token endpoint, if it has one.
fn options() -> Options {
    let options = Options::at("/ws");
    let meta = document().query_selector(TokenUrl::SELECTOR).ok().flatten();
    match meta.and_then(|meta| meta.get_attribute("content")) {
        Some(url) => options.token_url(url),
        None => options,
    }
}

/// Whether the driver has ended because the browser threw an exception through it.
#[wasm_bindgen]
pub fn is_broken() -> bool {
    everbeat_web::is_broken()
}

/// The page's reporter, which also marks facts for the page's script.
fn watched(mut report: Reporter) -> Reporter {
    Box::new(move |told| {
        match &told {
            Report::Restored { .. } => mark("data-hydrated"),
            Report::Forbidden => mark("data-forbidden"),
            _ => {}
        }
        report(told);
    })
}

/// Marks a fact about the driver for the page's script and for tests: `data-hydrated` once it
/// runs, `data-forbidden` where the browser forbids its connection.
fn mark(fact: &str) {
    if let Some(body) = document().body() {
        // It fails only for invalid attribute names, and these are valid.
        let _ = body.set_attribute(fact, "true");
    }
}
