//! How long a fault may be felt, and how long it was.

use std::fmt::Write as _;
use std::time::Duration;

use super::fault::{FROZEN, Fault, OUT, PARTED};
use crate::chaos::member::{Account, Ack, Outage};
use crate::chaos::verdict::Verdict;

/// What a busy machine of two cores adds to each bound.
const SLACK: Duration = Duration::from_millis(2500);

/// How long a stream may be without a leader after its leader died, of which 4 to 9 s are NATS's own.
const ELECTION: Duration = Duration::from_secs(10);

/// RC-1: the longest first delay. The next node takes the client at once.
const FIRST_DELAY: Duration = Duration::from_millis(250);

/// RC-3: from the end of a drained node to the last slot: half a second, and as long as a drain.
const SLOTS: Duration = Duration::from_millis(2500);

/// How long a publish that is refused for now waits before it is sent again (EO-7).
const RETRY: Duration = Duration::from_secs(5);

/// How long a node may take to find its NATS servers again after a partition.
const ATTACH: Duration = Duration::from_secs(5);

/// The longest times, as they may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Without an ack for any client.
    silence: Duration,
    /// From a publish to its ack.
    ack: Duration,
    /// Of a client without a connection.
    outage: Duration,
    /// That a reader waited for a page.
    reading: Duration,
}

/// The longest times, as they were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured {
    silence: Duration,
    ack: Duration,
    outage: Duration,
    /// `None`: no node had to be readable all the time.
    reading: Option<Duration>,
}

impl Bounds {
    /// The bounds of a fault.
    pub fn of(fault: Fault) -> Self {
        // Nothing is felt.
        let base = Self {
            silence: SLACK,
            ack: SLACK + RETRY,
            outage: SLACK,
            reading: SLACK,
        };
        let without_leader = |out: Duration| Self {
            silence: out + ELECTION,
            ack: out + ELECTION + RETRY + SLACK,
            ..base
        };
        match fault {
            Fault::Node | Fault::Wiped => Self {
                outage: FIRST_DELAY + SLACK,
                ack: FIRST_DELAY + SLACK + RETRY,
                ..base
            },
            Fault::Leader => without_leader(Duration::ZERO),
            Fault::Follower => base,
            Fault::Stream => without_leader(OUT),
            Fault::Majority => without_leader(FROZEN),
            Fault::Partition => Self {
                ack: PARTED + ATTACH + RETRY + SLACK,
                ..base
            },
            Fault::Restarts => Self {
                outage: SLOTS + SLACK,
                ack: SLOTS + RETRY + SLACK,
                ..base
            },
        }
    }

    /// Complains of what took longer.
    #[must_use]
    pub fn check(&self, measured: &Measured, mut verdict: Verdict) -> Verdict {
        for (what, bound, took) in self.rows(measured) {
            if took > bound {
                verdict.complain(what, format!("{took:.1?}, not {bound:.1?}"));
            }
        }
        verdict
    }

    /// The times beside their bounds, in a line.
    pub fn beside(&self, measured: &Measured) -> String {
        let mut line = String::new();
        for (what, bound, took) in self.rows(measured) {
            let comma = if line.is_empty() { "" } else { "; " };
            let (took, bound) = (took.as_secs_f64(), bound.as_secs_f64());
            // A string takes everything.
            let _ = write!(line, "{comma}{what} {took:.1} s of {bound:.1}");
        }
        line
    }

    fn rows(
        &self,
        measured: &Measured,
    ) -> impl Iterator<Item = (&'static str, Duration, Duration)> + use<> {
        let Self {
            silence,
            ack,
            outage,
            reading,
        } = *self;
        [
            ("no acks for", silence, Some(measured.silence)),
            ("an ack after", ack, Some(measured.ack)),
            ("a client away for", outage, Some(measured.outage)),
            ("a page after", reading, measured.reading),
        ]
        .into_iter()
        .filter_map(|(what, bound, took)| Some((what, bound, took?)))
    }
}

impl Measured {
    /// The times of these accounts; the readers' time was measured by them.
    pub fn of(accounts: &[Account], reading: Option<Duration>) -> Self {
        let acks = || accounts.iter().flat_map(|account| &account.acks);
        let mut times: Vec<_> = acks().map(|ack| ack.at).collect();
        times.sort_unstable();
        let between = times.windows(2).map(|pair| pair[1] - pair[0]);
        let waited = acks().map(|&Ack { published, at }| at - published);
        let away = accounts.iter().flat_map(|account| &account.outages);
        Self {
            silence: between.max().unwrap_or_default(),
            ack: waited.max().unwrap_or_default(),
            outage: away.map(Outage::lasted).max().unwrap_or_default(),
            reading,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn the_longest_times_stand_beside_their_bounds() {
        let begun = Instant::now();
        let at = |seconds: u64| begun + Duration::from_secs(seconds);
        let ack = |published: u64, acked: u64| Ack {
            published: at(published),
            at: at(acked),
        };
        let ada = Account {
            acks: vec![ack(0, 1), ack(1, 12)],
            ..Account::default()
        };
        let bob = Account {
            acks: vec![ack(1, 3)],
            outages: vec![Outage {
                from: at(4),
                until: Some(at(5)),
            }],
            ..Account::default()
        };
        let reading = Some(Duration::from_secs(1));
        let measured = Measured::of(&[ada, bob], reading);
        let seconds = |seconds: u64| Duration::from_secs(seconds);
        let expected = Measured {
            silence: seconds(9),
            ack: seconds(11),
            outage: seconds(1),
            reading,
        };
        assert_eq!(measured, expected);
        let leader = Bounds::of(Fault::Leader);
        assert!(leader.check(&measured, Verdict::default()).is_good());
        let follower = Bounds::of(Fault::Follower);
        assert!(!follower.check(&measured, Verdict::default()).is_good());
        let line = leader.beside(&measured);
        assert!(line.starts_with("no acks for 9.0 s of 10.0;"), "{line}");
    }
}
