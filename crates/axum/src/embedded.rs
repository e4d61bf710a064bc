//! Everbeat within an application of one's own, as the crate's README shows: the log is opened, the routes are nested
//! under any path, and a drain ends the sessions before the application.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::task::JoinSet;
use tokio_util::task::TaskTracker;

use crate::access::{Authenticator, AuthenticatorConfig, AuthenticatorError};
use crate::everbeat::{Everbeat, HttpConfig, Parts};
use crate::housekeeping::{Housekeeping, RetentionConfig};
use crate::hub::Hub;
use crate::limits::{Limits, LimitsConfig};
use crate::log::LogError;
use crate::stream::SendQueueReader;

/// The configuration of an [`Embedded`]. The defaults are those of the server's options.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Which tokens and guests are admitted.
    pub access: AuthenticatorConfig,
    /// Heartbeats, deadlines, and what one session may do. Whether tokens are taken is set from `access`.
    pub protocol: protocol::server::Config,
    /// Sockets and requests.
    pub http: HttpConfig,
    /// The limits over many connections.
    pub limits: LimitsConfig,
    /// How long the log keeps what.
    pub retention: RetentionConfig,
}

impl Config {
    /// The defaults, with a directory in which the key of guests' cookies is kept.
    pub fn new(data: PathBuf) -> Self {
        Self {
            access: AuthenticatorConfig::new(data),
            protocol: protocol::server::Config::default(),
            http: HttpConfig::default(),
            limits: LimitsConfig::default(),
            retention: RetentionConfig::default(),
        }
    }
}

/// Everbeat within an application: the routes, and the housekeeping, which ends when this is dropped.
pub struct Embedded {
    everbeat: Everbeat,
    _housekeeping: JoinSet<()>,
}

impl Embedded {
    /// Begins the housekeeping of a hub, within a tokio runtime.
    ///
    /// # Errors
    /// An [`AuthenticatorError`] that says which file is meant and what to do.
    pub async fn start(config: Config, hub: Hub) -> Result<Self, AuthenticatorError> {
        #[cfg(feature = "jwt")]
        let takes_tokens = config.access.tokens.is_some();
        #[cfg(not(feature = "jwt"))]
        let takes_tokens = false;
        let protocol = protocol::server::Config {
            takes_tokens,
            ..config.protocol
        };
        let authenticator = Arc::new(Authenticator::new(config.access).await?);
        let everbeat = Everbeat::new(Parts {
            hub: Arc::new(hub),
            authenticator,
            limits: Arc::new(Limits::new(config.limits)),
            protocol: Arc::new(protocol),
            http: Arc::new(config.http),
            tracker: TaskTracker::new(),
            // No socket is known behind hyper's pointer.
            send_queues: SendQueueReader::default(),
        });
        let mut housekeeping = JoinSet::new();
        let house = Housekeeping {
            everbeat: everbeat.clone(),
            retention: config.retention,
        };
        house.begin(&mut housekeeping);
        Ok(Self {
            everbeat,
            _housekeeping: housekeeping,
        })
    }

    /// The routes: see [`Everbeat::router`].
    pub fn router(&self) -> Router {
        self.everbeat.router()
    }

    /// The parts that all connections and requests share.
    pub const fn everbeat(&self) -> &Everbeat {
        &self.everbeat
    }

    /// Ends the connections: takes no new ones, gives each client a slot within the window in which to reconnect,
    /// and closes after the window what is left.
    pub async fn drain(&self, window: Duration) {
        self.everbeat.hub().go_away(window, &[]);
        self.everbeat.let_go(window).await;
    }

    /// Closes the log, after what it was given.
    ///
    /// # Errors
    /// Where the log cannot close cleanly.
    pub async fn close(self) -> Result<(), LogError> {
        self.everbeat.hub().log().close().await
    }
}
