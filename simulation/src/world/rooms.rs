//! Rooms in the virtual server: their members, their readers, and what a reader pulls.

use std::collections::BTreeSet;

use protocol::frame::{Message, ServerFrame};
use protocol::id::{ConnectionId, Holder, RoomName, SessionId};
use protocol::position::Offset;
use protocol::presence::{Changes, Presence};
use protocol::redactions::Redactions;
use protocol::server::{Input, Pull, RequestId, RoomView, Transmit};
use protocol::time::Timestamp;

use super::{Waiting, World};
use crate::link::Links;
use crate::log::Read;
use crate::writing::{of_changes, write};

#[derive(Debug)]
pub(super) struct Room {
    pub(super) presence: Presence,
    pub(super) redactions: Redactions,
    pub(super) watchers: BTreeSet<u64>,
}

impl World {
    /// A moderator redacts a message (EO-8). `false` if it is not there, or nothing can be stored.
    pub fn remove(
        &mut self,
        now: Timestamp,
        room: &RoomName,
        offset: Offset,
        links: &mut Links,
    ) -> bool {
        if !self.log.is_available {
            return false;
        }
        if self.log.member.is_some() {
            self.log.send_redaction(now, room, offset);
            self.settle(now, links);
            return true;
        }
        let Some(message) = self.log.remove(now, room, offset) else {
            return false;
        };
        self.redacted(message);
        self.settle(now, links);
        true
    }

    /// Announces a redaction to the readers of its room.
    pub(super) fn redacted(&mut self, message: Message) {
        if let Some(entry) = self.rooms.get_mut(&message.room) {
            let version = entry.presence.bump_version();
            self.moved.insert(message.room.clone());
            entry.redactions.add(version, message);
        }
    }

    /// Trims a room up to this offset, in the log and in the redactions that are kept here.
    ///
    /// One of several nodes trims all rooms for the age of that message, as they all do.
    pub fn trim(&mut self, now: Timestamp, room: &RoomName, through: Offset) {
        if self.log.member.is_some() {
            return self.log.send_trim(now, room, through);
        }
        self.log.trim(room, through);
        if let Some(room) = self.rooms.get_mut(room) {
            room.redactions.trim(through);
        }
    }

    /// Lets a session expire (RS-9).
    pub fn forget(&mut self, now: Timestamp, session: &SessionId) {
        if self.log.member.is_some() {
            self.log.send_forgetting(now, session);
        } else {
            self.log.forget(session);
        }
    }

    pub(super) fn perform_in_room(
        &mut self,
        now: Timestamp,
        link: u64,
        session: SessionId,
        transmit: Transmit,
        links: &mut Links,
    ) {
        match transmit {
            Transmit::LeaveRoom { room } => {
                if self.desk(link).rooms.remove(&room) {
                    let entry = self.room(&room);
                    entry.watchers.remove(&link);
                    entry.presence.leave(now, &session);
                    self.moved.insert(room);
                }
            }
            Transmit::Rename { room, name } => {
                if self.desk(link).rooms.contains(&room) {
                    let holder = self.holder(link);
                    let presence = &mut self.room(&room).presence;
                    presence.enter(now, session, name, holder);
                    self.moved.insert(room);
                }
            }
            Transmit::Draft { room, body, after } => {
                assert!(
                    self.desk(link).rooms.contains(&room),
                    "a draft from outside"
                );
                self.room(&room).presence.draft(&session, body, after);
                self.moved.insert(room);
            }
            Transmit::OpenRoom { .. } | Transmit::History { .. } => {
                let read = Read::Connection(transmit);
                if let Some(Read::Connection(read)) = self.log.read_later(now, link, read) {
                    self.read(now, link, read, links);
                }
            }
            Transmit::Pull { ref room, pull, .. } => {
                let (_, head, _) = self.log.state(room);
                let is_at_hand = pull.after >= head.back(self.tail);
                let read = Read::Connection(transmit);
                let read = match is_at_hand {
                    true => Some(read),
                    false => self.log.read_later(now, link, read),
                };
                let Some(Read::Connection(transmit)) = read else {
                    return;
                };
                if self.is_blocked(now, link, links) {
                    let waiting = &mut self.desk(link).waiting;
                    waiting.push_back(Waiting::Read(transmit));
                } else {
                    self.read(now, link, transmit, links);
                }
            }
            transmit => unreachable!("{transmit:?} is not about a room"),
        }
    }

