//! Everbeat's server: it composes the library [`everbeat_axum`], which serves sessions and requests, with options, an
//! acceptor, the page and what an operator needs.
//!
//! - [`config`]: options and environment
//! - [`command`]: commands beside serving
//! - [`listener`], [`descriptors`], [`tls`]: sockets, descriptors and certificates
//! - [`serve`], [`write_deadline`]: the acceptor, and writes that must make progress
//! - [`Server`]: from an open listener to a drained exit; `service_manager`: what systemd is notified of;
//!   `housekeeping`: periodic work for the operator
//! - [`router`], [`headers`], [`ws`]: all routes, the headers of all responses, the dialects of a WebSocket
//! - `tutorial`: the tutorial's dialect, I/O only; [`protocol::server`] decides
//! - [`admin`], [`health`], [`telemetry`]: what the operator sees
//! - [`peer`]: what the nodes of one server ask each other
//! - [`lab`]: what lets a page kill, drain and stall the server, for experiments
//! - [`page`]: the server-rendered page and static files

#![forbid(unsafe_code)]

pub mod admin;
mod apart;
pub mod command;
pub mod config;
mod data;
pub mod descriptors;
pub mod headers;
pub mod health;
pub mod heap;
mod housekeeping;
pub mod internal;
pub mod lab;
mod language;
pub mod listener;
#[cfg(feature = "nats")]
pub mod node;
pub mod page;
pub mod peer;
pub mod readiness;
pub mod router;
pub mod samples;
pub mod serve;
mod service_manager;
#[cfg(feature = "embed")]
pub mod site;
pub mod state;
pub mod telemetry;
#[cfg_attr(not(feature = "tls"), path = "no_tls.rs")]
pub mod tls;
mod tutorial;
pub mod write_deadline;
pub mod ws;

use std::sync::Arc;
use std::time::Duration;

use everbeat_axum::access::Authenticator;
use everbeat_axum::everbeat::{self, Everbeat};
use everbeat_axum::housekeeping::Housekeeping;
use everbeat_axum::hub::Hub;
use everbeat_axum::limits::Limits;
use everbeat_axum::log::Stop;
use everbeat_axum::log::sqlite::{OpenError, SqliteConfig, SqliteLog};
use everbeat_axum::stream::SendQueueReader;
use everbeat_axum::supervise::supervised;
use leptos::config::LeptosOptions;
use parking_lot::Mutex;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{Config, ConfigError};
use crate::descriptors::Reserve;
use crate::heap::{Allocator, Heap};
use crate::lab::Lab;
use crate::listener::Listener;
use crate::peer::PeerDoor;
use crate::readiness::Readiness;
use crate::samples::Samples;
use crate::serve::Acceptor;
use crate::state::{AppState, Parts};
use crate::tls::Tls;

/// How often to try whether the server before has released the log. Clients wait meanwhile.
const LOOK_FOR_LOG_EVERY: Duration = Duration::from_millis(20);

/// The deadline for requests to end after a shutdown.
const FAREWELL: Duration = Duration::from_secs(5);

