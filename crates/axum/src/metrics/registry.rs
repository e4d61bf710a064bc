//! The figures as Prometheus reads them.

use std::fmt;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use super::{ClusterNow, Limit, LimitLabel, Metrics, Now, Outcome};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct State {
    state: &'static str,
}

/// The figures by their names, and the gauges.
#[derive(Debug)]
pub(super) struct Registered {
    registry: Registry,
    connections: Gauge,
    sessions: Family<State, Gauge>,
    rooms: Gauge,
    draining: Gauge,
    cluster: ClusterGauges,
}

/// The gauges of a node.
#[derive(Debug, Default)]
struct ClusterGauges {
    nodes: Gauge,
    ready: Gauge,
    connected: Gauge,
    applied: Gauge,
    lag: Gauge,
    in_flight: Gauge,
    waiting: Gauge,
    resends: Counter,
}

impl ClusterGauges {
    fn set(&self, now: ClusterNow) {
        self.nodes.set(gauge(now.nodes));
        self.ready.set(i64::from(now.is_ready));
        self.connected.set(i64::from(now.is_connected));
        self.applied.set(number(now.applied));
        self.lag.set(number(now.lag));
        self.in_flight.set(gauge(now.in_flight));
        self.waiting.set(gauge(now.waiting));
        let more = now.resends.saturating_sub(self.resends.get());
        self.resends.inc_by(more);
    }

    fn register(&self, to: &mut Registry) {
        let help = "Nodes of the cluster with a fresh lease, this one included; 0 on one machine";
        to.register("cluster_nodes", help, self.nodes.clone());
        let help = "1 while this node takes commands";
        to.register("cluster_ready", help, self.ready.clone());
        let help = "1 while this node is connected to the engine";
        to.register("cluster_engine_connected", help, self.connected.clone());
        let help = "The sequence of the last pack that is folded here";
        to.register("cluster_applied", help, self.applied.clone());
        let help = "Packs of the engine that are not folded here yet, as far as this node knows";
        to.register("cluster_lag", help, self.lag.clone());
        let help = "Commands that were sent to the engine and are not folded here yet";
        to.register("cluster_in_flight", help, self.in_flight.clone());
        let help = "Commands that wait to be sent to the engine";
        to.register("cluster_waiting", help, self.waiting.clone());
        let help = "Packs sent again, as they were not seen in time";
        to.register("cluster_resends", help, self.resends.clone());
    }
}

impl Default for Registered {
    fn default() -> Self {
        Self {
            registry: Registry::with_prefix("everbeat"),
            connections: Gauge::default(),
            sessions: Family::default(),
            rooms: Gauge::default(),
            draining: Gauge::default(),
            cluster: ClusterGauges::default(),
        }
    }
}

impl Metrics {
    /// The text format that Prometheus reads (OpenMetrics 1.0), with the gauges of now.
    ///
    /// # Errors
    /// Never: writing to a text cannot fail.
    pub fn render(&self, now: Now) -> Result<String, fmt::Error> {
        let gauges = &self.registered;
        gauges.connections.set(gauge(now.connections));
        gauges.rooms.set(gauge(now.rooms));
        gauges.draining.set(i64::from(now.is_draining));
        gauges.cluster.set(now.cluster);
        let sessions = |state, count| {
            gauges.sessions.get_or_create(&State { state }).set(count);
        };
        sessions("live", gauge(now.live));
        match now.away {
            Some(away) => sessions("away", i64::try_from(away).unwrap_or(i64::MAX)),
            // No gauge is better than a wrong one.
            None => drop(gauges.sessions.remove(&State { state: "away" })),
        }
        let mut text = String::new();
        encode(&mut text, &gauges.registry)?;
        Ok(text)
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

    /// Names all figures, and creates the counters.
    pub(super) fn register(mut self) -> Self {
        self.register_states();
        self.register_events();
        self.register_traffic();
        self.begin();
        self
    }

    fn register_states(&mut self) {
        let Registered {
            registry: to,
            connections,
            sessions,
            rooms,
            draining,
            cluster,
        } = &mut self.registered;
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        to.register("build", "Which server this is", build);
        let help = "WebSockets, before and after hello, in both dialects";
        to.register("connections", help, connections.clone());
        let help = "Sessions with a connection, and those that may come back";
        to.register("sessions", help, sessions.clone());
        to.register("rooms", "Rooms in use", rooms.clone());
        let help = "1 while the server drains and takes no new connections";
        to.register("draining", help, draining.clone());
        cluster.register(to);
    }

    fn register_events(&mut self) {
        let to = &mut self.registered.registry;
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
        let to = &mut self.registered.registry;
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

fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn gauge(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
