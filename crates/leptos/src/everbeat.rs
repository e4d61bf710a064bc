//! The session of an app: one socket for all of its rooms.

use std::sync::Arc;

use futures_channel::mpsc::{Receiver, channel};
use leptos::prelude::*;
use leptos_use_interval_fn::{Pausable, UseIntervalFnOptions, use_interval_fn_with_options};
use protocol::client::Status;
use protocol::id::{Name, RoomName};
use protocol::outbox::EntryId;
use view::{Command, Link, Report, SessionView};

use crate::commands::{Busy, COMMANDS_MAX, Commands};
use crate::effect::effect;
use crate::options::Options;
use crate::room::Room;
use crate::state::State;
use crate::{Reporter, Stop, driver};

/// The app's session: the connection as signals, and all that belongs to no single room. Created once, at the root of
/// the app ([`provide_everbeat`]); a copy of it is the same session.
#[derive(Clone, Copy)]
pub struct Everbeat {
    commands: StoredValue<Commands>,
    link: State<Link>,
    pub(crate) session: State<SessionView>,
    rooms: StoredValue<Vec<Room>>,
    callbacks: StoredValue<Callbacks>,
}

type ReportCallback = Arc<dyn Fn(&Report) + Send + Sync>;

/// The callbacks, numbered for their removal.
#[derive(Default)]
struct Callbacks {
    next: u64,
    all: Vec<(u64, ReportCallback)>,
}

type Driver = Box<dyn FnOnce(Receiver<Command>, Reporter) -> Stop>;

/// Creates the app's session, puts it into the context, and starts its driver as an effect: in the browser, never on
/// the server. The owner's clean-up stops the driver.
pub fn provide_everbeat(options: Options) -> Everbeat {
    let start = options.start;
    let driver = move |commands, report| driver::start(options, commands, report);
    provide(start, Box::new(driver))
}

/// [`provide_everbeat`] with another driver than the browser's: it takes its commands from the receiver until they end
/// or it is stopped, and reports on the page's thread. For tests, and for pages outside of a browser.
pub fn provide_everbeat_driven_by(
    driver: impl FnOnce(Receiver<Command>, Reporter) -> Stop + 'static,
) -> Everbeat {
    provide(None, Box::new(driver))
}

/// The app's session, from anywhere below [`provide_everbeat`].
///
/// # Panics
/// If there is none.
pub fn use_everbeat() -> Everbeat {
    expect_context::<Everbeat>()
}

fn provide(start: Option<Signal<bool>>, driver: Driver) -> Everbeat {
    let (queue, receiver) = channel(COMMANDS_MAX);
    let everbeat = Everbeat {
        commands: StoredValue::new(Commands::new(queue)),
        link: State::new(Link::default()),
        session: State::new(SessionView::default()),
        rooms: StoredValue::new(Vec::new()),
        callbacks: StoredValue::new(Callbacks::default()),
    };
    provide_context(everbeat);
    let stop = StoredValue::new(None::<Stop>);
    let mut idle = Some((driver, receiver));
    effect(Box::new(move || {
        let starts = start.is_none_or(|start| start.get());
        if let Some((driver, commands)) = idle.take_if(|_| starts) {
            let reporter = Box::new(move |report| everbeat.fold(&report));
            stop.set_value(Some(untrack(|| driver(commands, reporter))));
        }
    }));
    on_cleanup(move || {
        if let Some(stop) = stop.try_update_value(Option::take).flatten() {
            stop();
        }
    });
    tick(everbeat.link);
    everbeat
}

/// While something of the link is shown for a time, a second passes at a time, from each change of its state on.
fn tick(link: State<Link>) {
    let tick = move || link.maybe_update(Link::tick);
    let options = UseIntervalFnOptions::default().immediate(false);
    let Pausable { pause, resume, .. } = use_interval_fn_with_options(tick, 1000_u64, options);
    let timed = Memo::new(move |_| link.read.with(|link| (link.is_timed(), link.changes())));
    effect(Box::new(move || {
        let (is_timed, _) = timed.get();
        // A page outside of a browser has no interval.
        if is_timed && cfg!(target_arch = "wasm32") {
            resume();
        } else {
            pause();
        }
    }));
}

/// Signals.
impl Everbeat {
    /// All of the connection: its state, why it is not live, the countdown while it waits, what its return brought, its
    /// round trip and its heartbeats.
    pub const fn link(&self) -> ReadSignal<Link> {
        self.link.read
    }

    /// The connection's state.
    pub fn status(&self) -> Memo<Status> {
        let link = self.link.read;
        Memo::new(move |_| link.with(Link::status))
    }

