//! What the page knows, as plain structs. Each folds reports into itself with a pure function that
//! says whether anything changed; no signal, no clock, no browser.

mod composer;
mod link;
mod own;
mod people;
mod received;
mod timeline;

#[cfg(test)]
pub(crate) mod fixtures;

pub use self::composer::Composer;
pub use self::link::Link;
pub use self::own::Own;
pub use self::people::{People, Person};
pub use self::received::Received;
pub use self::timeline::{Logged, Page, PageKey, Pending, Progress, Row, RowKey, Timeline};
