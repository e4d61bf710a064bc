//! Periodic work for the operator, beside the library's housekeeping.

use std::sync::Arc;
use std::time::Duration;

use everbeat_axum::hub::Hub;
use parking_lot::Mutex;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};

use crate::heap::Heap;
use crate::samples::{self, Gauges, Samples};

/// How often free memory is given back to the system: as often as unused rooms are dropped, which is how a crowd
/// leaves some.
const HEAP_EVERY: Duration = Duration::from_secs(10);

/// Takes samples for the operator's charts, and gives free memory back to the system.
pub(crate) async fn watch(hub: Arc<Hub>, samples: Arc<Samples>, heap: Arc<Mutex<Heap>>) {
    let mut look = interval(HEAP_EVERY);
    let mut sample = interval(samples::EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Skip);
    sample.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            _ = look.tick() => {
                let heap = Arc::clone(&heap);
                spawn_blocking(move || heap.lock().look());
            }
            _ = sample.tick() => {
                // The log counts the sessions that are away: not for each sample.
                let away = match samples.is_coarse_next() {
                    true => hub.now().await.away,
                    false => None,
                };
                let live = hub.live();
                let gauges = Gauges { live, away };
                samples.take(hub.clock().now(), gauges, &hub.metrics().totals());
            }
        }
    }
}
