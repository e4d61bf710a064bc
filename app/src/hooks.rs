//! From the context to signals and callbacks. Hooks touch no element; components touch no context.

use leptos::prelude::*;
use leptos_use::{Pausable, UseIntervalFnOptions, use_interval_fn_with_options};
use protocol::id::{Name, RoomName};
use protocol::outbox::EntryId;
use view::{Composer, Link, People, Received, Timeline};

use crate::effect::effect;
use crate::keeper::{Keeper, Shelf};
use crate::place::{AddressBar, Place, PlainForm, Visit, path, title};
use crate::realtime::{Command, use_realtime};

/// How many older messages are asked for at once.
const OLDER_LIMIT: u32 = 50;

/// Under which key the browser keeps the person's name.
const NAME_KEY: &str = "everbeat.name";

/// A room's page: what it shows and what can be done there.
#[derive(Clone, Copy)]
pub struct RoomHandle {
    /// Which room it is.
    pub room: Memo<RoomName>,
    /// The messages.
    pub timeline: ReadSignal<Timeline>,
    /// Who is here.
    pub people: ReadSignal<People>,
    /// What came last.
    pub received: ReadSignal<Received>,
    /// What stands in the input box.
    pub composer: ReadSignal<Composer>,
    /// Whether frames travel.
    pub is_live: Memo<bool>,
    /// What can be done with the list.
    pub list: ListActions,
    /// The input box changed.
    pub write: Callback<String>,
    /// Send what stands in it.
    pub publish: Callback<()>,
}

/// What can be done with the list.
#[derive(Clone, Copy)]
pub struct ListActions {
    /// Ask for older messages.
    pub older: Callback<()>,
    /// The reader is at the bottom and follows, or left it.
    pub follow: Callback<bool>,
    /// What can be done with one's own messages.
    pub row: RowActions,
}

/// What can be done with one's own message.
#[derive(Clone, Copy)]
pub struct RowActions {
    /// Send one again that a person has to decide about.
    pub send_again: Callback<EntryId>,
    /// Drop one that a person has to decide about.
    pub discard: Callback<EntryId>,
    /// Put the text of a refused one back into the input box.
    pub edit_again: Callback<EntryId>,
}

/// The person's name, as the browser keeps it.
#[derive(Clone, Copy)]
pub struct NameHandle {
    /// The name; on the server as it was given with the plain form.
    pub name: Signal<String>,
    /// Whether a token vouches for it, so that it cannot be chosen.
    pub is_vouched: Memo<bool>,
    /// Keep another one.
    pub rename: Callback<String>,
}

/// The input box as a plain form.
#[derive(Clone)]
pub struct FormHandle {
    /// The address of the room that is shown.
    pub action: Signal<String>,
    /// What only such a form needs; `None` in the browser, where the session numbers messages.
    pub plain: Option<PlainForm>,
}

impl FormHandle {
    /// The form's id, by which fields outside of it belong to it.
    pub const ID: &str = "composer";
}

/// The ways to rooms.
#[derive(Clone, Copy)]
pub struct RoomsHandle {
    /// The room that is shown; `None` on a page that is no room's.
    pub room: Memo<Option<RoomName>>,
    /// Go to a room.
    pub go: Callback<RoomName>,
}

/// The connection and what can be done about it.
#[derive(Clone, Copy)]
pub struct LinkHandle {
    /// Its state.
    pub link: ReadSignal<Link>,
    /// How many messages are on their way, in all rooms.
    pub waiting: Memo<usize>,
    /// Connect without waiting any longer.
    pub try_now: Callback<()>,
}

/// The room that is shown: joined after hydration.
pub fn use_room() -> RoomHandle {
    let realtime = use_realtime();
    effect(Box::new(move || realtime.join()));
    let composer = realtime.composer.read;
    effect(Box::new(move || {
        if composer.with(Composer::is_closed) {
            // The server's page says so in the room's place.
            drop(location().reload());
        }
    }));
    RoomHandle {
        room: Memo::new(move |_| realtime.timeline.read.with(|list| list.room().clone())),
        timeline: realtime.timeline.read,
        people: realtime.people.read,
        received: realtime.received.read,
        composer,
        is_live: realtime.is_live,
        list: ListActions {
            older: Callback::new(move |()| realtime.older(OLDER_LIMIT)),
            follow: Callback::new(move |follows| realtime.follow(follows)),
            row: RowActions {
                send_again: Callback::new(move |id| realtime.send_again(id)),
                discard: Callback::new(move |id| realtime.discard(id)),
                edit_again: Callback::new(move |id| realtime.edit_again(id)),
            },
        },
        write: Callback::new(move |text| realtime.write(text)),
        publish: Callback::new(move |()| realtime.publish()),
    }
}

