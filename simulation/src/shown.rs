//! One room of a page: the real view of it, and beside it what the machine reported, for the checks.

use std::collections::{BTreeMap, BTreeSet};

use protocol::client::{Event, Session};
use protocol::frame::{Joined, Message};
use protocol::id::{RoomName, SessionId};
use protocol::outbox::EntryId;
use protocol::position::{Epoch, Offset, Position};
use view::{Day, Item, Person, Report, RoomView, Row, Snapshot};

use crate::log::Log;

/// One room as the page shows it.
#[derive(Debug)]
pub struct Shown {
    /// What the page shows.
    pub view: RoomView,
    /// Up to where the machine reported every message, once it reported where it starts.
    through: Option<Offset>,
    epoch: Option<Epoch>,
    /// How many messages came.
    pub came: usize,
    /// How many gaps were reported (RS-6).
    pub gaps: usize,
    /// The server's answers to each join.
    pub joins: Vec<Joined>,
}

impl Shown {
    /// A room that the page begins to show, rendered or empty, with what its session holds.
    pub fn new(room: RoomName, snapshot: Option<&Snapshot>, session: &Session) -> Self {
        let mut view = RoomView::new(room, snapshot);
        view.fold(&Report::restored(session));
        let position = snapshot.map(|snapshot| snapshot.position.clone());
        Self {
            view,
            through: position.as_ref().map(|position| position.offset),
            epoch: position.map(|position| position.epoch),
            came: 0,
            gaps: 0,
            joins: Vec::new(),
        }
    }

    /// The page enters the room again: it shows nothing of it, but what is on its way.
    pub fn enter(&mut self) {
        let room = self.view.timeline.room().clone();
        self.view.enter(&room);
        (self.through, self.epoch) = (None, None);
        self.joins.clear();
    }

    /// The messages, as texts.
    pub fn bodies(&self) -> Vec<&str> {
        let messages = self.view.timeline.messages();
        messages.map(|message| message.body.as_str()).collect()
    }

    /// The members, and their names.
    pub fn members(&self) -> BTreeMap<SessionId, String> {
        let name = |person: Person| (person.session, person.name.to_string());
        self.view.people.here().into_iter().map(name).collect()
    }

    /// What the others are typing.
    pub fn drafts(&self) -> BTreeMap<SessionId, String> {
        let typing = self.view.people.typing().into_iter();
        typing.map(|draft| (draft.session, draft.body)).collect()
    }

    /// Checks what the machine reports, and shows it.
    pub fn fold(&mut self, report: &Report, log: &Log) {
        let room = self.view.timeline.room();
        match report {
            Report::Event(Event::Joined { joined, gap }) if joined.room == *room => {
                self.joined(joined, *gap, log);
                self.view.fold(report);
                self.check_rows();
            }
            Report::Event(Event::History { room: of, .. }) if of == room => {
                self.view.fold(report);
                self.check_rows();
            }
            Report::Event(Event::Message(message)) if message.room == *room => {
                self.message(message, log);
                let changed = self.view.fold(report);
                assert!(changed.timeline, "not shown: {message:?}");
                let newest = self.view.timeline.messages().next_back();
                assert_eq!(newest, Some(message), "not the newest");
            }
            Report::Event(Event::Redacted(message)) if message.room == *room => {
                // While a room is joined anew this may come from the seat before, and be ahead (EO-8).
                assert!(log.holds(message), "it was not redacted: {message:?}");
                self.view.fold(report);
                self.check_removed(std::slice::from_ref(message));
            }
            _ => {
                self.view.fold(report);
            }
        }
    }

    fn joined(&mut self, joined: &Joined, gap: bool, log: &Log) {
        if gap {
            let is_same = self.epoch.as_ref() == Some(&joined.epoch);
            let is_there = self.through >= Some(log.trimmed_ever(&joined.room))
                && (joined.recovered || self.through <= Some(joined.head));
            assert!(
                !is_same || !is_there,
                "a gap where there is none: {joined:?}"
            );
        }
        self.gaps += usize::from(gap);
        if gap || self.through.is_none() {
            self.through = Some(joined.from);
            self.epoch = Some(joined.epoch.clone());
        }
        // Without a gap the epoch stays.
        assert_eq!(self.epoch.as_ref(), Some(&joined.epoch), "{joined:?}");
        self.joins.push(joined.clone());
    }

