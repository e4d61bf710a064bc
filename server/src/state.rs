//! What request handlers and connections share.

use std::ops::Deref;
use std::sync::Arc;

use leptos::config::LeptosOptions;
use tokio_util::task::TaskTracker;

use crate::access::Gate;
use crate::admin::samples::Samples;
use crate::config::Config;
use crate::health::Readiness;
use crate::hub::Hub;
use crate::limits::Limits;

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
