//! The server's configuration: every option, from the command line and the environment.

mod access;
mod admin;
#[cfg(feature = "nats")]
mod cluster;
mod limits;
mod nodes;
mod tls;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use clap::builder::BoolishValueParser;
use everbeat_axum::access::AuthenticatorConfig;
use everbeat_axum::answers::ANSWER_BYTES;
use everbeat_axum::everbeat::HttpConfig;
use everbeat_axum::housekeeping::RetentionConfig;
use everbeat_axum::hub::HubConfig;
use everbeat_axum::hub::tails::TAILS_BYTES;
use everbeat_axum::log::PAGE_BYTES;
use protocol::address::AddressError;
use protocol::frame::{Limits, RECEIVED_BYTES_MAX};
use protocol::id::Token;
use protocol::presence::pace::FAN_OUT_BYTES;
use thiserror::Error;

use crate::listener::ListenerConfig;
use crate::serve::AcceptorConfig;

pub use self::access::{AccessOptions, Switch};
pub use self::admin::{Admin, AdminOptions, LogFormat};
#[cfg(feature = "nats")]
pub use self::cluster::{
    Addresses, AddressesError, ClusterConfig, ClusterError, ClusterOptions, SyncPolicy,
};
pub use self::limits::{ForwardedHeaders, LimitOptions};
pub(crate) use self::nodes::peer;
pub use self::nodes::{NodeOptions, node_address};
pub use self::tls::TlsOptions;

