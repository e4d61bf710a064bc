//! The configuration of the server's machine.

use std::time::Duration;

use crate::frame::Limits;
use crate::heartbeat::HeartbeatConfig;

/// The configuration of the server's machine. All connections of a server share it.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// How long nothing may be received before a client pings (HB-2). A shorter interval finds dead connections
    /// sooner and costs more; proxies cut idle connections after 60 s.
    pub heartbeat_interval: Duration,
    /// How long an answer may take (HB-2).
    pub heartbeat_timeout: Duration,
    /// How long `hello` may take (RS-1).
    pub hello_timeout: Duration,
    /// How long it may take to authenticate a client and to open its session, or to open a listener's
    /// room. Shorter than clients wait for `welcome` (RC-5), so that they get an error that says why there is none.
    pub welcome_timeout: Duration,
    /// How long a client waits when the log cannot take its message (EO-7).
    pub unavailable_retry: Duration,
    /// How many publishes may come at once before the rate counts.
    pub publish_burst: u32,
    /// How many points a second the frames of one connection may cost in the long run; the costs of frames
    /// are in `allowance.rs`. Over it, less is read.
    pub frames_per_s: u32,
    /// How many of them at once.
    pub frame_burst: u32,
    /// How often a session's new name is announced to its rooms, after five in a row; the latest one wins.
    pub rename_every: Duration,
    /// How many answers of the log, of all kinds, may be owed before a frame that needs another
    /// one waits, and with it what follows it.
    pub pending_max: usize,
    /// How many members of a room are named to the others; further ones are counted (PR-3).
    pub members_named: usize,
    /// How long before its token's end a client gets `renew` (AC-2). A longer time leaves room for more
    /// tries; where the next token lasts shorter than this, `renew` comes at half of its life.
    pub token_warning: Duration,
    /// How long after its token's end a session is still served (AC-2).
    pub token_grace: Duration,
    /// Whether the server takes tokens: then a guest who lacks a right that only tokens give is asked for one.
    pub takes_tokens: bool,
    /// The limits of one session.
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
            // 200 pings, 20 joins or 4 pages of history, again and again: several times what a user who reads
            // along needs.
            frames_per_s: 200,
            // A client that reconnects joins all of 32 rooms, sends a draft for each and scrolls back 30 pages.
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
    /// HB-4: in quiet the server pings, a little before the client would, and many of its clients
    /// together.
    pub(crate) fn heartbeat(&self) -> HeartbeatConfig {
        let idle = self.heartbeat_interval.saturating_mul(19) / 20;
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
