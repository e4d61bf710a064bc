//! The navigation to other rooms.

use leptos::ev::SubmitEvent;
use leptos::prelude::*;
use view::Visited;

use super::room_link::RoomLink;
use crate::hooks::RoomsHandle;
use crate::markup::html;
use crate::place::Place;
use crate::words::{self, Word, Words, use_words};

/// Links to the lobby and to the rooms visited last, and a form for any other room's name. Without a script they load the
/// room's page.
#[component]
pub fn RoomSwitcher(
    /// The navigation between rooms.
    rooms: RoomsHandle,
) -> impl IntoView {
    let words = use_words();
    let wanted = RwSignal::new(String::new());
    let is_odd = RwSignal::new(false);
    let go = move |event: SubmitEvent| {
        event.prevent_default();
        match Place::meant(&wanted.get_untracked()) {
            Place::Room(room) => {
                wanted.set(String::new());
                rooms.go.run(room);
            }
            Place::InvalidRoom | Place::Nowhere => is_odd.set(true),
        }
    };
    let is_invalid = Signal::derive(move || is_odd.get().then(|| "true".to_owned()));
    let hint = Signal::derive(move || {
        is_odd
            .get()
            .then(|| words.text(Word::RoomRule))
            .map_or_else(String::new, html)
    });
    let visits = rooms.visits;
    let links = move || {
        visits.with(|visits| {
            let links = visits.rooms().iter().map(|room| link(rooms, room, words));
            links.collect::<Vec<_>>()
        })
    };
    view! {
        <nav class="rooms" aria-labelledby="rooms-label">
            <h2 id="rooms-label">{words.text(Word::Rooms)}</h2>
            <ul role="list" aria-labelledby="rooms-label">
                {links}
            </ul>
            <form
                aria-label=words.text(Word::GoToRoom)
                action=Place::ROOMS
                autocomplete="off"
                on:submit=go
            >
                <div class="field">
                    <label for="room">{words.text(Word::Room)}</label>
                    <input
                        id="room"
                        name="room"
                        type="text"
                        autocapitalize="none"
                        autocomplete="off"
                        spellcheck="false"
                        placeholder="garden"
                        aria-describedby="room-hint"
                        aria-invalid=is_invalid
                        prop:value=wanted
                        on:input=move |event| {
                            is_odd.set(false);
                            wanted.set(event_target_value(&event));
                        }
                    />
                </div>
                <button type="submit" class="quiet">
                    {words.text(Word::Go)}
                </button>
            </form>
            <p id="room-hint" class="hint" aria-live="polite" inner_html=hint></p>
        </nav>
    }
}

fn link(rooms: RoomsHandle, visited: &Visited, words: Words) -> impl IntoView + use<> {
    let (to, unread) = (visited.room.clone(), visited.unread());
    let text = words::room(&to, words);
    view! {
        <li>
            <RoomLink rooms to text unread />
        </li>
    }
}
