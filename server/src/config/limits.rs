//! Options of limits, allowed origins and trusted proxies.

use std::env;
use std::time::Duration;

use clap::{Args, ValueEnum};
use everbeat_axum::address::ForwardedBy;
use everbeat_axum::everbeat::HttpConfig;
use everbeat_axum::hub::trace::TraceConfig;
use everbeat_axum::limits::LimitsConfig;
use everbeat_axum::origin::Origin;
use ipnet::IpNet;

use super::duration;

/// Enough for some hundred addresses: without any memory there would be no limit.
const RATE_BYTES_MIN: u64 = 64 * 1024;

/// What is refused.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Limits")]
pub struct LimitOptions {
    /// Connections held at once; more are answered 503
    #[arg(
        long,
        env = "EVERBEAT_CONNECTIONS",
        default_value_t = HttpConfig::default().connections,
        value_name = "COUNT"
    )]
    pub connections: usize,

    /// Connections held at once from one address, or one /64 of IPv6; more are answered 503. An office or a
    /// mobile network may share one. 0: no limit
    #[arg(
        long,
        env = "EVERBEAT_CONNECTIONS_PER_ADDRESS",
        default_value_t = LimitsConfig::default().connections_per_address,
        value_name = "COUNT"
    )]
    pub connections_per_address: usize,

    /// TCP connections on which no WebSocket has begun, of all addresses together; more are closed at once, so that
    /// there are descriptors left for those who are there. 0: no limit
    #[arg(
        long,
        env = "EVERBEAT_HANDSHAKES",
        default_value_t = LimitsConfig::default().handshakes,
        value_name = "COUNT"
    )]
    pub handshakes: usize,

    /// The same from one address, or one /64 of IPv6; more are closed at once. 0: no
    /// limit. Proxies that are trusted may have any number
    #[arg(
        long,
        env = "EVERBEAT_HANDSHAKES_PER_ADDRESS",
        default_value_t = LimitsConfig::default().handshakes_per_address,
        value_name = "COUNT"
    )]
    pub handshakes_per_address: usize,

    /// Requests a second from one address in the long run, ten times as many at once; more are answered
    /// 429. Each connection begins with one. 0: no limit
    #[arg(
        long,
        env = "EVERBEAT_REQUESTS_PER_ADDRESS",
        default_value_t = LimitsConfig::default().requests_per_address,
        value_name = "PER_SECOND"
    )]
    pub requests_per_address: u32,

    /// Messages a second that one person may publish in the long run, over all of their sessions, four
    /// times as many at once; faster ones have to wait. 0: no limit
    #[arg(
        long,
        env = "EVERBEAT_PUBLISHES_PER_PERSON",
        default_value_t = LimitsConfig::default().publishes_per_person,
        value_name = "PER_SECOND"
    )]
    pub publishes_per_person: u32,

    /// Messages a second that may be published from one address in the long run, four times as many at
    /// once: guests have nothing else that holds them all together. 0: no limit
    #[arg(
        long,
        env = "EVERBEAT_PUBLISHES_PER_ADDRESS",
        default_value_t = LimitsConfig::default().publishes_per_address,
        value_name = "PER_SECOND"
    )]
    pub publishes_per_address: u32,

    /// What the frames may cost a second that one person sends over all of their connections, in points (see
    /// --frames), ten times as much at once; over it, less is read from each. 0: no limit
    #[arg(
        long,
        env = "EVERBEAT_FRAMES_PER_PERSON",
        default_value_t = LimitsConfig::default().frames_per_person,
        value_name = "POINTS"
    )]
    pub frames_per_person: u32,

    /// The same for one address, or one /64 of IPv6: a thousand people who come back at once and join three
    /// rooms each, or type all at the same time, stay below it. 0: no limit
    #[arg(
        long,
        env = "EVERBEAT_FRAMES_PER_ADDRESS",
        default_value_t = LimitsConfig::default().frames_per_address,
        value_name = "POINTS"
    )]
    pub frames_per_address: u32,

    /// What addresses and people did lately is kept for each of the rates above, 120 bytes for an address: at most
    /// so many bytes for each. The default holds more addresses than there may be connections. Beyond, what
    /// did nothing for longest is forgotten, and may do as much as one that is new
    #[arg(
        long,
        env = "EVERBEAT_RATE_BYTES",
        default_value_t = LimitsConfig::default().rate_bytes,
        value_parser = clap::value_parser!(u64).range(RATE_BYTES_MIN..),
        value_name = "BYTES"
    )]
    pub rate_bytes: u64,

    /// Sessions of one address of whose beginning and end the journal tells in a minute; of further ones it
    /// tells how many they were. 0: all
    #[arg(
        long,
        env = "EVERBEAT_SESSION_LINES",
        default_value_t = LimitsConfig::default().session_lines,
        value_name = "COUNT"
    )]
    pub session_lines: u32,

    /// Sessions that are let in a second when very many come at once; the rest wait in a queue, or get a slot to
    /// reconnect. 0: no limit
    #[arg(
        long,
        env = "EVERBEAT_HELLOS",
        default_value_t = LimitsConfig::default().hellos,
        value_name = "PER_SECOND"
    )]
    pub hellos: u32,

    /// How long a session may wait in that queue
    #[arg(
        long,
        alias = "hello-line",
        env = variable("EVERBEAT_HELLO_QUEUE", "EVERBEAT_HELLO_LINE"),
        default_value = "2s",
        value_name = "TIME",
        value_parser = duration
    )]
    pub hello_queue: Duration,

    /// Watchers of sessions (GET /api/sessions/ID/trace), of all sessions together; more are answered 503. 0: no
    /// limit
    #[arg(
        long,
        env = "EVERBEAT_TRACE_WATCHERS",
        default_value_t = TraceConfig::default().watchers,
        value_name = "COUNT"
    )]
    pub trace_watchers: usize,

    /// The same of one session. 0: no limit
    #[arg(
        long,
        env = "EVERBEAT_TRACE_WATCHERS_PER_SESSION",
        default_value_t = TraceConfig::default().watchers_per_session,
        value_name = "COUNT"
    )]
    pub trace_watchers_per_session: usize,

    /// What is kept of a session that is watched: at most so many bytes of the newest entries. Beyond, the oldest are
    /// dropped, and a watcher that has not read them learns how many they were
    #[arg(
        long,
        env = "EVERBEAT_TRACE_BYTES",
        default_value_t = TraceConfig::default().bytes,
        value_name = "BYTES"
    )]
    pub trace_bytes: usize,

    /// Other sites whose pages may open sessions here, as `https://example.org`; several with commas
    #[arg(
        long,
        env = "EVERBEAT_ALLOWED_ORIGINS",
        value_delimiter = ',',
        value_name = "ORIGIN,…"
    )]
    pub allowed_origins: Vec<Origin>,

    /// Proxies that are believed where a request comes from, and whether it came by HTTPS
    #[arg(
        long,
        env = "EVERBEAT_TRUSTED_PROXIES",
        value_delimiter = ',',
        default_value = "127.0.0.0/8,::1/128",
        value_name = "NETWORK,…"
    )]
    pub trusted_proxies: Vec<IpNet>,

    /// In which headers they say so: X-Forwarded-For and X-Forwarded-Proto, or Forwarded (RFC 7239). The
    /// other kind is not looked at, as proxies pass on what their clients write there
    #[arg(long, env = "EVERBEAT_FORWARDED_BY", value_enum, default_value_t = ForwardedHeaders::XForwarded)]
    pub forwarded_by: ForwardedHeaders,
}