/// Everbeat's server: sessions over WebSockets that survive what happens to connections.
///
/// Every option can also be set by the environment variable named beside it.
#[derive(Clone, Debug, Parser)]
#[command(name = "everbeat", version)]
pub struct Config {
    /// Address and port to serve on; port 0 takes a free one
    #[arg(
        long,
        env = "EVERBEAT_LISTEN",
        default_value = "127.0.0.1:8080",
        value_name = "ADDR:PORT"
    )]
    pub listen: SocketAddr,

    /// Take connections together with another server on the same port, which is going or coming
    /// (SO_REUSEPORT): so the next one can begin before the last one has ended
    #[arg(long, env = "EVERBEAT_REUSE_PORT", value_parser = BoolishValueParser::new())]
    pub reuse_port: bool,

    /// How long to wait for the log while another server still uses it: with --reuse-port, or where the
    /// socket was handed over (LISTEN_FDS). At least as long as that one drains
    #[arg(long, env = "EVERBEAT_AWAIT_LOG", default_value = "60s", value_name = "TIME", value_parser = duration)]
    pub await_log: Duration,

    /// Directory of the log, made if it is missing; one server at a time uses it
    #[arg(
        long,
        global = true,
        env = "EVERBEAT_DATA",
        default_value = "data",
        value_name = "DIR"
    )]
    pub data: PathBuf,

    /// Directory of the compiled site. A program that has the site inside (make dist) lays it into the
    /// data directory, unless another one is named here
    #[arg(
        long,
        env = "LEPTOS_SITE_ROOT",
        default_value = Self::SITE_ROOT,
        value_name = "DIR"
    )]
    pub site_root: PathBuf,

    /// Silence after which a client pings. Shorter notices the dead sooner and costs more; many proxies
    /// cut connections after 60s of silence
    #[arg(long, env = "EVERBEAT_HEARTBEAT_INTERVAL", default_value = "25s", value_name = "TIME", value_parser = duration)]
    pub heartbeat_interval: Duration,

    /// How long the answer to a ping may take before the other end counts as dead
    #[arg(long, env = "EVERBEAT_HEARTBEAT_TIMEOUT", default_value = "5s", value_name = "TIME", value_parser = duration)]
    pub heartbeat_timeout: Duration,

    /// How long a new connection may take to say hello
    #[arg(long, env = "EVERBEAT_HELLO_TIMEOUT", default_value = "10s", value_name = "TIME", value_parser = duration)]
    pub hello_timeout: Duration,

    /// How long the head of an HTTP request may take to arrive
    #[arg(long, env = "EVERBEAT_HEADER_TIMEOUT", default_value = "10s", value_name = "TIME", value_parser = duration)]
    pub header_timeout: Duration,

    /// How long the body of an HTTP request may take to arrive; a slower one is answered 408
    #[arg(long, env = "EVERBEAT_BODY_TIMEOUT", default_value = "30s", value_name = "TIME", value_parser = duration)]
    pub body_timeout: Duration,

    /// How long one write to a slow reader may make no progress before the connection is dropped
    #[arg(long, env = "EVERBEAT_WRITE_TIMEOUT", default_value = "30s", value_name = "TIME", value_parser = duration)]
    pub write_timeout: Duration,

    /// On SIGTERM: how long connections are still served. Clients come back within as long a time after that,
    /// but for its first half second, in which the next server starts
    #[arg(long, env = "EVERBEAT_DRAIN", default_value = "2s", value_name = "TIME", value_parser = duration)]
    pub drain: Duration,

    /// How long a session without a connection can be resumed
    #[arg(long, env = "EVERBEAT_SESSION_TTL", default_value = "7d", value_name = "TIME", value_parser = duration)]
    pub session_ttl: Duration,

    /// The same for a session that never published anything: nothing is lost with it, and anyone can
    /// make very many
    #[arg(long, env = "EVERBEAT_UNUSED_SESSION_TTL", default_value = "45m", value_name = "TIME", value_parser = duration)]
    pub unused_session_ttl: Duration,

    /// How long the key of a message that came over HTTP is known (Idempotency-Key): a repeat after that
    /// is a new message
    #[arg(long, env = "EVERBEAT_IDEMPOTENCY_TTL", default_value = "24h", value_name = "TIME", value_parser = duration)]
    pub idempotency_ttl: Duration,

    /// Largest frame from a client; a larger one closes its connection
    #[arg(long, env = "EVERBEAT_FRAME_BYTES", default_value_t = Limits::default().frame_bytes, value_name = "BYTES")]
    pub frame_bytes: u32,

    /// Largest text of a message or draft; a larger message is refused for good. Pages take frames of 4 MiB: with
    /// escapes, texts of 680 kB
    #[arg(long, env = "EVERBEAT_BODY_BYTES", default_value_t = Limits::default().body_bytes, value_name = "BYTES")]
    pub body_bytes: u32,

    /// Rooms that one session may be in at once
    #[arg(long, env = "EVERBEAT_ROOMS", default_value_t = Limits::default().rooms, value_name = "COUNT")]
    pub rooms: u32,

    /// Members of a room that the others know by name; further ones are counted, and news of who is
    /// there then comes once a second
    #[arg(
        long,
        env = "EVERBEAT_MEMBERS_NAMED",
        default_value_t = protocol::server::Config::default().members_named,
        value_name = "COUNT"
    )]
    pub members_named: usize,

    /// Messages a second that one session may publish in the long run; faster ones have to wait
    #[arg(long, env = "EVERBEAT_PUBLISHES", default_value_t = Limits::default().publishes_per_s, value_name = "PER_SECOND")]
    pub publishes: u32,

    /// Messages that one session may publish at once before that rate counts
    #[arg(
        long,
        env = "EVERBEAT_PUBLISH_BURST",
        default_value_t = 200,
        value_name = "COUNT"
    )]
    pub publish_burst: u32,

    /// What the frames of one connection may cost a second in the long run, in points: 1 for any frame, 10 for
    /// one of which a room hears, 50 for one that is answered with a page of the log. Over it, less is read
    #[arg(long, env = "EVERBEAT_FRAMES", default_value_t = protocol::server::Config::default().frames_per_s, value_name = "POINTS")]
    pub frames: u32,

    /// What they may cost at once before that rate counts
    #[arg(long, env = "EVERBEAT_FRAME_BURST", default_value_t = protocol::server::Config::default().frame_burst, value_name = "POINTS")]
    pub frame_burst: u32,

    /// How often rooms hear of a session's new name, after five in a row; of more often ones the latest is told
    #[arg(long, env = "EVERBEAT_RENAME_EVERY", default_value = "5s", value_name = "TIME", value_parser = duration)]
    pub rename_every: Duration,

    /// Drafts a second that one session may send; of faster ones the latest is shown
    #[arg(long, env = "EVERBEAT_DRAFTS", default_value_t = Limits::default().drafts_per_s, value_name = "PER_SECOND")]
    pub drafts: u32,

    /// Older messages that one request may ask for
    #[arg(long, env = "EVERBEAT_HISTORY_PAGE", default_value_t = Limits::default().history, value_name = "COUNT")]
    pub history_page: u32,

    /// Messages read from the log at once, in bytes as they are sent: of larger ones a page has fewer, but
    /// always one
    #[arg(long, env = "EVERBEAT_PAGE_BYTES", default_value_t = PAGE_BYTES, value_name = "BYTES")]
    pub page_bytes: u32,

    /// Messages kept in each room's log; older ones are trimmed, and readers told of the gap
    #[arg(
        long,
        env = "EVERBEAT_HISTORY",
        default_value_t = 100_000,
        value_name = "COUNT"
    )]
    pub history: u64,

    /// How long messages are kept in a room's log, as far as there is room for them; readers are told of the
    /// gap. 0: for as long as there is room
    #[arg(long, env = "EVERBEAT_HISTORY_AGE", default_value = "0s", value_name = "TIME", value_parser = duration)]
    pub history_age: Duration,

    /// Memory for what was read from the log for those who were away: many who come back at once want
    /// the same. The least wanted goes first; 0 reads anew for each of them
    #[arg(
        long,
        env = "EVERBEAT_REPLAY_BYTES",
        default_value_t = HubConfig::default().replay_bytes,
        value_name = "BYTES"
    )]
    pub replay_bytes: u64,

    /// Memory for what was read for a client and is not written to its connection yet, of all connections
    /// together; one address may have a quarter of it. What does not fit waits some seconds for its turn, and
    /// is then to be asked for again
    #[arg(long, env = "EVERBEAT_ANSWER_BYTES", default_value_t = ANSWER_BYTES, value_name = "BYTES")]
    pub answer_bytes: usize,

    /// Memory for the newest messages of rooms in use, and for what is typed there, of all rooms
    /// together. Where it is full, the rooms in which nothing was said for longest are read from the log again
    #[arg(long, env = "EVERBEAT_TAIL_BYTES", default_value_t = TAILS_BYTES, value_name = "BYTES")]
    pub tail_bytes: usize,

    /// Bytes of drafts and members a second that readers of all rooms together are told. Where a room with many
    /// readers needs more, they are told later, and the newest; a room of a few never waits
    #[arg(long, env = "EVERBEAT_FAN_OUT_BYTES", default_value_t = FAN_OUT_BYTES, value_name = "BYTES")]
    pub fan_out_bytes: u32,

    /// Authentication and rights.
    #[command(flatten)]
    pub access: AccessOptions,

    /// Limits.
    #[command(flatten)]
    pub limits: LimitOptions,

    /// For the operator.
    #[command(flatten)]
    pub operation: AdminOptions,

    /// TLS, where no proxy in front does it.
    #[command(flatten)]
    pub tls: TlsOptions,

    /// Other nodes.
    #[command(flatten)]
    pub nodes: NodeOptions,

    /// Many nodes.
    #[cfg(feature = "nats")]
    #[command(flatten)]
    pub cluster: ClusterOptions,
}

