//! What stands above every page.

use leptos::prelude::*;
use leptos_router::components::A;

use crate::components::connection_indicator::ConnectionIndicator;
use crate::hooks::use_link;

/// The name of the place and the state of the connection.
#[component]
pub fn Header() -> impl IntoView {
    view! {
        <header class="top">
            <A href="/" attr:class="brand">
                "Everbeat"
            </A>
            <ConnectionIndicator handle=use_link() />
        </header>
    }
}
