//! The metrics: the operator's figures (docs/operations/watch.md lists them).
//!
//! A counter is an atomic addition where it happens; gauges (connections, sessions, rooms) are computed
//! at scrape time.

mod limit;

use std::fmt;
use std::time::Duration;

use axum::http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use protocol::access::Denied;
use protocol::close::CloseCode;
use protocol::frame::ServerFrame;
use protocol::server::AppendError;

pub use self::limit::Limit;

/// A counter for each value of one label.
type Counts<L> = Family<L, Counter>;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Status {
    code: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Code {
    code: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LimitLabel {
    limit: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct State {
    state: &'static str,
}

/// All counters and gauges.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    connections: Gauge,
    sessions: Family<State, Gauge>,
    rooms: Gauge,
    draining: Gauge,
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
}

/// Two counters as they stand, for charts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    /// Messages that became durable.
    pub stored: u64,
    /// Messages, drafts and changes of members that were handed to connections.
    pub deliveries: u64,
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
        let mut metrics = Self {
            registry: Registry::with_prefix("everbeat"),
            connections: Gauge::default(),
            sessions: Family::default(),
            rooms: Gauge::default(),
            draining: Gauge::default(),
            requests: Family::default(),
            hellos: Family::default(),
            closes: Family::default(),
            heartbeats_sent: Counter::default(),
            heartbeats_missed: Counter::default(),
            // 1 ms to 16 s.
            round_trips: Histogram::new(exponential_buckets(0.001, 2.0, 15)),
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
            batches: Histogram::new(exponential_buckets(1.0, 2.0, 13)),
            // 0.1 ms to 1.6 s.
            commits: Histogram::new(exponential_buckets(0.000_1, 2.0, 15)),
        };
        metrics.register();
        metrics.begin();
        metrics
    }

    /// The text format that Prometheus reads (OpenMetrics 1.0), with the gauges of now.
    ///
    /// # Errors
    /// Never: writing to a text cannot fail.
    pub fn render(&self, now: Now) -> Result<String, fmt::Error> {
        self.connections.set(gauge(now.connections));
        self.rooms.set(gauge(now.rooms));
        self.draining.set(i64::from(now.is_draining));
        let sessions = |state, count| {
            self.sessions.get_or_create(&State { state }).set(count);
        };
        sessions("live", gauge(now.live));
        match now.away {
            Some(away) => sessions("away", i64::try_from(away).unwrap_or(i64::MAX)),
            // No gauge is better than a wrong one.
            None => drop(self.sessions.remove(&State { state: "away" })),
        }
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }

    /// The counters that are drawn.
    pub fn totals(&self) -> Totals {
        Totals {
            stored: self.stored.get(),
            deliveries: self.deliveries.get(),
        }
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
            Err(AppendError::Unavailable) => "unavailable",
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

    /// Creates the counters at zero: Prometheus sees no increase from nothing.
    fn begin(&self) {
        for outcome in [
            "fresh",
            "resumed",
            "not_resumed",
            "denied",
            "busy",
            "unavailable",
        ] {
            drop(self.hellos.get_or_create(&Outcome { outcome }));
        }
        for outcome in ["refused", "rate_limited", "unavailable"] {
            drop(self.publishes.get_or_create(&Outcome { outcome }));
        }
        for met in Limit::ALL {
            drop(
                self.limited
                    .get_or_create(&LimitLabel { limit: met.name() }),
            );
        }
    }

    fn hello(&self, outcome: &'static str) {
        self.hellos.get_or_create(&Outcome { outcome }).inc();
    }

    fn register(&mut self) {
        self.register_states();
        self.register_events();
        self.register_traffic();
    }

    fn register_states(&mut self) {
        let to = &mut self.registry;
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        to.register("build", "Which server this is", build);
        let help = "WebSockets, before and after hello, in both dialects";
        to.register("connections", help, self.connections.clone());
        let help = "Sessions with a connection, and those that may come back";
        to.register("sessions", help, self.sessions.clone());
        to.register("rooms", "Rooms that somebody uses", self.rooms.clone());
        let help = "1 while the server goes and takes nobody in";
        to.register("draining", help, self.draining.clone());
    }

    fn register_events(&mut self) {
        let to = &mut self.registry;
        let help = "HTTP requests answered on the public port, by status; 101 is a WebSocket";
        to.register("requests", help, self.requests.clone());
        let help =
            "Sessions opened, by whether one was wanted again and was; and who was not let in";
        to.register("hellos", help, self.hellos.clone());
        let help = "Connections ended, by close code; 1006 is one that broke";
        to.register("closes", help, self.closes.clone());
        let help = "Pings that the server sent";
        to.register("heartbeats_sent", help, self.heartbeats_sent.clone());
        let help = "Connections that ended as nothing came in time";
        to.register("heartbeats_missed", help, self.heartbeats_missed.clone());
        let help = "From a ping of the server to its answer";
        to.register_with_unit("round_trip", help, Unit::Seconds, self.round_trips.clone());
        let help = "Messages, by what became of them";
        to.register("publishes", help, self.publishes.clone());
        let help = "Errors told, by code";
        to.register("refusals", help, self.refusals.clone());
        let help = "Refused or held back, by the limit that was met";
        to.register("limited", help, self.limited.clone());
        let help = "Readers told that they missed something (RS-6)";
        to.register("gaps", help, self.gaps.clone());
    }

    fn register_traffic(&mut self) {
        let to = &mut self.registry;
        let help = "Messages read from the log for those who were away or behind";
        to.register("replayed_messages", help, self.replayed.clone());
        let help = "Messages, drafts and news of members handed to connections";
        to.register("deliveries", help, self.deliveries.clone());
        let help = "Texts that came on WebSockets";
        to.register_with_unit("received", help, Unit::Bytes, self.received.clone());
        let help = "Frames that were handed to WebSockets";
        to.register_with_unit("sent", help, Unit::Bytes, self.sent.clone());
        let help = "Operations that shared a commit of the log";
        to.register("commit_operations", help, self.batches.clone());
        let help = "How long a commit of the log took, with its sync";
        to.register_with_unit("commit", help, Unit::Seconds, self.commits.clone());
    }
}

fn gauge(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

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
            is_draining: false,
        };
        let text = metrics.render(now).unwrap();
        for line in [
            "everbeat_connections 3",
            "everbeat_sessions{state=\"away\"} 1",
            "everbeat_rooms 1",
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
            "everbeat_commit_operations_count 1",
            "everbeat_commit_seconds_count 1",
            "everbeat_sent_bytes_total 120",
            "# EOF",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        let unknown = Now { away: None, ..now };
        assert!(!metrics.render(unknown).unwrap().contains("state=\"away\""));
        assert_eq!(metrics.totals().stored, 1);
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