/// Why the log cannot be opened.
#[derive(Debug, Error)]
pub enum HubError {
    /// Its database: the error names the file and says what to do.
    #[error(transparent)]
    Log(#[from] OpenError),
    /// What makes this server a node of a cluster.
    #[cfg(feature = "nats")]
    #[error(transparent)]
    Node(#[from] node::NodeError),
    /// Options that do not work together.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

impl HubError {
    /// Whether another server uses the log.
    fn is_in_use(&self) -> bool {
        match self {
            Self::Log(error) => matches!(error, OpenError::InUse { .. }),
            #[cfg(feature = "nats")]
            Self::Node(error) => {
                matches!(error, node::NodeError::Log(OpenError::InUse { .. }))
            }
            Self::Config(_) => false,
        }
    }
}

/// Opens the log in the data directory, with the rooms as its observer; over the engine, where the options name one.
///
/// # Errors
/// [`HubError`]: it says what to do.
pub fn open_hub(config: &Config) -> Result<Arc<Hub>, HubError> {
    data::make_directory(&config.data);
    let sqlite = SqliteConfig {
        history_per_room: config.history,
        page_bytes: config.page_bytes,
        ..SqliteConfig::default()
    };
    #[cfg(feature = "nats")]
    if let Some(cluster) = config.cluster.cluster().map_err(ConfigError::from)? {
        return Ok(Arc::new(node::open_hub(config, cluster, sqlite)?));
    }
    let open = |rooms| SqliteLog::open(&config.database(), sqlite, rooms);
    Ok(Arc::new(Hub::open(&config.hub(), open)?))
}

/// As [`open_hub`], where an older server may still use the log: waits until that has ended, for at most
/// `--await-log`.
///
/// # Errors
/// As [`open_hub`].
pub async fn await_hub(config: &Config) -> Result<Arc<Hub>, HubError> {
    let begun = Instant::now();
    let mut is_logged = false;
    loop {
        match open_hub(config) {
            Err(error) if error.is_in_use() && begun.elapsed() < config.await_log => {
                if !is_logged {
                    let patience = config.await_log;
                    tracing::info!(%error, ?patience, "waiting for the server before to end");
                    is_logged = true;
                }
                sleep(LOOK_FOR_LOG_EVERY).await;
            }
            opened => return opened,
        }
    }
}

/// A server about to serve: everything that can fail has succeeded.
pub struct Server {
    /// The options.
    pub config: Config,
    /// The place of the compiled site.
    pub leptos: LeptosOptions,
    /// The listener for clients.
    pub listener: Listener,
    /// The listener for the operator.
    pub admin: Option<TcpListener>,
    /// The listener for other nodes.
    pub peers: Option<PeerDoor>,
    /// The registry of rooms and connections, over the log.
    pub hub: Arc<Hub>,
    /// The authenticator of sockets, pages and requests.
    pub authenticator: Arc<Authenticator>,
    /// The program's allocator.
    pub allocator: Allocator,
    /// How to read the send queues of sockets.
    pub send_queues: SendQueueReader,
    /// The lab, if there is one.
    pub lab: Option<Lab>,
}

impl Server {
    /// Serves until `shutdown`, then drains: takes no new connections, gives each client a slot to reconnect in,
    /// closes the remaining connections with 1012, commits, and returns. A shared listener is left at once: new
    /// connections are the next server's. The same where the log takes nothing more before an operator has acted.
    ///
    /// # Errors
    /// [`Stopped`]: why the log takes nothing more.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), Stopped> {
        let (hub, drain, lab) = (self.hub, self.config.drain, self.lab);
        let (leave, stop) = (CancellationToken::new(), CancellationToken::new());
        let is_shared = self.listener.shared.is_shared();
        let config = Arc::new(self.config);
        let limits = Arc::new(Limits::new(config.limits.shared()));
        let samples = Arc::<Samples>::default();
        let reserve = Reserve::keep();
        let everbeat = Everbeat::new(everbeat::Parts {
            hub: Arc::clone(&hub),
            authenticator: self.authenticator,
            limits: Arc::clone(&limits),
            protocol: Arc::new(config.protocol()),
            http: Arc::new(config.http()),
            tracker: TaskTracker::new(),
            send_queues: self.send_queues,
        });
        let state = AppState::from(Parts {
            everbeat: everbeat.clone(),
            readiness: Arc::new(Readiness::new(Arc::clone(&reserve))),
            samples: Arc::clone(&samples),
            leptos: self.leptos,
            config: Arc::clone(&config),
            lab: lab.clone(),
        });
        let watching = self.admin.map(|listener| admin::begin(listener, &state));
        let peers = self.peers.map(|door| peer::begin(door, &state));
        let acceptor = Acceptor {
            router: router::build(state),
            hub: Arc::clone(&hub),
            limits: Arc::clone(&limits),
            config: config.acceptor(),
            reserve: reserve.of_everybody(),
        };
        let mut beside = tasks_beside(self.listener.tls.clone(), &hub, samples, self.allocator);
        let serving = tokio::spawn(acceptor.serve(self.listener, leave.clone(), stop.clone()));
        let house = Housekeeping {
            everbeat: everbeat.clone(),
            retention: config.retention(),
        };
        house.begin(&mut beside);
        service_manager::ready();

        let stopped = tokio::select! {
            () = shutdown => None,
            () = drained_by(lab.as_ref()) => None,
            stop = hub.log().stopped() => Some(Stopped(stop)),
        };
        service_manager::stopping();
        send_away(&hub, &config);
        if is_shared {
            leave.cancel();
        }
        everbeat.let_go(drain).await;
        leave.cancel();
        stop.cancel();
        if timeout(FAREWELL, serving).await.is_err() {
            tracing::warn!("HTTP requests were still under way");
        }
        if let Some(peers) = peers {
            peers.end(FAREWELL).await;
        }
        beside.abort_all();
        close_log(&hub).await;
        // Last, as the operator may watch until here.
        if let Some(watching) = watching {
            watching.end(FAREWELL).await;
        }
        stopped.map_or(Ok(()), Err)
    }
}

/// Commits what waits, and reports how that went.
async fn close_log(hub: &Hub) {
    match hub.log().close().await {
        Ok(()) => tracing::info!("stopped"),
        Err(error) => tracing::error!(%error, "the log did not close cleanly"),
    }
}

/// Why a server ended by itself: to start it again does not help before an operator has acted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}", .0.why)]
pub struct Stopped(pub Stop);

impl Stopped {
    /// The exit code: a fault of the configuration (`EX_CONFIG` of sysexits.h). A service manager should not start the
    /// server again after it.
    pub const EXIT_CODE: u8 = 78;
}

/// Waits until a page drains the server, where there is a lab.
async fn drained_by(lab: Option<&Lab>) {
    match lab {
        Some(lab) => lab.drained().await,
        None => std::future::pending().await,
    }
}

/// Begins the drain: gives each client a slot to reconnect in, at the next server here, or at another node.
fn send_away(hub: &Hub, config: &Config) {
    let connections = hub.connections();
    tracing::info!(connections, window = ?config.drain, "draining");
    let cluster = hub.log().cluster();
    let others = cluster.map(|cluster| cluster.others(config.limits.connections));
    hub.go_away(config.drain, &others.unwrap_or_default());
}

/// The server's periodic tasks. They end with the server, whatever they are doing.
fn tasks_beside(
    tls: Option<Tls>,
    hub: &Arc<Hub>,
    samples: Arc<Samples>,
    allocator: Allocator,
) -> JoinSet<()> {
    let mut beside = JoinSet::new();
    if let Some(tls) = tls {
        let renew = move || tls.clone().keep();
        beside.spawn(supervised("renewal of certificates", renew));
    }
    let (heap, hub) = (Arc::new(Mutex::new(Heap::new(allocator))), Arc::clone(hub));
    beside.spawn(supervised("samples and memory", move || {
        housekeeping::watch(hub.clone(), samples.clone(), heap.clone())
    }));
    beside
}

/// An error with all its causes, in one line. A cause that the error's text contains is not repeated.
pub fn in_full(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    let mut told = error.to_string();
    for cause in causes.map(ToString::to_string) {
        if !told.contains(&cause) {
            told = format!("{told}: {cause}");
        }
    }
    told
}
