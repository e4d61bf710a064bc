//! What request handlers share.

use std::sync::Arc;

use axum::extract::FromRef;
use leptos::config::LeptosOptions;
use tokio_util::task::TaskTracker;

use crate::config::Config;
use crate::hub::Hub;

/// Cheap handles to the parts of the server.
#[derive(Clone, FromRef)]
pub struct AppState {
    /// Rooms, log and connections.
    pub hub: Arc<Hub>,
    /// The options.
    pub config: Arc<Config>,
    /// Those of them that the machines of all connections share.
    pub protocol: Arc<protocol::server::Config>,
    /// Tasks that a drain waits for.
    pub tracker: TaskTracker,
    /// Where the compiled site is.
    pub leptos: LeptosOptions,
}
