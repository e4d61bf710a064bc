//! A room's page.

use leptos::prelude::*;

use crate::components::composer::ComposerForm;
use crate::components::message_list::MessageList;
use crate::components::name_field::NameField;
use crate::components::people_list::PeopleList;
use crate::components::received_line::ReceivedLine;
use crate::components::room_switcher::RoomSwitcher;
use crate::components::typing_list::TypingList;
use crate::hooks::{use_form, use_name, use_room, use_rooms};
use crate::markup::html;
use crate::words::{Word, use_words};

/// The room that is shown.
#[component]
pub fn RoomPage() -> impl IntoView {
    let handle = use_room();
    let room = handle.room;
    let name = Signal::derive(move || room.with(|room| html(room.as_str())));
    view! {
        <main class="room">
            <section class="conversation" aria-labelledby="room-name">
                <h1 id="room-name" translate="no" inner_html=name></h1>
                <ReceivedLine received=handle.received />
                <MessageList list=handle.list />
                <TypingList drafts=handle.drafts />
                <ComposerForm
                    composer=handle.composer
                    form=use_form()
                    on_write=handle.write
                    on_publish=handle.publish
                />
            </section>
            <aside aria-label=use_words().text(Word::ThisRoomAndOthers)>
                <NameField handle=use_name() />
                <PeopleList members=handle.members count=handle.count />
                <RoomSwitcher rooms=use_rooms() />
            </aside>
        </main>
    }
}