/// Clients wait for `welcome` for 10 s (RC-5), of which the log may need some.
const HELLO_QUEUE_MAX: Duration = Duration::from_secs(8);

/// The most bytes of a page that clients can take, with the frame around it.
const PAGE_BYTES_MAX: u32 = RECEIVED_BYTES_MAX - 4096;

/// Options that do not work together.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// The next ping would be due before the last one is given up.
    #[error(
        "--heartbeat-timeout ({timeout:?}) must not be longer than --heartbeat-interval ({interval:?})"
    )]
    Heartbeat {
        /// The interval given.
        interval: Duration,
        /// The timeout given.
        timeout: Duration,
    },
    /// A text of the allowed size might not fit into a frame.
    #[error(
        "--frame-bytes must be at least {least}: six times --body-bytes, as every character may need an escape, or a \
         token, and 1024"
    )]
    Frame {
        /// The smallest frame limit for that body limit.
        least: u64,
    },
    /// A page might be larger than the frames that clients take.
    #[error("--page-bytes must be at most {max}: clients take no larger frames", max = PAGE_BYTES_MAX)]
    Page,
    /// Clients would give up while they wait in the queue.
    #[error("--hello-queue must be at most {max:?}: clients wait for 10s", max = HELLO_QUEUE_MAX)]
    HelloQueue,
    /// No client could be admitted.
    #[error("--guests off needs --token-keys: without both no client can connect")]
    Nobody,
    /// Addresses that do not belong together.
    #[error("--addresses: {0}")]
    Addresses(#[from] AddressError),
    /// An option that must not be zero.
    #[error("{0} must be more than zero")]
    Zero(&'static str),
    /// Each node would know its own guests only.
    #[cfg(feature = "nats")]
    #[error(
        "--engine needs --guest-key-file, a file of 32 random bytes that all nodes have, or --guests off: each node has to \
         know the guests of the others (head -c 32 /dev/urandom > guests.key makes one)"
    )]
    GuestKey,
    /// Options of the cluster.
    #[cfg(feature = "nats")]
    #[error(transparent)]
    Cluster(#[from] ClusterError),
}

