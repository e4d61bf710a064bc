//! One room as signals, callbacks and commands.

use leptos::prelude::*;
use protocol::client::{Event, Status};
use protocol::frame::{Message, Refusal, RoomDraft};
use protocol::id::RoomName;
use protocol::outbox::{EntryId, PublishError};
use view::{Command, People, Person, Received, Report, RoomView, Row, Snapshot, Timeline};

use crate::commands::Busy;
use crate::effect::effect;
use crate::everbeat::{Everbeat, use_everbeat};
use crate::state::State;

/// A view of a room: its content as signals, its events to callbacks, its commands. A copy of it is the same view:
/// create it once, where the room is shown, and pass it on.
#[derive(Clone, Copy)]
pub struct Room {
    everbeat: Everbeat,
    timeline: State<Timeline>,
    people: State<People>,
    received: State<Received>,
    standing: StoredValue<Standing>,
}

/// Whether the session is in the room for this view.
#[derive(Debug, Default)]
struct Standing {
    is_joined: bool,
    /// The draft that came before the room was joined.
    draft: Option<String>,
}

/// A view of a room, as long as the owner lives: an effect joins the room, the owner's clean-up leaves it. A room with
/// several views is joined once, and a view that begins later begins with the content of the others.
///
/// # Panics
/// Outside of [`provide_everbeat`](crate::provide_everbeat).
pub fn use_room(name: RoomName) -> Room {
    use_room_from(name, None)
}

/// [`use_room`], with the content that the room had when the page was rendered, or when the client was last closed. The
/// room is joined from that position (RS-7).
///
/// # Panics
/// As [`use_room`].
pub fn use_room_from(name: RoomName, snapshot: Option<&Snapshot>) -> Room {
    let everbeat = use_everbeat();
    let other = everbeat.other(&name, None);
    let newer = other.and_then(|other| other.snapshot());
    let snapshot = newer.as_ref().or(snapshot);
    let view = everbeat
        .session
        .with(|session| session.open(&name, snapshot));
    let RoomView {
        timeline,
        people,
        received,
    } = view.unwrap_or_else(|| RoomView::new(name, snapshot));
    let room = Room {
        everbeat,
        timeline: State::new(timeline),
        people: State::new(people),
        received: State::new(received),
        standing: StoredValue::new(Standing::default()),
    };
    if let Some(other) = other {
        room.copy(&other);
    }
    everbeat.add(room);
    effect(Box::new(move || room.join()));
    on_cleanup(move || {
        everbeat.forget(&room);
        room.leave();
    });
    room
}

/// Signals. Each call creates a memo: call it once, and pass the memo on.
impl Room {
    /// The room.
    pub fn name(&self) -> Memo<RoomName> {
        let timeline = self.timeline.read;
        Memo::new(move |_| timeline.with(|timeline| timeline.room().clone()))
    }

    /// The messages of the log and, after them, the client's own on their way there, each with its fate. [`Row::key`]
    /// identifies a row for as long as it is shown.
    pub fn messages(&self) -> Memo<Vec<Row>> {
        let timeline = self.timeline.read;
        Memo::new(move |_| timeline.with(Timeline::rows))
    }

    /// The members that are named: the client itself first, the others by name.
    pub fn members(&self) -> Memo<Vec<Person>> {
        let people = self.people.read;
        Memo::new(move |_| people.with(People::here))
    }

    /// The number of members, named or not (PR-3).
    pub fn count(&self) -> Memo<usize> {
        let people = self.people.read;
        Memo::new(move |_| people.with(People::count))
    }

    /// The other members' drafts, in the order in which they began.
    pub fn drafts(&self) -> Memo<Vec<RoomDraft>> {
        let people = self.people.read;
        Memo::new(move |_| people.with(People::typing))
    }

    /// All of the messages: rows in pages, gaps, the progress of the client's own, whether there are older ones.
    pub const fn timeline(&self) -> ReadSignal<Timeline> {
        self.timeline.read
    }

    /// The text received last from another member, draft or message.
    pub const fn received(&self) -> ReadSignal<Received> {
        self.received.read
    }

