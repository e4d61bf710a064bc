//! The page's handle on its session: commands out, reports folded into signals.

use futures_channel::mpsc::{Sender, channel};
use leptos::prelude::*;
use protocol::id::RoomName;
use protocol::outbox::EntryId;
use view::{Composer, Link, People, Received, RoomView, Snapshot, Timeline};

use super::{COMMANDS_MAX, Command, Connector, Report, Stop};
use crate::effect::effect;
use crate::keeper::{Keeper, Shelf};
use crate::place::Place;

/// The key under which the browser stores the text of a room's input box: this, and the room's name.
const TEXT_KEY: &str = "everbeat.text.";

/// The page's state, and the queue of commands to the driver. Created once, at the root; the room in it changes.
#[derive(Clone, Copy)]
pub struct Realtime {
    commands: StoredValue<Sender<Command>>,
    keeper: StoredValue<Option<Keeper>>,
    pub(crate) link: State<Link>,
    pub(crate) timeline: State<Timeline>,
    pub(crate) people: State<People>,
    pub(crate) received: State<Received>,
    pub(crate) composer: State<Composer>,
    pub(crate) is_live: Memo<bool>,
}

/// One part of the state: pages read it, only [`Realtime`] writes it.
pub(crate) struct State<T: 'static> {
    pub(crate) read: ReadSignal<T>,
    write: WriteSignal<T>,
}

/// Creates the page's state, puts it into the context, and starts the driver as an effect: in the
/// browser, never on the server. The owner's clean-up stops the driver.
pub fn provide_realtime(place: &Place, snapshot: Option<&Snapshot>) -> Realtime {
    let (sender, receiver) = channel(COMMANDS_MAX);
    let room = place.room().cloned().unwrap_or_else(RoomName::lobby);
    let link = State::new(Link::default());
    let RoomView {
        timeline,
        people,
        received,
    } = RoomView::new(room.clone(), snapshot);
    let realtime = Realtime {
        commands: StoredValue::new(sender),
        keeper: StoredValue::new(use_context()),
        link,
        timeline: State::new(timeline),
        people: State::new(people),
        received: State::new(received),
        composer: State::new(Composer::new(room)),
        is_live: Memo::new(move |_| link.read.with(Link::is_live)),
    };
    provide_context(realtime);
    realtime.restore_text();
    if let Some(connector) = use_context::<Connector>() {
        let receiver = StoredValue::new(Some(receiver));
        let stop = StoredValue::new(None::<Stop>);
        effect(Box::new(move || {
            if let Some(commands) = receiver.try_update_value(Option::take).flatten() {
                let reporter = Box::new(move |report| realtime.fold(&report));
                stop.set_value(Some(connector.start(commands, reporter)));
            }
        }));
        on_cleanup(move || {
            if let Some(stop) = stop.try_update_value(Option::take).flatten() {
                stop();
            }
        });
    }
    realtime
}

/// The page's state, from anywhere below the root.
pub fn use_realtime() -> Realtime {
    expect_context::<Realtime>()
}

/// Reports of the driver.
impl Realtime {
    /// Folds one report into the state. Reports reach the signals only here, and only a part that changed
    /// notifies its readers.
    pub fn fold(&self, report: &Report) {
        self.link.maybe_update(|link| link.fold(report));
        self.people.maybe_update(|people| people.fold(report));
        self.received.maybe_update(|received| received.fold(report));
        self.composer.maybe_update(|composer| composer.fold(report));
        if let Some(room) = Composer::concerns(report) {
            self.keep_text(room);
        }
        self.timeline.maybe_update(|timeline| timeline.fold(report));
    }

    /// A second of the countdown has passed.
    pub fn tick(&self) {
        self.link.maybe_update(Link::tick);
    }
}

/// Actions of the user.
impl Realtime {
    /// Queues a command for the driver. Returns whether it was taken: not if [`COMMANDS_MAX`] wait, or
    /// without a driver.
    pub fn send(&self, command: Command) -> bool {
        // One sender for all: each clone would add a slot of its own to the channel's limit.
        self.commands
            .try_update_value(|commands| commands.try_send(command).is_ok())
            .unwrap_or(false)
    }

    /// Joins the room that is shown, from what is shown of it (RS-7).
    pub fn join(&self) {
        let join = self.timeline.with(|timeline| Command::Join {
            room: timeline.room().clone(),
            since: timeline.position(),
            shown: timeline.messages().cloned().collect(),
        });
        if let Some(join) = join {
            self.send(join);
            // The text that stayed in the box when the user left the room.
            self.send_draft();
        }
    }

