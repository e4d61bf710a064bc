//! Hooks: they turn the context into signals and callbacks. Hooks touch no element; components touch no context,
//! but for the page's words.

use everbeat_leptos::{Report, Room, effect, use_everbeat, use_room_from};
use leptos::prelude::*;
use protocol::frame::RoomDraft;
use protocol::id::{Name, RoomName};
use protocol::outbox::EntryId;
use view::{Composer, Day, Link, Person, Received, Snapshot, Timeline, Visits};

use crate::input::{Input, use_input};
use crate::keeper::{Keeper, Shelf};
use crate::place::{AddressBar, Place, PlainForm, Visit, path, title};
use crate::stamp::Clock;
use crate::visits::{Visiting, use_visiting};
use crate::words::{self, Words, use_words};

/// The number of older messages that one request asks for.
const OLDER_LIMIT: u32 = 50;

/// The key under which the browser stores the user's name.
const NAME_KEY: &str = "everbeat.name";

/// A room's page: its state and its actions.
#[derive(Clone, Copy)]
pub struct RoomHandle {
    /// The room.
    pub room: Memo<RoomName>,
    /// The members that are named.
    pub members: Memo<Vec<Person>>,
    /// The number of members, named or not.
    pub count: Memo<usize>,
    /// The other members' drafts.
    pub drafts: Memo<Vec<RoomDraft>>,
    /// The text received last.
    pub received: ReadSignal<Received>,
    /// The input box's content.
    pub composer: ReadSignal<Composer>,
    /// The message list.
    pub list: ListHandle,
    /// The input box changed; and whether an input method goes on composing its text.
    pub write: Callback<(String, bool)>,
    /// Publish its text.
    pub publish: Callback<()>,
}

/// The message list: its state and its actions.
#[derive(Clone, Copy)]
pub struct ListHandle {
    /// The messages.
    pub timeline: ReadSignal<Timeline>,
    /// Whether the connection is live: older messages can be loaded.
    pub is_live: Memo<bool>,
    /// Whether the browser shows the page.
    pub is_visible: RwSignal<bool>,
    /// The reader's clock.
    pub clock: Clock,
    /// The present day, if it is known.
    pub today: Memo<Option<Day>>,
    /// The page's words.
    pub words: Words,
    /// Load older messages.
    pub older: Callback<()>,
    /// The user scrolled to the bottom, and follows the newest messages, or away from it.
    pub follow: Callback<bool>,
    /// The user sees new messages come, or not.
    pub attend: Callback<bool>,
    /// The actions on the user's own messages.
    pub row: RowActions,
}

/// The actions on one of the user's own messages.
#[derive(Clone, Copy)]
pub struct RowActions {
    /// Send a held or uncertain message again.
    pub send_again: Callback<EntryId>,
    /// Drop a held, uncertain or refused message.
    pub discard: Callback<EntryId>,
    /// Put a refused message's text back into the input box.
    pub edit_again: Callback<EntryId>,
}

/// The user's name, as the browser stores it.
#[derive(Clone, Copy)]
pub struct NameHandle {
    /// The name; on the server the one from the plain form.
    pub name: Signal<String>,
    /// Whether a token vouches for it, so that it cannot be chosen.
    pub is_vouched: Memo<bool>,
    /// Change it.
    pub rename: Callback<String>,
}

/// The input box as a plain form.
#[derive(Clone)]
pub struct FormHandle {
    /// The address of the room that is shown.
    pub action: Signal<String>,
    /// The fields that only such a form has; `None` in the browser, where the session numbers messages.
    pub plain: Option<PlainForm>,
}

impl FormHandle {
    /// The form's id, by which inputs outside of the element belong to it.
    pub const ID: &str = "composer";
}

/// The navigation between rooms.
#[derive(Clone, Copy)]
pub struct RoomsHandle {
    /// The room that is shown; `None` on a page that is no room's.
    pub room: Memo<Option<RoomName>>,
    /// The rooms that the user visited last, and how much is new there.
    pub visits: ReadSignal<Visits>,
    /// Show another room.
    pub go: Callback<RoomName>,
}