/// The connection; while it waits, its countdown runs.
pub fn use_link() -> LinkHandle {
    let realtime = use_realtime();
    let link = realtime.link.read;
    let tick = move || realtime.tick();
    let options = UseIntervalFnOptions::default().immediate(false);
    let Pausable { pause, resume, .. } = use_interval_fn_with_options(tick, 1000_u64, options);
    let wait = Memo::new(move |_| link.with(|link| (link.is_waiting(), link.changes())));
    effect(Box::new(move || {
        let (is_waiting, _) = wait.get();
        if is_waiting { resume() } else { pause() }
    }));
    LinkHandle {
        link,
        waiting: Memo::new(move |_| realtime.timeline.read.with(Timeline::waiting)),
        try_now: Callback::new(move |()| {
            realtime.send(Command::ConnectNow);
        }),
    }
}

/// Keeps the person's name in the browser, the same in all of its pages, and tells the session.
pub fn provide_name() {
    let realtime = use_realtime();
    let keeper = use_context::<Keeper>();
    let given = use_context::<PlainForm>();
    let name = RwSignal::new(given.map_or_else(String::new, |form| form.name.to_string()));
    if let Some(keeper) = keeper.clone() {
        let read = move || {
            let kept = keeper.get(Shelf::Browser, NAME_KEY);
            if name.with_untracked(|name| *name != kept) {
                name.set(kept);
            }
        };
        let again = read.clone();
        effect(Box::new(read));
        // Another page of this browser has changed something.
        on_window("storage", again);
    }
    let tidy = Memo::new(move |_| name.with(|name| Name::tidy(name)));
    effect(Box::new(move || {
        let name = tidy.get();
        if !name.is_empty() {
            realtime.send(Command::Rename { name });
        }
    }));
    let rename = Callback::new(move |text: String| {
        if let Some(keeper) = &keeper {
            // Where it is not kept it holds for as long as the page does.
            keeper.set(Shelf::Browser, NAME_KEY, &text);
        }
        name.set(text);
    });
    let people = realtime.people.read;
    let vouched = Memo::new(move |_| people.with(|people| people.vouched().cloned()));
    let is_vouched = Memo::new(move |_| vouched.with(Option::is_some));
    let name = Signal::derive(move || match vouched.get() {
        Some(vouched) => vouched.to_string(),
        None => name.get(),
    });
    provide_context(NameHandle {
        name,
        is_vouched,
        rename,
    });
}

/// The person's name.
pub fn use_name() -> NameHandle {
    expect_context::<NameHandle>()
}

/// While messages of this page are not durable, has the browser ask before the page is left (EO-5).
pub fn warn_before_leaving() {
    let realtime = use_realtime();
    let is_owing = Memo::new(move |_| realtime.timeline.read.with(|list| list.waiting() > 0));
    effect(Box::new(move || {
        if is_owing.get() {
            let listener = window_event_listener(leptos::ev::beforeunload, |event| {
                event.prevent_default();
                // Older browsers ask for this only. What it says is not shown.
                event.set_return_value("unsent");
            });
            on_cleanup(move || listener.remove());
        }
    }));
}

/// Acts at each such event of the window, or of something in it, as long as the owner lives.
fn on_window(event: &'static str, act: impl Fn() + 'static) {
    let listener = window_event_listener_untyped(event, move |_| act());
    on_cleanup(move || listener.remove());
}

/// What the page is rendered of.
pub fn use_visit() -> Visit {
    expect_context::<Visit>()
}

/// Where the browser sends what stands in the input box by itself: without a script, before the page is
/// alive, and where it cannot be.
pub fn use_form() -> FormHandle {
    let timeline = use_realtime().timeline.read;
    FormHandle {
        action: Signal::derive(move || timeline.with(|list| path(list.room()))),
        plain: use_context(),
    }
}

/// The ways to rooms, as [`use_address`] provides them.
pub fn use_rooms() -> RoomsHandle {
    expect_context::<RoomsHandle>()
}

/// Keeps the room that is shown, the address and the document's title the same. Between rooms the
/// page stays; anything else is loaded.
pub fn use_address(place: &Place) {
    let realtime = use_realtime();
    let bar = use_context::<AddressBar>();
    let is_room = place.room().is_some();
    let shown = move || realtime.timeline.read.with(|list| list.room().clone());
    let room = Memo::new(move |_| is_room.then(shown));
    let go = Callback::new(move |to: RoomName| match &bar {
        Some(bar) if is_room => {
            if room.get_untracked().as_ref() != Some(&to) {
                bar.show(&path(&to));
                realtime.enter(&to);
            }
        }
        // Where the browser refuses to go there, nothing helps.
        _ => drop(location().set_href(&path(&to))),
    });
    on_window("popstate", move || match here() {
        Place::Room(to) if is_room => realtime.enter(&to),
        _ => drop(location().reload()),
    });
    effect(Box::new(move || {
        if let Some(room) = room.get() {
            document().set_title(&title(room.as_str()));
        }
    }));
    provide_context(RoomsHandle { room, go });
}

/// What the browser's address leads to.
fn here() -> Place {
    Place::at(&location_pathname().unwrap_or_default())
}
