//! What a page reports of its returns, against what it reported of its rooms and messages meanwhile.

use std::collections::BTreeSet;

use protocol::client::{Event, Fate, Session, Status};
use protocol::outbox::{EntryId, Stage};

/// The outage of one page, if there is one.
#[derive(Debug, Default)]
pub struct Outage {
    /// It was live, and has not reported since what its return brought.
    pub is_open: bool,
    was_live: bool,
    /// Since then: the rooms that reported a gap,
    gaps: u32,
    /// and the messages that became uncertain.
    uncertain: BTreeSet<EntryId>,
}

impl Outage {
    /// Takes the machine's next event.
    pub fn fold(&mut self, event: &Event, session: &Session) {
        match event {
            Event::Status(Status::Live) => self.was_live = true,
            Event::Status(_) => self.is_open |= std::mem::take(&mut self.was_live),
            Event::Joined { gap: true, .. } if self.is_open => self.gaps += 1,
            Event::Fate {
                id,
                fate: Fate::Uncertain,
                ..
            } if self.is_open || self.was_live => {
                self.uncertain.insert(*id);
            }
            Event::Recovered(recovery) => {
                assert!(self.is_open, "a return without an outage");
                assert_eq!(recovery.gaps, self.gaps, "{recovery:?}");
                let mut left = session.outbox().filter(|it| it.stage == Stage::Uncertain);
                let uncertain = left.any(|it| self.uncertain.contains(&it.id));
                assert_eq!(recovery.uncertain > 0, uncertain, "{recovery:?}");
                *self = Self {
                    was_live: self.was_live,
                    ..Self::default()
                };
            }
            _ => {}
        }
    }
}