    /// Does a read of the log that a connection asked for.
    pub(super) fn read(&mut self, now: Timestamp, link: u64, what: Transmit, links: &mut Links) {
        let answer = match what {
            Transmit::OpenRoom { id, room } => {
                let view = self.enter(now, link, id, &room);
                Input::RoomOpened { id, room, view }
            }
            Transmit::Pull { id, room, .. } if !self.desk(link).machine.awaits(id) => {
                Input::PullFailed { id, room }
            }
            Transmit::Pull { id, room, pull } => self.pull(now, link, (id, room), pull, links),
            Transmit::History {
                room,
                before,
                limit,
            } => {
                let page = self.log.read_before(&room, before, limit);
                Input::HistoryRead { room, page }
            }
            what => unreachable!("{what:?} is not read"),
        };
        self.answer(now, link, answer);
    }

    /// Enters a room, if its log can be read and the connection still waits for it.
    fn enter(
        &mut self,
        now: Timestamp,
        link: u64,
        id: RequestId,
        room: &RoomName,
    ) -> Option<RoomView> {
        let desk = self.desk(link);
        let awaits = desk.machine.awaits(id);
        let (name, session) = (desk.machine.name().cloned()?, desk.owner.clone()?);
        if !awaits || !self.log.is_available {
            return None;
        }
        self.desk(link).rooms.insert(room.clone());
        self.open(now, room);
        let holder = self.holder(link);
        let entry = self.room(room);
        entry.watchers.insert(link);
        entry.presence.enter(now, session.clone(), name, holder);
        self.moved.insert(room.clone());
        Some(self.view(room, &session))
    }

    fn holder(&mut self, link: u64) -> Holder {
        Holder {
            connection: ConnectionId::new(link),
            generation: self.desk(link).generation,
        }
    }

    /// Opens a room, unless it is open.
    fn open(&mut self, now: Timestamp, name: &RoomName) {
        if self.rooms.contains_key(name) {
            return;
        }
        let mut redactions = Redactions::new(self.removed_max);
        redactions.learn(self.log.removed(name, self.removed_max));
        let room = Room {
            presence: self.new_presence(now),
            redactions,
            watchers: BTreeSet::new(),
        };
        self.rooms.insert(name.clone(), room);
    }

    pub(super) fn room(&mut self, name: &RoomName) -> &mut Room {
        // One node does not ask for the time.
        self.open(Timestamp::ZERO, name);
        self.rooms.get_mut(name).unwrap()
    }

    fn view(&mut self, room: &RoomName, session: &SessionId) -> RoomView {
        let (epoch, head, trimmed) = self.log.state(room);
        let Room {
            presence,
            redactions,
            ..
        } = self.room(room);
        let (members, count) = presence.members(session);
        RoomView {
            epoch,
            head,
            trimmed,
            members,
            count,
            drafts: presence.drafts(),
            redacted: redactions.newest().cloned().collect(),
            version: presence.version(),
        }
    }

    fn pull(
        &mut self,
        now: Timestamp,
        link: u64,
        (id, room): (RequestId, RoomName),
        pull: Pull,
        links: &mut Links,
    ) -> Input {
        let (_, head, _) = self.log.state(&room);
        if !self.log.is_available && pull.after < head {
            return Input::PullFailed { id, room };
        }
        if self.cuts_off.take_if(|cut| *cut == link).is_some() {
            return Input::CutOff { id, room };
        }
        let Some(messages) = self.log.read(&room, pull.after, pull.limit) else {
            return Input::CutOff { id, room };
        };
        let through = messages.last().map_or(pull.after, |message| message.offset);
        let Room {
            presence,
            redactions,
            ..
        } = self.room(&room);
        let (mut changes, mut removed) = (Changes::default(), Vec::new());
        let mut version = pull.since;
        if through >= head {
            let Some(since) = presence.changes_since(pull.since) else {
                // Nothing was written: the reader keeps its position.
                return Input::CutOff { id, room };
            };
            version = since.until.unwrap_or_else(|| presence.version());
            changes = since;
            removed.extend(redactions.since(pull.since).cloned());
        }
        let frames = messages.into_iter().map(ServerFrame::Message);
        let frames = frames.chain(of_changes(&room, changes));
        for frame in frames.chain(removed.into_iter().map(ServerFrame::Message)) {
            if let Some(desk) = self.desks.get_mut(&link) {
                desk.tape.frame(now, &frame);
                self.tapes.take(link, &mut desk.tape);
            }
            write(now, link, &frame, links);
        }
        Input::Pulled {
            id,
            room,
            through,
            version,
        }
    }

    pub(super) fn announce(&mut self, now: Timestamp, room: &RoomName) {
        let (_, head, _) = self.log.state(room);
        let Room {
            presence, watchers, ..
        } = self.room(room);
        let (version, watchers) = (presence.version(), watchers.clone());
        for link in watchers {
            let moved = Input::RoomMoved {
                room: room.clone(),
                head,
                version,
            };
            self.answer(now, link, moved);
        }
    }
}
