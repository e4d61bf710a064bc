//! The page for addresses that are no room's.

use leptos::prelude::*;

use crate::components::room_switcher::RoomSwitcher;
use crate::hooks::use_rooms;
use crate::place::Place;

/// Says what is wrong with an address, and links to rooms.
#[component]
pub fn NotFoundPage(
    /// What the address leads to: not a room.
    place: Place,
) -> impl IntoView {
    let text = if place == Place::InvalidRoom {
        "A room's name is 1 to 64 of the characters a-z 0-9 - _, without capitals or spaces. \
        Any such name is a room: choose one, and it is there."
    } else {
        "This address leads nowhere. Every room has a page of its own, at /r/ and its name."
    };
    view! {
        <main class="not-found">
            <h1>{place.heading().to_owned()}</h1>
            <p>{text}</p>
            <RoomSwitcher rooms=use_rooms() />
        </main>
    }
}
