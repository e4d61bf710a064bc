//! The page for addresses that are no room's: the server's alone.

use leptos::prelude::*;

use crate::components::room_switcher::RoomSwitcher;
use crate::hooks::RoomsHandle;
use crate::place::Place;
use crate::words::{Word, use_words};

/// Says what is wrong with an address, and links to rooms.
#[component]
pub fn NotFoundPage(
    /// What the address leads to: not a room.
    place: Place,
) -> impl IntoView {
    let words = use_words();
    let text = if place == Place::InvalidRoom {
        Word::NoRoomText
    } else {
        Word::NoPageText
    };
    view! {
        <main class="not-found">
            <h1>{place.heading(words).to_owned()}</h1>
            <p>{words.text(text)}</p>
            <RoomSwitcher rooms=RoomsHandle::of_no_room() />
        </main>
    }
}
