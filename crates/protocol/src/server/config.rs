//! What the server's end of a connection is told when it begins.

use std::time::Duration;

use crate::frame::Limits;
use crate::heartbeat::HeartbeatConfig;

/// What a server end can be told.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// How long nothing may be received before a client pings (HB-2). Shorter finds the dead sooner
    /// and costs more; proxies cut idle connections after 60 s.
    pub heartbeat_interval: Duration,
    /// How long an answer may take (HB-2).
    pub heartbeat_timeout: Duration,
    /// How long `hello` may take (RS-1).
    pub hello_timeout: Duration,
    /// How long it may take to find out who said `hello` and to open their session, or to open the room of
    /// who only listens. Shorter than clients wait for `welcome` (RC-5), so that they hear why there is none.
    pub welcome_timeout: Duration,
    /// How long a client waits when the log cannot take its message (EO-7).
    pub unavailable_retry: Duration,
    /// How many publishes may come at once before the rate counts.
    pub publish_burst: u32,
    /// How many points a second the frames of one connection may cost in the long run; what costs how
    /// much is in `allowance.rs`. Over it, less is read.
    pub frames_per_s: u32,
    /// How many of them at once.
    pub frame_burst: u32,
    /// How often rooms hear of a session's new name, after five in a row; of more often ones the latest.
    pub rename_every: Duration,
    /// How many answers of the log, of all kinds, may be outstanding before a frame that calls for another
    /// one waits, and with it what follows it.
    pub pending_max: usize,
    /// How many members of a room are known to the others by name; further ones are counted (PR-3).
    pub members_named: usize,
    /// How long before its end a client is told to renew its token (AC-2). Longer leaves more time for
    /// tries; renewed tokens that are shorter are asked for again at once.
    pub token_warning: Duration,
    /// How long after its token's end a session is still served (AC-2).
    pub token_grace: Duration,
    /// Whether there are tokens that are good here: guests who lack a right that only tokens give are asked for one.
    pub takes_tokens: bool,
    /// What one session may do.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            heartbeat_interval: Duration::from_secs(25),
            heartbeat_timeout: Duration::from_secs(5),
            hello_timeout: Duration::from_secs(10),
            welcome_timeout: Duration::from_secs(9),
            unavailable_retry: Duration::from_secs(2),
            publish_burst: 200,
            // 200 pings, 20 joins or 4 pages of history, again and again: several times of what a person
            // or a program does who reads along.
            frames_per_s: 200,
            // Who comes back joins all of 32 rooms, sends a draft for each and scrolls back 30 pages.
            frame_burst: 2_000,
            rename_every: Duration::from_secs(5),
            pending_max: 64,
            members_named: 100,
            token_warning: Duration::from_secs(60),
            token_grace: Duration::from_secs(30),
            takes_tokens: false,
            limits: Limits::default(),
        }
    }
}

impl Config {
    /// HB-4: in quiet the server asks, a little before the client would, and many of its clients at
    /// once.
    pub(super) fn heartbeat(&self) -> HeartbeatConfig {
        let idle = self.heartbeat_interval * 19 / 20;
        HeartbeatConfig {
            idle,
            first_idle: idle,
            align: self.heartbeat_interval / 100,
            timeout: self.heartbeat_timeout,
            probe_timeout: self.heartbeat_timeout,
            answer_within: None,
        }
    }
}
