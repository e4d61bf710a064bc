//! Everbeat in a Leptos app: one socket for the app, rooms as signals.
//!
//! [`provide_everbeat`] at the root of the app begins the session; [`use_room`] gives a room, anywhere below. While the
//! server renders, the same hooks give the initial state, and open nothing.
//!
//! ```
//! use everbeat_leptos::{Options, Person, RoomName, Row, provide_everbeat, use_room};
//! use leptos::prelude::*;
//!
//! #[component]
//! fn App() -> impl IntoView {
//!     // Once for the app: heartbeat, reconnects, outbox and resume are its session's.
//!     let everbeat = provide_everbeat(Options::at("/ws").token_url("/token"));
//!     let is_live = everbeat.is_live();
//!     view! {
//!         <p>{move || if is_live.get() { "Live" } else { "Not connected" }}</p>
//!         <Board />
//!     }
//! }
//!
//! #[component]
//! fn Board() -> impl IntoView {
//!     // Joined as long as this is mounted.
//!     let room = use_room(RoomName::lobby());
//!     let (messages, members) = (room.messages(), room.members());
//!     // Each message exactly once: for what must not be missed, as a signal would.
//!     room.on_message(|message| leptos::logging::log!("{} said something", message.name));
//!     let text = RwSignal::new(String::new());
//!     let publish = move |_| {
//!         if room.publish(text.get_untracked()).is_ok() {
//!             text.set(String::new());
//!         }
//!     };
//!     view! {
//!         <ul>{move || members.get().iter().map(name).collect_view()}</ul>
//!         <ol>
//!             <For each=move || messages.get() key=Row::key let:row>
//!                 <li>{body(&row)}</li>
//!             </For>
//!         </ol>
//!         <input
//!             prop:value=text
//!             on:input=move |event| {
//!                 text.set(event_target_value(&event));
//!                 room.draft(text.get_untracked());
//!             }
//!         />
//!         <button on:click=publish>"Send"</button>
//!     }
//! }
//!
//! fn name(person: &Person) -> impl IntoView + use<> {
//!     view! { <li>{person.name.to_string()}</li> }
//! }
//!
//! fn body(row: &Row) -> String {
//!     match row {
//!         Row::Logged(logged) => logged.message.body.clone(),
//!         Row::Pending(pending) => pending.body.to_string(),
//!         Row::Gap(_) => "Some messages are missing here".to_owned(),
//!     }
//! }
//! # #[cfg(feature = "ssr")]
//! # assert!(Owner::new().with(|| App().to_html()).starts_with("<p>Not connected</p><ul>"));
//! ```
//!
//! Signals hold what is shown. They have the newest value, and may skip values between; an app never writes them. Events
//! that must not be missed go to callbacks: [`Room::on_message`], [`Room::on_not_taken`], [`Room::on_refused`],
//! [`Everbeat::on_report`].
//!
//! A room's messages are text. [`use_typed_room`] makes of them values of a type of the app's own:
//!
//! ```
//! # use everbeat_leptos::{Options, Read, RoomName, provide_everbeat, use_typed_room};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize)]
//! enum Note {
//!     Said(String),
//!     Moved { id: u32, x: f32 },
//! }
//!
//! # leptos::prelude::Owner::new().with(|| {
//! # provide_everbeat(Options::at("/ws"));
//! let board = use_typed_room::<Note>(RoomName::lobby());
//! board.on_message(|message, note| match note {
//!     Read::Value(Note::Said(text)) => leptos::logging::log!("{}: {text}", message.name),
//!     Read::Value(Note::Moved { id, x }) => leptos::logging::log!("{id} is at {x}"),
//!     Read::Redacted | Read::Unreadable(_) => {}
//! });
//! let is_taken = board.publish(&Note::Moved { id: 7, x: 0.5 }).is_ok();
//! # assert!(!is_taken);
//! # });
//! ```
//!
//! # Features
//!
//! They are those of `leptos`, one for each build of an app: `ssr` for the server, `hydrate` or `csr` for the browser,
//! which include the browser's driver.

mod commands;
#[cfg_attr(any(feature = "csr", feature = "hydrate"), path = "driver/browser.rs")]
#[cfg_attr(
    not(any(feature = "csr", feature = "hydrate")),
    path = "driver/server.rs"
)]
mod driver;
mod effect;
mod everbeat;
mod options;
mod room;
mod state;
mod typed;

/// The samples of the README compile and hold.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use protocol;
pub use view;

pub use protocol::client::{Fate, NoToken, Recovery, Status};
pub use protocol::frame::{Message, Refusal, RoomDraft};
pub use protocol::id::{Name, RoomName, SessionId, Token};
pub use protocol::outbox::{EntryId, PublishError};
pub use view::{
    Body, BodyError, Command, Day, Fault, Item, ItemKey, Link, Logged, Notice, Observer, Page,
    PageKey, Pending, Person, Progress, Read, Received, Report, Row, RowKey, Snapshot, Timeline,
    TraceEntry, TraceKind, Trouble, When,
};

pub use self::commands::{Busy, COMMANDS_MAX};
pub use self::driver::Inspect;
pub use self::effect::effect;
pub use self::everbeat::{Everbeat, provide_everbeat, provide_everbeat_driven_by, use_everbeat};
pub use self::options::{FetchToken, Options, Tokens};
pub use self::room::{Room, use_room, use_room_from};
pub use self::typed::{NotPublished, TypedRoom, use_typed_room};

/// The function that the driver calls with each report, in order, on the page's thread.
pub type Reporter = Box<dyn FnMut(Report)>;

/// Stops the driver: it closes its socket, and drops its timers and listeners.
pub type Stop = Box<dyn FnOnce() + Send + Sync>;
