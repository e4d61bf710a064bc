//! The metrics: the operator's figures (docs/operations/watch.md lists them).
//!
//! A counter is an atomic addition where it happens; gauges (connections, sessions, rooms) are computed
//! at scrape time.

mod cause;
mod histogram;
mod limit;
#[cfg(feature = "metrics")]
mod registry;
#[cfg(not(feature = "metrics"))]
mod uncounted;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::http::StatusCode;
#[cfg(feature = "metrics")]
use prometheus_client::encoding::EncodeLabelSet;
#[cfg(feature = "metrics")]
use prometheus_client::metrics::counter::Counter;
#[cfg(feature = "metrics")]
use prometheus_client::metrics::family::Family;
use protocol::access::Denied;
use protocol::close::CloseCode;
use protocol::frame::ServerFrame;
use protocol::server::AppendError;

pub use self::cause::{Cause, Returns};
pub use self::histogram::Times;
use self::histogram::{BUCKETS_MAX, Histogram};
pub use self::limit::Limit;
#[cfg(feature = "metrics")]
use self::registry::Registered;
#[cfg(not(feature = "metrics"))]
use self::uncounted::{Counter, Family};
use crate::log::cluster::status::ClusterStatus;

/// A counter for each value of one label.
type Counts<L> = Family<L, Counter>;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "metrics", derive(EncodeLabelSet))]
struct Status {
    code: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "metrics", derive(EncodeLabelSet))]
struct Code {
    code: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "metrics", derive(EncodeLabelSet))]
struct Outcome {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "metrics", derive(EncodeLabelSet))]
struct LimitLabel {
    limit: &'static str,
}

/// All counters and gauges.
#[derive(Debug)]
pub struct Metrics {
    #[cfg(feature = "metrics")]
    registered: Registered,
    requests: Counts<Status>,
    hellos: Counts<Outcome>,
    closes: Counts<Status>,
    heartbeats_sent: Counter,
    heartbeats_missed: Counter,
    round_trips: Histogram,
    publishes: Counts<Outcome>,
    /// The counter of [`Metrics::publishes`] that counts most often, looked up once.
    stored: Counter,
    refusals: Counts<Code>,
    limited: Counts<LimitLabel>,
    replayed: Counter,
    gaps: Counter,
    deliveries: Counter,
    received: Counter,
    sent: Counter,
    batches: Histogram,
    commits: Histogram,
    returns: Returns,
    /// All of [`Metrics::refusals`].
    refused: AtomicU64,
    /// All of [`Metrics::limited`].
    exceeded: AtomicU64,
}

/// The gauges, computed at scrape time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Now {
    /// WebSockets, before and after `hello`, in both dialects.
    pub connections: usize,
    /// Sessions with a connection.
    pub live: usize,
    /// Sessions without a connection that can be resumed (RS-9); `None` if the log cannot be read now.
    pub away: Option<u64>,
    /// Rooms in use.
    pub rooms: usize,
    /// Whether the server drains.
    pub is_draining: bool,
    /// The cluster; zeros on one machine.
    pub cluster: ClusterNow,
}

/// The gauges of a node.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClusterNow {
    /// Nodes with a fresh lease, this one included.
    pub nodes: usize,
    /// Whether this node takes commands.
    pub is_ready: bool,
    /// Whether the engine is connected.
    pub is_connected: bool,
    /// The sequence of the last pack that is folded here.
    pub applied: u64,
    /// How many packs this node is behind.
    pub lag: u64,
    /// Commands that were sent, and are not folded here yet.
    pub in_flight: usize,
    /// Commands that wait to be sent.
    pub waiting: usize,
    /// How often a pack was sent again, since the start.
    pub resends: u64,
}

