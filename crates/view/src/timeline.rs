//! The timeline: the messages of the room shown, those in its log and those that this page has on the way.

mod day;
mod log;
mod pages;
mod row;
mod sent;
mod unread;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use protocol::frame::Message;
use protocol::id::RoomName;
use protocol::outbox::EntryId;
use protocol::position::{Epoch, Offset};

pub use self::day::{Day, When};
pub use self::pages::{Item, ItemKey, Page, PageKey};
pub use self::row::{Logged, Pending, Progress, Row, RowKey};
use self::unread::Unread;
use crate::Own;
use crate::Report;
use crate::Snapshot;

/// How many rows of the log stay on the page as new ones come. Older ones can be loaded again.
const ROWS_MAX: usize = 500;

/// How many rows stay while a reader looks at older ones. Back at the bottom, [`ROWS_MAX`] holds again.
const HISTORY_MAX: usize = 5_000;

/// The rows of one room, and the messages on their way to all rooms (they show in their room's timeline).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeline {
    room: RoomName,
    own: Own,
    epoch: Option<Epoch>,
    /// The number of the present epoch among those that the page saw: offsets of two epochs are not comparable.
    epochs: u32,
    /// The log's rows and gaps, oldest first. Those after the last gap are the segment: dense, and
    /// the only part that grows.
    rows: Vec<Row>,
    gaps: u32,
    /// How many pages there were.
    pages: u32,
    /// The page of the newest messages, and of those on their way.
    newest_page: u32,
    /// The offset after which the segment begins, as long as it is empty.
    from: Offset,
    /// Whether the log holds messages before the segment.
    more: bool,
    /// Whether older messages were asked for and have not come.
    loading: bool,
    limit: usize,
    pending: Vec<Pending>,
    /// Whether the reader sees new messages come.
    attends: bool,
    unread: Option<Unread>,
    queued: u32,
    loads: u32,
}

impl Timeline {
    /// The room as it was rendered, or nothing yet.
    pub fn new(room: RoomName, snapshot: Option<&Snapshot>) -> Self {
        let mut timeline = Self {
            room,
            own: Own::default(),
            epoch: None,
            epochs: 0,
            rows: Vec::new(),
            gaps: 0,
            pages: 0,
            newest_page: 0,
            from: Offset::ZERO,
            more: false,
            loading: false,
            limit: ROWS_MAX,
            pending: Vec::new(),
            attends: true,
            unread: None,
            queued: 0,
            loads: 0,
        };
        timeline.show(snapshot);
        timeline
    }

    /// Shows another room. What is on the way stays.
    pub fn enter(&mut self, room: &RoomName) {
        self.enter_at(room, None);
    }

    /// Shows another room, as it was rendered or as another view shows it. What is on the way stays.
    pub fn enter_at(&mut self, room: &RoomName, snapshot: Option<&Snapshot>) {
        self.room = room.clone();
        self.show(snapshot);
    }

    /// What is shown of the room after the last gap, for a view that begins there (RS-7). `None` as long as nothing is
    /// known of the room.
    pub fn snapshot(&self) -> Option<Snapshot> {
        let logged = self.segment().iter().filter_map(Row::logged);
        Some(Snapshot {
            position: self.position()?,
            messages: logged
                .map(|logged| Message::clone(&logged.message))
                .collect(),
            more: self.more,
        })
    }

    /// Folds a report. Returns whether anything changed.
    pub fn fold(&mut self, report: &Report) -> bool {
        let claimed = self.own.fold(report);
        if claimed {
            self.claim();
        }
        let changed = match report {
            Report::Restored { session, outbox } => {
                for entry in outbox {
                    self.restore(Pending::new(entry, session.as_ref()));
                }
                !outbox.is_empty()
            }
            Report::TakenUp { session, outbox } => {
                for entry in outbox {
                    let pending = Pending::new(entry, session.as_ref());
                    self.restore(pending.at_home_in(session.as_ref()));
                }
                !outbox.is_empty()
            }
            Report::HandedOver { id } => self.dismiss(*id),
            Report::Event(event) => self.event(event),
            // The answer to a question on an earlier connection does not come.
            Report::Status { .. } => std::mem::take(&mut self.loading),
            Report::NotTaken { .. } | Report::StorageFailed | Report::Forbidden => false,
        };
        claimed | changed
    }

    /// Notes that older messages were asked for.
    pub const fn loading_older(&mut self) {
        self.loading = true;
    }

    /// Sets whether the user follows the newest messages, or reads older ones: those stay while they are read.
    /// Returns whether rows were dropped.
    pub fn follow(&mut self, follows: bool) -> bool {
        self.limit = if follows { ROWS_MAX } else { HISTORY_MAX };
        self.trim()
    }

    /// Takes a message off the page. Returns whether it was there.
    pub fn dismiss(&mut self, id: EntryId) -> bool {
        let before = self.pending.len();
        self.pending.retain(|pending| pending.id != id);
        self.pending.len() != before
    }

    /// The room and the text of a message of this page that is not in the log.
    pub fn text(&self, id: EntryId) -> Option<(RoomName, Arc<str>)> {
        let pending = self.pending.iter().find(|pending| pending.id == id)?;
        Some((pending.room.clone(), pending.body.clone()))
    }

    /// The messages of the log that are shown, oldest first.
    pub fn messages(&self) -> impl DoubleEndedIterator<Item = &Message> {
        let logged = self.rows.iter().filter_map(Row::logged);
        logged.map(|logged| &*logged.message)
    }

    /// The room that is shown.
    pub const fn room(&self) -> &RoomName {
        &self.room
    }

    /// How far a message of this page has got.
    pub fn progress(&self, id: EntryId) -> Option<Progress> {
        let pending = self.pending.iter().find(|pending| pending.id == id);
        pending
            .map(|pending| pending.progress(self.own.current()))
            .or_else(|| {
                let mut logged = self.rows.iter().rev().filter_map(Row::logged);
                logged
                    .find(|logged| logged.entry == Some(id))
                    .map(Logged::progress)
            })
    }

    /// The offset before which older messages are to be asked for, if they are to be now.
    pub fn older_than(&self) -> Option<Offset> {
        (self.has_older() && !self.loading).then(|| self.beginning())
    }

    /// Whether there are older messages to load.
    pub fn has_older(&self) -> bool {
        self.more && self.rows.len() < HISTORY_MAX
    }

    /// Whether older messages are on their way.
    pub const fn is_loading(&self) -> bool {
        self.loading
    }

    /// The gap in front of which older messages would appear, if there is one.
    pub fn last_gap(&self) -> Option<u32> {
        self.rows.iter().rev().find_map(Row::gap)
    }

    /// How many messages are on their way to the log, in all rooms.
    pub fn waiting(&self) -> usize {
        self.pending
            .iter()
            .filter(|pending| pending.is_on_the_way())
            .count()
    }

    /// How many messages were sent from this page.
    pub const fn queued(&self) -> u32 {
        self.queued
    }

    /// How many times older messages came.
    pub const fn loads(&self) -> u32 {
        self.loads
    }

    /// The page's session.
    pub const fn own(&self) -> &Own {
        &self.own
    }
}