impl RoomsHandle {
    /// The navigation of a page without a program: the browser follows its links and sends its form.
    pub(crate) fn of_no_room() -> Self {
        Self {
            room: Memo::new(|_| None),
            visits: signal(Visits::new(&RoomName::lobby())).0,
            go: Callback::new(drop),
        }
    }
}

/// The connection: its state and its actions.
#[derive(Clone, Copy)]
pub struct LinkHandle {
    /// Its state.
    pub link: ReadSignal<Link>,
    /// The number of messages on their way to the log, in all rooms.
    pub waiting: Memo<usize>,
    /// Reconnect now.
    pub try_now: Callback<()>,
}

/// The room that is shown, and its input box.
#[derive(Clone, Copy)]
struct Shown {
    room: Room,
    input: Input,
    visiting: Visiting,
}

/// Shows the page's room: joined once the page runs in the browser. Created once, at the root; the room in it changes.
pub fn provide_room(room: RoomName, snapshot: Option<&Snapshot>) {
    let visiting = use_visiting(&room);
    let room = use_room_from(room, snapshot);
    let input = use_input(room);
    provide_context(Shown {
        room,
        input,
        visiting,
    });
}

/// The room that is shown.
///
/// # Panics
/// On a page without a room.
pub fn use_room() -> RoomHandle {
    let Shown { room, input, .. } = expect_context::<Shown>();
    let composer = input.composer;
    effect(Box::new(move || {
        if composer.with(Composer::is_closed) {
            // The server's page then says why the room is closed.
            drop(location().reload());
        }
    }));
    RoomHandle {
        room: room.name(),
        members: room.members(),
        count: room.count(),
        drafts: room.drafts(),
        received: room.received(),
        composer,
        list: use_list(room, input),
        write: Callback::new(move |(text, is_composing)| input.write(text, is_composing)),
        publish: Callback::new(move |()| input.publish()),
    }
}

fn use_list(room: Room, input: Input) -> ListHandle {
    let timeline = room.timeline();
    let clock = expect_context::<Clock>();
    let link = room.everbeat().link();
    // A page that is left open has another day at the next heartbeat.
    let today = Memo::new(move |_| {
        link.track();
        timeline.track();
        clock.today()
    });
    ListHandle {
        timeline,
        is_live: room.everbeat().is_live(),
        is_visible: use_visibility(),
        clock,
        today,
        words: use_words(),
        older: Callback::new(move |()| room.older(OLDER_LIMIT)),
        follow: Callback::new(move |follows| room.follow(follows)),
        attend: Callback::new(move |attends| room.attend(attends)),
        row: RowActions {
            send_again: Callback::new(move |id| room.send_again(id)),
            discard: Callback::new(move |id| room.discard(id)),
            edit_again: Callback::new(move |id| input.edit_again(id)),
        },
    }
}

/// Whether the browser shows the page; on the server always.
fn use_visibility() -> RwSignal<bool> {
    let is_visible = RwSignal::new(true);
    effect(Box::new(move || {
        let look = move || is_visible.set(!document().hidden());
        look();
        on_window("visibilitychange", look);
    }));
    is_visible
}

/// The connection.
pub fn use_link() -> LinkHandle {
    let everbeat = use_everbeat();
    LinkHandle {
        link: everbeat.link(),
        waiting: everbeat.waiting(),
        try_now: Callback::new(move |()| everbeat.connect_now()),
    }
}

/// Marks facts about the driver for the page's script and for tests: `data-hydrated` once it runs,
/// `data-forbidden` where the browser forbids its connection.
pub fn mark_session() {
    use_everbeat().on_report(|report| match report {
        Report::Restored { .. } => mark("data-hydrated"),
        Report::Forbidden => mark("data-forbidden"),
        _ => {}
    });
}

