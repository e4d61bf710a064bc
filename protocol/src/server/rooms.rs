//! Rooms as one connection uses them: joining, reading, drafts.

use super::drafts::HeldDraft;
use super::{Live, Reader, RoomView, Session, State, Transmit};
use crate::access::Right;
use crate::frame::{ErrorCode, Joined, ServerFrame};
use crate::id::{Name, RoomName};
use crate::position::{Offset, Position};
use crate::time::Timestamp;

/// How many of the newest messages a `join` without position and without limit gets.
pub(super) const JOIN_LIMIT: u32 = 50;

/// One connection's place in one room.
#[derive(Debug)]
pub(super) struct Seat {
    /// What the client said it has.
    since: Option<Position>,
    limit: u32,
    /// None until the room is open.
    reader: Option<Reader>,
    held_draft: HeldDraft,
    /// The log could not tell what comes next: asked again at this time.
    pull_at: Option<Timestamp>,
}

impl Seat {
    pub(super) fn new(since: Option<Position>, limit: u32) -> Self {
        Self {
            since,
            limit,
            reader: None,
            held_draft: HeldDraft::default(),
            pull_at: None,
        }
    }

    /// When something is to be done here.
    pub(super) fn due(&self) -> Option<Timestamp> {
        [self.held_draft.due(), self.pull_at]
            .into_iter()
            .flatten()
            .min()
    }

    pub(super) fn forget_draft(&mut self) {
        self.held_draft.forget();
    }
}

impl Session {
    pub(super) fn join(&mut self, room: RoomName, since: Option<Position>, limit: Option<u32>) {
        let State::Live(live) = &mut self.state else {
            return;
        };
        let limits = self.config.limits;
        if !live.permit.allows(&room, Right::Read) {
            return self.refuse_room(ErrorCode::ReadDenied, room);
        }
        if live.seats.len() >= limits.rooms as usize && !live.seats.contains(&room) {
            return self.refuse_room(ErrorCode::TooManyRooms, room);
        }
        let limit = limit.unwrap_or(JOIN_LIMIT).min(limits.history);
        live.seats.insert(room.clone(), Seat::new(since, limit));
        let name = live.name.clone();
        self.transmits.push_back(Transmit::OpenRoom { room, name });
    }

    /// Older messages are for those who may read the room, whether they have joined it or not.
    pub(super) fn history(&mut self, room: RoomName, before: Offset, limit: u32) {
        let State::Live(live) = &mut self.state else {
            return;
        };
        if !live.permit.allows(&room, Right::Read) {
            return self.refuse_room(ErrorCode::ReadDenied, room);
        }
        let limit = limit.min(self.config.limits.history).max(1);
        self.transmits.push_back(Transmit::History {
            room,
            before,
            limit,
        });
    }

    pub(super) fn leave(&mut self, room: RoomName) {
        let State::Live(live) = &mut self.state else {
            return;
        };
        if live.seats.remove(&room) {
            self.transmits.push_back(Transmit::LeaveRoom { room });
        }
    }

    pub(super) fn rename(&mut self, name: Name) {
        let State::Live(live) = &mut self.state else {
            return;
        };
        live.name = live.permit.name(Some(&name), &live.session);
        for room in live.seats.rooms() {
            let (room, name) = (room.clone(), live.name.clone());
            self.transmits.push_back(Transmit::Rename { room, name });
        }
    }

    pub(super) fn draft(&mut self, now: Timestamp, room: RoomName, body: String) {
        let limit = self.config.limits.body_bytes;
        let State::Live(live) = &mut self.state else {
            return;
        };
        let Some(seat) = live.seats.get_mut(&room) else {
            return self.refuse_room(ErrorCode::NotJoined, room);
        };
        if !live.permit.allows(&room, Right::Write) {
            return self.refuse_room(ErrorCode::WriteDenied, room);
        }
        if body.len() > limit as usize {
            return self.refuse_room(ErrorCode::BodyTooLarge, room);
        }
        if let Some(body) = seat.held_draft.take(now, &mut live.drafts, body) {
            self.transmits.push_back(Transmit::Draft { room, body });
        }
    }

