//! Messages of one connection on their way into the log (EO).

use std::time::Duration;

use super::acks::Acks;
use super::allowance::{FRAME, NEWS, text_cost};
use super::{AppendError, Config, Connection, State, Transmit, rules};
use crate::close::CloseCode;
use crate::frame::{ErrorCode, Refusal, ServerFrame};
use crate::id::{RoomName, Seq};
use crate::position::Offset;
use crate::rate::Bucket;
use crate::time::Timestamp;

/// The numbers of one session's messages on one connection.
#[derive(Debug)]
pub(super) struct Publisher {
    /// The highest number passed on to the log.
    accepted: u64,
    /// This number was refused for now: what follows it is ignored until it comes again (EO-7).
    held_at: Option<Seq>,
    /// Only for a session that publishes: most do not.
    active: Option<Box<Active>>,
}

/// The state of a session that published lately.
#[derive(Debug)]
struct Active {
    rate: Bucket,
    /// The answers to the newest numbers.
    acks: Acks,
}

impl Publisher {
    pub(super) const fn new(last_seq: u64) -> Self {
        Self {
            accepted: last_seq,
            held_at: None,
            active: None,
        }
    }

    /// The highest number passed on to the log; 0 for none.
    pub(super) const fn accepted(&self) -> u64 {
        self.accepted
    }

    /// The state of a session that publishes. If it published nothing lately, it has a full bucket and no answers.
    fn active(&mut self, now: Timestamp, config: &Config) -> &mut Active {
        self.active.get_or_insert_with(|| {
            let rate = Bucket::new(now, config.limits.publishes_per_s, config.publish_burst);
            let acks = Acks::default();
            Box::new(Active { rate, acks })
        })
    }

    fn follows_a_held_one(&self, seq: Seq) -> bool {
        self.held_at.is_some_and(|held| seq > held)
    }

    fn hold(&mut self, seq: Seq) {
        self.held_at = Some(self.held_at.map_or(seq, |held| held.min(seq)));
        self.accepted = self.accepted.min(seq.get().saturating_sub(1));
    }
}

impl Connection {
    pub(super) fn publish(&mut self, now: Timestamp, seq: Seq, room: RoomName, body: String) {
        let Some(is_new) = self.take_number(now, seq, Some((&room, &body))) else {
            return;
        };
        let limits = self.config.limits;
        let State::Live(live) = &mut self.state else {
            return;
        };
        if let Some(seat) = live.seats.get_mut(&room) {
            seat.forget_draft();
        }
        // The log decides about a repeated number, whatever it carries (EO-1, EO-6).
        let checked = match is_new {
            true => rules::check_message(live.permit.rights(), &room, &body, &limits),
            false => Ok(()),
        };
        let name = live.name.clone();
        self.transmits.push_back(match checked {
            Err(code) => Transmit::Refuse { seq, code },
            Ok(()) => Transmit::Append {
                seq,
                room,
                name,
                body,
                is_repeat: !is_new,
            },
        });
    }

    /// Takes a message with an invalid text in it: the refusal uses its number up (EO-7). If the number is a repeated
    /// one, the log decides (EO-6).
    pub(super) fn publish_unfit(&mut self, now: Timestamp, seq: Seq, code: ErrorCode) {
        if self.take_number(now, seq, None).is_some() {
            self.transmits.push_back(Transmit::Refuse { seq, code });
        }
    }

    /// Decides whether a message's number is passed on to the log. If so, returns whether it is a new number: EO-1,
    /// EO-7.
    fn take_number(
        &mut self,
        now: Timestamp,
        seq: Seq,
        message: Option<(&RoomName, &str)>,
    ) -> Option<bool> {
        let State::Live(live) = &mut self.state else {
            return None;
        };
        let publisher = &mut live.publisher;
        let text = message.map_or("", |(_, body)| body);
        self.allowance.share(FRAME.saturating_add(text_cost(text)));
        if publisher.follows_a_held_one(seq) {
            self.allowance.spend(now, FRAME, 0);
            return None;
        }
        let next = publisher.accepted.saturating_add(1);
        if seq.get() > next {
            self.end_for(seq, ErrorCode::SeqGap, CloseCode::SEQ_GAP);
            return None;
        }
        let is_new = seq.get() == next;
        let active = publisher.active(now, &self.config);
        if is_new {
            if let Err(wait) = active.rate.take(now) {
                self.allowance.spend(now, FRAME, 0);
                self.hold(seq, ErrorCode::RateLimited, wait);
                return None;
            }
            if let Some((room, body)) = message {
                active.acks.expect(now, seq, room, body);
            }
            publisher.held_at = None;
            publisher.accepted = seq.get();
        } else {
            let known = message.and_then(|(room, body)| {
                let offset = active.acks.of(seq, room, body)?;
                Some((room.clone(), offset))
            });
            if let Some((room, offset)) = known {
                self.allowance.spend(now, FRAME, 0);
                self.send(ServerFrame::Ack { seq, room, offset });
                return None;
            }
            // The log has to look it up, which costs as much as a message: so it counts as one. It is
            // never refused for that, as what follows would have to wait for it.
            let wait = active.rate.spend(now, 1);
            self.allowance.share(NEWS);
            self.allowance.owe(now, wait);
        }
        live.owed.ask();
        Some(is_new)
    }

