//! The header of every page.

use leptos::prelude::*;

use crate::components::connection_indicator::ConnectionIndicator;
use crate::components::language_switch::LanguageSwitch;
use crate::components::lobby_link::LobbyLink;
use crate::hooks::{use_link, use_rooms};

/// The header: the link home, the other languages and the state of the connection.
#[component]
pub fn Header() -> impl IntoView {
    view! {
        <header class="top">
            <LobbyLink rooms=use_rooms() class="brand" text="Everbeat" />
            <LanguageSwitch />
            <ConnectionIndicator handle=use_link() />
        </header>
    }
}
