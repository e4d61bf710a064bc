//! Listeners that are not for clients: the operator's, and that for peers. Their connections are not counted among those of
//! clients, and have the same deadlines.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use everbeat_axum::limits::{Limits, LimitsConfig};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::listener::Listener;
use crate::serve::Acceptor;
use crate::state::AppState;

/// The most connections of one such listener: a few browsers with six each, scrapers, a few nodes.
const CONNECTIONS: usize = 64;

/// A listener that is not for clients, being served.
#[derive(Debug)]
pub struct InternalListener {
    end: CancellationToken,
    serving: JoinHandle<()>,
}

impl InternalListener {
    /// Starts to serve the routes that `build` makes. Answers that have no end of their own end with the token that it is
    /// given: [`InternalListener::end`] would wait for them.
    pub(crate) fn begin(
        listener: TcpListener,
        state: &AppState,
        build: impl FnOnce(CancellationToken) -> Router,
    ) -> Self {
        let end = CancellationToken::new();
        let router = build(end.clone());
        let limits = LimitsConfig {
            handshakes: CONNECTIONS,
            ..LimitsConfig::NONE
        };
        let acceptor = Acceptor {
            hub: Arc::clone(state.everbeat().hub()),
            limits: Arc::new(Limits::new(limits)),
            config: state.config().acceptor(),
            reserve: state.readiness().reserve().of_operator(),
            router,
        };
        let listener = Listener::of_operator(listener);
        let serving = tokio::spawn(acceptor.serve(listener, end.clone(), end.clone()));
        Self { end, serving }
    }

    /// Takes no further requests, and lets those under way finish within `patience`.
    pub async fn end(self, patience: Duration) {
        self.end.cancel();
        let _ = timeout(patience, self.serving).await;
    }
}
