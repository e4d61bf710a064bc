//! The parts that all connections and requests share.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRef;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::access::Authenticator;
use crate::address::{ForwardedBy, Trust};
use crate::hub::Hub;
use crate::hub::trace::TraceConfig;
use crate::limits::Limits;
use crate::origin::Origin;
use crate::stream::SendQueueReader;

/// The deadline for connections to end after a shutdown.
const FAREWELL: Duration = Duration::from_secs(5);

/// A handle on the [`Parts`]: one pointer in each connection, however many parts there are.
#[derive(Clone)]
pub struct Everbeat(Arc<Parts>);

/// The parts that all connections and requests share.
pub struct Parts {
    /// The registry of rooms and connections, over the log.
    pub hub: Arc<Hub>,
    /// The authenticator of sockets, pages and requests.
    pub authenticator: Arc<Authenticator>,
    /// The limits over many connections.
    pub limits: Arc<Limits>,
    /// The configuration of the machines of all connections.
    pub protocol: Arc<protocol::server::Config>,
    /// The configuration of sockets and requests.
    pub http: Arc<HttpConfig>,
    /// The tasks of connections.
    pub tracker: TaskTracker,
    /// How to read the send queues of sockets.
    pub send_queues: SendQueueReader,
}

/// The configuration of sockets and requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpConfig {
    /// Connections held at once; more are answered 503.
    pub connections: usize,
    /// How long the body of a request may take to arrive; a slower one is answered 408.
    pub body_timeout: Duration,
    /// How long one write to a slow reader may make no progress before its WebSocket is closed.
    pub write_timeout: Duration,
    /// How many may watch sessions, and what is kept for them.
    pub traces: TraceConfig,
    /// Other sites whose pages may open sessions here.
    pub allowed_origins: Vec<Origin>,
    /// Proxies that are believed where a request comes from, and whether it came by HTTPS.
    pub trusted_proxies: Vec<IpNet>,
    /// The headers in which these proxies say so.
    pub forwarded_by: ForwardedBy,
}

impl HttpConfig {
    /// Which proxies are believed, and what they write.
    pub fn trust(&self) -> Trust<'_> {
        Trust {
            proxies: &self.trusted_proxies,
            by: self.forwarded_by,
        }
    }
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            // About 4 kB each while they are quiet.
            connections: 50_000,
            body_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            traces: TraceConfig::default(),
            allowed_origins: Vec::new(),
            // Those of this machine.
            trusted_proxies: vec![
                IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8)),
                IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128)),
            ],
            forwarded_by: ForwardedBy::XForwarded,
        }
    }
}

impl Everbeat {
    /// A handle to these parts.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// The registry of rooms and connections, over the log.
    pub fn hub(&self) -> &Arc<Hub> {
        &self.0.hub
    }

    /// The authenticator of sockets, pages and requests.
    pub fn authenticator(&self) -> &Arc<Authenticator> {
        &self.0.authenticator
    }

    /// The limits over many connections.
    pub fn limits(&self) -> &Arc<Limits> {
        &self.0.limits
    }

    /// The configuration of the machines of all connections.
    pub fn protocol(&self) -> &Arc<protocol::server::Config> {
        &self.0.protocol
    }

    /// The configuration of sockets and requests.
    pub fn http(&self) -> &Arc<HttpConfig> {
        &self.0.http
    }

    /// The tasks of connections: a drain waits for them.
    pub fn tracker(&self) -> &TaskTracker {
        &self.0.tracker
    }

    /// How to read the send queues of sockets.
    pub fn send_queues(&self) -> SendQueueReader {
        self.0.send_queues
    }

    /// Waits until the connections have ended: by themselves during the drain, then by a shutdown.
    pub async fn let_go(&self, drain: Duration) {
        let (hub, tracker) = (self.hub(), self.tracker());
        tracker.close();
        if timeout(drain, tracker.wait()).await.is_err() {
            hub.shut_down();
            if timeout(FAREWELL, tracker.wait()).await.is_err() {
                tracing::warn!(connections = hub.connections(), "left without a farewell");
            }
        }
    }
}

/// Lets a handler take only the parts that it uses.
macro_rules! parts {
    ($($part:ident: $kind:ty),* $(,)?) => {
        $(impl FromRef<Everbeat> for $kind {
            fn from_ref(everbeat: &Everbeat) -> Self {
                Self::clone(&everbeat.0.$part)
            }
        })*
    };
}

parts! {
    hub: Arc<Hub>,
    authenticator: Arc<Authenticator>,
    limits: Arc<Limits>,
    protocol: Arc<protocol::server::Config>,
    http: Arc<HttpConfig>,
}
