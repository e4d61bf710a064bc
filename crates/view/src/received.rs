//! The "received message" line: the last text that came from another session.

use protocol::client::Event;
use protocol::frame::{Joined, Message};
use protocol::id::{Name, RoomName, SessionId};

use crate::Own;
use crate::Report;
use crate::Snapshot;

/// The text received last in the room shown, draft or message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    room: RoomName,
    own: Own,
    latest: Option<Text>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Text {
    session: SessionId,
    name: Name,
    body: String,
    is_draft: bool,
}

impl Received {
    /// The newest message of the room as it was rendered.
    pub fn new(room: RoomName, snapshot: Option<&Snapshot>) -> Self {
        Self {
            room,
            own: Own::default(),
            latest: newest(snapshot),
        }
    }

    /// Shows another room.
    pub fn enter(&mut self, room: &RoomName) {
        self.enter_at(room, None);
    }

    /// Shows another room, and the newest message of it that is known.
    pub(crate) fn enter_at(&mut self, room: &RoomName, snapshot: Option<&Snapshot>) {
        self.room = room.clone();
        self.latest = newest(snapshot);
    }

    /// Folds a report. Returns whether anything changed. An empty draft erases nothing.
    pub fn fold(&mut self, report: &Report) -> bool {
        self.own.fold(report);
        let Report::Event(event) = report else {
            return false;
        };
        match event {
            Event::Message(message) if message.room == self.room => self.take(text_of(message)),
            Event::Draft(draft) if draft.room == self.room => self.take(Text {
                session: draft.session.clone(),
                name: draft.name.clone(),
                body: draft.body.clone(),
                is_draft: true,
            }),
            // The text that is shown may be the redacted one; to show none does no harm.
            Event::Redacted(_) => self.latest.take().is_some(),
            Event::Joined { joined, .. } if joined.room == self.room => self.joined(joined),
            _ => false,
        }
    }

    /// The text.
    pub fn body(&self) -> Option<&str> {
        self.latest.as_ref().map(|text| text.body.as_str())
    }

    /// The text's author.
    pub fn author(&self) -> Option<&Name> {
        self.latest.as_ref().map(|text| &text.name)
    }

    /// Takes the drafts of `joined`: the one that is shown may have grown while there was no connection.
    fn joined(&mut self, joined: &Joined) -> bool {
        let shown = match &self.latest {
            Some(text) if !text.is_draft => return false,
            shown => shown.as_ref().map(|text| &text.session),
        };
        let same = joined
            .drafts
            .iter()
            .rfind(|draft| shown.is_none_or(|shown| *shown == draft.session));
        let grown = same.map(|draft| Text {
            session: draft.session.clone(),
            name: draft.name.clone(),
            body: draft.body.clone(),
            is_draft: true,
        });
        grown.is_some_and(|text| self.take(text))
    }

    fn take(&mut self, text: Text) -> bool {
        if text.body.is_empty() || self.own.contains(&text.session) {
            return false;
        }
        let text = Some(text);
        let changed = self.latest != text;
        self.latest = text;
        changed
    }
}

fn newest(snapshot: Option<&Snapshot>) -> Option<Text> {
    snapshot?.messages.last().map(text_of)
}

fn text_of(message: &Message) -> Text {
    Text {
        session: message.session.clone(),
        name: message.name.clone(),
        body: message.body.clone(),
        is_draft: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{draft, joined, message, snapshot, welcomed};

    fn said(session: &str, offset: u64, body: &str) -> Report {
        Report::Event(Event::Message(message(session, offset, offset, body)))
    }

    #[test]
    fn it_starts_with_the_newest_message_and_follows_drafts_and_messages() {
        let rendered = snapshot(&[("ada", "one"), ("bob", "two")]);
        let mut received = Received::new(RoomName::lobby(), Some(&rendered));
        assert_eq!(received.body(), Some("two"));
        assert!(received.fold(&draft("ada", "thr")));
        assert_eq!(received.body(), Some("thr"));
        assert!(!received.fold(&draft("ada", "")));
        assert_eq!(received.body(), Some("thr"));
        assert!(received.fold(&said("ada", 3, "three")));
        assert_eq!(received.author().map(Name::as_str), Some("ada"));
        assert_eq!(received.body(), Some("three"));
    }

    #[test]
    fn what_one_says_oneself_is_not_received() {
        let mut received = Received::new(RoomName::lobby(), None);
        received.fold(&welcomed("me"));
        assert!(!received.fold(&said("me", 1, "hello")));
        assert!(!received.fold(&draft("me", "hello")));
        assert_eq!(received.body(), None);
    }

    /// EO-8.
    #[test]
    fn a_removed_text_is_received_no_more() {
        let removed = Report::Event(Event::Redacted(Message {
            removed: true,
            ..message("ada", 1, 1, "")
        }));
        let mut received = Received::new(RoomName::lobby(), None);
        received.fold(&said("ada", 1, "hello"));
        assert!(received.fold(&removed));
        assert_eq!(received.body(), None);
    }

    #[test]
    fn a_draft_that_grew_meanwhile_is_taken_up_again() {
        let mut received = Received::new(RoomName::lobby(), None);
        received.fold(&draft("ada", "hel"));
        let Report::Event(Event::Joined {
            joined: mut answer, ..
        }) = joined(&["ada"], "e", 0, false)
        else {
            return;
        };
        answer.drafts = vec![protocol::frame::RoomDraft {
            session: crate::fixtures::session("ada"),
            name: Name::tidy("ada"),
            body: "hello".into(),
        }];
        let again = Report::Event(Event::Joined {
            joined: answer,
            gap: false,
        });
        assert!(received.fold(&again));
        assert_eq!(received.body(), Some("hello"));
        received.fold(&said("bob", 1, "hi"));
        assert!(!received.fold(&again));
    }
}
