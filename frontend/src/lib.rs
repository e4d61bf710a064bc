//! Everbeat in the browser: brings the server-rendered page alive and drives its session.
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

use app::{AddressBar, App, Connector, Keeper};
use leptos::prelude::*;
use wasm_bindgen::prelude::wasm_bindgen;

/// Takes over the page that the server rendered. The page's script calls it once.
#[wasm_bindgen]
pub fn hydrate() {
    console_error_panic_hook::set_once();
    hydrate_body(|| {
        provide_context(Connector::new(run::start));
        provide_context(AddressBar::new(address::show));
        provide_context(Keeper::new(keeper::WindowStorage));
        view! { <App/> }
    });
    mark_as_hydrated();
}

/// Tells whoever watches the page, tests above all, that it answers from now on.
fn mark_as_hydrated() {
    let body = web_sys::window().and_then(|window| window.document()?.body());
    if let Some(body) = body {
        // Fails for names that no attribute can have, which this one is not.
        let _ = body.set_attribute("data-hydrated", "true");
    }
}
