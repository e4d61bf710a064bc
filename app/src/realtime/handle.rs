//! The page's hold on its session: commands out, reports folded into signals.

use futures_channel::mpsc::{Sender, channel};
use leptos::prelude::*;
use protocol::id::RoomName;
use protocol::outbox::EntryId;
use view::{Composer, Link, People, Received, RoomView, Snapshot, Timeline};

use super::{COMMANDS_MAX, Command, Connector, Report, Stop};
use crate::effect::effect;
use crate::keeper::{Keeper, Shelf};
use crate::place::Place;

/// Under which key the browser keeps what stands in a room's input box: this, and the room's name.
const TEXT_KEY: &str = "everbeat.text.";

/// The page's state and its way to the driver. Created once, at the root: rooms change in it.
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

/// Creates the page's state, puts it into the context, and starts the driver as an effect: after
/// hydration, never on the server, and stopped when the owner is cleaned up.
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

/// What the driver tells.
impl Realtime {
    /// Folds one report into the state. Only here do reports touch signals, and only what changed
    /// notifies.
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

/// What the person does.
impl Realtime {
    /// Hands a command to the driver. Returns whether it was taken: with [`COMMANDS_MAX`] waiting, or
    /// without a driver, it is not.
    pub fn send(&self, command: Command) -> bool {
        // One sender for all: each clone of it would have a slot of its own, and no limit would hold.
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
            // What was left in the box when the room was left.
            self.tell_draft();
        }
    }

    /// Leaves the room that is shown for another one.
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

    /// Sends what stands in the input box. The box is emptied only once the driver has the text, and
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
        self.tell_draft();
    }

    /// Takes up what the browser kept of the room that is shown.
    fn restore_text(&self) {
        if let Some(room) = self.composer.with(|composer| composer.room().clone())
            && let Some(keeper) = self.keeper()
        {
            let text = keeper.get(Shelf::Tab, &text_key(&room));
            self.composer.update(|composer| composer.restore(text));
        }
    }

    /// Has the browser keep what is to be in a room's box after a reload.
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

    /// Tells the others what stands in the input box. A draft that the driver has no room for is
    /// worth nothing: a newer one follows.
    pub fn tell_draft(&self) {
        if let Some((room, body)) = self.composer.with(Composer::letter) {
            self.send(Command::Draft { room, body });
        }
    }

    /// Asks for messages older than those shown.
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

    /// The reader follows the newest messages, or reads older ones, which then must not go.
    pub fn follow(&self, follows: bool) {
        self.timeline
            .maybe_update(|timeline| timeline.follow(follows));
    }

    /// Puts the text of a refused message back into its room's input box. The browser keeps it there
    /// before the outbox forgets it.
    pub fn edit_again(&self, id: EntryId) {
        let text = self.timeline.with(|timeline| timeline.text(id)).flatten();
        if let Some((room, body)) = text {
            self.composer
                .update(|composer| composer.edit_again(room.clone(), &body));
            self.keep_text(&room);
            self.tell_draft();
            self.discard(id);
        }
    }

    /// Sends a message again that a person decided about.
    pub fn send_again(&self, id: EntryId) {
        self.send(Command::SendAgain { id });
    }

    /// Drops a message that a person decided about.
    pub fn discard(&self, id: EntryId) {
        if self.send(Command::Discard { id }) {
            self.timeline.maybe_update(|timeline| timeline.dismiss(id));
        }
    }
}

fn text_key(room: &RoomName) -> String {
    format!("{TEXT_KEY}{room}")
}

/// Without its owner a state can neither be read nor written: the page is gone.
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

// Derived ones would ask the same of `T`.
impl<T> Clone for State<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for State<T> {}
