//! The heartbeat of a connection: when to ping, and when the other end counts as dead. Both ends run this code.

mod queue;
#[cfg(test)]
mod tests;

use std::time::Duration;

use self::queue::Ahead;
pub use self::queue::SendQueue;
use crate::time::{Timestamp, millis};

/// The configuration of one end's heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeartbeatConfig {
    /// Nothing received for this long: ping. The client takes `interval` of `welcome`, the server a
    /// little less (HB-3, HB-4).
    pub idle: Duration,
    /// The same for the first ping of the connection only, so that heartbeats spread out (HB-3).
    pub first_idle: Duration,
    /// Such a ping waits for the next multiple of this, so that the pings of many connections leave
    /// together (HB-4). Zero: it does not wait.
    pub align: Duration,
    /// How long the answer to such a ping may take.
    pub timeout: Duration,
    /// How long the answer to a probe may take (HB-6: 2 s), if that is shorter than `timeout`.
    pub probe_timeout: Duration,
    /// The shortest wait for an answer to a sent frame, before a probe (HB-6: 1 s; 4 smoothed
    /// round trips if that is longer). `None`: no such probe, as on the server.
    pub answer_within: Option<Duration>,
}

/// What the owner of a heartbeat must do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    Alive,
    /// Send a ping.
    Ping,
    /// Drop the connection, without a closing handshake (HB-7).
    Dead,
}

/// How late a timer has to fire to be a sign of a sleep or a stalled process, not of the link (HB-9).
const LATE: Duration = Duration::from_secs(1);

/// The time within which a ping is answered on most lines: below it no user need know of a ping. A quarter of the
/// shortest deadline (HB-6).
const USUAL: Duration = Duration::from_millis(500);

/// How long after a ping its deadline may be put off because the line moves (HB-4, HB-6). Only received frames prove
/// that the other end lives (HB-1): sent bytes that leave prove only that something on the way does.
pub const PUT_OFF_MAX: Duration = Duration::from_secs(30);

/// The liveness of one connection.
///
/// A received frame stores a timestamp and moves no timer (HB-8): the driver wakes at the deadline
/// it armed, and [`Heartbeat::handle_timeout`] then says that there is nothing to do yet.
#[derive(Clone, Debug)]
pub struct Heartbeat {
    config: HeartbeatConfig,
    idle: Duration,
    last_received: Timestamp,
    /// When the first frame was sent since the last one was received.
    unanswered_since: Option<Timestamp>,
    /// When the ping was sent whose pong has not come.
    pinged_at: Option<Timestamp>,
    waiting: Option<Waiting>,
    smoothed_rtt: Option<Duration>,
    /// How much longer the answer to a ping sent now may take.
    behind: Duration,
    /// Since when written bytes wait for the other end to take them (HB-4).
    stalled_since: Option<Timestamp>,
    /// What stood in the system's send queue before the ping under way. In a box, as most connections have none.
    ahead: Option<Box<Ahead>>,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    asked_at: Timestamp,
    deadline: Timestamp,
    /// How long the answer usually takes, in milliseconds; a number of four bytes, as each connection has room for it.
    usual_ms: u32,
    /// The deadline passed once during a jump of the clock; the next time the connection is dead.
    reprieved: bool,
}

impl Waiting {
    /// From when on the answer takes longer than usual.
    fn overdue_at(&self) -> Timestamp {
        self.asked_at + Duration::from_millis(u64::from(self.usual_ms))
    }

    /// Puts that off until this time, if it is earlier.
    fn not_overdue_before(&mut self, at: Timestamp) {
        let usual_ms = millis(at - self.asked_at);
        let usual_ms = u32::try_from(usual_ms).unwrap_or(u32::MAX);
        self.usual_ms = self.usual_ms.max(usual_ms);
    }
}

impl Heartbeat {
    /// The heartbeat of a connection that is live since `now`.
    pub const fn new(now: Timestamp, config: HeartbeatConfig) -> Self {
        Self {
            idle: config.first_idle,
            config,
            last_received: now,
            unanswered_since: None,
            pinged_at: None,
            waiting: None,
            smoothed_rtt: None,
            behind: Duration::ZERO,
            stalled_since: None,
            ahead: None,
        }
    }

