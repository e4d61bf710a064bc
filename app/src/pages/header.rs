//! The header of a room's page.

use leptos::prelude::*;

use crate::components::connection_indicator::ConnectionIndicator;
use crate::components::lobby_link::LobbyLink;
use crate::hooks::{use_link, use_rooms};
use crate::pages::room::SHEET_ID;
use crate::words::{Word, use_words};

/// The header: the link home, the state of the connection, and on a narrow screen the button for the sheet.
#[component]
pub fn Header() -> impl IntoView {
    view! {
        <header class="top">
            <LobbyLink rooms=use_rooms() class="brand" text="Everbeat" />
            <button type="button" class="quiet to-sheet" popovertarget=SHEET_ID>
                {use_words().text(Word::PeopleAndRooms)}
            </button>
            <ConnectionIndicator handle=use_link() />
        </header>
    }
}
