//! The client machine while it is live: frames in both directions, deadlines, and the seats in its rooms.

use std::time::Duration;

use super::connection::{Live, State};
use super::output::{Cause, Event, Transmit};
use super::room::{Place, Room};
use super::{Session, count};
use crate::close::CloseCode;
use crate::codec::DecodeError;
use crate::frame::{ClientFrame, ErrorCode, Joined, Message, Refusal, ServerFrame};
use crate::heartbeat::Verdict;
use crate::id::RoomName;
use crate::time::Timestamp;

/// How many rooms joined on one connection are remembered; beyond that each room counts as one of them.
const SEATED_MAX: usize = 256;

impl Session {
    pub(super) fn received(&mut self, now: Timestamp, frame: Result<ServerFrame, DecodeError>) {
        let Ok(frame) = frame else {
            return self.drop_connection(now, CloseCode::BAD_FRAME, Cause::BadAnswer);
        };
        if let State::Live(live) = &mut self.state {
            live.heartbeat.on_received(now);
            if std::mem::take(&mut live.doubtful) {
                self.events.push_back(Event::Doubt { doubtful: false });
            }
        }
        match (&self.state, frame) {
            (State::Handshaking { .. }, ServerFrame::Welcome(welcome)) => {
                self.welcomed(now, welcome)
            }
            (state, ServerFrame::Ping) => {
                if matches!(state, State::Live(_)) {
                    self.events.push_back(Event::Beat { rtt: None });
                }
                self.send(now, ClientFrame::Pong);
            }
            (_, ServerFrame::Error(refusal)) => self.refused(now, refusal),
            (State::Live(_), frame) => self.served(now, frame),
            // Nothing else is served before `welcome`: a server that does so is broken.
            (_, _) => self.drop_connection(now, CloseCode::BAD_FRAME, Cause::BadAnswer),
        }
    }

    pub(super) fn live_timeout(&mut self, now: Timestamp) {
        let State::Live(live) = &mut self.state else {
            return;
        };
        if live.slot.is_some_and(|slot| now >= slot) {
            return self.drop_connection(now, CloseCode::GOING_AWAY, Cause::GoAway);
        }
        live.uplink.looked(now);
        live.heartbeat.set_behind(live.uplink.behind(now));
        let verdict = live.heartbeat.handle_timeout(now);
        self.obey(now, verdict);
        self.doubt(now);
        let due = |at: Option<Timestamp>| at.is_some_and(|at| now >= at);
        let joins: Vec<RoomName> = self
            .rooms
            .iter()
            .filter(|(_, room)| due(room.join_due()))
            .map(|(name, _)| name.clone())
            .collect();
        for room in joins {
            self.send_join(now, &room);
        }
        self.fetch_token_if_due(now);
        self.flush_outbox(now);
        self.flush_drafts(now);
    }

