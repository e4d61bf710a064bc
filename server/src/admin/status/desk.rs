//! What the operator's pages are made from: handles on the server's parts, and one look at all of them.

use std::sync::Arc;
use std::time::Duration;

use everbeat_axum::hub::Hub;
use everbeat_axum::hub::feed::{Happening, What, Whom};
use everbeat_axum::log::cluster::status::ClusterStatus;
use everbeat_axum::metrics::Now;
use protocol::id::{ConnectionId, SessionId};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::super::disk::{Disk, Reading};
use super::gather::{Found, gather};
use super::rooms::{Heads, Listed};
use super::view::View;
use crate::health::{self, NotReady};
use crate::readiness::Readiness;
use crate::samples::{Sample, Samples};
use crate::state::AppState;

/// The most streams of updates at once: half of the listener's connections, so that a scraper still gets one.
const STREAMS: usize = 32;

/// Handles on what the pages show.
pub(super) struct Desk {
    hub: Arc<Hub>,
    readiness: Arc<Readiness>,
    samples: Arc<Samples>,
    disk: Disk,
    heads: Heads,
    /// `--connections`.
    connections_max: usize,
    /// A permit for each stream of updates.
    pub streams: Arc<Semaphore>,
    /// Ends the streams.
    pub end: CancellationToken,
}

/// Which page it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// The overview.
    All(View),
    /// A session, over its connections.
    Session(SessionId),
    /// A connection, as of a client without a session.
    Connection(ConnectionId),
}

impl Scope {
    /// The path of the page.
    pub(super) fn path(&self) -> String {
        match self {
            Self::All(view) => view.link(),
            Self::Session(session) => session_path(session),
            Self::Connection(id) => format!("/status/connections/{id}"),
        }
    }

    /// The path of its stream of updates, in this language.
    pub(super) fn updates(&self, tag: &str) -> String {
        let path = self.path();
        match path.split_once('?') {
            Some((path, query)) => format!("{path}/updates?{query}&lang={tag}"),
            None => format!("{path}/updates?lang={tag}"),
        }
    }
}

/// The path of a session's page.
pub(super) fn session_path(session: &SessionId) -> String {
    let id =
        percent_encoding::utf8_percent_encode(session.as_str(), percent_encoding::NON_ALPHANUMERIC);
    format!("/status/sessions/{id}")
}

/// The figures at one time.
#[derive(Debug)]
pub(super) struct Look {
    /// The gauges.
    pub now: Now,
    /// Whether the server is ready.
    pub health: Result<(), NotReady>,
    /// What is left of the drain, once it has begun.
    pub drain_left: Option<Duration>,
    /// For how long the server has run.
    pub uptime: Duration,
    /// The disk; `None` while it hangs.
    pub disk: Option<Reading>,
    /// `--connections`.
    pub connections_max: usize,
    /// The node and the others; `None` on one machine.
    pub cluster: Option<ClusterStatus>,
    /// The samples of the charts, oldest first.
    pub samples: Vec<Sample>,
    /// What happened last, the newest first.
    pub feed: Vec<Arc<Happening>>,
    /// The rooms in use.
    pub rooms: Listed,
    /// The connections of the page.
    pub found: Found,
}

impl Desk {
    /// A desk over the server's parts; `end` ends the streams of updates.
    pub(super) fn new(state: &AppState, end: CancellationToken) -> Self {
        Self {
            hub: Arc::clone(state.everbeat().hub()),
            readiness: Arc::clone(state.readiness()),
            samples: Arc::clone(state.samples()),
            disk: Disk::new(state.config().database()),
            heads: Heads::default(),
            connections_max: state.config().limits.connections,
            streams: Arc::new(Semaphore::new(STREAMS)),
            end,
        }
    }

    /// Looks at what a page shows. A log or a disk that hangs takes 2 s at most.
    pub(super) async fn look(&self, scope: &Scope) -> Look {
        let (now, health, disk, found) = tokio::join!(
            self.hub.now(),
            health::check(&self.hub, &self.readiness),
            self.disk.look(),
            self.found(scope)
        );
        // Only the overview has charts and rooms.
        let (samples, rooms) = match scope {
            Scope::All(view) => {
                let rooms = self.hub.room_reports();
                (
                    self.samples.of(view.span),
                    self.heads.list(Instant::now(), rooms),
                )
            }
            Scope::Session(_) | Scope::Connection(_) => Default::default(),
        };
        let at = self.hub.clock().now();
        Look {
            now,
            health,
            drain_left: self.hub.drain().map(|drain| drain.until.since(at)),
            uptime: at.since_origin(),
            disk,
            connections_max: self.connections_max,
            cluster: self.hub.log().cluster(),
            samples,
            feed: self.hub.feed().newest(),
            rooms,
            found,
        }
    }

    /// Closes the connection of a page, in this way; returns whether there was one.
    pub(super) fn close(
        &self,
        scope: &Scope,
        what: What,
        close: fn(&Hub, ConnectionId) -> bool,
    ) -> bool {
        let Some(id) = self.connection(scope).filter(|id| close(&self.hub, *id)) else {
            return false;
        };
        tracing::info!(connection.id = %id, ?what, "an operator closes a connection");
        let session = match scope {
            Scope::Session(session) => Some(session.clone()),
            Scope::All(_) | Scope::Connection(_) => None,
        };
        let whom = Whom {
            session,
            connection: id,
            name: None,
        };
        self.hub.feed().note(what, Some(whom));
        true
    }

    /// The connection of a page.
    fn connection(&self, scope: &Scope) -> Option<ConnectionId> {
        match scope {
            Scope::All(_) => None,
            Scope::Session(session) => self.hub.connection_of(session),
            Scope::Connection(id) => Some(*id),
        }
    }

    async fn found(&self, scope: &Scope) -> Found {
        if let Scope::All(view) = scope {
            return gather(&self.hub, view).await;
        }
        let id = self.connection(scope);
        Found {
            rows: self.hub.reports(id.as_slice()).await,
            ..Found::default()
        }
    }
}