    pub(super) fn appended(
        &mut self,
        seq: Seq,
        room: RoomName,
        result: Result<Offset, AppendError>,
    ) {
        self.answered();
        match result {
            Ok(offset) => {
                self.used(seq);
                if let State::Live(live) = &mut self.state
                    && let Some(active) = &mut live.publisher.active
                {
                    active.acks.settle(seq, offset);
                }
                self.send(ServerFrame::Ack { seq, room, offset });
            }
            Err(error) => self.not_appended(seq, error),
        }
    }

    pub(super) fn number_used(&mut self, seq: Seq, result: Result<ErrorCode, AppendError>) {
        self.answered();
        match result {
            Ok(code) => {
                self.used(seq);
                self.refuse_publish(seq, code);
            }
            Err(error) => self.not_appended(seq, error),
        }
    }

    /// A number is settled. The client does not send it again, so nothing may wait for it: a late
    /// answer about an earlier try could have held it.
    fn used(&mut self, seq: Seq) {
        if let State::Live(live) = &mut self.state {
            let publisher = &mut live.publisher;
            publisher.held_at = publisher.held_at.filter(|held| *held > seq);
            publisher.accepted = publisher.accepted.max(seq.get());
        }
    }

    fn not_appended(&mut self, seq: Seq, error: AppendError) {
        let retry = self.config.unavailable_retry;
        let State::Live(live) = &mut self.state else {
            return;
        };
        match error {
            AppendError::Conflict => {
                self.end_for(seq, ErrorCode::SeqConflict, CloseCode::SEQ_CONFLICT);
            }
            AppendError::Refused(code) => {
                self.used(seq);
                self.refuse_publish(seq, code);
            }
            AppendError::UnknownSession => self.close(CloseCode::SESSION_GONE),
            AppendError::Fenced => self.close(CloseCode::TAKEN_OVER),
            // The client opens the session again, and the log says then which number was the last.
            AppendError::Unknown => self.close(CloseCode::SERVICE_RESTART),
            // The log cannot have taken what followed a held message; it comes again after that.
            AppendError::OutOfOrder | AppendError::Unavailable | AppendError::RateLimited(_)
                if live.publisher.follows_a_held_one(seq) => {}
            AppendError::OutOfOrder | AppendError::Unavailable => {
                self.hold(seq, ErrorCode::Unavailable, retry);
            }
            AppendError::RateLimited(wait) => self.hold(seq, ErrorCode::RateLimited, wait),
        }
    }

    /// EO-7: refuses a message for now. What follows is ignored until it comes again.
    fn hold(&mut self, seq: Seq, code: ErrorCode, wait: Duration) {
        if let State::Live(live) = &mut self.state {
            live.publisher.hold(seq);
        }
        let refusal = Refusal {
            seq: Some(seq),
            ..Refusal::new(code)
        };
        self.send(ServerFrame::Error(refusal.retry_after(wait)));
    }

    fn refuse_publish(&mut self, seq: Seq, code: ErrorCode) {
        self.send(ServerFrame::Error(Refusal {
            seq: Some(seq),
            ..Refusal::new(code)
        }));
    }

    /// Ends the connection for an impossible number (EO-1, EO-6), whose message is not settled.
    fn end_for(&mut self, seq: Seq, code: ErrorCode, close: CloseCode) {
        self.send(ServerFrame::Error(Refusal {
            unsettled: Some(seq),
            ..Refusal::new(code)
        }));
        self.close(close);
    }

    /// Frees the state of a session that published nothing lately: no client repeats what was answered long ago.
    pub(super) fn forget_acks(&mut self, now: Timestamp) {
        if let State::Live(live) = &mut self.state {
            let is_idle =
                |active: &mut Box<Active>| active.acks.are_old(now) && active.rate.is_full(now);
            live.publisher.active.take_if(is_idle);
        }
    }
}
