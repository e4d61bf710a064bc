//! Everbeat's server.
//!
//! - [`config`]: options and environment
//! - [`access`]: who may enter
//! - [`address`], [`origin`], [`limits`], [`headers`]: what is refused
//! - [`command`]: what is done without serving
//! - [`run`]: from a bound listener to a drained exit
//! - [`ws`]: connections; the decisions are in [`protocol::server`], here is only I/O
//! - [`hub`]: rooms that readers pull from, and who is connected
//! - [`mod@log`]: what is durable
//! - [`api`]: how programs read and write without a socket
//! - [`page`]: the server-rendered page and static files

#![forbid(unsafe_code)]

pub mod access;
pub mod address;
pub mod api;
pub mod clock;
pub mod command;
pub mod config;
pub mod headers;
pub mod hub;
pub mod limits;
pub mod log;
pub mod origin;
pub mod page;
pub mod router;
pub mod secret;
pub mod serve;
pub mod state;
pub mod text_frame;
pub mod ws;

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use leptos::config::LeptosOptions;
use tokio::net::TcpListener;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access::Gate;
use crate::clock::{Clock, unix_ms};
use crate::config::Config;
use crate::hub::{Hub, Rooms};
use crate::limits::Limits;
use crate::log::sqlite::{OpenError, SqliteConfig, SqliteLog};
use crate::serve::Doors;
use crate::state::{AppState, Parts};

/// How late rooms may be looked at in which something is due. PR-1 and PR-3 are about seconds: a fifth
/// more harms nobody.
const AGENDA_EVERY: Duration = Duration::from_millis(200);

/// How often it is looked for rooms that nobody uses. All of them are looked at: that is not for every
/// second.
const SWEEP_EVERY: Duration = Duration::from_secs(30);

/// How often connected sessions are noted in the log, and what is old is forgotten (RS-9).
const EXPIRE_EVERY: Duration = Duration::from_secs(60 * 60);

/// How late a message may be trimmed that is too old: this part of what it may be, within these bounds.
const TRIM_PART: u32 = 20;
const TRIM_EVERY: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(60 * 60);

/// How long connections and requests may take to end once they were told to.
const FAREWELL: Duration = Duration::from_secs(5);

/// Opens the log in the data directory, with the rooms as its observer.
///
/// # Errors
/// An [`OpenError`] that says which file is meant and what to do.
pub fn open_hub(config: &Config) -> Result<Arc<Hub>, OpenError> {
    // Where this fails, opening the database says what is wrong with the directory.
    let _ = std::fs::create_dir_all(&config.data);
    let rooms = Arc::new(Rooms::new(config.members_named));
    let sqlite = SqliteConfig {
        history_per_room: config.history,
        ..SqliteConfig::default()
    };
    let log = SqliteLog::open(&config.database(), sqlite, rooms.clone())?;
    let (log, clock) = (Arc::new(log), Clock::start());
    Ok(Arc::new(Hub::new(rooms, log, config.replay_bytes, clock)))
}

/// Serves on `listener` until `shutdown`, then drains: takes nobody in, gives each client a slot to
/// come back in, closes what is left with 1012, commits, and returns.
pub async fn run(
    config: Config,
    leptos: LeptosOptions,
    listener: TcpListener,
    (hub, gate): (Arc<Hub>, Arc<Gate>),
    shutdown: impl Future<Output = ()>,
) {
    let tracker = TaskTracker::new();
    let stop = CancellationToken::new();
    let config = Arc::new(config);
    let limits = Arc::new(Limits::new(&config.limits));
    let state = AppState::from(Parts {
        hub: Arc::clone(&hub),
        gate: Arc::clone(&gate),
        limits: Arc::clone(&limits),
        config: Arc::clone(&config),
        protocol: Arc::new(config.protocol()),
        tracker: tracker.clone(),
        leptos,
    });
    let doors = Doors {
        router: router::build(state),
        limits: Arc::clone(&limits),
        config: Arc::clone(&config),
    };
    let serving = tokio::spawn(doors.serve(listener, stop.clone()));
    let keeping = tokio::spawn(keep_house(Arc::clone(&hub), limits, Arc::clone(&config)));
    let guarding = tokio::spawn(async move { gate.keep().await });

    shutdown.await;
    let connections = hub.connections();
    tracing::info!(connections, window = ?config.drain, "draining");
    hub.go_away(config.drain);
    tracker.close();
    if timeout(config.drain, tracker.wait()).await.is_err() {
        hub.shut_down();
        if timeout(FAREWELL, tracker.wait()).await.is_err() {
            tracing::warn!(connections = hub.connections(), "left without a farewell");
        }
    }
    stop.cancel();
    if timeout(FAREWELL, serving).await.is_err() {
        tracing::warn!("HTTP requests were still under way");
    }
    keeping.abort();
    guarding.abort();
    match hub.log().close().await {
        Ok(()) => tracing::info!("stopped"),
        Err(error) => tracing::error!(%error, "the log did not close cleanly"),
    }
}

async fn keep_house(hub: Arc<Hub>, limits: Arc<Limits>, config: Arc<Config>) {
    let mut agenda = interval(AGENDA_EVERY);
    let mut sweep = interval(SWEEP_EVERY);
    let mut expire = interval(EXPIRE_EVERY);
    agenda.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let trim_every = config.history_age / TRIM_PART;
    let mut trim = interval(trim_every.clamp(*TRIM_EVERY.start(), *TRIM_EVERY.end()));
    loop {
        tokio::select! {
            _ = agenda.tick() => hub.handle_timeout(hub.clock().now()),
            _ = sweep.tick() => {
                hub.sweep();
                limits.sweep();
            }
            _ = expire.tick() => forget_old(&hub, &config).await,
            _ = trim.tick(), if !config.history_age.is_zero() => {
                trim_old(&hub, config.history_age).await;
            }
        }
    }
}

/// The Unix time so long ago, in milliseconds.
fn before(now: u64, age: Duration) -> u64 {
    let age = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
    now.saturating_sub(age)
}

/// Trims messages that are too old.
async fn trim_old(hub: &Hub, age: Duration) {
    match hub.log().trim(before(unix_ms(), age)).await {
        Ok(0) => {}
        Ok(messages) => tracing::info!(messages, "trimmed what is old"),
        Err(error) => tracing::warn!(%error, "could not trim; trying again later"),
    }
}

/// Forgets sessions and keys of posts that are too old.
async fn forget_old(hub: &Hub, config: &Config) {
    let now = unix_ms();
    let log = hub.log();
    let sessions = match log.touch(hub.sessions(), now).await {
        Ok(()) => log.expire(before(now, config.session_ttl)).await,
        Err(error) => Err(error),
    };
    let posts = log.forget_posts(before(now, config.idempotency_ttl)).await;
    for (what, forgotten) in [("sessions", sessions), ("keys of posts", posts)] {
        match forgotten {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, what, "forgot what is old"),
            Err(error) => tracing::warn!(%error, what, "could not forget; trying again later"),
        }
    }
}
