//! A link to a room.

use leptos::ev::MouseEvent;
use leptos::prelude::*;
use protocol::id::RoomName;

use crate::hooks::RoomsHandle;
use crate::markup::html;
use crate::place::path;
use crate::words::{self, use_words};

/// A link to a room. Without a script it loads the room's page, with one it changes rooms.
#[component]
pub fn RoomLink(
    /// The navigation between rooms.
    rooms: RoomsHandle,
    /// The room; the lobby is where every user starts.
    to: RoomName,
    /// The class of the link.
    #[prop(optional)]
    class: Option<&'static str>,
    /// The link's text.
    text: String,
    /// How much is new in the room.
    #[prop(optional)]
    unread: u64,
) -> impl IntoView {
    let RoomsHandle { room, go, .. } = rooms;
    let href = path(&to);
    let target = to.clone();
    let is_here = move || room.with(|room| room.as_ref() == Some(&target));
    let current = Signal::derive(move || is_here().then(|| "page".to_owned()));
    view! {
        <a
            href=href
            class=class
            aria-current=current
            on:click=move |event: MouseEvent| {
                if is_plain(&event) {
                    event.prevent_default();
                    go.run(to.clone());
                }
            }
        >
            <bdi translate="no" inner_html=html(&text)></bdi>
            " "
            <Unread count=Signal::derive(move || unread) />
        </a>
    }
}

/// How much is new, if anything is.
#[component]
pub fn Unread(
    /// The number of messages.
    count: Signal<u64>,
) -> impl IntoView {
    let words = use_words();
    let is_none = Signal::derive(move || count.get() == 0);
    let text = Signal::derive(move || match count.get() {
        0 => String::new(),
        count => html(&words::unread(count, words)),
    });
    view! { <span class="unread" hidden=is_none inner_html=text></span> }
}

/// Whether a click opens the link in this tab, not in another tab or as a download.
fn is_plain(event: &MouseEvent) -> bool {
    let modified = event.ctrl_key() || event.meta_key() || event.shift_key() || event.alt_key();
    event.button() == 0 && !modified
}
