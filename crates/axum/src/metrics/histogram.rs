//! Histograms that the server reads itself, too: buckets that double, each an atomic counter.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The most buckets, and one for what is beyond them.
pub(super) const BUCKETS_MAX: usize = 15;
const COUNTS: usize = BUCKETS_MAX + 1;

/// A histogram. A value falls into the first bucket whose bound it does not exceed.
#[derive(Clone, Debug)]
pub(super) struct Histogram(Arc<Cells>);

#[derive(Debug)]
struct Cells {
    /// The bound of the first bucket; each further one is twice the one before.
    first: f64,
    /// How many buckets there are, beside the last one, which has no bound.
    buckets: usize,
    counts: [AtomicU64; COUNTS],
    /// The bits of the sum of all values.
    sum: AtomicU64,
}

impl Histogram {
    /// An empty histogram of so many buckets, at most [`BUCKETS_MAX`], the first one up to `first`.
    pub(super) fn new(first: f64, buckets: usize) -> Self {
        Self(Arc::new(Cells {
            first,
            buckets: buckets.min(BUCKETS_MAX),
            counts: Default::default(),
            sum: AtomicU64::new(0.0_f64.to_bits()),
        }))
    }

    /// Counts a value.
    pub(super) fn observe(&self, value: f64) {
        let cells = &*self.0;
        let bounds = Bounds::new(cells.first).take(cells.buckets);
        let bucket = bounds.take_while(|bound| value > *bound).count();
        if let Some(count) = cells.counts.get(bucket) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let add = |sum| Some((f64::from_bits(sum) + value).to_bits());
        // It never refuses.
        let _ = cells
            .sum
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    /// The counts as they are, of a histogram of seconds.
    pub(super) fn times(&self) -> Times {
        let cells = &*self.0;
        Times {
            first_s: cells.first,
            counts: std::array::from_fn(|bucket| cells.counts[bucket].load(Ordering::Relaxed)),
        }
    }
}

#[cfg(feature = "metrics")]
mod encoding {
    use std::fmt;
    use std::sync::atomic::Ordering;

    use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
    use prometheus_client::metrics::MetricType;

    use super::{Bounds, Histogram};

    impl EncodeMetric for Histogram {
        fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
            let cells = &*self.0;
            let bounds = Bounds::new(cells.first).take(cells.buckets);
            let bounds = bounds.chain([f64::INFINITY]);
            let counts = cells.counts.iter();
            let counts = counts.map(|count| count.load(Ordering::Relaxed));
            let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
            let count = buckets.iter().map(|(_, count)| count).sum();
            let sum = f64::from_bits(cells.sum.load(Ordering::Relaxed));
            encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
        }

        fn metric_type(&self) -> MetricType {
            MetricType::Histogram
        }
    }
}

/// The bounds of buckets, without end.
struct Bounds(f64);

impl Bounds {
    const fn new(first: f64) -> Self {
        Self(first / 2.0)
    }
}

impl Iterator for Bounds {
    type Item = f64;

    fn next(&mut self) -> Option<f64> {
        self.0 *= 2.0;
        Some(self.0)
    }
}

/// Lengths of time, counted in buckets that double.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Times {
    /// The bound of the first bucket, in seconds.
    first_s: f64,
    counts: [u64; COUNTS],
}

impl Times {
    /// Those that were counted since an earlier time.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let counts = self.counts.iter().zip(&earlier.counts);
        let mut counts = counts.map(|(now, before)| now.saturating_sub(*before));
        Self {
            first_s: self.first_s,
            counts: std::array::from_fn(|_| counts.next().unwrap_or_default()),
        }
    }

    /// The time that this share of them, from 0 to 1, does not exceed; `None` where there are none. It is estimated, as
    /// Prometheus' `histogram_quantile` does: as if those in a bucket were spread evenly.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let all: u64 = self.counts.iter().sum();
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let (wanted, number) = (share * all as f64, |count: u64| count as f64);
        let (mut below, mut lower) = (0, 0.0);
        for (bound, count) in Bounds::new(self.first_s).zip(self.counts) {
            let is_reached = number(below + count) >= wanted;
            if count > 0 && is_reached {
                let part = ((wanted - number(below)) / number(count)).clamp(0.0, 1.0);
                return Some(Duration::from_secs_f64(lower + (bound - lower) * part));
            }
            below += count;
            lower = bound;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_lies_within_its_bucket() {
        let times = Histogram::new(0.001, BUCKETS_MAX);
        assert_eq!(times.times().quantile(0.5), None);
        for _ in 0..90 {
            times.observe(0.003);
        }
        let before = times.times();
        let ms = |time: Option<Duration>| time.unwrap().as_secs_f64() * 1000.0;
        let middle = ms(before.quantile(0.5));
        assert!((2.0..=4.0).contains(&middle), "{middle}");
        for _ in 0..10 {
            times.observe(0.1);
        }
        let all = times.times();
        let high = ms(all.quantile(0.95));
        assert!((64.0..=128.0).contains(&high), "{high}");
        // Only what came since then.
        let since = ms(all.since(&before).quantile(0.01));
        assert!(since >= 64.0, "{since}");
        // What is beyond all buckets is not lost.
        times.observe(1e6);
        assert!(times.times().since(&all).quantile(1.0).is_some());
    }

    #[test]
    fn a_value_on_a_bound_is_below_it() {
        let histogram = Histogram::new(1.0, 3);
        for value in [0.0, 1.0, 1.5, 4.0, 4.1, 1e9] {
            histogram.observe(value);
        }
        let counts = histogram.times().counts;
        assert_eq!(counts[..5], [2, 1, 1, 2, 0]);
        let sum = f64::from_bits(histogram.0.sum.load(Ordering::Relaxed));
        assert!((sum - 1_000_000_010.6).abs() < 1e-6, "{sum}");
    }
}