    /// Messages are contiguous and without doubles (EO-3), whatever happened.
    fn message(&mut self, message: &Message, log: &Log) {
        let next = self.through.map(Offset::next);
        assert_eq!(next, Some(message.offset), "out of order: {message:?}");
        assert!(
            log.holds(message),
            "seen before it was durable: {message:?}"
        );
        self.through = next;
        self.came += 1;
    }

    /// No text is shown any more of messages that the log has redacted (EO-8).
    pub fn check_removed(&self, removed: &[Message]) {
        for message in removed {
            let is_it = |m: &&Message| m.session == message.session && m.seq == message.seq;
            let shown = self.view.timeline.messages().find(is_it);
            assert!(
                shown.is_none_or(|shown| shown == message),
                "still shown: {shown:?}"
            );
        }
    }

    /// The members known are all, or as many as are named, with the right count (PR-3).
    pub fn check_members(&self, here: &BTreeSet<&SessionId>, named_max: usize) {
        let members = self.members();
        let known: BTreeSet<_> = members.keys().collect();
        let count = self.view.people.count();
        if known.len() == count {
            return assert_eq!(&known, here, "other members");
        }
        assert!(known.is_subset(here), "{known:?} are not all of {here:?}");
        assert!(
            here.len() > named_max,
            "{count} of {named_max} are no crowd"
        );
        assert!(known.len() >= named_max && known.len() <= named_max + 1);
        assert_eq!(count, here.len(), "another count");
    }

    /// No hole that is not shown (RS-6), and nothing twice.
    pub fn check_rows(&self) {
        let rows = self.view.timeline.rows();
        let mut before: Option<(u32, Offset)> = None;
        for row in &rows {
            match row {
                Row::Logged(logged) => {
                    let at = (logged.epoch, logged.message.offset);
                    let next = before.map_or(at, |(epoch, before)| (epoch, before.next()));
                    assert_eq!(at, next, "a hole");
                    before = Some(at);
                }
                Row::Gap(_) => before = None,
                Row::Pending(_) => {}
            }
        }
        let pages = self.view.timeline.pages(0, &Day::utc);
        let items = || pages.iter().flat_map(|page| &page.items);
        assert!(
            items().filter_map(Item::row).eq(&rows),
            "the pages are other rows"
        );
        let keys: BTreeSet<_> = items().map(Item::key).collect();
        assert_eq!(keys.len(), items().count(), "two items with one key");
        let keys: BTreeSet<_> = pages.iter().map(|page| page.key).collect();
        assert_eq!(keys.len(), pages.len(), "two pages with one key");
        let keys: BTreeSet<_> = rows.iter().map(Row::key).collect();
        assert_eq!(keys.len(), rows.len(), "two rows with one key");
    }

    /// In quiet what is shown on its way is what the outbox holds.
    pub fn check_pending(&self, outbox: &BTreeSet<EntryId>) {
        let rows = self.view.timeline.rows();
        let pending = rows.iter().filter_map(|row| match row {
            Row::Pending(pending) => Some((pending.id, pending.fate)),
            Row::Logged(_) | Row::Gap(_) => None,
        });
        let fates: BTreeMap<_, _> = pending.collect();
        let shown: BTreeSet<_> = fates.keys().copied().collect();
        assert_eq!(&shown, outbox, "shown on the way: {fates:?}");
    }

    /// In quiet the rows after the last gap are the newest of the log, up to where the machine stands.
    pub fn check_newest(&self, position: Option<&Position>, log: &Log) {
        self.check_rows();
        let timeline = &self.view.timeline;
        assert_eq!(timeline.position().as_ref(), position, "shown up to there");
        let kept = log.messages(timeline.room()).rev();
        let rows = timeline.rows().into_iter().rev();
        let rows = rows.filter(|row| !matches!(row, Row::Pending(_)));
        for (row, kept) in rows.zip(kept) {
            let Row::Logged(row) = row else { break };
            assert_eq!(row.message.offset, kept.offset, "another place");
            assert!(log.holds(&row.message), "not in the log: {row:?}");
        }
    }
}