    /// Whether frames travel.
    pub fn is_live(&self) -> Memo<bool> {
        let link = self.link.read;
        Memo::new(move |_| link.with(Link::is_live))
    }

    /// The number of messages on their way to the log, in all rooms. If the user left the page now, they would wait for
    /// the next visit.
    pub fn waiting(&self) -> Memo<usize> {
        let session = self.session.read;
        Memo::new(move |_| session.with(SessionView::waiting))
    }

    /// The user's name, if a token vouches for it: then [`Everbeat::rename`] does not change it (AC-4).
    pub fn vouched(&self) -> Memo<Option<Name>> {
        let session = self.session.read;
        Memo::new(move |_| session.with(|session| session.vouched().cloned()))
    }
}

/// Reports.
impl Everbeat {
    /// Calls `callback` with each report of the session, exactly once and in order, after the signals are written, as
    /// long as the caller's owner lives. A signal may skip values; a callback gets all of them.
    pub fn on_report(&self, callback: impl Fn(&Report) + Send + Sync + 'static) {
        let callbacks = self.callbacks;
        let id = callbacks.try_update_value(|callbacks| callbacks.add(Arc::new(callback)));
        on_cleanup(move || {
            callbacks.try_update_value(|callbacks| {
                callbacks.all.retain(|(other, _)| Some(*other) != id);
            });
        });
    }

    /// Folds one report. Reports reach the signals only here, and only a part that changed notifies its readers.
    fn fold(&self, report: &Report) {
        self.link.maybe_update(|link| link.fold(report));
        self.session.maybe_update(|session| session.fold(report));
        for room in self.rooms() {
            room.fold(report);
        }
        // Callbacks may come and go while they are called.
        let all = self
            .callbacks
            .try_with_value(|callbacks| callbacks.all.clone());
        for (id, callback) in all.into_iter().flatten() {
            if self.callbacks.try_with_value(|callbacks| callbacks.has(id)) == Some(true) {
                callback(report);
            }
        }
        self.commands.try_update_value(Commands::flush);
    }
}

/// Commands.
impl Everbeat {
    /// Queues a command for the driver. Commands to join, to leave and to rename are always taken.
    ///
    /// # Errors
    /// [`Busy`] if it is not taken; always without a driver.
    pub fn send(&self, command: Command) -> Result<(), Busy> {
        let sent = self
            .commands
            .try_update_value(|commands| commands.send(command));
        sent.unwrap_or(Err(Busy))
    }

    /// Changes the user's name.
    pub fn rename(&self, name: Name) {
        // This command is always taken.
        let _ = self.send(Command::Rename { name });
    }

    /// Connects without further delay.
    pub fn connect_now(&self) {
        // If the queue is full, the driver is about to work anyway.
        let _ = self.send(Command::ConnectNow);
    }
}

/// The views of rooms.
impl Everbeat {
    pub(crate) fn add(&self, room: Room) {
        self.rooms.try_update_value(|rooms| rooms.push(room));
    }

    pub(crate) fn forget(&self, room: &Room) {
        self.rooms
            .try_update_value(|rooms| rooms.retain(|other| other != room));
    }

    /// Takes a message away that the user dropped, in all views. No report says so.
    pub(crate) fn dismiss(&self, id: EntryId) {
        self.session.maybe_update(|session| session.dismiss(id));
        for room in self.rooms() {
            room.dismiss(id);
        }
    }

    fn rooms(&self) -> Vec<Room> {
        self.rooms.try_get_value().unwrap_or_default()
    }

    /// Another view of a room than `but`: one for which the room is joined, or else any.
    pub(crate) fn other(&self, name: &RoomName, but: Option<&Room>) -> Option<Room> {
        let rooms = self.rooms();
        let others = || rooms.iter().copied().filter(|room| Some(room) != but);
        others()
            .find(|room| room.is_in(name))
            .or_else(|| others().find(|room| room.shows(name)))
    }

    /// Whether the room is joined for another view than `but`.
    pub(crate) fn is_in(&self, name: &RoomName, but: &Room) -> bool {
        let rooms = self.rooms();
        rooms.iter().any(|room| room != but && room.is_in(name))
    }
}

impl Callbacks {
    fn add(&mut self, callback: ReportCallback) -> u64 {
        let id = self.next;
        self.next += 1;
        self.all.push((id, callback));
        id
    }

    fn has(&self, id: u64) -> bool {
        self.all.iter().any(|(other, _)| *other == id)
    }
}
