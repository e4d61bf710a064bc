//! A room's page.

use everbeat_leptos::effect;
use leptos::html::Aside;
use leptos::prelude::*;

use crate::components::composer::ComposerForm;
use crate::components::inspector::InspectorInvitation;
use crate::components::language_switch::LanguageSwitch;
use crate::components::message_list::MessageList;
use crate::components::name_field::NameField;
use crate::components::people_list::PeopleList;
use crate::components::received_line::ReceivedLine;
use crate::components::room_switcher::RoomSwitcher;
use crate::components::typing_list::TypingList;
use crate::hooks::{use_form, use_name, use_room, use_rooms};
use crate::markup::html;
use crate::words::{Word, use_words};

/// The id of the element that is a sheet on a narrow screen.
pub(super) const SHEET_ID: &str = "around";

/// The room that is shown; and the sheet around it, with the name, the people, the rooms and the other languages. It is closed where another
/// room is shown.
#[component]
pub fn RoomPage() -> impl IntoView {
    let handle = use_room();
    let room = handle.room;
    let name = Signal::derive(move || room.with(|room| html(room.as_str())));
    let sheet = NodeRef::<Aside>::new();
    effect(Box::new(move || {
        room.track();
        if let Some(sheet) = sheet.try_get_untracked().flatten() {
            // It fails where the browser knows no popovers: there it is always open.
            let _ = sheet.hide_popover();
        }
    }));
    view! {
        <main class="room">
            <section class="conversation" aria-labelledby="room-name">
                <h1 id="room-name" translate="no" inner_html=name></h1>
                <ReceivedLine received=handle.received />
                <MessageList list=handle.list />
                <InspectorInvitation />
                <TypingList drafts=handle.drafts />
                <ComposerForm
                    composer=handle.composer
                    form=use_form()
                    on_write=handle.write
                    on_publish=handle.publish
                />
            </section>
            <aside
                id=SHEET_ID
                class="around"
                popover="auto"
                node_ref=sheet
                aria-label=use_words().text(Word::ThisRoomAndOthers)
            >
                <NameField handle=use_name() />
                <PeopleList members=handle.members count=handle.count />
                <RoomSwitcher rooms=use_rooms() />
                <LanguageSwitch />
            </aside>
        </main>
    }
}
