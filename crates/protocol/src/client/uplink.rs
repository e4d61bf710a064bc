//! The uplink: what a client sent, and does not know to have arrived.
//!
//! A frame that was handed over lies in buffers of the browser, of the system and of proxies before it is on
//! the line, and most of them do not say what they hold. Answers say it: a `pong`, that everything up to
//! its `ping` has arrived; an `ack` or a refusal, that everything up to its `publish` has. Where no answer is
//! due, what the slowest healthy line has had the time for counts as arrived: so short texts cost no pings. The
//! client sends only as much ahead as a slow line carries in a moment, and its own backlog is never taken for a
//! dead link (HB-6).

#![allow(
    clippy::arithmetic_side_effects,
    reason = "bytes of frames in 64 bits; what is taken off was counted before"
)]

use std::collections::VecDeque;
use std::time::Duration;

use super::connection::{Live, State};
use super::output::Event;
use super::room::Room;
use super::{Config, Session, count};
use crate::codec;
use crate::frame::ClientFrame;
use crate::id::{RoomName, Seq};
use crate::time::Timestamp;

/// How many bytes before a ping do not change its deadline. Only further ones put it off.
const SMALL: u64 = 1024;

/// A ping with no more than this before it measures the line's round trip, not its speed.
const NEXT_TO_NOTHING: u64 = 256;

/// The bytes of a frame beside its text, estimated.
const ENVELOPE: usize = 64;

/// How many answers may be due at once. Later frames have no mark: the answers to earlier ones are enough.
const MARKS_MAX: usize = 64;

/// Drafts take one part in so many of the time on a slow line, so that messages and heartbeats find room.
const SHARE: u32 = 4;

/// The longest pause of drafts.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// How often a socket that holds much is looked at: no event tells when it holds less.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What one connection has in flight to the server.
#[derive(Debug)]
pub(super) struct Uplink {
    /// Bytes sent.
    sent: u64,
    /// How many of the sent bytes count as arrived.
    arrived: u64,
    /// When that was counted.
    counted_at: Timestamp,
    /// The speed of the slowest healthy line.
    bytes_per_s: u64,
    /// The frames whose answers tell more, in order.
    marks: VecDeque<Mark>,
    /// The shortest round trip of a frame that had next to nothing before it.
    base: Duration,
    /// Until when drafts pause, to leave the line to others.
    drafts_from: Timestamp,
    /// Pings sent, and pongs received.
    pings: u64,
    pongs: u64,
    /// The bytes that the driver's own socket still holds.
    held: u64,
    /// How many of them have to leave before the newest ping has left.
    to_leave: u64,
    /// When to look at the socket again, as long as it holds much.
    look_at: Timestamp,
}

#[derive(Debug)]
struct Mark {
    answer: Answer,
    at: Timestamp,
    /// Bytes sent up to its end.
    through: u64,
    /// How many of these did not count as arrived.
    flight: u64,
}

#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Pong,
    Settled(Seq),
}

impl Uplink {
    /// The uplink of a connection whose `hello` was answered after this time.
    pub(super) fn new(now: Timestamp, round_trip: Duration, config: &Config) -> Self {
        Self {
            sent: 0,
            arrived: 0,
            counted_at: now,
            bytes_per_s: config.slowest_line.max(1).into(),
            marks: VecDeque::new(),
            base: round_trip,
            drafts_from: now,
            pings: 0,
            pongs: 0,
            held: 0,
            to_leave: 0,
            look_at: now,
        }
    }

    /// Counts a frame that was handed to the driver.
    pub(super) fn sent(&mut self, now: Timestamp, frame: &ClientFrame) {
        self.arrived = self.sent - self.flight(now);
        self.counted_at = now;
        self.sent += size(frame);
        let answer = match frame {
            ClientFrame::Ping => {
                self.pings += 1;
                // With nothing before it in the socket, the ping leaves at once.
                self.to_leave = if self.held > 0 {
                    self.held + size(frame)
                } else {
                    0
                };
                Answer::Pong
            }
            ClientFrame::Publish { seq, .. } => Answer::Settled(*seq),
            _ => return,
        };
        if self.marks.len() < MARKS_MAX {
            self.marks.push_back(Mark {
                answer,
                at: now,
                through: self.sent,
                flight: self.sent - self.arrived,
            });
        }
    }

    /// Takes a pong. Returns the round trip if a ping was under way.
    pub(super) fn pong(&mut self, now: Timestamp) -> Option<Duration> {
        self.pongs += 1;
        let mark = self.answered(now, &Answer::Pong)?;
        let took = now - mark.at;
        if mark.flight <= NEXT_TO_NOTHING {
            self.base = self.base.min(took);
        } else {
            let on_the_line = took.saturating_sub(self.base);
            self.drafts_from = now + on_the_line.saturating_mul(SHARE - 1).min(PAUSE_MAX);
        }
        Some(took)
    }

    /// How many pings were sent.
    pub(super) const fn pings(&self) -> u64 {
        self.pings
    }

    /// Takes the answer to a message: its ack or its refusal.
    pub(super) fn settled(&mut self, now: Timestamp, seq: Seq) {
        self.answered(now, &Answer::Settled(seq));
    }

    /// Takes how many bytes the socket holds. Returns whether some have left it that stood before the newest ping,
    /// or the ping itself. What was sent after it proves nothing by leaving: a dead link's buffers take it, too.
    pub(super) fn buffered(&mut self, now: Timestamp, bytes: u64) -> bool {
        let left = self.held.saturating_sub(bytes);
        let is_before_ping = left > 0 && self.to_leave > 0;
        self.to_leave = self.to_leave.saturating_sub(left);
        self.held = bytes;
        self.look_at = now + LOOK_EVERY;
        is_before_ping
    }