impl From<&ClusterStatus> for ClusterNow {
    fn from(status: &ClusterStatus) -> Self {
        Self {
            nodes: status.live(),
            is_ready: status.trouble.is_none(),
            is_connected: status.is_connected,
            applied: status.applied,
            lag: status.lag(),
            in_flight: status.in_flight,
            waiting: status.waiting,
            resends: status.resends,
        }
    }
}

/// Counters as they stand, for charts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    /// Messages that became durable.
    pub stored: u64,
    /// Messages, drafts and changes of members that were handed to connections.
    pub deliveries: u64,
    /// Sessions that came back, by cause, in the order of [`Cause::ALL`].
    pub returns: [u64; Cause::ALL.len()],
    /// From pings to their answers.
    pub round_trips: Times,
    /// How long commits of the log took, with their sync.
    pub commits: Times,
    /// `error` frames that were sent.
    pub refused: u64,
    /// Limits that were exceeded.
    pub limited: u64,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Metrics at zero.
    pub fn new() -> Self {
        let publishes = Counts::default();
        let stored = publishes.get_or_create_owned(&Outcome { outcome: "stored" });
        let metrics = Self {
            #[cfg(feature = "metrics")]
            registered: Registered::default(),
            requests: Family::default(),
            hellos: Family::default(),
            closes: Family::default(),
            heartbeats_sent: Counter::default(),
            heartbeats_missed: Counter::default(),
            // 1 ms to 16 s.
            round_trips: Histogram::new(0.001, BUCKETS_MAX),
            publishes,
            stored,
            refusals: Family::default(),
            limited: Family::default(),
            replayed: Counter::default(),
            gaps: Counter::default(),
            deliveries: Counter::default(),
            received: Counter::default(),
            sent: Counter::default(),
            // 1 to 4,096 operations.
            batches: Histogram::new(1.0, 13),
            // 0.1 ms to 1.6 s.
            commits: Histogram::new(0.000_1, BUCKETS_MAX),
            returns: Returns::default(),
            refused: AtomicU64::new(0),
            exceeded: AtomicU64::new(0),
        };
        #[cfg(feature = "metrics")]
        let metrics = metrics.register();
        metrics
    }

    /// The counters that are drawn.
    pub fn totals(&self) -> Totals {
        Totals {
            stored: self.stored.get(),
            deliveries: self.deliveries.get(),
            returns: self.returns.counts(),
            round_trips: self.round_trips.times(),
            commits: self.commits.times(),
            refused: self.refused.load(Ordering::Relaxed),
            limited: self.exceeded.load(Ordering::Relaxed),
        }
    }

    /// The ends of connections, and the returns of their sessions.
    pub const fn returns(&self) -> &Returns {
        &self.returns
    }

    /// Counts an opened session: whether the client asked to resume one, and whether it was resumed.
    pub fn session_opened(&self, wanted: bool, resumed: bool) {
        self.hello(match (wanted, resumed) {
            (_, true) => "resumed",
            (true, false) => "not_resumed",
            (false, false) => "fresh",
        });
    }

    /// Counts a caller that was denied.
    pub fn denied(&self, why: Denied) {
        self.hello(match why {
            Denied::Busy(_) => "busy",
            Denied::Unavailable => "unavailable",
            Denied::TokenRequired | Denied::TokenInvalid | Denied::TokenExpired => "denied",
        });
        if matches!(why, Denied::Busy(_)) {
            self.limited(Limit::Hellos);
        }
    }

    /// Counts a connection that closed.
    pub fn closed(&self, code: CloseCode) {
        self.closes
            .get_or_create(&Status { code: code.get() })
            .inc();
        if code == CloseCode::DEAD {
            self.heartbeats_missed.inc();
        }
    }

    /// Counts a frame that is sent to one connection.
    pub fn sent_frame(&self, frame: &ServerFrame) {
        match frame {
            ServerFrame::Ping => self.pinged(),
            ServerFrame::Joined(joined) if !joined.recovered => self.gap(),
            ServerFrame::Error(refusal) => {
                let code = refusal.code.as_str().to_owned();
                self.refusals.get_or_create(&Code { code }).inc();
                self.refused.fetch_add(1, Ordering::Relaxed);
            }
            _ => {}
        }
    }

    /// Counts a gap that a reader gets (RS-6).
    pub fn gap(&self) {
        self.gaps.inc();
    }

    /// Counts a ping of the server.
    pub fn pinged(&self) {
        self.heartbeats_sent.inc();
    }

    /// Notes the round trip of an answered ping.
    pub fn round_trip(&self, took: Duration) {
        self.round_trips.observe(took.as_secs_f64());
    }

    /// Counts the outcome of a publish.
    pub fn published(&self, result: Result<(), AppendError>) {
        let outcome = match result {
            Ok(()) => {
                self.stored.inc();
                return;
            }
            Err(AppendError::Conflict) => "conflict",
            Err(AppendError::OutOfOrder) => "out_of_order",
            Err(AppendError::Refused(_)) => "refused",
            Err(AppendError::UnknownSession) => "unknown_session",
            Err(AppendError::Fenced) => "fenced",
            Err(AppendError::Unavailable) => "unavailable",
            Err(AppendError::Unknown) => "unknown",
            Err(AppendError::RateLimited(_)) => "rate_limited",
        };
        self.publishes.get_or_create(&Outcome { outcome }).inc();
    }

    /// Counts an answered HTTP request.
    pub fn answered(&self, status: StatusCode) {
        let code = status.as_u16();
        self.requests.get_or_create(&Status { code }).inc();
    }

    /// Counts a limit that was exceeded.
    pub fn limited(&self, met: Limit) {
        self.limited_times(met, 1);
    }

    /// Counts a limit that was exceeded so many times.
    pub fn limited_times(&self, met: Limit, times: u64) {
        let limit = met.name();
        self.limited
            .get_or_create(&LimitLabel { limit })
            .inc_by(times);
        self.exceeded.fetch_add(times, Ordering::Relaxed);
    }

    /// Counts messages that were read from the log for a reader that was away, or fell behind.
    pub fn replayed(&self, messages: usize) {
        self.replayed.inc_by(messages as u64);
    }

    /// Counts messages, drafts and changes of members that were handed to a connection.
    pub fn delivered(&self, frames: usize) {
        self.deliveries.inc_by(frames as u64);
    }

    /// Counts received bytes.
    pub fn received(&self, bytes: usize) {
        self.received.inc_by(bytes as u64);
    }

    /// Counts sent bytes.
    pub fn sent(&self, bytes: usize) {
        self.sent.inc_by(bytes as u64);
    }

    /// Counts a committed batch of so many operations, whose commit and sync took so long.
    pub fn synced(&self, operations: usize, took: Duration) {
        #[expect(clippy::cast_precision_loss, reason = "some thousands")]
        self.batches.observe(operations as f64);
        self.commits.observe(took.as_secs_f64());
    }

    fn hello(&self, outcome: &'static str) {
        self.hellos.get_or_create(&Outcome { outcome }).inc();
    }
}

