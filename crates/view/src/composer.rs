//! The composer: the text in the input box of each room, and why the last action was refused.

use std::collections::BTreeMap;

use protocol::client::Event;
use protocol::frame::{ErrorCode, Refusal};
use protocol::id::RoomName;
use protocol::outbox::PublishError;

use crate::{Report, Trouble};

/// How many rooms' unsent texts are in memory. Entering one more room drops another's text, which is then read
/// from where the browser keeps it. No user leaves that many sentences unfinished.
const ROOMS_MAX: usize = 64;

/// The input box. A text leaves it only by being sent, and comes back if it was not taken (EO-4).
///
/// What the browser is to keep of a room is [`Composer::kept`]: the text in its box, and the texts sent
/// from there that are not yet in the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Composer {
    room: RoomName,
    texts: BTreeMap<RoomName, String>,
    /// Texts that the driver has got and has not stored yet, oldest first: at most as many as there
    /// may be commands.
    handed: Vec<(RoomName, String)>,
    /// How many texts went back into a box by the user's wish.
    returns: u32,
    alert: Option<Alert>,
    storage_failed: bool,
    /// The browser does not keep the text in the box.
    is_unkept: bool,
    /// An input method composes: a part of the text in the box is not yet what the user means.
    is_composing: bool,
    /// The user may read the room that is shown, but not write (AC-5).
    read_only: bool,
    /// An operator ended the session's connection: nothing is written before the user wishes to come back.
    is_ended: bool,
    /// Whether another room was shown before.
    is_entered: bool,
    /// The user may not even read the room that was entered.
    is_closed: bool,
}

/// The form in which a text is sent, by a page that is alive as by a plain form: without the white space after
/// it.
pub fn as_sent(text: &str) -> &str {
    text.trim_end()
}

/// What the user should know about their last action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Alert {
    /// The outbox did not take the text; it is in the box again (EO-4).
    NotTaken(PublishError),
    /// The driver's queue of commands is full; the text is still in the box.
    Busy,
    /// The server refused something other than a message, for this reason.
    Refused(ErrorCode),
    /// The browser keeps nothing more: a reload would lose texts that are not sent.
    NotKept,
}

impl Composer {
    /// An empty box.
    pub const fn new(room: RoomName) -> Self {
        Self {
            room,
            texts: BTreeMap::new(),
            handed: Vec::new(),
            returns: 0,
            alert: None,
            storage_failed: false,
            is_unkept: false,
            is_composing: false,
            read_only: false,
            is_ended: false,
            is_entered: false,
            is_closed: false,
        }
    }

    /// Shows another room's box, with the text that was left in it.
    pub fn enter(&mut self, room: &RoomName) {
        self.texts.retain(|_, text| !text.is_empty());
        if self.texts.len() >= ROOMS_MAX && !self.texts.contains_key(room) {
            self.texts.pop_first();
        }
        self.room = room.clone();
        self.alert = None;
        self.is_composing = false;
        self.read_only = false;
        self.is_entered = true;
        self.is_closed = false;
    }

    /// Takes the text that the browser kept of the room shown, from before a reload or a visit elsewhere. A text
    /// in memory is newer.
    pub fn restore(&mut self, kept: String) {
        if !kept.is_empty() && !self.texts.contains_key(&self.room) {
            self.texts.insert(self.room.clone(), kept);
        }
    }

    /// The room whose kept text a report may change.
    pub const fn concerns(report: &Report) -> Option<&RoomName> {
        match report {
            Report::NotTaken { room, .. } => Some(room),
            Report::Event(Event::Queued(entry)) => Some(&entry.room),
            _ => None,
        }
    }

