//! Samples of the last hour, for the charts of the status page.

use std::collections::VecDeque;
use std::time::Duration;

use everbeat_axum::metrics::Totals;
use parking_lot::Mutex;

/// How often a sample is taken.
pub const EVERY: Duration = Duration::from_secs(10);

/// How many samples are kept: an hour.
pub const KEPT: usize = 360;

/// A sample: the figures at one time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sample {
    /// Sessions with a connection.
    pub live: f64,
    /// Messages that became durable, per second since the last sample.
    pub stored_per_s: f64,
    /// Messages, drafts and changes of members that were handed to connections, per second.
    pub deliveries_per_s: f64,
}

/// The newest samples.
#[derive(Debug, Default)]
pub struct Samples(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    samples: VecDeque<Sample>,
    totals: Totals,
}

impl Samples {
    /// Takes a sample, with so many sessions that have a connection; `since` is the time from the last one, or from
    /// the start.
    #[expect(clippy::cast_precision_loss, reason = "for eyes")]
    pub fn take(&self, live: usize, totals: Totals, since: Duration) {
        let mut kept = self.0.lock();
        let rate =
            |new: u64, old: u64| new.saturating_sub(old) as f64 / since.as_secs_f64().max(0.001);
        let sample = Sample {
            live: live as f64,
            stored_per_s: rate(totals.stored, kept.totals.stored),
            deliveries_per_s: rate(totals.deliveries, kept.totals.deliveries),
        };
        kept.totals = totals;
        if kept.samples.len() == KEPT {
            kept.samples.pop_front();
        }
        kept.samples.push_back(sample);
    }

    /// All samples, oldest first.
    pub fn all(&self) -> Vec<Sample> {
        self.0.lock().samples.iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_is_kept_in_rates() {
        let samples = Samples::default();
        for second in 1..=400 {
            let totals = Totals {
                stored: second * 50,
                deliveries: second * 200,
                ..Totals::default()
            };
            samples.take(7, totals, EVERY);
        }
        let all = samples.all();
        assert_eq!(all.len(), KEPT);
        let sample = Sample {
            live: 7.0,
            stored_per_s: 5.0,
            deliveries_per_s: 20.0,
        };
        assert!(all.iter().all(|kept| *kept == sample));
    }
}
