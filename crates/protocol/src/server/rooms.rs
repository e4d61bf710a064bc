//! The rooms of one connection: joining, reading, drafts.

use super::allowance::{FRAME, text_cost};
use super::drafts::HeldDraft;
use super::{Connection, Reader, RequestId, RoomView, State, Transmit, rules};
use crate::frame::{ErrorCode, Joined, ServerFrame};
use crate::id::RoomName;
use crate::position::{Offset, Position};
use crate::time::Timestamp;

/// How many of the newest messages a `join` without position and without limit gets.
pub(super) const JOIN_LIMIT: u32 = 50;

/// The seat of one connection in one room.
#[derive(Debug)]
pub(super) struct Seat {
    /// The position that the client has.
    since: Option<Position>,
    limit: u32,
    stage: Stage,
    held_draft: HeldDraft,
}

/// The stage of a seat.
#[derive(Debug)]
enum Stage {
    /// The room is being entered.
    Entering(RequestId),
    /// It was entered, and its state is being looked up anew.
    Looking(RequestId),
    /// The log could not be read: the room's state is looked up anew at this time.
    LookingAgain(Timestamp),
    /// The room is read.
    Reading(Reader, Pulling),
}

/// What a reader waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pulling {
    /// For news of the room.
    No,
    /// For the answer to a pull.
    Asked(RequestId),
    /// The log could not be read: the next pull is at this time.
    Again(Timestamp),
}

impl Pulling {
    fn is_due(self, now: Timestamp) -> bool {
        matches!(self, Self::Again(at) if now >= at)
    }
}

impl Seat {
    pub(super) fn new(since: Option<Position>, limit: u32, entering: RequestId) -> Self {
        Self {
            since,
            limit,
            stage: Stage::Entering(entering),
            held_draft: HeldDraft::default(),
        }
    }

    /// When something is due here.
    pub(super) fn due(&self) -> Option<Timestamp> {
        let again = match self.stage {
            Stage::Reading(_, Pulling::Again(at)) | Stage::LookingAgain(at) => Some(at),
            _ => None,
        };
        [self.held_draft.due(), again].into_iter().flatten().min()
    }

    /// Whether the seat waits for the answer to this question.
    pub(super) fn awaits(&self, id: RequestId) -> bool {
        match self.stage {
            Stage::Entering(asked) | Stage::Looking(asked) => asked == id,
            Stage::LookingAgain(_) => false,
            Stage::Reading(_, pulling) => pulling == Pulling::Asked(id),
        }
    }

    pub(super) fn forget_draft(&mut self) {
        self.held_draft.forget();
    }
}

impl Connection {
    pub(super) fn join(&mut self, room: RoomName, since: Option<Position>, limit: Option<u32>) {
        let State::Live(live) = &mut self.state else {
            return;
        };
        let limits = self.config.limits;
        if let Err(code) = live.permit.rights().may_read(&room) {
            return self.refuse_room(code, room);
        }
        if live.seats.len() >= limits.rooms as usize && !live.seats.contains(&room) {
            return self.refuse_room(ErrorCode::TooManyRooms, room);
        }
        let limit = limit.unwrap_or(JOIN_LIMIT).min(limits.history);
        let id = live.owed.ask();
        live.seats.insert(room.clone(), Seat::new(since, limit, id));
        self.transmits.push_back(Transmit::OpenRoom { id, room });
    }