    /// Leaves the room that is shown, and shows another one.
    pub fn enter(&self, room: &RoomName) {
        let Some(left) = self.timeline.with(|timeline| timeline.room().clone()) else {
            return;
        };
        if left == *room {
            return;
        }
        self.send(Command::Leave { room: left });
        self.timeline.update(|timeline| timeline.enter(room));
        self.people.update(|people| people.enter(room));
        self.received.update(|received| received.enter(room));
        self.composer.update(|composer| composer.enter(room));
        self.restore_text();
        self.join();
    }

    /// Publishes the input box's text. The box is emptied only once the driver has the text, and
    /// gets it back if the outbox does not take it (EO-4).
    pub fn publish(&self) {
        let Some((room, body)) = self.composer.with(Composer::message).flatten() else {
            return;
        };
        let publish = Command::Publish {
            room: room.clone(),
            body: body.clone(),
        };
        let taken = self.send(publish);
        self.composer.update(|composer| {
            if taken {
                composer.sent(body);
            } else {
                composer.busy();
            }
        });
        self.keep_text(&room);
    }

    /// The input box changed.
    pub fn write(&self, text: String) {
        self.composer.update(|composer| composer.write(text));
        if let Some(room) = self.composer.with(|composer| composer.room().clone()) {
            self.keep_text(&room);
        }
        self.send_draft();
    }

    /// Restores the text that the browser stored for the room that is shown.
    fn restore_text(&self) {
        if let Some(room) = self.composer.with(|composer| composer.room().clone())
            && let Some(keeper) = self.keeper()
        {
            let text = keeper.get(Shelf::Tab, &text_key(&room));
            self.composer.update(|composer| composer.restore(text));
        }
    }

    /// Stores the text that a room's input box has to show after a reload.
    fn keep_text(&self, room: &RoomName) {
        if let Some(text) = self.composer.with(|composer| composer.kept(room))
            && let Some(keeper) = self.keeper()
        {
            let is_kept = keeper.set(Shelf::Tab, &text_key(room), &text);
            self.composer
                .maybe_update(|composer| composer.keeps(is_kept));
        }
    }

    fn keeper(&self) -> Option<Keeper> {
        self.keeper.try_get_value().flatten()
    }

    /// Sends the input box's text to the others as a draft. A draft that does not fit into the queue is
    /// dropped: a newer one follows.
    pub fn send_draft(&self) {
        if let Some((room, body)) = self.composer.with(Composer::letter) {
            self.send(Command::Draft { room, body });
        }
    }

    /// Requests messages older than those shown.
    pub fn older(&self, limit: u32) {
        let wanted = self.timeline.with(|timeline| {
            let before = timeline.older_than()?;
            Some((timeline.room().clone(), before))
        });
        if let Some((room, before)) = wanted.flatten()
            && self.send(Command::History {
                room,
                before,
                limit,
            })
        {
            self.timeline.update(Timeline::loading_older);
        }
    }

    /// The user follows the newest messages, or reads older ones, which then must stay.
    pub fn follow(&self, follows: bool) {
        self.timeline
            .maybe_update(|timeline| timeline.follow(follows));
    }

    /// Puts the text of a refused message back into its room's input box. The browser stores it there
    /// before the outbox drops it.
    pub fn edit_again(&self, id: EntryId) {
        let text = self.timeline.with(|timeline| timeline.text(id)).flatten();
        if let Some((room, body)) = text {
            self.composer
                .update(|composer| composer.edit_again(room.clone(), &body));
            self.keep_text(&room);
            self.send_draft();
            self.discard(id);
        }
    }

    /// Sends a held or uncertain message again, as the user decided.
    pub fn send_again(&self, id: EntryId) {
        self.send(Command::SendAgain { id });
    }

    /// Drops a message, as the user decided.
    pub fn discard(&self, id: EntryId) {
        if self.send(Command::Discard { id }) {
            self.timeline.maybe_update(|timeline| timeline.dismiss(id));
        }
    }
}

fn text_key(room: &RoomName) -> String {
    format!("{TEXT_KEY}{room}")
}

/// Once the page's owner is dropped, a state can neither be read nor written.
impl<T: Send + Sync + 'static> State<T> {
    fn new(value: T) -> Self {
        let (read, write) = signal(value);
        Self { read, write }
    }

    /// Notifies only if `change` says that something changed.
    fn maybe_update(&self, change: impl FnOnce(&mut T) -> bool) {
        self.write.try_maybe_update(|value| (change(value), ()));
    }

    fn update(&self, change: impl FnOnce(&mut T)) {
        self.write.try_update(change);
    }

    fn with<U>(&self, look: impl FnOnce(&T) -> U) -> Option<U> {
        self.read.try_with_untracked(look)
    }
}

// Derived ones would require `T: Clone` and `T: Copy`.
impl<T> Clone for State<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for State<T> {}
