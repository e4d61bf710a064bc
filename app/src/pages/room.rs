//! A room's page.

use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_params_map;
use protocol::id::RoomName;

use super::not_found::InvalidRoomPage;
use crate::backend::{BackendHandle, Snapshot};
use crate::components::composer::ComposerForm;
use crate::components::message_list::MessageList;
use crate::components::name_field::NameField;
use crate::components::people_list::PeopleList;
use crate::components::received_line::ReceivedLine;
use crate::components::room_switcher::RoomSwitcher;
use crate::components::typing_list::TypingList;
use crate::hooks::{use_hydrated, use_name, use_room};

/// How many of the newest messages are rendered with the page.
const NEWEST_LIMIT: u32 = 50;

/// The room everybody starts in.
#[component]
pub fn LobbyPage() -> impl IntoView {
    view! { <RoomLoader room=RoomName::lobby() /> }
}

/// The room that the address names.
#[component]
pub fn RoomPage() -> impl IntoView {
    let params = use_params_map();
    let room = Memo::new(move |_| params.with(|params| RoomName::new(&params.get("room")?).ok()));
    move || match room.get() {
        Some(room) => view! { <RoomLoader room /> }.into_any(),
        None => view! { <InvalidRoomPage /> }.into_any(),
    }
}

/// Gets the newest messages while the server renders (RS-7). The browser has no such source: there a
/// room starts empty, and joining it brings the messages.
#[component]
fn RoomLoader(
    /// Which room.
    room: RoomName,
) -> impl IntoView {
    let backend = use_context::<BackendHandle>();
    let wanted = room.clone();
    let snapshot = Resource::new_blocking(
        || (),
        move |()| {
            let newest = backend
                .as_ref()
                .map(|BackendHandle(backend)| backend.newest(wanted.clone(), NEWEST_LIMIT));
            async move {
                match newest {
                    Some(newest) => newest.await,
                    None => None,
                }
            }
        },
    );
    view! {
        <Suspense>
            {move || {
                let room = room.clone();
                Suspend::new(async move {
                    let snapshot = snapshot.await;
                    view! { <Room room snapshot /> }
                })
            }}
        </Suspense>
    }
}

/// The room.
#[component]
fn Room(
    /// Which one.
    room: RoomName,
    /// As the server found it.
    snapshot: Option<Snapshot>,
) -> impl IntoView {
    let handle = use_room(room.clone(), snapshot);
    let ready = use_hydrated();
    view! {
        <Title text=room.to_string() />
        <main class="room">
            <section class="conversation" aria-labelledby="room-name">
                <h1 id="room-name">{room.to_string()}</h1>
                <ReceivedLine received=handle.received />
                <MessageList
                    timeline=handle.timeline
                    is_live=handle.is_live
                    actions=handle.list
                />
                <TypingList people=handle.people />
                <ComposerForm
                    composer=handle.composer
                    ready
                    on_write=handle.write
                    on_publish=handle.publish
                />
            </section>
            <aside aria-label="This room and others">
                <NameField handle=use_name() ready />
                <PeopleList people=handle.people />
                <RoomSwitcher ready />
            </aside>
        </main>
    }
}
