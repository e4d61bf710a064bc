//! What request handlers share.

use std::sync::Arc;

use axum::extract::FromRef;
use leptos::config::LeptosOptions;
use tokio_util::task::TaskTracker;

use crate::access::Gate;
use crate::config::Config;
use crate::hub::Hub;
use crate::limits::Limits;

/// Cheap handles to the parts of the server.
#[derive(Clone, FromRef)]
pub struct AppState {
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
    /// Where the compiled site is.
    pub leptos: LeptosOptions,
}
