//! The view of one room, with all its parts.

use protocol::id::RoomName;

use crate::{People, Received, Report, Snapshot, Timeline};

/// One room as a client shows it. Its parts may be taken apart: each folds reports by itself.
///
/// A view that begins after its session needs what the session holds by then, its id and the messages on their way: a
/// [`SessionView`](crate::SessionView) gives it, or a [`Report::Restored`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomView {
    /// The messages: those of the log, and those of the client on their way to it.
    pub timeline: Timeline,
    /// The members, and their drafts.
    pub people: People,
    /// The last text that came from another session.
    pub received: Received,
}

/// The parts of a [`RoomView`] that a report changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Changed {
    /// The messages.
    pub timeline: bool,
    /// The members or their drafts.
    pub people: bool,
    /// The last text.
    pub received: bool,
}

impl RoomView {
    /// The room as it was rendered, or empty.
    pub fn new(room: RoomName, snapshot: Option<&Snapshot>) -> Self {
        Self {
            timeline: Timeline::new(room.clone(), snapshot),
            people: People::new(room.clone()),
            received: Received::new(room, snapshot),
        }
    }

    /// Shows another room. Messages on their way stay.
    pub fn enter(&mut self, room: &RoomName) {
        self.enter_at(room, None);
    }

    /// Shows another room, as it was rendered or as another view shows it. What is on the way stays.
    pub fn enter_at(&mut self, room: &RoomName, snapshot: Option<&Snapshot>) {
        self.timeline.enter_at(room, snapshot);
        self.people.enter(room);
        self.received.enter_at(room, snapshot);
    }

    /// Folds a report. Returns what it changed.
    pub fn fold(&mut self, report: &Report) -> Changed {
        Changed {
            timeline: self.timeline.fold(report),
            people: self.people.fold(report),
            received: self.received.fold(report),
        }
    }
}

#[cfg(test)]
mod tests {
    use protocol::client::Event;

    use super::*;
    use crate::fixtures::{draft, joined, message, snapshot, welcomed};

    #[test]
    fn each_report_changes_the_parts_that_it_concerns() {
        let rendered = snapshot(&[("ada", "a")]);
        let mut view = RoomView::new(RoomName::lobby(), Some(&rendered));
        view.fold(&welcomed("me"));
        view.fold(&joined(&["ada", "me"], "e", 1, false));
        let changed = view.fold(&draft("ada", "b"));
        assert_eq!(
            (changed.timeline, changed.people, changed.received),
            (false, true, true)
        );
        let said = Report::Event(Event::Message(message("ada", 2, 2, "b")));
        let changed = view.fold(&said);
        assert!(changed.timeline && changed.people && changed.received);
        assert!(view.people.typing().is_empty());
        assert_eq!(view.timeline.rows().len(), 2);
        view.enter(&RoomName::new("tea").unwrap());
        assert_eq!(view.fold(&said), Changed::default());
    }
}