    /// The connection's state, the same in all rooms: [`Everbeat::status`].
    pub fn status(&self) -> Memo<Status> {
        self.everbeat.status()
    }

    /// The room's session.
    pub const fn everbeat(&self) -> Everbeat {
        self.everbeat
    }

    /// The content now, with which another view can begin ([`use_room_from`]). `None` as long as none is known.
    pub fn snapshot(&self) -> Option<Snapshot> {
        self.timeline.with(Timeline::snapshot).flatten()
    }
}

/// Callbacks. They are called as long as the caller's owner lives, and outside of any reactive context.
impl Room {
    /// Calls `callback` with each new message of the room, exactly once and in order (EO-3), the client's own among them.
    /// The messages of a snapshot, and those that [`Room::older`] requests, are in [`Room::messages`] only.
    pub fn on_message(&self, callback: impl Fn(&Message) + Send + Sync + 'static) {
        let room = *self;
        self.everbeat.on_report(move |report| {
            if let Report::Event(Event::Message(message)) = report
                && room.is_in(&message.room)
            {
                callback(message);
            }
        });
    }

    /// Calls `callback` with each published text that the outbox did not take, and why: the outbox is full, or the text
    /// is too large. The callback gets the only copy of the text (EO-4).
    pub fn on_not_taken(&self, callback: impl Fn(&str, PublishError) + Send + Sync + 'static) {
        let room = *self;
        self.everbeat.on_report(move |report| {
            if let Report::NotTaken {
                room: name,
                body,
                error,
            } = report
                && room.is_in(name)
            {
                callback(body, *error);
            }
        });
    }

    /// Calls `callback` when the server refuses a request in this room that is no message, such as to join it.
    pub fn on_refused(&self, callback: impl Fn(&Refusal) + Send + Sync + 'static) {
        let room = *self;
        self.everbeat.on_report(move |report| {
            if let Report::Event(Event::Refused(refusal)) = report
                && refusal.room.as_ref().is_some_and(|name| room.is_in(name))
            {
                callback(refusal);
            }
        });
    }
}

/// Commands.
impl Room {
    /// Publishes a message. As soon as the outbox has it, it is in [`Room::messages`] with its fate, and survives a
    /// reload (EO-4).
    ///
    /// # Errors
    /// [`Busy`] if it is not taken; the caller keeps the text.
    pub fn publish(&self, body: impl Into<String>) -> Result<(), Busy> {
        let body = body.into();
        self.here(|room| Command::Publish { room, body })
    }

    /// Sends the text of an input box to the other members, at the pace of PR-2; an empty text clears the draft. A draft
    /// that does not fit into the queue is dropped: a newer one follows.
    pub fn draft(&self, body: impl Into<String>) {
        let body = body.into();
        let early = |standing: &mut Standing| {
            let is_early = !standing.is_joined;
            if is_early {
                standing.draft = Some(body.clone());
            }
            is_early
        };
        if self.standing.try_update_value(early) == Some(false) {
            let _ = self.here(|room| Command::Draft { room, body });
        }
    }

    /// Requests at most `limit` messages older than those shown. Without effect if there are none, or if a request is
    /// under way.
    pub fn older(&self, limit: u32) {
        let Some(before) = self.timeline.with(Timeline::older_than).flatten() else {
            return;
        };
        let asked = self.here(|room| Command::History {
            room,
            before,
            limit,
        });
        if asked.is_ok() {
            self.timeline.update(Timeline::loading_older);
        }
    }

    /// The user follows the newest messages, or reads older ones, which then must stay.
    pub fn follow(&self, follows: bool) {
        self.timeline
            .maybe_update(|timeline| timeline.follow(follows));
    }

    /// The user sees new messages come, or not: then they are [`Timeline::unread`], and the first has a line above it.
    pub fn attend(&self, attends: bool) {
        self.timeline
            .maybe_update(|timeline| timeline.attend(attends));
    }

    /// Sends a held or uncertain message again, as the user decided (RS-8, RS-9).
    pub fn send_again(&self, id: EntryId) {
        // If it is not taken, the message is still there to decide about.
        let _ = self.everbeat.send(Command::SendAgain { id });
    }

