//! Everbeat in the browser: renders the page in place of the server's, and drives its session.
//!
//! [`protocol::client::Session`] decides, [`driver::Driver`] carries facts in and wishes out,
//! [`browser::Browser`] does what only a browser can, and [`run`] is the loop around them. No other crate of the workspace names
//! `web_sys`. Everything that the browser may call back is owned by a field of somebody, and gone
//! with it.

pub mod address;
pub mod browser;
pub mod clock;
pub mod driver;
pub mod heirs;
pub mod keeper;
pub mod leftovers;
pub mod lock;
pub mod page;
pub mod queue;
pub mod run;
pub mod socket;
pub mod storage;
pub mod token;

use std::cell::Cell;

use app::{AddressBar, App, Connector, Keeper, Place, Visit, snapshot_of};
use leptos::mount::mount_to;
use leptos::prelude::*;
use wasm_bindgen::prelude::wasm_bindgen;
use web_sys::HtmlElement;

thread_local! {
    /// Whether the page was built to its end.
    static IS_BUILT: Cell<bool> = const { Cell::new(false) };
}

/// Builds the page within `parent`, from the data that came with the server's page. The page's script
/// calls it once (`app/src/boot.js`), and puts `parent` in the place of the server's page.
///
/// Throws if that fails; then nothing was begun: no socket, no timer, no lock.
#[wasm_bindgen]
pub fn start(parent: HtmlElement, data: Option<String>) {
    console_error_panic_hook::set_once();
    let page = mount_to(parent, move || {
        provide_context(Connector::new(|commands, report| {
            if IS_BUILT.get() {
                mark_as_alive();
                run::start(commands, report)
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
    });
    page.forget();
    IS_BUILT.set(true);
}

/// Tells the page's script, and whoever else watches the page, that it answers from now on.
fn mark_as_alive() {
    let body = web_sys::window().and_then(|window| window.document()?.body());
    if let Some(body) = body {
        // Fails for names that no attribute can have, which this one is not.
        let _ = body.set_attribute("data-hydrated", "true");
    }
}