    pub(super) fn live_deadline(&self, live: &Live) -> Option<Timestamp> {
        let publish = self
            .outbox
            .has_unsent(self.config.window)
            .then_some(live.publish_from)
            .filter(|_| self.may_publish(live));
        let draft = self
            .rooms
            .values()
            .any(|room| room.is_draft_due())
            .then(|| self.draft_due(live))
            .flatten();
        let join = self.rooms.values().filter_map(|room| room.join_due()).min();
        let look = live.uplink.look_due();
        let beat = live.heartbeat.poll_timeout();
        let doubt = live.heartbeat.overdue_from().filter(|_| !live.doubtful);
        [
            beat,
            doubt,
            publish,
            draft,
            join,
            look,
            live.slot,
            self.tokens.due(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Joins a room from a new position. What may still come of an earlier seat on this connection ends with
    /// the pong of a ping before it (RS-6).
    pub(super) fn take_seat(&mut self, now: Timestamp, name: &RoomName) {
        let Some(live) = self.live() else { return };
        let is_again = live.seated.len() >= SEATED_MAX || live.seated.contains(name);
        if !is_again {
            return self.send_join(now, name);
        }
        self.ping(now);
        let pong = self.live().map_or(0, |live| live.uplink.pings());
        self.send_join(now, name);
        if let Some(room) = self.rooms.get_mut(name) {
            room.reseating(pong);
        }
    }

    pub(super) fn send_join(&mut self, now: Timestamp, name: &RoomName) {
        let State::Live(live) = &mut self.state else {
            return;
        };
        let Some(room) = self.rooms.get_mut(name) else {
            return;
        };
        room.joining();
        if live.seated.len() < SEATED_MAX {
            live.seated.insert(name.clone());
        }
        let frame = ClientFrame::Join {
            room: name.clone(),
            since: room.position().cloned(),
            limit: Some(self.config.join_limit),
        };
        self.send(now, frame);
    }

    pub(super) fn send(&mut self, now: Timestamp, frame: ClientFrame) {
        let Some(id) = self.connection() else { return };
        // A pong or a farewell gets no answer, a ping has a deadline of its own, and a page takes its time.
        let is_answered = matches!(
            frame,
            ClientFrame::Publish { .. } | ClientFrame::Draft { .. } | ClientFrame::Join { .. }
        );
        if let State::Live(live) = &mut self.state {
            if is_answered {
                live.heartbeat.on_sent(now);
            }
            live.uplink.sent(now, &frame);
        }
        self.transmits.push_back(Transmit::Frame { id, frame });
    }

    pub(super) fn probe(&mut self, now: Timestamp) {
        if let State::Live(live) = &mut self.state {
            live.heartbeat.set_behind(live.uplink.behind(now));
            let verdict = live.heartbeat.probe(now);
            self.obey(now, verdict);
        }
    }

    fn obey(&mut self, now: Timestamp, verdict: Verdict) {
        match verdict {
            Verdict::Alive => {}
            Verdict::Ping => self.ping(now),
            Verdict::Dead => {
                return self.drop_connection(now, CloseCode::DEAD, Cause::NoAnswer);
            }
        }
        if let State::Live(live) = &mut self.state {
            live.pages.put_off(&mut live.heartbeat);
        }
    }

    /// Reports once that an answer takes longer than usual.
    fn doubt(&mut self, now: Timestamp) {
        if let State::Live(live) = &mut self.state
            && !live.doubtful
            && live.heartbeat.overdue_from().is_some_and(|at| now >= at)
        {
            live.doubtful = true;
            self.events.push_back(Event::Doubt { doubtful: true });
        }
    }

    /// A frame on a live connection.
    fn served(&mut self, now: Timestamp, frame: ServerFrame) {
        match frame {
            ServerFrame::Joined(joined) => self.joined(now, joined),
            ServerFrame::Message(message) => self.message(now, message),
            ServerFrame::Ack { seq, offset, .. } => self.acked(now, seq, offset),
            ServerFrame::GoAway {
                reconnect_after_ms,
                elsewhere,
                ..
            } => {
                let here = now + Duration::from_millis(reconnect_after_ms);
                if let State::Live(live) = &mut self.state {
                    live.slot = Some(self.route.sent_away(now, here, elsewhere));
                }
            }
            ServerFrame::Renew { .. } => self.renew(),
            ServerFrame::Pong => self.pong(now),
            ServerFrame::History {
                room,
                messages,
                more,
            } => {
                if let State::Live(live) = &mut self.state {
                    live.pages.answered(now, &room);
                }
                self.seen(now, &messages);
                self.events.push_back(Event::History {
                    room,
                    messages,
                    more,
                });
            }
            ServerFrame::Draft(draft) => self.events.push_back(Event::Draft(draft)),
            ServerFrame::Presence {
                room,
                joined,
                left,
                count,
            } => {
                self.events.push_back(Event::Presence {
                    room,
                    joined,
                    left,
                    count,
                });
            }
            ServerFrame::Welcome(_) => {
                self.drop_connection(now, CloseCode::BAD_FRAME, Cause::BadAnswer);
            }
            // Handled for every state in `received`.
            ServerFrame::Error(_) | ServerFrame::Ping => {}
        }
    }

    fn joined(&mut self, now: Timestamp, joined: Joined) {
        let room = self.rooms.get_mut(&joined.room);
        let Some(room) = room.filter(|room| !room.is_reseating()) else {
            return;
        };
        let gap = room.joined(&joined);
        if gap {
            self.outage_gap();
        }
        self.events.push_back(Event::Joined { joined, gap });
        self.flush_drafts(now);
    }

    fn message(&mut self, now: Timestamp, message: Message) {
        let Some(room) = self.rooms.get_mut(&message.room) else {
            return;
        };
        let is_behind = room.is_behind();
        match room.place(&message) {
            Place::Next => {
                if is_behind && self.id() != Some(&message.session) {
                    self.outage_caught_up();
                }
                self.seen(now, std::slice::from_ref(&message));
                self.events.push_back(Event::Message(message));
            }
            Place::Repeated if message.removed => self.events.push_back(Event::Redacted(message)),
            Place::Repeated => count(&mut self.stats.repeated_messages),
            Place::Gap => self.send_join(now, &message.room),
        }
    }

    fn refused(&mut self, now: Timestamp, refusal: Refusal) {
        if let Some(fate) = refusal.number_fate() {
            return self.number_fate(now, fate, refusal.code);
        }
        if self.token_refused(now, &refusal) {
            return;
        }
        if let (State::Handshaking { slot, .. }, Some(wait)) =
            (&mut self.state, refusal.retry_after_ms)
        {
            *slot = Some(now + Duration::from_millis(wait));
            return;
        }
        if let State::Live(live) = &mut self.state {
            live.pages.refused(now, &refusal);
        }
        if !self.is_of_an_earlier_seat(&refusal) {
            self.refused_in_room(now, &refusal);
            self.events.push_back(Event::Refused(refusal));
        }
    }

    /// Whether a refusal may be about a seat that was left: it says nothing of the seat taken since (RS-6).
    fn is_of_an_earlier_seat(&self, refusal: &Refusal) -> bool {
        let room = refusal.room.as_ref().and_then(|name| self.rooms.get(name));
        room.is_some_and(Room::is_reseating)
    }

    fn refused_in_room(&mut self, now: Timestamp, refusal: &Refusal) {
        let Some(name) = &refusal.room else { return };
        let Some(room) = self.rooms.get_mut(name) else {
            return;
        };
        if refusal.code == ErrorCode::TooManyRooms {
            // This server takes fewer rooms than the one before.
            self.rooms.remove(name);
        } else if let Some(wait) = refusal.retry_after_ms {
            room.postponed(now + Duration::from_millis(wait));
        } else if refusal.code == ErrorCode::ReadDenied {
            room.denied();
        }
    }
}
