//! The timeline: the messages of the room shown, those in its log and those that this page has on the way.

mod pages;
mod row;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use protocol::client::{Event, Fate};
use protocol::frame::{Joined, Message};
use protocol::id::{RoomName, Seq};
use protocol::outbox::{Entry, EntryId, Stage};
use protocol::position::{Epoch, Offset, Position};

pub use self::pages::{Page, PageKey};
pub use self::row::{Logged, Pending, Progress, Row, RowKey};
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
    received: u32,
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
            received: 0,
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

    /// How many messages of others came while the page was open.
    pub const fn received(&self) -> u32 {
        self.received
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

/// The log.
impl Timeline {
    fn show(&mut self, snapshot: Option<&Snapshot>) {
        self.rows.clear();
        self.begin_page();
        self.limit = ROWS_MAX;
        self.loading = false;
        self.epochs += 1;
        self.epoch = snapshot.map(|snapshot| snapshot.position.epoch.clone());
        self.from = snapshot.map_or(Offset::ZERO, |snapshot| snapshot.position.offset);
        self.more = snapshot.is_some_and(|snapshot| snapshot.more);
        for message in snapshot.iter().flat_map(|snapshot| &snapshot.messages) {
            self.insert(message);
        }
    }

    fn event(&mut self, event: &Event) -> bool {
        match event {
            Event::Joined { joined, gap } if joined.room == self.room => self.joined(joined, *gap),
            Event::Message(message) if message.room == self.room => self.message(message),
            Event::Redacted(message) if message.room == self.room => self.remove(message),
            Event::History {
                room,
                messages,
                more,
            } if *room == self.room => self.history(messages, *more),
            Event::Queued(entry) => self.queue(entry),
            Event::Fate { id, seq, fate } => self.fate(*id, *seq, *fate),
            _ => false,
        }
    }

    fn joined(&mut self, joined: &Joined, gap: bool) -> bool {
        let renewed = self.epoch.as_ref() != Some(&joined.epoch);
        self.epoch = Some(joined.epoch.clone());
        let before = self.extent();
        if renewed {
            self.epochs += 1;
        }
        let missing = gap && self.newest().is_none_or(|newest| newest < joined.from);
        if missing || (renewed && !self.rows.is_empty()) {
            self.break_off();
        }
        if self.segment().is_empty() {
            self.from = joined.from;
            self.more = joined.from > Offset::ZERO;
        }
        self.loading = false;
        let beginning = self.beginning();
        // Messages that are durable before the segment are not shown here; nor are those of another log, which one
        // that was not seen before may be.
        self.pending.retain(|pending| {
            let offset = pending.offset().filter(|_| pending.room == self.room);
            offset.is_none_or(|offset| !renewed && offset >= beginning)
        });
        self.extent() != before
    }

    /// What a join may change.
    const fn extent(&self) -> (usize, usize, bool, bool) {
        (self.rows.len(), self.pending.len(), self.more, self.loading)
    }

    /// Begins a new segment after a gap.
    fn break_off(&mut self) {
        if self.rows.last().and_then(Row::gap).is_none() {
            self.gaps += 1;
            self.rows.push(Row::Gap(self.gaps));
            self.begin_page();
        }
    }

    fn message(&mut self, message: &Message) -> bool {
        if !self.insert(message) {
            return false;
        }
        if !self.own.contains(&message.session) {
            self.received = self.received.wrapping_add(1);
        }
        self.trim();
        true
    }

    /// Takes the redaction of a message (EO-8). Returns whether that message was shown.
    fn remove(&mut self, message: &Message) -> bool {
        for row in &mut self.rows {
            if let Row::Logged(logged) = row
                && logged.epoch == self.epochs
                && logged.message.offset == message.offset
            {
                logged.message = Arc::new(message.clone());
                logged.entry = None;
                return true;
            }
        }
        false
    }

    fn history(&mut self, messages: &[Message], more: bool) -> bool {
        let asked = std::mem::take(&mut self.loading);
        // An answer to an earlier request does not meet the segment: it would leave a hole that is not shown.
        let meets = |last: &Message| last.offset.next() == self.beginning();
        if !messages.last().map_or(asked, meets) {
            return asked;
        }
        self.loads = self.loads.wrapping_add(1);
        self.more = more;
        let page = self.next_page();
        let mut rows = Vec::new();
        for message in messages {
            let entry = self.settle_pending(message);
            rows.push(self.logged(message, page, entry));
        }
        let start = self.segment_start();
        self.rows.splice(start..start, rows);
        self.close_gap();
        self.limit = self.limit.max(self.rows.len());
        true
    }

    /// Drops the last gap if history has reached the messages above it.
    fn close_gap(&mut self) {
        let start = self.segment_start();
        let (Some(first), Some(above)) = (self.first(), self.rows[..start].iter().rev().nth(1))
        else {
            return;
        };
        let Some(reached) = above.logged().filter(|logged| logged.epoch == self.epochs) else {
            return;
        };
        let reached = reached.message.offset;
        if first <= reached.next() {
            let mut segment = self.rows.split_off(start);
            segment.retain(|row| row.offset().is_some_and(|offset| offset > reached));
            self.rows.pop();
            self.rows.append(&mut segment);
            self.more = self
                .first()
                .is_some_and(|first| first > Offset::ZERO.next());
        }
    }

    /// Puts a message in its place. Returns whether it was not there yet.
    fn insert(&mut self, message: &Message) -> bool {
        let mut logged = self.rows.iter().rev().filter_map(Row::logged);
        if logged.any(|it| it.epoch == self.epochs && it.message.offset == message.offset) {
            return false;
        }
        let entry = self.settle_pending(message);
        let start = self.segment_start();
        let place = self
            .segment()
            .partition_point(|row| row.offset() < Some(message.offset));
        // A message that comes late joins the page of the one after it.
        let page = match self.segment().get(place) {
            Some(Row::Logged(next)) => next.page,
            _ => self.newest_page,
        };
        let row = self.logged(message, page, entry);
        self.rows.insert(start + place, row);
        true
    }

    fn trim(&mut self) -> bool {
        // The row that older messages were asked for stays until they come, or they would not meet it.
        let limit = if self.loading {
            HISTORY_MAX
        } else {
            self.limit
        };
        let surplus = self.rows.len().saturating_sub(limit);
        if surplus == 0 {
            return false;
        }
        self.rows.drain(..surplus);
        // There is nothing above the gap any more.
        if self.rows.first().and_then(Row::gap).is_some() {
            self.rows.remove(0);
        }
        self.more = true;
        true
    }

    fn logged(&self, message: &Message, page: u32, entry: Option<EntryId>) -> Row {
        Row::Logged(Logged {
            message: Arc::new(message.clone()),
            epoch: self.epochs,
            page,
            own: self.own.contains(&message.session),
            entry,
        })
    }

    fn segment_start(&self) -> usize {
        self.rows
            .iter()
            .rposition(|row| row.gap().is_some())
            .map_or(0, |gap| gap + 1)
    }

    fn segment(&self) -> &[Row] {
        &self.rows[self.segment_start()..]
    }

    fn first(&self) -> Option<Offset> {
        self.segment().first().and_then(Row::offset)
    }

    /// The offset at which the segment begins, or will begin.
    fn beginning(&self) -> Offset {
        self.first().unwrap_or_else(|| self.from.next())
    }

    fn newest(&self) -> Option<Offset> {
        let newest = self.rows.last().and_then(Row::logged)?;
        (newest.epoch == self.epochs).then_some(newest.message.offset)
    }

    /// The position from which the room is to be joined (RS-7).
    pub fn position(&self) -> Option<Position> {
        let epoch = self.epoch.clone()?;
        Some(Position {
            epoch,
            offset: self.newest().unwrap_or(self.from),
        })
    }

    /// A session was added to the page's own: marks its rows as own.
    fn claim(&mut self) {
        for row in &mut self.rows {
            if let Row::Logged(logged) = row {
                logged.own = self.own.contains(&logged.message.session);
            }
        }
    }
}

/// The page's own messages on their way.
impl Timeline {
    fn restore(&mut self, pending: Pending) {
        if !self.settle_shown(&pending) {
            self.pending.push(pending);
        }
    }

    /// Finds the row in the log of a message that was on its way. Returns whether there is one.
    fn settle_shown(&mut self, pending: &Pending) -> bool {
        for row in self.rows.iter_mut().rev() {
            if let Row::Logged(logged) = row
                && logged.epoch == self.epochs
                && pending.is(&logged.message)
            {
                logged.entry = Some(pending.id);
                return true;
            }
        }
        false
    }

    fn queue(&mut self, entry: &Entry) -> bool {
        // A view that began with the outbox has it already.
        if self.pending.iter().all(|pending| pending.id != entry.id) {
            self.pending.push(Pending::new(entry, None));
        }
        if entry.stage == Stage::Unsent {
            self.queued = self.queued.wrapping_add(1);
        }
        true
    }

    fn fate(&mut self, id: EntryId, seq: Seq, fate: Fate) -> bool {
        let Some(index) = self.pending.iter().position(|pending| pending.id == id) else {
            return false;
        };
        let is_here = self.pending[index].room == self.room;
        match fate {
            Fate::Durable { offset } if offset.is_none() || !is_here => {
                self.pending.remove(index);
            }
            Fate::Waiting if self.pending[index].is_aside() => {
                let mut pending = self.pending.remove(index);
                pending.become_waiting(seq);
                self.pending.push(pending);
            }
            Fate::Waiting => self.pending[index].become_waiting(seq),
            Fate::Sent => self.pending[index].become_sent(seq, self.own.current()),
            Fate::Durable { .. } | Fate::Uncertain | Fate::Held | Fate::Refused { .. } => {
                let mut pending = self.pending.remove(index);
                pending.fate = fate;
                let beginning = self.beginning();
                let is_further_up = pending.offset().is_some_and(|offset| offset < beginning);
                if !self.settle_shown(&pending) && !is_further_up {
                    self.pending.insert(index, pending);
                }
            }
        }
        true
    }

    /// Takes the message out of those on their way, and returns its entry, if it was one of them.
    fn settle_pending(&mut self, message: &Message) -> Option<EntryId> {
        let index = self
            .pending
            .iter()
            .position(|pending| pending.is(message))?;
        Some(self.pending.remove(index).id)
    }
}