    /// Shows the drafts that were held back and are due: the latest of each room.
    pub(super) fn flush_drafts(&mut self, now: Timestamp) {
        let State::Live(Live { seats, drafts, .. }) = &mut self.state else {
            return;
        };
        for (room, seat) in seats.iter_mut() {
            if let Some(body) = seat.held_draft.flush(now, drafts) {
                let room = room.clone();
                self.transmits.push_back(Transmit::Draft { room, body });
            }
        }
    }

    pub(super) fn room_opened(&mut self, room: RoomName, view: Option<RoomView>) {
        let State::Live(live) = &mut self.state else {
            return;
        };
        live.seats.share_name(&room);
        // The client left again meanwhile.
        let Some(seat) = live.seats.get_mut(&room) else {
            return;
        };
        let Some(view) = view else {
            live.seats.remove(&room);
            return self.refuse_room(ErrorCode::Unavailable, room);
        };
        let (from, recovered) = view.span().begin(seat.since.as_ref(), seat.limit);
        seat.reader = Some(Reader::new(from, view.head, view.version));
        // From now on this is what the client has, should the reader ever be cut off.
        let had = seat.since.replace(Position {
            epoch: view.epoch.clone(),
            offset: from,
        });
        // EO-8: what the client has may show what was removed since. What follows is read without it.
        let has_seen = had.is_some_and(|had| had.epoch == view.epoch);
        let RoomView {
            epoch,
            head,
            members,
            count,
            drafts,
            removed,
            ..
        } = view;
        let read_only = !live.permit.allows(&room, Right::Write);
        let joined = Joined {
            room: room.clone(),
            epoch,
            head,
            from,
            recovered,
            members,
            count,
            drafts,
            read_only,
        };
        self.send(ServerFrame::Joined(joined));
        for message in removed {
            if has_seen && message.offset <= from {
                self.send(ServerFrame::Message(message));
            }
        }
        self.pull(room);
    }

    pub(super) fn room_moved(&mut self, room: RoomName, head: Offset, version: u64) {
        if let Some(reader) = self.reader(&room) {
            reader.moved(head, version);
            self.pull(room);
        }
    }

    pub(super) fn pulled(&mut self, room: RoomName, through: Offset, version: u64) {
        if let Some(reader) = self.reader(&room) {
            reader.pulled(through, version);
            self.pull(room);
        }
    }

    /// The room no longer has what comes next for this reader: look at it anew (RS-6, PR-1).
    pub(super) fn cut_off(&mut self, room: RoomName) {
        let State::Live(live) = &mut self.state else {
            return;
        };
        let Some(seat) = live.seats.get_mut(&room) else {
            return;
        };
        let Some(reader) = seat.reader.take() else {
            return;
        };
        if let Some(since) = &mut seat.since {
            since.offset = reader.sent();
        }
        let name = live.name.clone();
        self.transmits.push_back(Transmit::OpenRoom { room, name });
    }

    /// The log cannot be read now. The reader stays where it is: it must neither be told of a gap that
    /// there may not be, nor ask again and again what cannot be answered.
    pub(super) fn pull_failed(&mut self, now: Timestamp, room: &RoomName) {
        let again = now + self.config.unavailable_retry;
        let State::Live(live) = &mut self.state else {
            return;
        };
        if let Some(seat) = live.seats.get_mut(room) {
            seat.pull_at = Some(again);
        }
    }

    /// Pulls again where the log could not tell.
    pub(super) fn pull_again(&mut self, now: Timestamp) {
        let State::Live(live) = &mut self.state else {
            return;
        };
        let mut due = Vec::new();
        for (name, seat) in live.seats.iter_mut() {
            if seat.pull_at.take_if(|at| now >= *at).is_some()
                && let Some(reader) = &mut seat.reader
            {
                reader.pull_failed();
                due.push(name.clone());
            }
        }
        for room in due {
            self.pull(room);
        }
    }

    fn pull(&mut self, room: RoomName) {
        if let Some(pull) = self.reader(&room).and_then(Reader::next_pull) {
            self.transmits.push_back(Transmit::Pull { room, pull });
        }
    }

    fn reader(&mut self, room: &RoomName) -> Option<&mut Reader> {
        let State::Live(live) = &mut self.state else {
            return None;
        };
        live.seats.get_mut(room)?.reader.as_mut()
    }
}