/// The headers of `--forwarded-by`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ForwardedHeaders {
    /// `X-Forwarded-For` and `X-Forwarded-Proto`.
    XForwarded,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

impl From<ForwardedHeaders> for ForwardedBy {
    fn from(headers: ForwardedHeaders) -> Self {
        match headers {
            ForwardedHeaders::XForwarded => Self::XForwarded,
            ForwardedHeaders::Forwarded => Self::Forwarded,
        }
    }
}

impl LimitOptions {
    /// How many may watch sessions, and what is kept for them.
    pub fn traces(&self) -> TraceConfig {
        TraceConfig {
            watchers: self.trace_watchers,
            watchers_per_session: self.trace_watchers_per_session,
            bytes: self.trace_bytes,
        }
    }

    /// The limits that hold over more than one connection.
    pub fn shared(&self) -> LimitsConfig {
        LimitsConfig {
            connections_per_address: self.connections_per_address,
            handshakes: self.handshakes,
            handshakes_per_address: self.handshakes_per_address,
            requests_per_address: self.requests_per_address,
            publishes_per_person: self.publishes_per_person,
            publishes_per_address: self.publishes_per_address,
            frames_per_person: self.frames_per_person,
            frames_per_address: self.frames_per_address,
            rate_bytes: self.rate_bytes,
            session_lines: self.session_lines,
            hellos: self.hellos,
            hello_queue: self.hello_queue,
        }
    }
}

/// The environment variable of an option: the name that it had before, where only that one is set.
fn variable(name: &'static str, before: &'static str) -> &'static str {
    let is_set = |name| env::var_os(name).is_some();
    if is_set(before) && !is_set(name) {
        before
    } else {
        name
    }
}
