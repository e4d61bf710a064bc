//! The pages for addresses that lead nowhere.

use leptos::prelude::*;
use leptos_meta::Title;

use crate::backend::set_status;
use crate::components::room_switcher::RoomSwitcher;
use crate::hooks::use_hydrated;

const NOT_FOUND: u16 = 404;

/// There is no page here.
#[component]
pub fn NotFoundPage() -> impl IntoView {
    let text = "This address leads nowhere. Every room has a page of its own, at /r/ and its name.";
    view! { <Nowhere title="No page here" text /> }
}

/// What was asked for cannot be a room.
#[component]
pub fn InvalidRoomPage() -> impl IntoView {
    let text = "A room's name is 1 to 64 of the characters a-z 0-9 - _, without capitals or spaces. \
        Any such name is a room: choose one, and it is there.";
    view! { <Nowhere title="No room by this name" text /> }
}

/// Says what is wrong, and shows the ways on.
#[component]
fn Nowhere(
    /// What is wrong, in a word or two.
    title: &'static str,
    /// What helps.
    text: &'static str,
) -> impl IntoView {
    set_status(NOT_FOUND);
    view! {
        <Title text=title />
        <main class="nowhere">
            <h1>{title}</h1>
            <p>{text}</p>
            <RoomSwitcher ready=use_hydrated() />
        </main>
    }
}
