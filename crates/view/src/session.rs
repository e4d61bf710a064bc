//! A session as a client shows it, apart from its rooms.

use protocol::client::{Event, Fate};
use protocol::id::{Name, RoomName};
use protocol::outbox::EntryId;

use crate::{Report, RoomView, Snapshot};

/// The part of a client's view that belongs to no single room: its own sessions, the name that a token vouches for, and
/// the messages on the way. A view of a room that begins during the session begins with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionView {
    /// The view of a room that gets no reports of its room.
    blank: RoomView,
}

impl Default for SessionView {
    fn default() -> Self {
        // Any room would do.
        let blank = RoomView::new(RoomName::lobby(), None);
        Self { blank }
    }
}

impl SessionView {
    /// Folds a report. Returns whether anything changed.
    pub fn fold(&mut self, report: &Report) -> bool {
        match report {
            // No log is shown here, to which the message could move.
            Report::Event(Event::Fate {
                id,
                fate: Fate::Durable { .. },
                ..
            }) => self.blank.timeline.dismiss(*id),
            Report::Restored { .. }
            | Report::TakenUp { .. }
            | Report::HandedOver { .. }
            | Report::Event(Event::Welcomed { .. } | Event::Queued(_) | Event::Fate { .. }) => {
                let changed = self.blank.fold(report);
                changed.timeline || changed.people
            }
            _ => false,
        }
    }

    /// The view of a room that begins now: from a snapshot, or empty, with the messages on the way.
    pub fn open(&self, room: &RoomName, snapshot: Option<&Snapshot>) -> RoomView {
        let mut view = self.blank.clone();
        view.enter_at(room, snapshot);
        view
    }

    /// Takes a message away that the user dropped: no report says so. Returns whether it was there.
    pub fn dismiss(&mut self, id: EntryId) -> bool {
        self.blank.timeline.dismiss(id)
    }

    /// The number of messages on their way to the log, in all rooms.
    pub fn waiting(&self) -> usize {
        self.blank.timeline.waiting()
    }

    /// The user's name, if a token vouches for it: then the user cannot choose it.
    pub const fn vouched(&self) -> Option<&Name> {
        self.blank.people.vouched()
    }
}

#[cfg(test)]
mod tests {
    use protocol::id::Seq;
    use protocol::outbox::Stage;

    use super::*;
    use crate::fixtures::{entry, joined, message, offset, snapshot, welcomed};

    fn durable(id: u64, seq: u64, at: u64) -> Report {
        Report::Event(Event::Fate {
            id: EntryId(id),
            seq: Seq::new(seq).unwrap(),
            fate: Fate::Durable {
                offset: Some(offset(at)),
            },
        })
    }

    fn sent(id: u64, seq: u64) -> Report {
        Report::Event(Event::Fate {
            id: EntryId(id),
            seq: Seq::new(seq).unwrap(),
            fate: Fate::Sent,
        })
    }

    #[test]
    fn a_room_that_begins_late_knows_what_is_on_the_way() {
        let mut session = SessionView::default();
        assert!(session.fold(&welcomed("me")));
        let queued = Report::Event(Event::Queued(entry(0, "a", Stage::Unsent)));
        assert!(session.fold(&queued) && session.fold(&sent(0, 1)));
        // What is of a room is not of the session.
        assert!(!session.fold(&joined(&["ada"], "e", 0, false)));
        assert_eq!(session.waiting(), 1);
        let mut view = session.open(&RoomName::lobby(), None);
        assert_eq!(view.timeline.rows().len(), 1);
        view.fold(&joined(&["me"], "e", 0, false));
        assert!(view.people.here()[0].own);
        view.fold(&Report::Event(Event::Message(message("me", 1, 1, "a"))));
        assert_eq!(
            (view.timeline.rows().len(), view.timeline.waiting()),
            (1, 0)
        );
    }

    #[test]
    fn what_is_in_the_log_is_on_the_way_no_longer() {
        let mut session = SessionView::default();
        session.fold(&welcomed("me"));
        for id in 0..2 {
            session.fold(&Report::Event(Event::Queued(entry(id, "a", Stage::Unsent))));
        }
        assert!(session.fold(&durable(0, 1, 1)));
        assert_eq!(session.waiting(), 1);
        let view = session.open(&RoomName::lobby(), Some(&snapshot(&[("me", "a")])));
        assert_eq!(view.timeline.rows().len(), 2);
        assert_eq!(view.received.body(), Some("a"));
    }

    /// RS-7: what one view shows is a snapshot for another one.
    #[test]
    fn a_view_begins_where_another_one_is() {
        let session = SessionView::default();
        let lobby = RoomName::lobby();
        let mut first = session.open(&lobby, None);
        assert_eq!(first.timeline.snapshot(), None);
        let reports = [
            welcomed("me"),
            joined(&["ada"], "e", 1, false),
            Report::Event(Event::Message(message("ada", 2, 1, "b"))),
            joined(&["ada"], "e", 5, true),
            Report::Event(Event::Message(message("ada", 6, 2, "f"))),
            Report::Event(Event::Message(message("ada", 7, 3, "g"))),
        ];
        for report in &reports {
            first.fold(report);
        }
        let shown = first.timeline.snapshot().unwrap();
        let mut second = session.open(&lobby, Some(&shown));
        // The hole is the first one's.
        let bodies: Vec<&str> = second.timeline.messages().map(|m| &*m.body).collect();
        assert_eq!(bodies, ["f", "g"]);
        assert_eq!(second.timeline.position(), first.timeline.position());
        assert!(second.timeline.has_older());
        for view in [&mut first, &mut second] {
            view.fold(&Report::Event(Event::Message(message("ada", 8, 4, "h"))));
        }
        assert_eq!(second.timeline.snapshot(), first.timeline.snapshot());
    }
}
