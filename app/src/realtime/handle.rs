//! The page's hold on its session: commands out, reports folded into signals.

use futures_channel::mpsc::{Sender, channel};
use leptos::prelude::*;
use protocol::id::RoomName;
use protocol::outbox::EntryId;

use super::{COMMANDS_MAX, Command, Connector, Report, Stop};
use crate::backend::Snapshot;
use crate::state::{Composer, Link, People, Received, Timeline};

/// The page's state and its way to the driver. Created once, at the root, so that it outlives every
/// page that the router shows.
#[derive(Clone, Copy)]
pub struct Realtime {
    commands: StoredValue<Sender<Command>>,
    pub(crate) link: RwSignal<Link>,
    pub(crate) timeline: RwSignal<Timeline>,
    pub(crate) people: RwSignal<People>,
    pub(crate) received: RwSignal<Received>,
    pub(crate) composer: RwSignal<Composer>,
}

/// Creates the page's state, puts it into the context, and starts the driver as an effect: after
/// hydration, never on the server, and stopped when the owner is cleaned up.
pub fn provide_realtime() -> Realtime {
    let (sender, receiver) = channel(COMMANDS_MAX);
    let realtime = Realtime {
        commands: StoredValue::new(sender),
        link: RwSignal::new(Link::default()),
        timeline: RwSignal::new(Timeline::new(RoomName::lobby(), None)),
        people: RwSignal::new(People::new(RoomName::lobby())),
        received: RwSignal::new(Received::new(RoomName::lobby(), None)),
        composer: RwSignal::new(Composer::new(RoomName::lobby())),
    };
    provide_context(realtime);
    if let Some(connector) = use_context::<Connector>() {
        let receiver = StoredValue::new(Some(receiver));
        let stop = StoredValue::new(None::<Stop>);
        Effect::new(move |_| {
            if let Some(commands) = receiver.try_update_value(Option::take).flatten() {
                let reporter = Box::new(move |report| realtime.fold(&report));
                stop.set_value(Some(connector.start(commands, reporter)));
            }
        });
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

impl Realtime {
    /// Folds one report into the state. Only here do reports touch signals, and only what changed
    /// notifies.
    pub fn fold(&self, report: &Report) {
        self.link.try_maybe_update(|link| (link.fold(report), ()));
        self.people
            .try_maybe_update(|people| (people.fold(report), ()));
        self.received
            .try_maybe_update(|received| (received.fold(report), ()));
        self.composer
            .try_maybe_update(|composer| (composer.fold(report), ()));
        let proven = self.timeline.try_maybe_update(|timeline| {
            let changed = timeline.fold(report);
            (changed, timeline.take_proven())
        });
        for id in proven.into_iter().flatten() {
            self.send(Command::Discard { id });
        }
    }

    /// Hands a command to the driver. Returns whether it was taken: with [`COMMANDS_MAX`] waiting, or
    /// without a driver, it is not.
    pub fn send(&self, command: Command) -> bool {
        // One sender for all: each clone of it would have a slot of its own, and no limit would hold.
        self.commands
            .try_update_value(|commands| commands.try_send(command).is_ok())
            .unwrap_or(false)
    }

    /// Shows another room, as the server rendered it where it did.
    pub fn enter(&self, room: &RoomName, snapshot: Option<&Snapshot>) {
        self.timeline
            .update(|timeline| timeline.enter(room.clone(), snapshot));
        self.people.update(|people| people.enter(room.clone()));
        self.received
            .update(|received| received.enter(room.clone(), snapshot));
        self.composer
            .update(|composer| composer.enter(room.clone()));
    }

    /// Sends what stands in the input box. The box is emptied only once the driver has the text, and
    /// gets it back if the outbox does not take it (EO-4).
    pub fn publish(&self) {
        let (room, body) = self.composer.with_untracked(|composer| {
            (composer.room().clone(), composer.text().trim().to_owned())
        });
        if body.is_empty() {
            return;
        }
        let taken = self.send(Command::Publish { room, body });
        self.composer.update(|composer| {
            if taken {
                composer.sent()
            } else {
                composer.busy()
            }
        });
    }

    /// The input box changed.
    pub fn write(&self, text: String) {
        let room = self
            .composer
            .with_untracked(|composer| composer.room().clone());
        // A draft that the driver has no room for is worth nothing: a newer one follows.
        self.send(Command::Draft {
            room,
            body: text.clone(),
        });
        self.composer.update(|composer| composer.write(text));
    }

    /// Asks for messages older than those shown.
    pub fn older(&self, limit: u32) {
        let wanted = self.timeline.with_untracked(|timeline| {
            timeline
                .older_than()
                .map(|before| (timeline.room().clone(), before))
        });
        let Some((room, before)) = wanted else { return };
        if self.send(Command::History {
            room,
            before,
            limit,
        }) {
            self.timeline.update(Timeline::loading_older);
        }
    }

    /// The reader is back at the newest message: older ones beyond the limit may go.
    pub fn settle(&self) {
        self.timeline.maybe_update(Timeline::settle);
    }

    /// Sends an uncertain message again.
    pub fn send_again(&self, id: EntryId) {
        self.send(Command::SendAgain { id });
    }

    /// Drops an uncertain message.
    pub fn discard(&self, id: EntryId) {
        if self.send(Command::Discard { id }) {
            self.dismiss(id);
        }
    }

    /// Takes a settled message off the page.
    pub fn dismiss(&self, id: EntryId) {
        self.timeline.maybe_update(|timeline| timeline.dismiss(id));
    }
}
