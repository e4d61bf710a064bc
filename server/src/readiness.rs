//! Readiness: whether the log can store, found out by storing something.

use std::sync::Arc;
use std::time::Duration;

use everbeat_axum::hub::Hub;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::descriptors::Reserve;

/// The deadline of a probe.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long the answer of a probe holds: frequent requests must not cost a sync each.
const FRESH: Duration = Duration::from_secs(1);

/// Readiness: whether files can be opened, and whether the log can store.
#[derive(Debug)]
pub struct Readiness {
    reserve: Arc<Reserve>,
    latest: Mutex<Option<Probe>>,
}

/// A probe: one try to store something. There is one at a time, as a log that hangs must not get more to do.
#[derive(Clone, Debug)]
struct Probe {
    /// Until then its answer is waited for; later it counts as a no.
    deadline: Instant,
    /// When it was answered, and whether the log could store.
    answer: watch::Receiver<Option<(Instant, bool)>>,
}

impl Probe {
    fn begin(hub: &Arc<Hub>) -> Self {
        let (tell, answer) = watch::channel(None);
        let stored = hub.log().probe();
        tokio::spawn(async move {
            let stores = stored.await.is_ok();
            tell.send_replace(Some((Instant::now(), stores)));
        });
        Self {
            deadline: Instant::now() + PATIENCE,
            answer,
        }
    }

    /// Whether it is under way, or was answered just now.
    fn is_fresh(&self) -> bool {
        match *self.answer.borrow() {
            Some((at, _)) => at.elapsed() < FRESH,
            None => self.answer.has_changed().is_ok(),
        }
    }

    async fn stores(mut self) -> bool {
        let answer = self.answer.wait_for(Option::is_some);
        let answer = timeout_at(self.deadline, answer).await;
        matches!(answer, Ok(Ok(answer)) if answer.is_some_and(|(_, stores)| stores))
    }
}

impl Readiness {
    /// No probe yet. The listeners lend descriptors of this reserve.
    pub fn new(reserve: Arc<Reserve>) -> Self {
        let latest = Mutex::default();
        Self { reserve, latest }
    }

    /// The descriptors in reserve for health probes.
    pub const fn reserve(&self) -> &Arc<Reserve> {
        &self.reserve
    }

    /// Whether the log could store something just now. Requests at the same time share a probe, and none
    /// waits for a second one.
    pub async fn stores(&self, hub: &Arc<Hub>) -> bool {
        let probe = {
            let mut latest = self.latest.lock();
            match latest.as_ref().filter(|probe| probe.is_fresh()) {
                Some(probe) => probe.clone(),
                None => latest.insert(Probe::begin(hub)).clone(),
            }
        };
        probe.stores().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use everbeat_axum::clock::Clock;
    use everbeat_axum::hub::Rooms;
    use everbeat_axum::log::late::LateLog;
    use everbeat_axum::log::memory::MemoryLog;

    /// Each request is answered within the probe's deadline, also the tenth while the log hangs;
    /// and there is one probe.
    #[tokio::test(start_paused = true)]
    async fn a_log_that_hangs_is_not_ready_in_time() {
        let rooms = Arc::new(Rooms::new(1));
        let memory = Arc::new(MemoryLog::new(1, rooms.clone()));
        let log = Arc::new(LateLog::new(memory));
        let hub = Arc::new(Hub::new(rooms, log.clone(), 0, Clock::start()));
        let readiness = Readiness::new(Reserve::keep());
        assert!(readiness.stores(&hub).await);
        log.freeze(true);
        tokio::time::advance(FRESH).await;
        let begun = Instant::now();
        let ask = || readiness.stores(&hub);
        assert_eq!(tokio::join!(ask(), ask(), ask()), (false, false, false));
        assert_eq!(begun.elapsed(), PATIENCE);
        for _ in 0..10 {
            tokio::time::advance(FRESH).await;
            let asked = Instant::now();
            assert!(!readiness.stores(&hub).await);
            assert_eq!(asked.elapsed(), Duration::ZERO);
        }
        log.freeze(false);
        tokio::time::sleep(FRESH / 2).await;
        assert!(readiness.stores(&hub).await);
    }
}