    /// Folds a report. Returns whether anything changed.
    pub fn fold(&mut self, report: &Report) -> bool {
        match report {
            // This changes nothing that is shown.
            Report::Event(Event::Queued(entry)) => {
                self.arrived(&entry.room, &entry.body);
                false
            }
            Report::NotTaken { room, body, error } => {
                self.arrived(room, body);
                self.put_back(room.clone(), body);
                self.alert = Some(Alert::NotTaken(*error));
                true
            }
            Report::Event(Event::Joined { joined, .. }) if joined.room == self.room => {
                std::mem::replace(&mut self.read_only, joined.read_only) != joined.read_only
            }
            Report::Status { status, .. } => {
                let is_ended = Trouble::of(*status, true) == Some(Trouble::Ended);
                std::mem::replace(&mut self.is_ended, is_ended) != is_ended
            }
            Report::StorageFailed => !std::mem::replace(&mut self.storage_failed, true),
            // A refusal in another room is none of an action in this one.
            Report::Event(Event::Refused(refusal)) if self.is_concerned(refusal) => {
                let is_here = refusal.room.is_some();
                let is_denied = refusal.code == ErrorCode::ReadDenied;
                self.is_closed |= is_here && is_denied && self.is_entered;
                self.alert = Some(Alert::Refused(refusal.code));
                true
            }
            _ => false,
        }
    }

    /// Takes what the user typed. While an input method composes it is a draft for no one (PR-2).
    pub fn write(&mut self, text: String, is_composing: bool) {
        self.alert = None;
        self.is_composing = is_composing;
        self.texts.insert(self.room.clone(), text);
    }

    /// The text was given to the driver.
    pub fn sent(&mut self, body: String) {
        self.handed.push((self.room.clone(), body));
        self.write(String::new(), false);
    }

    /// Puts a refused text back into the box, as the user wants to go on with it.
    pub fn edit_again(&mut self, room: RoomName, body: &str) {
        self.put_back(room, body);
        self.returns = self.returns.wrapping_add(1);
    }

    /// Takes whether the browser keeps the text. Returns whether that changed.
    pub const fn keeps(&mut self, is_kept: bool) -> bool {
        std::mem::replace(&mut self.is_unkept, !is_kept) == is_kept
    }

    /// The driver did not take the text.
    pub fn busy(&mut self) {
        self.alert = Some(Alert::Busy);
    }

    /// The room whose box is shown.
    pub const fn room(&self) -> &RoomName {
        &self.room
    }

    /// Whether the user may not write in the room.
    pub const fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// Whether an operator ended the session's connection. The text in the box stays, and cannot be changed or sent before
    /// the user reconnects.
    pub const fn is_ended(&self) -> bool {
        self.is_ended
    }

    /// Whether the room was entered from another one and may not be read: the server has a page that says so.
    pub const fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// The text in the box.
    pub fn text(&self) -> &str {
        self.texts.get(&self.room).map_or("", String::as_str)
    }

    /// The message in the box, and its room: the text [`as_sent`], unless that is empty or [`Composer::is_ended`].
    pub fn message(&self) -> Option<(RoomName, String)> {
        let body = as_sent(self.text());
        (!body.is_empty() && !self.is_ended).then(|| (self.room.clone(), body.to_owned()))
    }

    /// The text in the box, as a draft for the other members; `None` while an input method composes (PR-2).
    pub fn draft(&self) -> Option<&str> {
        (!self.is_composing).then(|| self.text())
    }

    /// The text that is to be in a room's box after a reload.
    pub fn kept(&self, room: &RoomName) -> String {
        let handed = self.handed.iter().filter(|(to, _)| to == room);
        let mut kept: Vec<&str> = handed.map(|(_, body)| body.as_str()).collect();
        kept.extend(self.texts.get(room).map(String::as_str));
        kept.retain(|text| !text.is_empty());
        kept.join("\n")
    }

    /// How many texts went back into a box by the user's wish.
    pub const fn returns(&self) -> u32 {
        self.returns
    }

    /// What the user should know about their last action.
    pub fn alert(&self) -> Option<&Alert> {
        let fails = self.storage_failed || self.is_unkept;
        self.alert
            .as_ref()
            .or_else(|| fails.then_some(&Alert::NotKept))
    }

