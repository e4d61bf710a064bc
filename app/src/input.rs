//! The input box of the room that is shown: its text is a draft, which the browser stores until the outbox has it
//! (EO-4).

use everbeat_leptos::{EntryId, Report, Room, RoomName, use_everbeat};
use leptos::prelude::*;
use view::Composer;

use crate::keeper::{Keeper, Shelf};

/// The key under which the browser stores the text of a room's input box: this, and the room's name.
const TEXT_KEY: &str = "everbeat.text.";

/// The input box, and the room that it writes to. Created once; the room in it changes.
#[derive(Clone, Copy)]
pub(crate) struct Input {
    room: Room,
    keeper: StoredValue<Option<Keeper>>,
    pub(crate) composer: ReadSignal<Composer>,
    write: WriteSignal<Composer>,
}

/// The input box of a room, with the text that the browser stored for it.
pub(crate) fn use_input(room: Room) -> Input {
    let name = room.name().get_untracked();
    let (composer, write) = signal(Composer::new(name));
    let input = Input {
        room,
        keeper: StoredValue::new(use_context()),
        composer,
        write,
    };
    input.restore_text();
    input.send_draft();
    use_everbeat().on_report(move |report| input.fold(report));
    input
}

/// Actions of the user.
impl Input {
    /// Shows another room's box in this one's place.
    pub(crate) fn enter(&self, name: &RoomName) {
        if self.with(|composer| composer.room() == name) != Some(false) {
            return;
        }
        self.room.enter(name);
        self.update(|composer| composer.enter(name));
        self.restore_text();
        // The text that stayed in the box when the user left the room.
        self.send_draft();
    }

    /// Publishes the box's text. The box is emptied only once the driver has the text, and gets it back
    /// if the outbox does not take it (EO-4).
    pub(crate) fn publish(&self) {
        let Some((room, body)) = self.with(Composer::message).flatten() else {
            return;
        };
        let is_taken = self.room.publish(body.clone()).is_ok();
        self.update(|composer| {
            if is_taken {
                composer.sent(body);
            } else {
                composer.busy();
            }
        });
        self.keep_text(&room);
    }

    /// The text in the box changed; `is_composing`: by an input method that goes on composing it.
    pub(crate) fn write(&self, text: String, is_composing: bool) {
        self.update(|composer| composer.write(text, is_composing));
        if let Some(room) = self.with(|composer| composer.room().clone()) {
            self.keep_text(&room);
        }
        self.send_draft();
    }

    /// Puts the text of a refused message back into its room's input box. The browser stores it there
    /// before the outbox drops it.
    pub(crate) fn edit_again(&self, id: EntryId) {
        let timeline = self.room.timeline();
        let text = timeline.try_with_untracked(|timeline| timeline.text(id));
        if let Some((room, body)) = text.flatten() {
            self.update(|composer| composer.edit_again(room.clone(), &body));
            self.keep_text(&room);
            self.send_draft();
            self.room.discard(id);
        }
    }
}

impl Input {
    fn fold(&self, report: &Report) {
        self.maybe_update(|composer| composer.fold(report));
        if let Some(room) = Composer::concerns(report) {
            self.keep_text(room);
        }
    }

    /// Sends the box's text to the others as a draft, if it is one now.
    fn send_draft(&self) {
        let draft = self.with(|composer| composer.draft().map(str::to_owned));
        if let Some(body) = draft.flatten() {
            self.room.draft(body);
        }
    }

    /// Restores the text that the browser stored for the room that is shown.
    fn restore_text(&self) {
        if let Some(room) = self.with(|composer| composer.room().clone())
            && let Some(keeper) = self.keeper()
        {
            let text = keeper.get(Shelf::Tab, &text_key(&room));
            self.update(|composer| composer.restore(text));
        }
    }

    /// Stores the text that a room's input box has to show after a reload.
    fn keep_text(&self, room: &RoomName) {
        if let Some(text) = self.with(|composer| composer.kept(room))
            && let Some(keeper) = self.keeper()
        {
            let is_kept = keeper.set(Shelf::Tab, &text_key(room), &text);
            self.maybe_update(|composer| composer.keeps(is_kept));
        }
    }

    fn keeper(&self) -> Option<Keeper> {
        self.keeper.try_get_value().flatten()
    }

    /// Notifies only if `change` says that something changed.
    fn maybe_update(&self, change: impl FnOnce(&mut Composer) -> bool) {
        self.write
            .try_maybe_update(|composer| (change(composer), ()));
    }

    fn update(&self, change: impl FnOnce(&mut Composer)) {
        self.write.try_update(change);
    }

    fn with<U>(&self, look: impl FnOnce(&Composer) -> U) -> Option<U> {
        self.composer.try_with_untracked(look)
    }
}

fn text_key(room: &RoomName) -> String {
    format!("{TEXT_KEY}{room}")
}