impl Config {
    /// Where `cargo leptos build` leaves the site.
    pub const SITE_ROOT: &'static str = "target/site";

    /// Refuses combinations that cannot work.
    ///
    /// # Errors
    /// [`ConfigError`]: it names the options.
    pub fn check(&self) -> Result<(), ConfigError> {
        for (name, is_zero) in [
            ("--heartbeat-interval", self.heartbeat_interval.is_zero()),
            ("--heartbeat-timeout", self.heartbeat_timeout.is_zero()),
            ("--hello-timeout", self.hello_timeout.is_zero()),
            ("--header-timeout", self.header_timeout.is_zero()),
            ("--body-timeout", self.body_timeout.is_zero()),
            ("--write-timeout", self.write_timeout.is_zero()),
            ("--idempotency-ttl", self.idempotency_ttl.is_zero()),
            ("--body-bytes", self.body_bytes == 0),
            ("--rooms", self.rooms == 0),
            ("--publishes", self.publishes == 0),
            ("--drafts", self.drafts == 0),
            ("--frames", self.frames == 0),
            ("--frame-burst", self.frame_burst == 0),
            ("--unused-session-ttl", self.unused_session_ttl.is_zero()),
            ("--token-refresh", self.access.token_refresh.is_zero()),
            ("--history-page", self.history_page == 0),
            ("--page-bytes", self.page_bytes == 0),
            ("--answer-bytes", self.answer_bytes == 0),
            ("--tail-bytes", self.tail_bytes == 0),
            ("--fan-out-bytes", self.fan_out_bytes == 0),
            ("--history", self.history == 0),
            ("--trace-bytes", self.limits.trace_bytes == 0),
            ("--tls-look", self.tls.tls_look.is_zero()),
        ] {
            if is_zero {
                return Err(ConfigError::Zero(name));
            }
        }
        let (interval, timeout) = (self.heartbeat_interval, self.heartbeat_timeout);
        if timeout > interval {
            return Err(ConfigError::Heartbeat { interval, timeout });
        }
        if !self.access.guests.is_on() && self.access.token_keys.is_none() {
            return Err(ConfigError::Nobody);
        }
        if self.page_bytes > PAGE_BYTES_MAX {
            return Err(ConfigError::Page);
        }
        if self.limits.hello_queue > HELLO_QUEUE_MAX {
            return Err(ConfigError::HelloQueue);
        }
        self.nodes.check()?;
        let token_bytes = Token::BYTES_MAX as u64;
        let least = token_bytes.max(u64::from(self.body_bytes) * 6) + 1024;
        if u64::from(self.frame_bytes) < least {
            return Err(ConfigError::Frame { least });
        }
        #[cfg(feature = "nats")]
        if self.cluster.cluster()?.is_some()
            && self.access.guests.is_on()
            && self.access.guest_key_file.is_none()
        {
            return Err(ConfigError::GuestKey);
        }
        Ok(())
    }

    /// The path of the log's database.
    pub fn database(&self) -> PathBuf {
        self.data.join("everbeat.db")
    }

    /// The authenticator's configuration: which tokens and guests are admitted.
    pub fn authenticator(&self) -> AuthenticatorConfig {
        AuthenticatorConfig {
            tokens: self.access.tokens(),
            token_cookie: self.access.token_cookie.clone(),
            guests: self.access.guest_rights(),
            data: self.data.clone(),
            guest_key: self.access.guest_key_file.clone(),
        }
    }

    /// The configuration of sockets and requests.
    pub fn http(&self) -> HttpConfig {
        let limits = &self.limits;
        HttpConfig {
            connections: limits.connections,
            body_timeout: self.body_timeout,
            write_timeout: self.write_timeout,
            traces: limits.traces(),
            allowed_origins: limits.allowed_origins.clone(),
            trusted_proxies: limits.trusted_proxies.clone(),
            forwarded_by: limits.forwarded_by.into(),
        }
    }

    /// The configuration of the acceptor.
    pub fn acceptor(&self) -> AcceptorConfig {
        AcceptorConfig {
            header_timeout: self.header_timeout,
            write_timeout: self.write_timeout,
            heartbeat: self
                .heartbeat_interval
                .saturating_add(self.heartbeat_timeout),
            http: Arc::new(self.http()),
        }
    }

    /// The configuration of the listener.
    pub fn listener(&self) -> ListenerConfig {
        ListenerConfig {
            address: self.listen,
            reuse_port: self.reuse_port,
            drain: self.drain,
            data: self.data.clone(),
            tls: self.tls.files(),
        }
    }