    /// Drops a message, as the user decided (EO-7, RS-8, RS-9).
    pub fn discard(&self, id: EntryId) {
        if self.everbeat.send(Command::Discard { id }).is_ok() {
            self.everbeat.dismiss(id);
        }
    }

    /// Leaves the room, and shows another one in the same view: no part of the app is built anew.
    pub fn enter(&self, name: &RoomName) {
        let Some(was_joined) = self.standing.try_with_value(|standing| standing.is_joined) else {
            return;
        };
        if self.shows(name) {
            return;
        }
        self.leave();
        let other = self.everbeat.other(name, Some(self));
        let snapshot = other.and_then(|other| other.snapshot());
        self.timeline
            .update(|timeline| timeline.enter_at(name, snapshot.as_ref()));
        self.people.update(|people| people.enter(name));
        self.received.update(|received| received.enter(name));
        if let Some(other) = other {
            self.copy(&other);
        }
        if was_joined {
            self.join();
        }
    }

    /// Joins the room again after [`Room::leave`], from the position that the view shows (RS-7).
    pub fn join(&self) {
        let begin = |standing: &mut Standing| {
            let was_joined = std::mem::replace(&mut standing.is_joined, true);
            (was_joined, standing.draft.take())
        };
        let Some((false, draft)) = self.standing.try_update_value(begin) else {
            return;
        };
        let join = self.timeline.with(|timeline| Command::Join {
            room: timeline.room().clone(),
            since: timeline.position(),
            shown: timeline.messages().cloned().collect(),
        });
        if let Some(join) = join
            && !self.is_in_elsewhere()
        {
            // This command is always taken.
            let _ = self.everbeat.send(join);
        }
        if let Some(draft) = draft {
            self.draft(draft);
        }
    }

    /// Leaves the room before the owner's clean-up. The view keeps its content.
    pub fn leave(&self) {
        let end = |standing: &mut Standing| std::mem::take(standing).is_joined;
        if self.standing.try_update_value(end) == Some(true) && !self.is_in_elsewhere() {
            // This command is always taken.
            let _ = self.here(|room| Command::Leave { room });
        }
    }
}

/// Internals.
impl Room {
    pub(crate) fn fold(&self, report: &Report) {
        self.people.maybe_update(|people| people.fold(report));
        self.received.maybe_update(|received| received.fold(report));
        self.timeline.maybe_update(|timeline| timeline.fold(report));
    }

    /// Takes a message away that the user dropped.
    pub(crate) fn dismiss(&self, id: EntryId) {
        self.timeline.maybe_update(|timeline| timeline.dismiss(id));
    }

    /// Whether the session is in that room for this view.
    pub(crate) fn is_in(&self, name: &RoomName) -> bool {
        let is_joined = self.standing.try_with_value(|standing| standing.is_joined);
        is_joined == Some(true) && self.shows(name)
    }

    fn is_in_elsewhere(&self) -> bool {
        let is_in = |timeline: &Timeline| self.everbeat.is_in(timeline.room(), self);
        self.timeline.with(is_in) == Some(true)
    }

    /// Whether this view shows that room, joined or not.
    pub(crate) fn shows(&self, name: &RoomName) -> bool {
        self.timeline.with(|timeline| timeline.room() == name) == Some(true)
    }

    /// Takes over the members, the drafts and the text received last from another view of the room.
    fn copy(&self, other: &Self) {
        if let Some(people) = other.people.with(People::clone) {
            self.people.update(|own| *own = people);
        }
        if let Some(received) = other.received.with(Received::clone) {
            self.received.update(|own| *own = received);
        }
    }

    /// Sends a command about the room that is shown.
    fn here(&self, command: impl FnOnce(RoomName) -> Command) -> Result<(), Busy> {
        let name = self.timeline.with(|timeline| timeline.room().clone());
        name.map_or(Err(Busy), |name| self.everbeat.send(command(name)))
    }
}

/// Two are equal if they are the same view, not if they are views of the same room.
impl PartialEq for Room {
    fn eq(&self, other: &Self) -> bool {
        self.standing == other.standing
    }
}
