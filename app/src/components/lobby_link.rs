//! The link to the lobby, the room in which every user starts.

use leptos::ev::MouseEvent;
use leptos::prelude::*;
use protocol::id::RoomName;

use crate::hooks::RoomsHandle;
use crate::place::path;

/// A link to the lobby. Without a script it loads the lobby's page, with one it changes rooms.
#[component]
pub fn LobbyLink(
    /// The navigation between rooms.
    rooms: RoomsHandle,
    /// The class of the link.
    #[prop(optional)]
    class: Option<&'static str>,
    /// The link's text.
    text: &'static str,
) -> impl IntoView {
    let RoomsHandle { room, go } = rooms;
    let is_here = move || room.with(|room| *room == Some(RoomName::lobby()));
    let current = Signal::derive(move || is_here().then(|| "page".to_owned()));
    view! {
        <a
            href=path(&RoomName::lobby())
            class=class
            aria-current=current
            on:click=move |event: MouseEvent| {
                if is_plain(&event) {
                    event.prevent_default();
                    go.run(RoomName::lobby());
                }
            }
        >
            {text}
        </a>
    }
}

/// Whether a click opens the link in this tab, not in another tab or as a download.
fn is_plain(event: &MouseEvent) -> bool {
    let modified = event.ctrl_key() || event.meta_key() || event.shift_key() || event.alt_key();
    event.button() == 0 && !modified
}
