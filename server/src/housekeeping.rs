//! Housekeeping: periodic work beside the connections.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use everbeat_axum::hub::Hub;
use everbeat_axum::limits::Limits;
use everbeat_axum::metrics::Limit;
use everbeat_axum::supervise::supervised;
use parking_lot::Mutex;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::config::Config;
use crate::heap::Heap;
use crate::samples::{self, Samples};

/// How late a room's timeout may be handled. PR-1 and PR-3 are about seconds: a fifth
/// more does no harm.
const AGENDA_EVERY: Duration = Duration::from_millis(200);

/// How often unused rooms are dropped. All rooms are looked at, so not every
/// second. The rooms of a crowd that left are gone after three of these and the 30 s of PR-1.
const SWEEP_EVERY: Duration = Duration::from_secs(10);

/// How often connected sessions are noted in the log, and old ones forgotten (RS-9): three times in the
/// shortest life of a session, so that none is forgotten while it is connected.
const EXPIRE_PART: u32 = 3;
const EXPIRE_EVERY: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(15 * 60);

/// How late an old message may be trimmed: one part in this many of its age limit, within these bounds.
const TRIM_PART: u32 = 20;
const TRIM_EVERY: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(60 * 60);

/// The parts that housekeeping works on.
#[derive(Clone)]
pub(crate) struct Housekeeping {
    /// The registry of rooms and connections, over the log.
    pub(crate) hub: Arc<Hub>,
    /// The limits over many connections.
    pub(crate) limits: Arc<Limits>,
    /// The samples of the last hour.
    pub(crate) samples: Arc<Samples>,
    /// The options.
    pub(crate) config: Arc<Config>,
    /// The memory that the allocator keeps.
    pub(crate) heap: Arc<Mutex<Heap>>,
}

impl Housekeeping {
    /// Starts the tasks; a task that panics is restarted.
    pub(crate) fn begin(self, tasks: &mut JoinSet<()>) {
        let (house, expiry, hub) = (self.clone(), self.clone(), self.hub);
        tasks.spawn(supervised("housekeeping", move || house.clone().look()));
        // A task of its own, as it takes as long as the log does.
        tasks.spawn(supervised("expiry", move || expiry.clone().forget()));
        tasks.spawn(supervised("tails of rooms", move || {
            let hub = Arc::clone(&hub);
            async move { hub.keep_tails().await }
        }));
    }

    /// Handles timeouts of rooms, drops what is unused, and takes samples. Nothing
    /// of it waits for the log.
    async fn look(self) {
        let hub = &self.hub;
        let mut agenda = interval(AGENDA_EVERY);
        let mut sweep = interval(SWEEP_EVERY);
        let mut sample = interval(samples::EVERY);
        let mut sampled = Instant::now();
        agenda.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                _ = agenda.tick() => hub.handle_timeout(hub.clock().now()),
                _ = sweep.tick() => {
                    hub.sweep();
                    let evicted = self.limits.sweep(hub.clock().now());
                    hub.metrics().limited_times(Limit::RateBytes, evicted);
                    let heap = Arc::clone(&self.heap);
                    spawn_blocking(move || heap.lock().look());
                }
                at = sample.tick() => {
                    let since = at - std::mem::replace(&mut sampled, at);
                    self.samples.take(hub.live(), hub.metrics().totals(), since);
                }
            }
        }
    }

    /// Forgets what is too old in the log.
    async fn forget(self) {
        let age = self.config.history_age;
        let trim_every = (age / TRIM_PART).clamp(*TRIM_EVERY.start(), *TRIM_EVERY.end());
        let shortest = self.config.unused_session_ttl.min(self.config.session_ttl);
        let expire_every =
            (shortest / EXPIRE_PART).clamp(*EXPIRE_EVERY.start(), *EXPIRE_EVERY.end());
        let mut expire = interval(expire_every);
        let mut trim = interval(trim_every);
        expire.set_missed_tick_behavior(MissedTickBehavior::Delay);
        trim.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = expire.tick() => forget_old(&self.hub, &self.config).await,
                _ = trim.tick(), if !age.is_zero() => trim_old(&self.hub, age).await,
            }
        }
    }
}

/// Trims messages that are too old, once the clock is trusted for their age.
async fn trim_old(hub: &Hub, age: Duration) {
    let Some(before) = hub.cutoff(age) else {
        return;
    };
    match hub.log().trim(before).await {
        Ok(0) => {}
        Ok(messages) => tracing::info!(messages, "trimmed what is old"),
        Err(error) => tracing::warn!(%error, "could not trim; trying again later"),
    }
}

/// Forgets sessions and keys of posts that are too old, once the clock is trusted for their age.
async fn forget_old(hub: &Hub, config: &Config) {
    let log = hub.log();
    let sessions = match (
        log.touch(hub.sessions(), hub.stamp()).await,
        hub.cutoff(config.session_ttl),
    ) {
        (Ok(()), Some(before)) => log.expire(before).await,
        (touched, _) => touched.map(|()| 0),
    };
    // Skipped if the connected sessions could not be noted: these would be forgotten too.
    let unused = match (&sessions, hub.cutoff(config.unused_session_ttl)) {
        (Ok(_), Some(before)) => log.expire_unused(before).await,
        _ => Ok(0),
    };
    let posts = match hub.cutoff(config.idempotency_ttl) {
        Some(before) => log.forget_posts(before).await,
        None => Ok(0),
    };
    for (what, forgotten) in [
        ("sessions", sessions),
        ("unused sessions", unused),
        ("keys of posts", posts),
    ] {
        match forgotten {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, what, "forgot what is old"),
            Err(error) => tracing::warn!(%error, what, "could not forget; trying again later"),
        }
    }
}
