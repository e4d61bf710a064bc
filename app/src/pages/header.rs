//! The header of a room's page.

use leptos::prelude::*;
use protocol::id::RoomName;
use view::Visits;

use crate::components::connection_indicator::ConnectionIndicator;
use crate::components::inspector::InspectorButton;
use crate::components::room_link::{RoomLink, Unread};
use crate::hooks::{use_link, use_rooms};
use crate::pages::room::SHEET_ID;
use crate::words::{Word, use_words};

/// The header: the link home, the state of the connection, and on a narrow screen the button for the sheet.
#[component]
pub fn Header() -> impl IntoView {
    let rooms = use_rooms();
    let elsewhere = Signal::derive(move || rooms.visits.with(Visits::elsewhere));
    view! {
        <header class="top">
            <RoomLink rooms to=RoomName::lobby() class="brand" text="Everbeat".to_owned() />
            <button type="button" class="quiet to-sheet" popovertarget=SHEET_ID>
                {use_words().text(Word::PeopleAndRooms)}
                " "
                <Unread count=elsewhere />
            </button>
            <InspectorButton />
            <ConnectionIndicator handle=use_link() />
        </header>
    }
}
