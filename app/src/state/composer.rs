//! What stands in the input box of each room, and why the last thing was refused.

use std::collections::BTreeMap;

use protocol::client::Event;
use protocol::id::RoomName;

use crate::realtime::Report;

/// How many rooms' unsent texts are kept; entering one more forgets another's. Nobody leaves that
/// many sentences unfinished.
const ROOMS_MAX: usize = 64;

/// The input box. No text leaves it but by being sent, and it comes back if it was not taken (EO-4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Composer {
    room: RoomName,
    texts: BTreeMap<RoomName, String>,
    alert: Option<String>,
    storage_failed: bool,
    /// The person may read the room that is shown, and not write (AC-5).
    read_only: bool,
}

impl Composer {
    /// An empty box.
    pub const fn new(room: RoomName) -> Self {
        Self {
            room,
            texts: BTreeMap::new(),
            alert: None,
            storage_failed: false,
            read_only: false,
        }
    }

    /// Shows another room's box, with what was left in it.
    pub fn enter(&mut self, room: &RoomName) {
        self.texts.retain(|_, text| !text.is_empty());
        if self.texts.len() >= ROOMS_MAX && !self.texts.contains_key(room) {
            self.texts.pop_first();
        }
        self.room = room.clone();
        self.alert = None;
        self.read_only = false;
    }

    /// Folds a report. Returns whether anything changed.
    pub fn fold(&mut self, report: &Report) -> bool {
        match report {
            Report::NotTaken { room, body, error } => {
                self.put_back(room.clone(), body);
                self.alert = Some(format!("Not sent: {error}."));
                true
            }
            Report::Event(Event::Joined { joined, .. }) if joined.room == self.room => {
                std::mem::replace(&mut self.read_only, joined.read_only) != joined.read_only
            }
            Report::StorageFailed => !std::mem::replace(&mut self.storage_failed, true),
            Report::Event(Event::Refused(refusal)) => {
                let why = &refusal.message;
                self.alert = Some(format!("The server refused something: {why}."));
                true
            }
            _ => false,
        }
    }

    /// The person typed.
    pub fn write(&mut self, text: String) {
        self.alert = None;
        self.texts.insert(self.room.clone(), text);
    }

    /// The text is with the driver.
    pub fn sent(&mut self) {
        self.write(String::new());
    }

    /// The driver did not take the text.
    pub fn busy(&mut self) {
        self.alert = Some("Not sent: the page is busy. Try again in a moment.".to_owned());
    }

    /// Which room's box is shown.
    pub const fn room(&self) -> &RoomName {
        &self.room
    }

    /// Whether nothing can be written there.
    pub const fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// What stands in the box.
    pub fn text(&self) -> &str {
        self.texts.get(&self.room).map_or("", String::as_str)
    }

    /// The room and what stands in its box.
    pub fn letter(&self) -> (RoomName, String) {
        (self.room.clone(), self.text().to_owned())
    }

    /// What the person should know about what they did last.
    pub fn alert(&self) -> Option<&str> {
        let storage = "This browser keeps nothing: reloading the page would lose what waits.";
        self.alert
            .as_deref()
            .or_else(|| self.storage_failed.then_some(storage))
    }

    /// In front of what was typed since: neither is lost.
    fn put_back(&mut self, room: RoomName, body: &str) {
        let text = self.texts.entry(room).or_default();
        if text.is_empty() {
            *text = body.to_owned();
        } else {
            *text = format!("{body}\n{text}");
        }
    }
}

#[cfg(test)]
mod tests {
    use protocol::outbox::PublishError;

    use super::*;
    use crate::state::fixtures::joined;

    fn not_taken(room: &RoomName, body: &str) -> Report {
        Report::NotTaken {
            room: room.clone(),
            body: body.into(),
            error: PublishError::OutboxFull,
        }
    }

    /// EO-4: a text that was not taken is in the box again, with what was typed since.
    #[test]
    fn nothing_typed_is_lost() {
        let lobby = RoomName::lobby();
        let mut composer = Composer::new(lobby.clone());
        composer.write("one".into());
        composer.sent();
        assert_eq!(composer.text(), "");
        assert!(composer.fold(&not_taken(&lobby, "one")));
        assert_eq!(composer.text(), "one");
        assert!(composer.alert().is_some());
        composer.sent();
        composer.write("two".into());
        assert_eq!(composer.alert(), None);
        composer.fold(&not_taken(&lobby, "one"));
        assert_eq!(composer.text(), "one\ntwo");
    }

    #[test]
    fn each_room_keeps_its_text() {
        let (lobby, tea) = (RoomName::lobby(), RoomName::new("tea").unwrap());
        let mut composer = Composer::new(lobby.clone());
        composer.write("here".into());
        composer.enter(&tea);
        assert_eq!(composer.text(), "");
        composer.fold(&not_taken(&lobby, "late"));
        composer.enter(&lobby);
        assert_eq!(composer.text(), "late\nhere");
    }

    /// AC-5: a room says whether one may write there; another one starts anew.
    #[test]
    fn a_room_may_be_for_reading_only() {
        let mut composer = Composer::new(RoomName::lobby());
        let Report::Event(Event::Joined { mut joined, gap }) = joined(&["ada"], "e", 0, false)
        else {
            unreachable!("it is a join");
        };
        joined.read_only = true;
        let closed = Report::Event(Event::Joined { joined, gap });
        assert!(composer.fold(&closed) && composer.is_read_only());
        assert!(!composer.fold(&closed));
        composer.enter(&RoomName::new("tea").unwrap());
        assert!(!composer.is_read_only());
        assert!(!composer.fold(&closed) && !composer.is_read_only());
    }

    #[test]
    fn the_warning_about_storage_stays() {
        let mut composer = Composer::new(RoomName::lobby());
        assert!(composer.fold(&Report::StorageFailed));
        assert!(!composer.fold(&Report::StorageFailed));
        composer.write("x".into());
        assert!(composer.alert().is_some());
    }
}