fn mark(fact: &str) {
    if let Some(body) = document().body() {
        // It fails only for invalid attribute names, and these are valid.
        let _ = body.set_attribute(fact, "true");
    }
}

/// Stores the user's name in the browser, for all of its pages, and sends it to the session.
pub fn provide_name() {
    let everbeat = use_everbeat();
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
        // Another page of this browser has changed the storage.
        on_window("storage", again);
    }
    let tidy = Memo::new(move |_| name.with(|name| Name::tidy(name)));
    effect(Box::new(move || {
        let name = tidy.get();
        if !name.is_empty() {
            everbeat.rename(name);
        }
    }));
    let rename = Callback::new(move |text: String| {
        if let Some(keeper) = &keeper {
            // If the browser does not store it, it holds until the page is closed.
            keeper.set(Shelf::Browser, NAME_KEY, &text);
        }
        name.set(text);
    });
    let vouched = everbeat.vouched();
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

/// The user's name.
pub fn use_name() -> NameHandle {
    expect_context::<NameHandle>()
}

/// While messages of this page are not durable, lets the browser ask before the user leaves the page (EO-5).
pub fn warn_before_leaving() {
    let waiting = use_everbeat().waiting();
    let is_owing = Memo::new(move |_| waiting.get() > 0);
    effect(Box::new(move || {
        if is_owing.get() {
            let listener = window_event_listener(leptos::ev::beforeunload, |event| {
                event.prevent_default();
                // Older browsers ask only with a return value. Its text is not shown.
                event.set_return_value("unsent");
            });
            on_cleanup(move || listener.remove());
        }
    }));
}

/// Calls `act` at each such event of the window, or of an element in it, as long as the owner lives.
pub(crate) fn on_window(event: &'static str, act: impl Fn() + 'static) {
    let listener = window_event_listener_untyped(event, move |_| act());
    on_cleanup(move || listener.remove());
}

/// What the page is rendered from.
pub fn use_visit() -> Visit {
    expect_context::<Visit>()
}

/// The plain form, by which the browser sends the input box's text itself: without a script, before the program
/// runs, and where it cannot run.
///
/// # Panics
/// On a page without a room.
pub fn use_form() -> FormHandle {
    let timeline = expect_context::<Shown>().room.timeline();
    FormHandle {
        action: Signal::derive(move || timeline.with(|list| path(list.room()))),
        plain: use_context(),
    }
}

/// The navigation between rooms, as [`use_address`] provides it.
pub fn use_rooms() -> RoomsHandle {
    expect_context::<RoomsHandle>()
}

/// Keeps the address and the document's title in step with the room that is shown, and with what came while the page was
/// hidden. A change of the room keeps
/// the page; any other address is loaded.
pub fn use_address() {
    let bar = use_context::<AddressBar>();
    let Shown {
        room,
        input,
        visiting,
    } = expect_context::<Shown>();
    let visits = visiting.visits;
    let enter = move |to: &RoomName| {
        input.enter(to);
        visiting.enter(to);
    };
    let shown = room.name();
    let room = Memo::new(move |_| Some(shown.get()));
    let go = Callback::new(move |to: RoomName| {
        if let Some(bar) = &bar
            && shown.with_untracked(|room| *room != to)
        {
            bar.show(&path(&to));
            enter(&to);
        }
    });
    on_window("popstate", move || match here() {
        Place::Room(to) => enter(&to),
        _ => drop(location().reload()),
    });
    let unseen = Memo::new(move |_| visits.with(Visits::unseen));
    effect(Box::new(move || {
        let title = shown.with(|room| title(room.as_str()));
        document().set_title(&match unseen.get() {
            0 => title,
            unseen => format!("({}) {title}", words::counted(unseen)),
        });
    }));
    provide_context(RoomsHandle { room, visits, go });
}

/// The place of the browser's address.
fn here() -> Place {
    Place::at(&location_pathname().unwrap_or_default())
}
