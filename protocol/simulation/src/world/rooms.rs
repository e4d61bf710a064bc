//! Rooms as the virtual server has them: who is there, who is told, and what a reader takes.

use std::collections::BTreeSet;

use protocol::frame::ServerFrame;
use protocol::id::{ConnectionId, RoomName, SessionId};
use protocol::position::Offset;
use protocol::presence::{Changes, Presence};
use protocol::removals::Removals;
use protocol::server::{Input, Pull, RoomView, Transmit};
use protocol::time::Timestamp;

use super::World;
use crate::link::Links;
use crate::writing::{write, write_changes};

#[derive(Debug)]
pub(super) struct Room {
    pub(super) presence: Presence,
    removals: Removals,
    pub(super) watchers: BTreeSet<u64>,
}

impl World {
    /// A moderator removes a text (EO-8). `false` if there is none, or nothing can be stored.
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
        let Some(message) = self.log.remove(room, offset) else {
            return false;
        };
        if let Some(entry) = self.rooms.get_mut(room) {
            let version = entry.presence.changed_beside();
            entry.removals.add(version, message);
            self.moved.insert(room.clone());
        }
        self.settle(now, links);
        true
    }

    /// Everything up to this offset goes from a room's log, and what is known of it here.
    pub fn trim(&mut self, room: &RoomName, through: Offset) {
        self.log.trim(room, through);
        if let Some(room) = self.rooms.get_mut(room) {
            room.removals.trim(through);
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
            Transmit::OpenRoom { room, name } => {
                let view = self.log.is_available.then(|| {
                    let entry = self.room(&room);
                    entry.watchers.insert(link);
                    let connection = ConnectionId(link);
                    entry.presence.enter(now, session.clone(), name, connection);
                    self.view(&room, &session)
                });
                if view.is_some() {
                    self.desk(link).rooms.insert(room.clone());
                    self.moved.insert(room.clone());
                }
                self.answer(now, link, Input::RoomOpened { room, view });
            }
            Transmit::LeaveRoom { room } => {
                self.desk(link).rooms.remove(&room);
                let entry = self.room(&room);
                entry.watchers.remove(&link);
                entry.presence.leave(now, &session);
                self.moved.insert(room);
            }
            Transmit::Rename { room, name } => {
                let presence = &mut self.room(&room).presence;
                presence.enter(now, session, name, ConnectionId(link));
                self.moved.insert(room);
            }
            Transmit::Draft { room, body } => {
                self.room(&room).presence.draft(&session, body);
                self.moved.insert(room);
            }
            Transmit::Pull { room, pull } => {
                let answer = self.pull(now, link, room, pull, links);
                self.answer(now, link, answer);
            }
            Transmit::History {
                room,
                before,
                limit,
            } => {
                let page = self.log.read_before(&room, before, limit);
                self.answer(now, link, Input::HistoryRead { room, page });
            }
            transmit => unreachable!("{transmit:?} is not about a room"),
        }
    }

    pub(super) fn room(&mut self, name: &RoomName) -> &mut Room {
        let (log, removed_max) = (&self.log, self.removed_max);
        let named_max = self.config.members_named;
        self.rooms.entry(name.clone()).or_insert_with(|| {
            let mut removals = Removals::new(removed_max);
            removals.learn(log.removed(name, removed_max));
            Room {
                presence: Presence::new(named_max),
                removals,
                watchers: BTreeSet::new(),
            }
        })
    }

    fn view(&mut self, room: &RoomName, session: &SessionId) -> RoomView {
        let (epoch, head, trimmed) = self.log.state(room);
        let Room {
            presence, removals, ..
        } = self.room(room);
        let (members, count) = presence.members(session);
        RoomView {
            epoch,
            head,
            trimmed,
            members,
            count,
            drafts: presence.drafts(),
            removed: removals.newest().cloned().collect(),
            version: presence.version(),
        }
    }

    fn pull(
        &mut self,
        now: Timestamp,
        link: u64,
        room: RoomName,
        pull: Pull,
        links: &mut Links,
    ) -> Input {
        let (_, head, _) = self.log.state(&room);
        if !self.log.is_available && pull.after < head {
            return Input::PullFailed { room };
        }
        let Some(messages) = self.log.read(&room, pull.after, pull.limit) else {
            return Input::CutOff { room };
        };
        let through = messages.last().map_or(pull.after, |message| message.offset);
        let Room {
            presence, removals, ..
        } = self.room(&room);
        let (mut changes, mut removed) = (Changes::default(), Vec::new());
        let mut version = pull.since;
        if through >= head {
            let Some(since) = presence.changes_since(pull.since) else {
                // Nothing was written: the reader is where it was.
                return Input::CutOff { room };
            };
            version = since.until.unwrap_or_else(|| presence.version());
            changes = since;
            removed.extend(removals.since(pull.since).cloned());
        }
        for message in messages {
            write(now, link, &ServerFrame::Message(message), links);
        }
        write_changes(now, link, &room, changes, links);
        for message in removed {
            write(now, link, &ServerFrame::Message(message), links);
        }
        Input::Pulled {
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
