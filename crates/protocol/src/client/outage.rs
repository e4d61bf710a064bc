//! An outage: the time from the end of a live connection until a later one has brought back what was open.
//!
//! It is over once the session is live, each message that was in the outbox has its fate, and each room is caught
//! up. Then [`Event::Recovered`] says what that took, counted from the fates themselves: nothing is assumed.

use serde::Serialize;

use super::Session;
use super::connection::State;
use super::output::Event;
use super::room::Room;
use crate::outbox::{Entry, EntryId, Stage};

/// What the return after an outage brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Recovery {
    /// Whether the server resumed the session. Otherwise it goes on as a fresh one (RS-9).
    pub resumed: bool,
    /// Own messages that were in the log already: only their acks were lost (RS-3).
    pub arrived: u32,
    /// Own messages that were on the wire, were sent again, and are in the log now.
    pub sent_again: u32,
    /// Own messages that waited, were sent for the first time, and are in the log now.
    pub sent: u32,
    /// Messages of other sessions that came in the meantime.
    pub caught_up: u32,
    /// Rooms in which older messages are missing between what was shown and what came (RS-6).
    pub gaps: u32,
    /// Own messages that are perhaps in the log, perhaps not: the user decides (RS-9).
    pub uncertain: u32,
}

impl Recovery {
    /// A return that brought nothing.
    pub const NONE: Self = Self {
        resumed: true,
        arrived: 0,
        sent_again: 0,
        sent: 0,
        caught_up: 0,
        gaps: 0,
        uncertain: 0,
    };

    /// Whether nothing is missing and nothing uncertain: 0 lost.
    pub const fn is_complete(&self) -> bool {
        self.gaps == 0 && self.uncertain == 0
    }
}

/// An outage, or a return that is not complete.
#[derive(Debug)]
pub(super) struct Outage {
    brought: Recovery,
    /// The messages that had no fate when the connection ended or came back, and whether they had been sent before.
    /// At most those of the outbox.
    owed: Vec<(EntryId, bool)>,
}

impl Outage {
    const fn new() -> Self {
        Self {
            brought: Recovery::NONE,
            owed: Vec::new(),
        }
    }

    /// Removes a message from those owed. Returns whether it had been sent before, if it was one.
    fn take(&mut self, id: EntryId) -> Option<bool> {
        let index = self.owed.iter().position(|(owed, _)| *owed == id)?;
        Some(self.owed.remove(index).1)
    }

    fn owes(&self, entry: &Entry) -> bool {
        self.owed.iter().any(|(owed, _)| *owed == entry.id)
    }
}

impl Session {
    /// The connection is gone. If it was live, an outage begins, which owes what was sent.
    pub(super) fn outage_begins(&mut self) {
        if matches!(self.state, State::Live(_)) && self.outage.is_none() {
            self.outage = Some(Outage::new());
        }
        if let Some(outage) = &mut self.outage {
            // Also those that the server put off: they are not in flight now, and yet perhaps in the log (EO-7).
            let sent = |entry: &&Entry| entry.stage == Stage::Sent;
            for entry in self.outbox.iter().filter(sent) {
                outage.take(entry.id);
                outage.owed.push((entry.id, true));
            }
        }
    }

    /// `welcome` came: what the outbox holds now is owed.
    pub(super) fn outage_welcomed(&mut self, resumed: bool) {
        if let Some(mut outage) = self.outage.take() {
            outage.brought.resumed &= resumed;
            let mut owed = Vec::new();
            for entry in self.outbox.iter() {
                match outage.take(entry.id) {
                    Some(was_sent) => owed.push((entry.id, was_sent)),
                    None if entry.stage == Stage::Unsent => owed.push((entry.id, false)),
                    None => {}
                }
            }
            outage.owed = owed;
            self.outage = Some(outage);
        }
    }

    /// A message is durable. One that is not on the wire now had arrived before the outage.
    pub(super) fn outage_settled(&mut self, entry: &Entry) {
        let is_on_the_wire = self.live().is_some() && entry.stage == Stage::Sent;
        if let Some(outage) = &mut self.outage
            && let Some(was_sent) = outage.take(entry.id)
        {
            let brought = &mut outage.brought;
            let count = match (is_on_the_wire, was_sent) {
                (false, _) => &mut brought.arrived,
                (true, true) => &mut brought.sent_again,
                (true, false) => &mut brought.sent,
            };
            *count = count.saturating_add(1);
        }
    }

    /// A message came that was sent while this client was away.
    pub(super) fn outage_caught_up(&mut self) {
        if let Some(outage) = &mut self.outage {
            outage.brought.caught_up = outage.brought.caught_up.saturating_add(1);
        }
    }

    /// Messages are missing in a room (RS-6).
    pub(super) fn outage_gap(&mut self) {
        if let Some(outage) = &mut self.outage {
            outage.brought.gaps = outage.brought.gaps.saturating_add(1);
        }
    }

    /// Reports what the return brought, once it is complete.
    pub(super) fn end_outage(&mut self) {
        let Some(outage) = self.outage.as_ref().filter(|_| self.live().is_some()) else {
            return;
        };
        let owed = || self.outbox.iter().filter(|entry| outage.owes(entry));
        if self.rooms.values().any(Room::is_behind) || owed().any(|it| !it.stage.is_aside()) {
            return;
        }
        let uncertain = owed()
            .filter(|entry| entry.stage == Stage::Uncertain)
            .count();
        let recovery = Recovery {
            uncertain: u32::try_from(uncertain).unwrap_or(u32::MAX),
            ..outage.brought
        };
        self.outage = None;
        self.events.push_back(Event::Recovered(recovery));
    }
}
