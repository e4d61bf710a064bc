//! Samples of the last minutes and of the last hour, for the charts of the operator's pages.

use std::collections::VecDeque;
use std::time::Duration;

use everbeat_axum::metrics::{Cause, Times, Totals};
use parking_lot::Mutex;
use protocol::time::Timestamp;

/// How often a sample for the last minutes is taken.
pub const EVERY: Duration = Duration::from_secs(2);

/// How many of these samples make one of the last hour.
const FINE_IN_COARSE: u32 = 10;

/// A span of time that the charts show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Span {
    /// The last five minutes, a sample each 2 s.
    #[default]
    Minutes,
    /// The last hour, a sample each 20 s.
    Hour,
}

impl Span {
    /// How many samples are kept of it. One takes less than 200 bytes, so all together take less than 70 kB.
    pub const fn kept(self) -> usize {
        match self {
            Self::Minutes => 150,
            Self::Hour => 180,
        }
    }

    /// How long it is, in seconds.
    pub const fn seconds(self) -> u64 {
        let every = match self {
            Self::Minutes => 1,
            Self::Hour => FINE_IN_COARSE as u64,
        };
        self.kept() as u64 * every * EVERY.as_secs()
    }
}

/// A sample: the figures at one time, and of the time since the sample before.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sample {
    /// Sessions with a connection.
    pub live: f64,
    /// Sessions without one that can be resumed; `None` where the log could not tell.
    pub away: Option<f64>,
    /// How many sessions came back, by cause, in the order of [`Cause::ALL`].
    pub returns: [u64; Cause::ALL.len()],
    /// The round trips of answered pings; `None` where there was none.
    pub round_trip: Option<Quantiles>,
    /// How long commits of the log took, with their sync; `None` where there was none.
    pub commit: Option<Quantiles>,
    /// Messages that became durable, per second.
    pub stored_per_s: f64,
    /// Messages, drafts and changes of members that were handed to connections, per second.
    pub deliveries_per_s: f64,
    /// How many `error` frames were sent.
    pub refused: u64,
    /// How many limits were exceeded.
    pub limited: u64,
}

/// Two quantiles of lengths of time, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantiles {
    /// The middle one.
    pub middle_ms: f64,
    /// One that few exceed.
    pub high_ms: f64,
}

impl Quantiles {
    fn of(times: &Times, high: f64) -> Option<Self> {
        let ms = |share| Some(times.quantile(share)?.as_secs_f64() * 1000.0);
        Some(Self {
            middle_ms: ms(0.5)?,
            high_ms: ms(high)?,
        })
    }
}

/// The gauges of a sample.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gauges {
    /// Sessions with a connection.
    pub live: usize,
    /// Sessions without one that can be resumed; counts only where [`Samples::is_coarse_next`].
    pub away: Option<u64>,
}

/// The newest samples.
#[derive(Debug, Default)]
pub struct Samples(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    fine: Ring,
    coarse: Ring,
    /// Sessions that were away when the log was asked last.
    away: Option<u64>,
    /// How many samples were taken.
    count: u32,
}

#[derive(Debug, Default)]
struct Ring {
    samples: VecDeque<Sample>,
    /// The counters at the newest sample, and its time.
    totals: Totals,
    at: Timestamp,
}

impl Samples {
    /// Whether the next sample is one of the last hour, too: for that one the log is asked how many sessions are away.
    pub fn is_coarse_next(&self) -> bool {
        self.0.lock().is_coarse_next()
    }

    /// Takes a sample.
    pub fn take(&self, at: Timestamp, gauges: Gauges, totals: &Totals) {
        let mut kept = self.0.lock();
        let is_coarse = kept.is_coarse_next();
        if is_coarse {
            kept.away = gauges.away;
        }
        let gauges = Gauges {
            away: kept.away,
            ..gauges
        };
        if is_coarse {
            kept.coarse.take(at, gauges, totals, Span::Hour.kept());
        }
        kept.fine.take(at, gauges, totals, Span::Minutes.kept());
        kept.count = kept.count.wrapping_add(1);
    }

    /// The samples of a span, oldest first.
    pub fn of(&self, span: Span) -> Vec<Sample> {
        let kept = self.0.lock();
        let ring = match span {
            Span::Minutes => &kept.fine,
            Span::Hour => &kept.coarse,
        };
        ring.samples.iter().copied().collect()
    }
}

impl Kept {
    const fn is_coarse_next(&self) -> bool {
        self.count.is_multiple_of(FINE_IN_COARSE)
    }
}

impl Ring {
    #[expect(clippy::cast_precision_loss, reason = "for eyes")]
    fn take(&mut self, at: Timestamp, gauges: Gauges, totals: &Totals, kept: usize) {
        let before = std::mem::replace(&mut self.totals, *totals);
        let seconds = at.since(self.at).as_secs_f64().max(0.001);
        self.at = at;
        let rate = |new: u64, old: u64| new.saturating_sub(old) as f64 / seconds;
        let returns = totals.returns.iter().zip(before.returns);
        let mut returns = returns.map(|(now, before)| now.saturating_sub(before));
        let sample = Sample {
            live: gauges.live as f64,
            away: gauges.away.map(|away| away as f64),
            returns: std::array::from_fn(|_| returns.next().unwrap_or_default()),
            round_trip: Quantiles::of(&totals.round_trips.since(&before.round_trips), 0.95),
            commit: Quantiles::of(&totals.commits.since(&before.commits), 0.99),
            stored_per_s: rate(totals.stored, before.stored),
            deliveries_per_s: rate(totals.deliveries, before.deliveries),
            refused: totals.refused.saturating_sub(before.refused),
            limited: totals.limited.saturating_sub(before.limited),
        };
        if self.samples.len() == kept {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Five minutes and an hour are kept, in rates and in counts of the time since the sample before.
    #[test]
    fn minutes_and_an_hour_are_kept() {
        let samples = Samples::default();
        let mut coarse = 0;
        for tick in 1..=2_000_u64 {
            let totals = Totals {
                stored: tick * 10,
                deliveries: tick * 40,
                returns: [tick, 0, 0, 0, 0, 3 * tick],
                limited: tick,
                ..Totals::default()
            };
            let gauges = Gauges {
                live: 7,
                away: samples.is_coarse_next().then_some(3),
            };
            coarse += u64::from(samples.is_coarse_next());
            samples.take(Timestamp::from_millis(tick * 2_000), gauges, &totals);
        }
        assert_eq!(coarse, 200);
        let fine = samples.of(Span::Minutes);
        let hour = samples.of(Span::Hour);
        assert_eq!((fine.len(), hour.len()), (150, 180));
        let rates = Sample {
            live: 7.0,
            away: Some(3.0),
            stored_per_s: 5.0,
            deliveries_per_s: 20.0,
            ..Sample::default()
        };
        for sample in &hour {
            let expected = Sample {
                returns: [10, 0, 0, 0, 0, 30],
                limited: 10,
                ..rates
            };
            assert_eq!(*sample, expected);
        }
        assert_eq!(fine[149].away, Some(3.0), "as the log said last");
        assert_eq!(fine[149].returns, [1, 0, 0, 0, 0, 3]);
        assert!((fine[149].stored_per_s - 5.0).abs() < 1e-9);
    }
}