    /// Sends older messages to a client that may read the room, joined or not.
    pub(super) fn history(&mut self, room: RoomName, before: Offset, limit: u32) {
        let State::Live(live) = &mut self.state else {
            return;
        };
        if let Err(code) = live.permit.rights().may_read(&room) {
            return self.refuse_room(code, room);
        }
        let limit = rules::page_limit(Some(limit), &self.config.limits);
        live.owed.ask();
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

    /// Takes a draft. Within its rate it costs the connection nothing else.
    pub(super) fn draft(&mut self, now: Timestamp, room: RoomName, body: String) {
        let cost = FRAME.saturating_add(text_cost(&body));
        let is_shown = self.take_draft(now, room, body);
        let own = if is_shown { 0 } else { FRAME };
        self.allowance.spend(now, own, cost);
    }

    /// Takes a draft; returns whether it is shown at once.
    fn take_draft(&mut self, now: Timestamp, room: RoomName, body: String) -> bool {
        let limits = self.config.limits;
        let State::Live(live) = &mut self.state else {
            return false;
        };
        let checked = rules::check_draft(live.permit.rights(), &room, &body, &limits);
        let refused = match (live.seats.get_mut(&room), checked) {
            (None, _) => ErrorCode::NotJoined,
            (Some(_), Err(code)) => code,
            (Some(seat), Ok(())) if matches!(seat.stage, Stage::Entering(_)) => {
                seat.held_draft.keep(body);
                return false;
            }
            (Some(seat), Ok(())) => {
                let shown = seat.held_draft.take(now, &mut live.drafts, body);
                let is_shown = shown.is_some();
                let after = live.publisher.accepted();
                let shown = shown.map(|body| Transmit::Draft { room, body, after });
                self.transmits.extend(shown);
                return is_shown;
            }
        };
        self.refuse_room(refused, room);
        false
    }

    /// Shows the drafts that were held back and are due: the latest of each room.
    pub(super) fn flush_drafts(&mut self, now: Timestamp) {
        let State::Live(live) = &mut self.state else {
            return;
        };
        let after = live.publisher.accepted();
        for (room, seat) in live.seats.iter_mut() {
            if let Some(body) = seat.held_draft.flush(now, &mut live.drafts) {
                let room = room.clone();
                self.transmits
                    .push_back(Transmit::Draft { room, body, after });
            }
        }
    }

    pub(super) fn room_opened(
        &mut self,
        now: Timestamp,
        id: RequestId,
        room: RoomName,
        view: Option<RoomView>,
    ) {
        self.answered();
        let State::Live(live) = &mut self.state else {
            return;
        };
        // The client may have left again meanwhile.
        let Some(seat) = live.seats.get_mut(&room).filter(|seat| seat.awaits(id)) else {
            return;
        };
        let Some(view) = view else {
            if matches!(seat.stage, Stage::Looking(_)) {
                // The client asked for nothing, and stays in the room.
                seat.stage = Stage::LookingAgain(now + self.config.unavailable_retry);
                return;
            }
            live.seats.remove(&room);
            // The client may have been in the room before.
            let left = room.clone();
            self.transmits.push_back(Transmit::LeaveRoom { room: left });
            return self.refuse_room(ErrorCode::Unavailable, room);
        };
        let (from, recovered) = view.span().begin(seat.since.as_ref(), seat.limit);
        let reader = Reader::new(from, view.head, view.version);
        seat.stage = Stage::Reading(reader, Pulling::No);
        let draft = seat.held_draft.entered(now, &mut live.drafts);
        // From now on this is the client's position, should the reader ever be cut off.
        let had = seat.since.replace(Position {
            epoch: view.epoch.clone(),
            offset: from,
        });
        let after = live.publisher.accepted();
        // EO-8: the client may show texts that were redacted since. What follows is read without them.
        let has_seen = had.is_some_and(|had| had.epoch == view.epoch);
        let RoomView {
            epoch,
            head,
            members,
            count,
            drafts,
            redacted,
            ..
        } = view;
        let read_only = live.permit.rights().may_write(&room).is_err();
        live.seats.share_name(&room);
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
        for message in redacted {
            if has_seen && message.offset <= from {
                self.send(ServerFrame::Message(message));
            }
        }
        if let Some(body) = draft {
            let room = room.clone();
            self.transmits
                .push_back(Transmit::Draft { room, body, after });
        }
        self.pull(room);
    }

    pub(super) fn room_moved(&mut self, room: RoomName, head: Offset, version: u64) {
        let State::Live(live) = &mut self.state else {
            return;
        };
        if let Some(seat) = live.seats.get_mut(&room)
            && let Stage::Reading(reader, _) = &mut seat.stage
        {
            reader.moved(head, version);
            self.pull(room);
        }
    }

    pub(super) fn pulled(&mut self, id: RequestId, room: RoomName, through: Offset, version: u64) {
        if let Some((reader, pulling, _)) = self.pull_answered(id, &room) {
            reader.pulled(through, version);
            *pulling = Pulling::No;
            self.heartbeat.on_sent(self.latest.get());
            self.pull(room);
        }
    }

    /// The room no longer has what this reader needs next: its state is looked up anew (RS-6, PR-1).
    pub(super) fn cut_off(&mut self, id: RequestId, room: RoomName) {
        let Some((reader, _, since)) = self.pull_answered(id, &room) else {
            return;
        };
        if let Some(since) = since {
            since.offset = reader.sent();
        }
        let State::Live(live) = &mut self.state else {
            return;
        };
        let id = live.owed.ask();
        if let Some(seat) = live.seats.get_mut(&room) {
            seat.stage = Stage::Looking(id);
        }
        self.transmits.push_back(Transmit::OpenRoom { id, room });
    }

    /// The log cannot be read now. The reader keeps its place: it must neither report a gap that
    /// there may not be, nor ask again and again what cannot be answered.
    pub(super) fn pull_failed(&mut self, now: Timestamp, id: RequestId, room: &RoomName) {
        let again = now + self.config.unavailable_retry;
        if let Some((_, pulling, _)) = self.pull_answered(id, room) {
            *pulling = Pulling::Again(again);
        }
    }

    /// Pulls, or looks up a room's state, again where the log could not be read.
    pub(super) fn pull_again(&mut self, now: Timestamp) {
        let State::Live(live) = &mut self.state else {
            return;
        };
        let mut due = Vec::new();
        for (name, seat) in live.seats.iter_mut() {
            match &mut seat.stage {
                Stage::Reading(reader, pulling) if pulling.is_due(now) => {
                    reader.pull_failed();
                    *pulling = Pulling::No;
                    due.push(name.clone());
                }
                Stage::LookingAgain(at) if now >= *at => {
                    let id = live.owed.ask();
                    seat.stage = Stage::Looking(id);
                    let room = name.clone();
                    self.transmits.push_back(Transmit::OpenRoom { id, room });
                }
                Stage::Entering(_)
                | Stage::Looking(_)
                | Stage::LookingAgain(_)
                | Stage::Reading(..) => {}
            }
        }
        for room in due {
            self.pull(room);
        }
    }

    /// Pulls for the reader in this room, if there is news and no pull is under way.
    fn pull(&mut self, room: RoomName) {
        let State::Live(live) = &mut self.state else {
            return;
        };
        if let Some(seat) = live.seats.get_mut(&room)
            && let Stage::Reading(reader, pulling) = &mut seat.stage
            && let Some(pull) = reader.next_pull()
        {
            let id = live.owed.ask();
            *pulling = Pulling::Asked(id);
            self.transmits.push_back(Transmit::Pull { id, room, pull });
        }
    }

    /// The reader for which a pull was answered, if it still waits for that, and the client's position.
    fn pull_answered(
        &mut self,
        id: RequestId,
        room: &RoomName,
    ) -> Option<(&mut Reader, &mut Pulling, &mut Option<Position>)> {
        self.answered();
        let State::Live(live) = &mut self.state else {
            return None;
        };
        let seat = live.seats.get_mut(room)?;
        match &mut seat.stage {
            Stage::Reading(reader, pulling) if *pulling == Pulling::Asked(id) => {
                Some((reader, pulling, &mut seat.since))
            }
            _ => None,
        }
    }
}