    /// The connection is live only from now on; whether it is stalled does not change.
    pub fn restart(&mut self, now: Timestamp) {
        *self = Self {
            stalled_since: self.stalled_since.map(|_| now),
            ..Self::new(now, self.config)
        };
    }

    /// Takes the time of a received frame: the other end lives, whatever the frame is (HB-1).
    pub fn on_received(&mut self, now: Timestamp) {
        self.last_received = now;
        self.unanswered_since = None;
        self.waiting = None;
        self.ahead = None;
    }

    /// Takes a pong. Returns the round trip if a ping was under way.
    pub fn on_pong(&mut self, now: Timestamp) -> Option<Duration> {
        self.on_received(now);
        let rtt = now - self.pinged_at.take()?;
        self.sample_rtt(rtt);
        Some(rtt)
    }

    /// Takes a round trip measured otherwise, such as that of a slow `hello`.
    pub fn sample_rtt(&mut self, rtt: Duration) {
        // RFC 6298 section 2: alpha = 1/8.
        self.smoothed_rtt = Some(match self.smoothed_rtt {
            None => rtt,
            Some(smoothed) => smoothed.saturating_mul(7).saturating_add(rtt) / 8,
        });
    }

    /// Takes the time of a sent frame. It proves nothing (HB-1), but an answer becomes due.
    pub fn on_sent(&mut self, now: Timestamp) {
        self.unanswered_since.get_or_insert(now);
    }

    /// Sets how long a slow line needs for the bytes before a ping sent now. Its deadline is put off by that, as this
    /// end's own backlog tells nothing about the other end (HB-6).
    pub const fn set_behind(&mut self, behind: Duration) {
        self.behind = behind;
    }

    /// Some sent bytes have left the socket: the line moves, and the deadline of a ping that may still be in the
    /// socket begins anew, within `PUT_OFF_MAX` (HB-6).
    pub fn on_left(&mut self, now: Timestamp) {
        let deadline = now + self.probe_timeout() + self.behind;
        let overdue_at = now + self.usual() + self.behind;
        if let Some(waiting) = &mut self.waiting {
            let deadline = deadline.min(waiting.asked_at + PUT_OFF_MAX);
            waiting.deadline = waiting.deadline.max(deadline);
            waiting.not_overdue_before(overdue_at);
        }
    }

    /// Sets whether written bytes wait for the other end to take them. Meanwhile it is neither asked nor given up, as
    /// it cannot answer what it has not got (HB-4). That it takes bytes is no sign of life (HB-1): after the stall the
    /// wait for an answer goes on where it was, or begins anew, as in [`Heartbeat::on_left`].
    pub fn set_stalled(&mut self, now: Timestamp, is_stalled: bool) {
        if is_stalled {
            self.stalled_since.get_or_insert(now);
            return;
        }
        let Some(since) = self.stalled_since.take() else {
            return;
        };
        if let Some(waiting) = &mut self.waiting {
            waiting.asked_at = waiting.asked_at + (now - since);
            waiting.deadline = waiting.deadline + (now - since);
        }
        self.on_left(now);
    }

    /// Whether the system's send queue matters now, to [`Heartbeat::on_send_queue`]: before a ping that may stand
    /// behind other frames in it, and before the verdict on such a ping. In quiet it never does.
    pub fn wants_send_queue(&self, now: Timestamp) -> bool {
        match &self.waiting {
            _ if self.stalled_since.is_some() => false,
            Some(waiting) => self.ahead.is_some() && now >= waiting.deadline,
            None => self.unanswered_since.is_some() && now >= self.idle_due(),
        }
    }

    /// Takes the system's send queue, from which a slow reader takes what was written long ago: the driver's own
    /// writes do not wait for it. As long as the other end takes what stands before a ping, the ping's timeout begins
    /// anew (HB-4).
    pub fn on_send_queue(&mut self, now: Timestamp, queue: SendQueue) {
        let Some(waiting) = &mut self.waiting else {
            self.ahead = Some(Box::new(Ahead::of(queue)));
            return;
        };
        if let Some(ahead) = &mut self.ahead
            && now >= waiting.deadline
            && ahead.moves(queue)
        {
            waiting.asked_at = now;
            waiting.deadline = now + self.config.timeout;
        }
    }

