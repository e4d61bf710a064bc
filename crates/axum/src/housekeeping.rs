//! Housekeeping: periodic work beside the connections.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::everbeat::Everbeat;
use crate::hub::Hub;
use crate::metrics::Limit;
use crate::supervise::supervised;

/// How late a room's timeout may be handled. PR-1 and PR-3 are about seconds: a fifth
/// more does no harm.
const AGENDA_EVERY: Duration = Duration::from_millis(200);

/// The same where rooms tell other nodes what is typed.
const AGENDA_OF_NODES_EVERY: Duration = Duration::from_millis(50);

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

/// How long the log keeps what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetentionConfig {
    /// Messages, as far as there is room for them; zero: for as long as there is room.
    pub history: Duration,
    /// Sessions without a connection (RS-9).
    pub sessions: Duration,
    /// Those of them that never published anything.
    pub unused_sessions: Duration,
    /// The keys of messages that came over HTTP.
    pub post_keys: Duration,
}

impl Default for RetentionConfig {
    fn default() -> Self {
        const HOUR: Duration = Duration::from_secs(60 * 60);
        Self {
            history: Duration::ZERO,
            sessions: 7 * 24 * HOUR,
            // Nothing is lost with them, and anyone can make very many.
            unused_sessions: Duration::from_secs(45 * 60),
            post_keys: 24 * HOUR,
        }
    }
}

/// The parts that housekeeping works on.
#[derive(Clone)]
pub struct Housekeeping {
    /// The hub, the limits, and the authenticator, whose keys are read again.
    pub everbeat: Everbeat,
    /// How long the log keeps what.
    pub retention: RetentionConfig,
}

impl Housekeeping {
    /// Starts the tasks; a task that panics is restarted.
    pub fn begin(self, tasks: &mut JoinSet<()>) {
        let (house, expiry) = (self.clone(), self.clone());
        let hub = Arc::clone(self.everbeat.hub());
        let authenticator = Arc::clone(self.everbeat.authenticator());
        tasks.spawn(supervised("housekeeping", move || house.clone().look()));
        // A task of its own, as it takes as long as the log does.
        tasks.spawn(supervised("expiry", move || expiry.clone().forget()));
        tasks.spawn(supervised("tails of rooms", move || {
            let hub = Arc::clone(&hub);
            async move { hub.keep_tails().await }
        }));
        tasks.spawn(supervised("keys of tokens", move || {
            let authenticator = Arc::clone(&authenticator);
            async move { authenticator.keep().await }
        }));
    }

    /// Handles timeouts of rooms, and drops what is unused. Nothing
    /// of it waits for the log.
    async fn look(self) {
        let (hub, limits) = (self.everbeat.hub(), self.everbeat.limits());
        let mut agenda = interval(match hub.is_one_of_several() {
            true => AGENDA_OF_NODES_EVERY,
            false => AGENDA_EVERY,
        });
        let mut sweep = interval(SWEEP_EVERY);
        agenda.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                _ = agenda.tick() => hub.handle_timeout(hub.clock().now()),
                _ = sweep.tick() => {
                    hub.sweep();
                    let evicted = limits.sweep(hub.clock().now());
                    hub.metrics().limited_times(Limit::RateBytes, evicted);
                }
            }
        }
    }

    /// Forgets what is too old in the log.
    async fn forget(self) {
        let age = self.retention.history;
        let trim_every = (age / TRIM_PART).clamp(*TRIM_EVERY.start(), *TRIM_EVERY.end());
        let shortest = (self.retention.unused_sessions).min(self.retention.sessions);
        let expire_every =
            (shortest / EXPIRE_PART).clamp(*EXPIRE_EVERY.start(), *EXPIRE_EVERY.end());
        let mut expire = interval(expire_every);
        let mut trim = interval(trim_every);
        expire.set_missed_tick_behavior(MissedTickBehavior::Delay);
        trim.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let hub = self.everbeat.hub();
        loop {
            tokio::select! {
                _ = expire.tick() => forget_old(hub, &self.retention).await,
                _ = trim.tick(), if !age.is_zero() => trim_old(hub, age).await,
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
async fn forget_old(hub: &Hub, retention: &RetentionConfig) {
    let log = hub.log();
    let sessions = match (
        log.touch(hub.sessions(), hub.stamp()).await,
        hub.cutoff(retention.sessions),
    ) {
        (Ok(()), Some(before)) => log.expire(before).await,
        (touched, _) => touched.map(|()| 0),
    };
    // Not where those that are connected could not be noted: they would count as gone.
    let unused = match (&sessions, hub.cutoff(retention.unused_sessions)) {
        (Ok(_), Some(before)) => log.expire_unused(before).await,
        _ => Ok(0),
    };
    let posts = match hub.cutoff(retention.post_keys) {
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