    /// Whether a refusal may be of something that the user did in the room that is shown.
    fn is_concerned(&self, refusal: &Refusal) -> bool {
        refusal.room.as_ref().is_none_or(|room| *room == self.room)
    }

    /// The driver has handled a text: it is in the outbox, or comes back.
    fn arrived(&mut self, room: &RoomName, body: &str) {
        let is_it = |(to, text): &(RoomName, String)| to == room && text == body;
        if let Some(index) = self.handed.iter().position(is_it) {
            self.handed.remove(index);
        }
    }

    /// Puts a text in front of what was typed since: neither is lost.
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
    use protocol::client::{Cause, Status};
    use protocol::close::CloseCode;
    use protocol::outbox::Stage;

    use super::*;
    use crate::fixtures::{entry, joined};

    fn write(composer: &mut Composer, text: &str) {
        composer.write(text.into(), false);
    }

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
        write(&mut composer, "one");
        composer.sent("one".into());
        assert_eq!(composer.text(), "");
        assert!(composer.fold(&not_taken(&lobby, "one")));
        assert_eq!(composer.text(), "one");
        assert_eq!(
            composer.alert(),
            Some(&Alert::NotTaken(PublishError::OutboxFull))
        );
        composer.sent("one".into());
        write(&mut composer, "two");
        assert_eq!(composer.alert(), None);
        composer.fold(&not_taken(&lobby, "one"));
        assert_eq!(composer.text(), "one\ntwo");
    }

    #[test]
    fn white_space_is_no_message() {
        let mut composer = Composer::new(RoomName::lobby());
        assert_eq!(composer.message(), None);
        write(&mut composer, " \n");
        assert_eq!(composer.message(), None);
        write(&mut composer, " a  b\n");
        assert_eq!(
            composer.message(),
            Some((RoomName::lobby(), " a  b".to_owned()))
        );
    }

    /// PR-2: what is spelled to an input method is no draft, but it is kept.
    #[test]
    fn what_an_input_method_composes_is_held_back() {
        let lobby = RoomName::lobby();
        let mut composer = Composer::new(lobby.clone());
        write(&mut composer, "\u{597d}");
        assert_eq!(composer.draft(), Some("\u{597d}"));
        composer.write("\u{597d}ni hao".into(), true);
        assert_eq!(composer.draft(), None);
        assert_eq!(composer.kept(&lobby), "\u{597d}ni hao");
        composer.write("\u{597d}\u{4f60}\u{597d}".into(), false);
        assert_eq!(composer.draft(), Some("\u{597d}\u{4f60}\u{597d}"));
        // Neither a text that is sent nor another room's is composed any more.
        for end in [
            (|composer| composer.sent("wo".into())) as fn(&mut Composer),
            |composer| composer.enter(&RoomName::lobby()),
        ] {
            composer.write("wo".into(), true);
            end(&mut composer);
            assert!(composer.draft().is_some());
        }
    }

    #[test]
    fn each_room_keeps_its_text() {
        let (lobby, tea) = (RoomName::lobby(), RoomName::new("tea").unwrap());
        let mut composer = Composer::new(lobby.clone());
        write(&mut composer, "here");
        composer.enter(&tea);
        assert_eq!(composer.text(), "");
        composer.fold(&not_taken(&lobby, "late"));
        composer.enter(&lobby);
        assert_eq!(composer.text(), "late\nhere");
    }

    /// EO-4: between Enter and the outbox a reload finds the text in the box.
    #[test]
    fn a_text_is_kept_until_it_is_in_the_outbox() {
        let (lobby, tea) = (RoomName::lobby(), RoomName::new("tea").unwrap());
        let mut composer = Composer::new(lobby.clone());
        write(&mut composer, "one");
        assert_eq!(composer.kept(&lobby), "one");
        composer.sent("one".into());
        write(&mut composer, "tw");
        assert_eq!(composer.kept(&lobby), "one\ntw");
        assert_eq!(composer.kept(&tea), "");
        let queued = Report::Event(Event::Queued(entry(0, "one", Stage::Unsent)));
        assert_eq!(Composer::concerns(&queued), Some(&lobby));
        assert!(!composer.fold(&queued));
        assert_eq!(composer.kept(&lobby), "tw");
    }

    #[test]
    fn what_was_kept_comes_back_and_replaces_nothing() {
        let (lobby, tea) = (RoomName::lobby(), RoomName::new("tea").unwrap());
        let mut composer = Composer::new(lobby.clone());
        composer.restore("half a sen".into());
        assert_eq!(composer.text(), "half a sen");
        write(&mut composer, "half a sentence");
        composer.enter(&tea);
        composer.restore("tea".into());
        composer.enter(&lobby);
        composer.restore("half a sen".into());
        assert_eq!(composer.text(), "half a sentence");
        assert_eq!(composer.kept(&tea), "tea");
    }

    #[test]
    fn a_refused_text_goes_back_without_losing_what_stands_there() {
        let lobby = RoomName::lobby();
        let mut composer = Composer::new(lobby.clone());
        write(&mut composer, "typed since");
        composer.edit_again(lobby, "refused");
        assert_eq!(composer.text(), "refused\ntyped since");
        assert_eq!(composer.returns(), 1);
    }

    #[test]
    fn what_the_browser_does_not_keep_is_said() {
        let mut composer = Composer::new(RoomName::lobby());
        assert!(!composer.keeps(true));
        assert!(composer.keeps(false));
        assert_eq!(composer.alert(), Some(&Alert::NotKept));
        assert!(composer.keeps(true));
        assert_eq!(composer.alert(), None);
    }

    /// AC-5: a room says whether the user may write there; another room starts anew.
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

    /// After an operator's end the text stays in the box; coming back, or another end, opens it again.
    #[test]
    fn an_ended_session_writes_nothing() {
        let status = |status| Report::Status {
            status,
            retry_in: None,
        };
        let stopped = |code| {
            let cause = Cause::Closed(Some(code));
            status(Status::Stopped { cause })
        };
        let mut composer = Composer::new(RoomName::lobby());
        write(&mut composer, "half a sen");
        assert!(!composer.fold(&status(Status::Live)));
        assert!(composer.fold(&stopped(CloseCode::DISCONNECTED)) && composer.is_ended());
        assert_eq!((composer.text(), composer.message()), ("half a sen", None));
        assert!(composer.fold(&status(Status::Connecting)) && !composer.is_ended());
        assert!(composer.message().is_some());
        // Without a sign-in a message waits for the next one.
        assert!(!composer.fold(&stopped(CloseCode::UNAUTHORIZED)) && !composer.is_ended());
    }

    /// A page that begins in a room comes from the server, which let its user in: a refusal there is no reason to load
    /// it again, for ever.
    #[test]
    fn only_a_room_that_was_entered_is_found_closed() {
        let tea = RoomName::new("tea").unwrap();
        let refused = Report::Event(Event::Refused(Refusal {
            code: ErrorCode::ReadDenied,
            message: "you may not read this room".into(),
            seq: None,
            unsettled: None,
            room: Some(tea.clone()),
            retry_after_ms: None,
        }));
        let mut composer = Composer::new(tea.clone());
        composer.fold(&refused);
        assert!(!composer.is_closed());
        composer.enter(&RoomName::lobby());
        composer.fold(&refused);
        assert!(!composer.is_closed());
        composer.enter(&tea);
        composer.fold(&refused);
        assert!(composer.is_closed());
        composer.enter(&RoomName::lobby());
        assert!(!composer.is_closed());
    }

    #[test]
    fn the_warning_about_storage_stays() {
        let mut composer = Composer::new(RoomName::lobby());
        assert!(composer.fold(&Report::StorageFailed));
        assert!(!composer.fold(&Report::StorageFailed));
        write(&mut composer, "x");
        assert!(composer.alert().is_some());
    }
}