    /// Puts off the verdict on a ping under way that was sent since then, as its answer comes after another one that is
    /// owed: its deadline is not before `until`.
    pub fn put_off(&mut self, since: Timestamp, until: Timestamp) {
        if let Some(waiting) = self.waiting.as_mut().filter(|it| it.asked_at >= since) {
            waiting.deadline = waiting.deadline.max(until);
            waiting.not_overdue_before(until);
        }
    }

    /// The answer may have come, but was not read: asks again instead of giving up.
    pub fn ask_again(&mut self, now: Timestamp) -> Verdict {
        self.ping(now, self.config.timeout, false)
    }

    /// Asks, with a short deadline, as an event made the link doubtful (HB-6).
    pub fn probe(&mut self, now: Timestamp) -> Verdict {
        let deadline = now + self.probe_timeout() + self.behind;
        match &mut self.waiting {
            Some(waiting) => {
                waiting.deadline = waiting.deadline.min(deadline);
                Verdict::Alive
            }
            None => self.ping(now, self.probe_timeout(), false),
        }
    }

    /// Decides what is due by now. Early and repeated calls are harmless.
    pub fn handle_timeout(&mut self, now: Timestamp) -> Verdict {
        match self.waiting {
            _ if self.stalled_since.is_some() => Verdict::Alive,
            Some(waiting) if now < waiting.deadline => Verdict::Alive,
            Some(waiting) if now - waiting.deadline >= LATE && !waiting.reprieved => {
                self.ping(now, self.probe_timeout(), true)
            }
            Some(_) => Verdict::Dead,
            None if self.answer_due().is_some_and(|due| now >= due) => {
                self.ping(now, self.probe_timeout(), false)
            }
            None if now >= self.idle_due() => {
                let late = now - self.idle_due() >= LATE;
                let timeout = if late {
                    self.probe_timeout()
                } else {
                    self.config.timeout
                };
                self.ping(now, timeout, false)
            }
            None => Verdict::Alive,
        }
    }

    /// When to call [`Heartbeat::handle_timeout`] next; `None` while the connection is stalled.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        match self.waiting {
            _ if self.stalled_since.is_some() => None,
            Some(waiting) => Some(waiting.deadline),
            None => self.answer_due().into_iter().chain([self.idle_due()]).min(),
        }
    }

    /// From when on the answer to a `ping` takes longer than usual: a client's user may know that the connection is
    /// being checked. `None` if no answer is owed.
    pub fn overdue_from(&self) -> Option<Timestamp> {
        self.waiting.as_ref().map(Waiting::overdue_at)
    }

    /// When the last frame was received; before the first one, when the connection opened.
    pub const fn heard_at(&self) -> Timestamp {
        self.last_received
    }

    /// The smoothed round trip, once one was measured.
    pub const fn smoothed_rtt(&self) -> Option<Duration> {
        self.smoothed_rtt
    }

    fn ping(&mut self, now: Timestamp, timeout: Duration, reprieved: bool) -> Verdict {
        self.idle = self.config.idle;
        self.pinged_at = Some(now);
        let mut waiting = Waiting {
            asked_at: now,
            deadline: now + timeout + self.behind,
            usual_ms: 0,
            reprieved,
        };
        waiting.not_overdue_before(now + self.usual() + self.behind);
        self.waiting = Some(waiting);
        Verdict::Ping
    }

    /// The timeout of a probe: at most that of a ping in quiet, so a dead link in use is found no later (HB-3).
    fn probe_timeout(&self) -> Duration {
        let slow = self.smoothed_rtt.unwrap_or_default().saturating_mul(4);
        self.config.probe_timeout.max(slow).min(self.config.timeout)
    }

    fn idle_due(&self) -> Timestamp {
        (self.last_received + self.idle).align(self.config.align)
    }

    fn answer_due(&self) -> Option<Timestamp> {
        let patience = self.config.answer_within?;
        let patience = patience.max(self.smoothed_rtt.unwrap_or_default().saturating_mul(4));
        Some(self.unanswered_since? + patience)
    }

    /// The longest time that the answer to a ping usually takes.
    fn usual(&self) -> Duration {
        USUAL.max(self.smoothed_rtt.unwrap_or_default().saturating_mul(4))
    }
}
