//! Everbeat's page in the browser: renders it in place of the server's, and starts the driver of its session.

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
    /// What the page owns: its state and its driver.
    static OWNER: RefCell<Option<Owner>> = const { RefCell::new(None) };
}

/// Builds the page within `parent`, from the data that came with the server's page. The page's script
/// calls it (`app/src/boot.js`), and puts `parent` in the place of the page that stands there. Where that
/// one was built here, too, its driver ends.
///
/// Throws if that fails; then nothing was begun: no socket, no timer, no lock.
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

/// The session of this page: its server's, with tokens from the URL that the server named, if it did.
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

/// The page's reporter, and the page's script beside it.
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

/// Tells the page's script, and tests that watch the page, something about the driver: `data-hydrated` once
/// it runs, `data-forbidden` where the browser lets it open no connection.
fn mark(fact: &str) {
    if let Some(body) = document().body() {
        // Fails for names that no attribute can have, which these are not.
        let _ = body.set_attribute(fact, "true");
    }
}
