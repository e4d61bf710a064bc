//! Periodic work for the operator, beside the library's housekeeping.

use std::sync::Arc;
use std::time::Duration;

use everbeat_axum::hub::Hub;
use parking_lot::Mutex;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::heap::Heap;
use crate::samples::{self, Samples};

/// How often free memory is given back to the system: as often as unused rooms are dropped, which is how a crowd
/// leaves some.
const HEAP_EVERY: Duration = Duration::from_secs(10);

/// Takes samples for the last hour's charts, and gives free memory back to the system.
pub(crate) async fn watch(hub: Arc<Hub>, samples: Arc<Samples>, heap: Arc<Mutex<Heap>>) {
    let mut look = interval(HEAP_EVERY);
    let mut sample = interval(samples::EVERY);
    let mut sampled = Instant::now();
    look.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            _ = look.tick() => {
                let heap = Arc::clone(&heap);
                spawn_blocking(move || heap.lock().look());
            }
            at = sample.tick() => {
                let since = at - std::mem::replace(&mut sampled, at);
                samples.take(hub.live(), hub.metrics().totals(), since);
            }
        }
    }
}