#[cfg(feature = "metrics")]
#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use protocol::codec;

    use super::*;

    #[test]
    fn what_is_counted_is_told() {
        let metrics = Metrics::new();
        metrics.session_opened(false, false);
        metrics.session_opened(true, true);
        metrics.session_opened(true, false);
        metrics.denied(Denied::TokenInvalid);
        metrics.closed(CloseCode::DEAD);
        metrics.published(Ok(()));
        metrics.published(Err(AppendError::RateLimited(Duration::ZERO)));
        metrics.limited(Limit::Origins);
        metrics.synced(3, Duration::from_micros(400));
        metrics.sent(120);
        let now = Now {
            connections: 3,
            live: 2,
            away: Some(1),
            rooms: 1,
            cluster: ClusterNow {
                nodes: 3,
                lag: 7,
                ..ClusterNow::default()
            },
            is_draining: false,
        };
        let text = metrics.render(now).unwrap();
        for line in [
            "everbeat_connections 3",
            "everbeat_sessions{state=\"away\"} 1",
            "everbeat_rooms 1",
            "everbeat_cluster_nodes 3",
            "everbeat_cluster_lag 7",
            "everbeat_draining 0",
            "everbeat_hellos_total{outcome=\"fresh\"} 1",
            "everbeat_hellos_total{outcome=\"resumed\"} 1",
            "everbeat_hellos_total{outcome=\"not_resumed\"} 1",
            "everbeat_hellos_total{outcome=\"denied\"} 1",
            "everbeat_closes_total{code=\"4000\"} 1",
            "everbeat_heartbeats_missed_total 1",
            "everbeat_publishes_total{outcome=\"stored\"} 1",
            "everbeat_publishes_total{outcome=\"rate_limited\"} 1",
            "everbeat_limited_total{limit=\"write_timeout\"} 0",
            "everbeat_limited_total{limit=\"origins\"} 1",
            "everbeat_commit_operations_bucket{le=\"2.0\"} 0",
            "everbeat_commit_operations_bucket{le=\"4.0\"} 1",
            "everbeat_commit_operations_bucket{le=\"4096.0\"} 1",
            "everbeat_commit_operations_bucket{le=\"+Inf\"} 1",
            "everbeat_commit_operations_sum 3.0",
            "everbeat_commit_operations_count 1",
            "everbeat_commit_seconds_count 1",
            "everbeat_sent_bytes_total 120",
            "# EOF",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        let unknown = Now { away: None, ..now };
        assert!(!metrics.render(unknown).unwrap().contains("state=\"away\""));
        let totals = metrics.totals();
        assert_eq!((totals.stored, totals.limited), (1, 1));
        let commit = totals.commits.quantile(0.5).unwrap();
        assert!((200..=400).contains(&commit.as_micros()), "{commit:?}");
    }

    /// The words of a text that name a metric, without the suffixes that Prometheus adds.
    fn named(text: &str) -> BTreeSet<&str> {
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let words = words.filter(|word| word.starts_with("everbeat_"));
        words
            .map(|word| word.trim_end_matches("_bucket").trim_end_matches("_total"))
            .collect()
    }

    /// The documents name each limit, by its option.
    #[test]
    fn what_is_refused_is_documented() {
        let table = include_str!("../../../docs/operations/limits.md");
        for met in Limit::ALL {
            let option = format!("`--{}`", met.name().replace('_', "-"));
            let bare = format!("`{}`", met.name());
            let is_documented = table.contains(&option) || table.contains(&bare);
            let is_origins = met == Limit::Origins && table.contains("`--allowed-origins`");
            assert!(is_documented || is_origins, "{option}");
        }
    }

    /// The documents name each metric, and none that does not exist.
    #[test]
    fn what_is_documented_is_what_there_is() {
        let metrics = Metrics::new();
        metrics.closed(CloseCode::NORMAL);
        metrics.answered(StatusCode::OK);
        let refusal = r#"{"type":"error","code":"rate_limited","message":""}"#;
        metrics.sent_frame(&codec::decode(refusal, 1024).unwrap());
        let text = metrics.render(Now::default()).unwrap();
        let told: BTreeSet<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
            .map(|name| name.trim_end_matches("_info"))
            .collect();
        assert!(told.len() > 15, "{told:?}");
        let documented = |text: &'static str| -> BTreeSet<&str> {
            let names = named(text).into_iter();
            names.map(|name| name.trim_end_matches("_info")).collect()
        };
        assert_eq!(
            documented(include_str!("../../../docs/operations/watch.md")),
            told
        );
        assert_eq!(
            documented(include_str!("../../../deploy/grafana.json")),
            told
        );
        assert!(documented(include_str!("../../../deploy/alerts.yml")).is_subset(&told));
    }
}