    /// When to look at the socket again, if it holds much.
    pub(super) fn look_due(&self) -> Option<Timestamp> {
        (self.held > SMALL).then_some(self.look_at)
    }

    /// The socket was looked at.
    pub(super) fn looked(&mut self, now: Timestamp) {
        if now >= self.look_at {
            self.look_at = now + LOOK_EVERY;
        }
    }

    /// Bytes that do not count as arrived.
    fn flight(&self, now: Timestamp) -> u64 {
        let flight = self.sent - self.arrived;
        if !self.marks.is_empty() {
            return flight;
        }
        let millis = u64::try_from((now - self.counted_at).as_millis()).unwrap_or(u64::MAX);
        flight.saturating_sub(millis.saturating_mul(self.bytes_per_s) / 1000)
    }

    /// HB-6: how much longer than on a quick line the answer to a ping sent now may take: the time that the slowest
    /// healthy line needs for what is before it.
    pub(super) fn behind(&self, now: Timestamp) -> Duration {
        let bytes = self.flight(now).max(self.held).saturating_sub(SMALL);
        Duration::from_millis(bytes.saturating_mul(1000) / self.bytes_per_s)
    }

    /// Whether a message may be sent.
    pub(super) fn takes_message(&self, now: Timestamp, config: &Config) -> bool {
        self.flight(now) <= config.publish_flight
    }

    /// From when on a draft may be sent (PR-2); none while too much is in flight.
    pub(super) fn takes_drafts_from(&self, now: Timestamp, config: &Config) -> Option<Timestamp> {
        let is_all_but_empty = self.flight(now) <= config.draft_flight && self.held <= SMALL;
        is_all_but_empty.then_some(self.drafts_from)
    }

    /// Whether to send a ping, to learn what has arrived, as so much is in flight.
    pub(super) fn asks(&self, now: Timestamp, bytes: u64) -> bool {
        let is_asked = || self.marks.iter().any(|mark| mark.answer == Answer::Pong);
        self.flight(now) > bytes && !is_asked()
    }

    fn answered(&mut self, now: Timestamp, answer: &Answer) -> Option<Mark> {
        let index = self.marks.iter().position(|mark| mark.answer == *answer)?;
        let mark = self.marks.drain(..=index).next_back()?;
        self.arrived = self.arrived.max(mark.through);
        self.counted_at = now;
        Some(mark)
    }
}

impl Session {
    /// When to look at drafts that are due; none where an answer comes first.
    pub(super) fn draft_due(&self, live: &Live) -> Option<Timestamp> {
        let now = self.latest.get();
        match live.uplink.takes_drafts_from(now, &self.config) {
            Some(from) => Some(from.max(live.draft_from)),
            None if live.uplink.asks(now, self.config.draft_flight) => Some(live.draft_from),
            None => None,
        }
    }

    /// Sends the latest drafts, at most as often as the server allows, and only as fast as the line takes
    /// them: meanwhile the latest wins (PR-2).
    pub(super) fn flush_drafts(&mut self, now: Timestamp) {
        if self.live().is_none_or(|live| now < live.draft_from) {
            return;
        }
        let due = self.rooms.iter().filter(|(_, room)| room.is_draft_due());
        let due: Vec<RoomName> = due.map(|(name, _)| name.clone()).collect();
        for name in &due {
            let live = self.live();
            let from = live.and_then(|live| live.uplink.takes_drafts_from(now, &self.config));
            if from.is_none_or(|from| now < from) {
                break;
            }
            let room = self.rooms.get_mut(name);
            let Some(body) = room.and_then(Room::draft_to_send) else {
                continue;
            };
            let room = name.clone();
            let frame = ClientFrame::Draft { room, body };
            if self.fits(&frame) {
                self.send(now, frame);
            }
            let pace = Duration::from_secs(1) / self.limits.drafts_per_s.max(1);
            if let State::Live(live) = &mut self.state {
                live.draft_from = now + pace;
            }
        }
        let live = self.live().filter(|_| !due.is_empty());
        if live.is_some_and(|live| live.uplink.asks(now, self.config.draft_flight / 2)) {
            self.ping(now);
        }
    }

    /// Takes how many bytes the socket holds.
    pub(super) fn buffered(&mut self, now: Timestamp, bytes: u64) {
        let State::Live(live) = &mut self.state else {
            return;
        };
        if live.uplink.buffered(now, bytes) {
            live.heartbeat.set_behind(live.uplink.behind(now));
            live.heartbeat.on_left(now);
        }
        self.flush_outbox(now);
    }

    pub(super) fn ping(&mut self, now: Timestamp) {
        count(&mut self.stats.pings);
        self.send(now, ClientFrame::Ping);
    }

    pub(super) fn pong(&mut self, now: Timestamp) {
        let State::Live(live) = &mut self.state else {
            return;
        };
        if let Some(rtt) = live.uplink.pong(now) {
            live.heartbeat.sample_rtt(rtt);
            count(&mut self.stats.pongs);
            let rtt = Some(rtt);
            self.events.push_back(Event::Beat { rtt });
        }
        for room in self.rooms.values_mut() {
            room.answered(live.uplink.pongs);
        }
        self.flush_outbox(now);
    }
}

/// The bytes of a frame on the wire, estimated.
fn size(frame: &ClientFrame) -> u64 {
    let text = match frame {
        ClientFrame::Publish { room, body, .. } | ClientFrame::Draft { room, body } => {
            room.as_str().len() + codec::text_bytes(body)
        }
        ClientFrame::Token { token } => token.expose().len(),
        ClientFrame::Join { .. } => ENVELOPE,
        _ => 0,
    };
    (ENVELOPE + text) as u64
}
