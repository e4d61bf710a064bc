//! The view of a client: what it shows of its rooms, as plain values.
//!
//! A view takes [`Report`]s, which the driver of the client's machine makes of
//! [`Event`](protocol::client::Event)s, and hands out rows, members, drafts and the text of the input box.
//! Each part folds a report into itself with a pure function that returns whether anything changed. A view
//! orders nothing of the core: it knows no signal, no clock and no browser, and holds no sentence for the user.
//!
//! [`RoomView`] is all of one room, [`SessionView`] the part that belongs to no single room. A user
//! interface with signals of its own takes the parts apart.

mod body;
mod command;
mod composer;
mod link;
mod observe;
mod own;
mod people;
mod received;
mod report;
mod room;
mod session;
mod snapshot;
mod text;
mod timeline;
mod trouble;
mod visits;

#[cfg(test)]
mod fixtures;

/// The samples of the README compile and hold.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use protocol;

pub use self::body::{Body, BodyError, Read};
pub use self::command::Command;
pub use self::composer::{Alert, Composer, as_sent};
pub use self::link::{Link, Notice};
pub use self::observe::{Fault, Observer, TraceEntry, TraceKind};
pub use self::own::Own;
pub use self::people::{People, Person};
pub use self::received::Received;
pub use self::report::Report;
pub use self::room::{Changed, RoomView};
pub use self::session::SessionView;
pub use self::snapshot::Snapshot;
pub use self::text::{Part, parts};
pub use self::timeline::{
    Day, Item, ItemKey, Logged, Page, PageKey, Pending, Progress, Row, RowKey, Timeline, When,
};
pub use self::trouble::Trouble;
pub use self::visits::{Moment, Visited, Visits};