    /// The configuration of the hub.
    pub fn hub(&self) -> HubConfig {
        HubConfig {
            members_named: self.members_named,
            tail_bytes: self.tail_bytes,
            fan_out_bytes: self.fan_out_bytes,
            replay_bytes: self.replay_bytes,
            answer_bytes: self.answer_bytes,
            page_bytes: self.page_bytes,
        }
    }

    /// How long the log keeps what.
    pub fn retention(&self) -> RetentionConfig {
        RetentionConfig {
            history: self.history_age,
            sessions: self.session_ttl,
            unused_sessions: self.unused_session_ttl,
            post_keys: self.idempotency_ttl,
        }
    }

    /// What the pure core needs to know.
    pub fn protocol(&self) -> protocol::server::Config {
        protocol::server::Config {
            heartbeat_interval: self.heartbeat_interval,
            heartbeat_timeout: self.heartbeat_timeout,
            hello_timeout: self.hello_timeout,
            publish_burst: self.publish_burst,
            frames_per_s: self.frames,
            frame_burst: self.frame_burst,
            rename_every: self.rename_every,
            members_named: self.members_named,
            token_warning: self.access.token_warning,
            token_grace: self.access.token_grace,
            takes_tokens: self.access.token_keys.is_some(),
            limits: Limits {
                frame_bytes: self.frame_bytes,
                body_bytes: self.body_bytes,
                rooms: self.rooms,
                publishes_per_s: self.publishes,
                drafts_per_s: self.drafts,
                history: self.history_page,
            },
            ..protocol::server::Config::default()
        }
    }
}

fn duration(text: &str) -> Result<Duration, humantime::DurationError> {
    humantime::parse_duration(text)
}

#[cfg(test)]
mod tests {
    use everbeat_axum::limits::LimitsConfig;

    use super::*;

    fn config(options: &[&str]) -> Config {
        Config::parse_from([&["everbeat"], options].concat())
    }

    #[test]
    fn the_defaults_work_together() {
        assert_eq!(config(&[]).check(), Ok(()));
    }

    /// An application with the library gets what a server without options does.
    #[test]
    fn the_librarys_defaults_are_these() {
        let config = config(&[]);
        assert_eq!(config.http(), HttpConfig::default());
        assert_eq!(config.limits.shared(), LimitsConfig::default());
        assert_eq!(config.retention(), RetentionConfig::default());
        assert_eq!(config.hub(), HubConfig::default());
    }

    #[test]
    fn no_time_at_all_is_said_with_and_without_a_unit() {
        for none in ["0", "0s"] {
            assert_eq!(config(&["--history-age", none]).history_age, Duration::ZERO);
        }
        assert_eq!(config(&["--history-age", "30d"]).check(), Ok(()));
    }

    /// AC-3: each node has to know the guests of the others, so a node does not make a key of its own.
    #[cfg(feature = "nats")]
    #[test]
    fn a_node_that_takes_guests_needs_their_key() {
        let node = ["--engine", "nats://a:4222", "--node", "a"];
        let check = |more: &[&str]| config(&[&node, more].concat()).check();
        assert_eq!(check(&[]), Err(ConfigError::GuestKey));
        assert_eq!(check(&["--guest-key-file", "k"]), Ok(()));
        assert_eq!(check(&["--guests", "off", "--token-keys", "k"]), Ok(()));
    }

    #[test]
    fn combinations_that_cannot_work_are_refused() {
        let beat = config(&["--heartbeat-interval", "1s", "--heartbeat-timeout", "2s"]).check();
        assert!(matches!(beat, Err(ConfigError::Heartbeat { .. })));
        let frame = config(&["--frame-bytes", "8192"]).check();
        assert_eq!(
            frame,
            Err(ConfigError::Frame {
                least: 6 * 8192 + 1024
            })
        );
        assert_eq!(
            config(&["--guests", "off"]).check(),
            Err(ConfigError::Nobody)
        );
        assert_eq!(
            config(&["--guests", "off", "--token-keys", "k"]).check(),
            Ok(())
        );
        for (line, checked) in [("8s", Ok(())), ("9s", Err(ConfigError::HelloQueue))] {
            for option in ["--hello-queue", "--hello-line"] {
                assert_eq!(config(&[option, line]).check(), checked);
            }
        }
        assert_eq!(
            config(&["--page-bytes", "4194304"]).check(),
            Err(ConfigError::Page)
        );
        assert_eq!(
            config(&["--rooms", "0"]).check(),
            Err(ConfigError::Zero("--rooms"))
        );
    }
}
