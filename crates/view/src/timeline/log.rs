//! The rows of the log: in their order, without a hole that is not shown.

use std::sync::Arc;

use protocol::client::Event;
use protocol::frame::{Joined, Message};
use protocol::outbox::EntryId;
use protocol::position::{Offset, Position};

use super::{HISTORY_MAX, Logged, ROWS_MAX, Row, Timeline};
use crate::Snapshot;

impl Timeline {
    pub(super) fn show(&mut self, snapshot: Option<&Snapshot>) {
        self.rows.clear();
        self.begin_page();
        self.limit = ROWS_MAX;
        self.loading = false;
        self.unread = None;
        self.epochs += 1;
        self.epoch = snapshot.map(|snapshot| snapshot.position.epoch.clone());
        self.from = snapshot.map_or(Offset::ZERO, |snapshot| snapshot.position.offset);
        self.more = snapshot.is_some_and(|snapshot| snapshot.more);
        for message in snapshot.iter().flat_map(|snapshot| &snapshot.messages) {
            self.insert(message);
        }
    }

    pub(super) fn event(&mut self, event: &Event) -> bool {
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
            self.count_unread(message);
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

    pub(super) fn trim(&mut self) -> bool {
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

    pub(super) fn segment(&self) -> &[Row] {
        &self.rows[self.segment_start()..]
    }

    fn first(&self) -> Option<Offset> {
        self.segment().first().and_then(Row::offset)
    }

    /// The offset at which the segment begins, or will begin.
    pub(super) fn beginning(&self) -> Offset {
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
    pub(super) fn claim(&mut self) {
        for row in &mut self.rows {
            if let Row::Logged(logged) = row {
                logged.own = self.own.contains(&logged.message.session);
            }
        }
    }
}
