//! What request handlers and connections share.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use leptos::config::LeptosOptions;
use protocol::id::ConnectionId;
use tokio_util::task::TaskTracker;

use crate::access::Gate;
use crate::address::Network;
use crate::admin::samples::Samples;
use crate::config::Config;
use crate::health::Readiness;
use crate::hub::Hub;
use crate::hub::mailbox::Mailbox;
use crate::limits::{Held, Limits};
use crate::metrics::Met;

/// A handle to the parts of the server: one word for each connection, however many parts there are.
#[derive(Clone)]
pub struct AppState(Arc<Parts>);

/// The parts of the server.
pub struct Parts {
    /// Rooms, log and connections.
    pub hub: Arc<Hub>,
    /// Who may enter.
    pub gate: Arc<Gate>,
    /// What is refused.
    pub limits: Arc<Limits>,
    /// The options.
    pub config: Arc<Config>,
    /// Those of them that the machines of all connections share.
    pub protocol: Arc<protocol::server::Config>,
    /// Tasks that a drain waits for.
    pub tracker: TaskTracker,
    /// Whether the log can store.
    pub readiness: Readiness,
    /// The last hour.
    pub samples: Arc<Samples>,
    /// Where the compiled site is.
    pub leptos: LeptosOptions,
}

/// A place among the connections, which counts for its address if that is known. It is given up with it.
pub struct Place {
    /// Which connection.
    pub id: ConnectionId,
    /// How its task is spoken to.
    pub mailbox: Arc<Mailbox>,
    /// What all requests share.
    pub state: AppState,
    held: Option<Held>,
}

impl Place {
    /// The address that it counts for.
    pub fn network(&self) -> Option<Network> {
        self.held.as_ref().map(Held::network)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.state.hub.disconnect(self.id, None);
    }
}

/// Why somebody gets no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// Their address holds as many as it may.
    Address,
    /// Everybody together does, or the server is going.
    Server,
}

impl Full {
    /// How long somebody should wait for whom there is no place now.
    pub const LATER: Duration = Duration::from_secs(5);
}

impl AppState {
    /// Gives a place to a connection from there.
    ///
    /// # Errors
    /// Where there is none. That it was a limit is counted.
    pub fn connect(&self, network: Option<Network>) -> Result<Place, Full> {
        let metrics = self.hub.metrics();
        let held = network.map(|network| self.limits.connection(network));
        if matches!(held, Some(None)) {
            metrics.limited(Met::ConnectionsPerAddress);
            return Err(Full::Address);
        }
        let Some((id, mailbox)) = self.hub.connect(self.config.limits.connections) else {
            if !self.hub.is_draining() {
                metrics.limited(Met::Connections);
            }
            return Err(Full::Server);
        };
        Ok(Place {
            id,
            mailbox,
            state: self.clone(),
            held: held.flatten(),
        })
    }
}

impl From<Parts> for AppState {
    fn from(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }
}

impl Deref for AppState {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}
