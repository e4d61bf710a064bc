//! Bounds on the journal's lines that a stranger can cause: some are written, the others are
//! counted.

use std::collections::HashMap;
use std::fmt::Display;
use std::sync::LazyLock;
use std::time::Duration;

use parking_lot::Mutex;
use protocol::time::Timestamp;

use crate::address::Network;
use crate::clock::Clock;

/// The period in which lines are counted.
const PERIOD: Duration = Duration::from_secs(60);

/// The bound on lines about sessions.
#[derive(Debug)]
pub struct Journal {
    /// The most sessions of one address in a period that have lines; 0: all have.
    sessions_max: u32,
    /// Sessions of unknown addresses count together.
    sessions: Mutex<HashMap<Option<Network>, Period>>,
}

/// The lines of one period: those that were written, and those that were left out.
#[derive(Clone, Copy, Debug, Default)]
struct Period {
    begun: Timestamp,
    recorded: u32,
    left_out: u64,
}

impl Journal {
    /// So many sessions of an address have lines in a minute; 0: all have.
    pub fn new(sessions_max: u32) -> Self {
        Self {
            sessions_max,
            sessions: Mutex::default(),
        }
    }

    /// Whether a session of this address that begins now has lines.
    pub fn records(&self, now: Timestamp, network: Option<Network>) -> bool {
        if self.sessions_max == 0 {
            return true;
        }
        let mut sessions = self.sessions.lock();
        let period = sessions.entry(network).or_default();
        let before = period.renew(now);
        let is_recorded = period.take(self.sessions_max);
        drop(sessions);
        left_out(before);
        is_recorded
    }

    /// Writes how many lines were left out, and forgets addresses whose period is over.
    pub fn sweep(&self, now: Timestamp) {
        let mut sessions = self.sessions.lock();
        let mut ended = Vec::new();
        sessions.retain(|_, period| {
            let is_over = period.is_over(now);
            if is_over {
                ended.push(period.left_out);
            }
            !is_over
        });
        sessions.shrink_to_fit();
        drop(sessions);
        ended.into_iter().for_each(left_out);
    }
}

impl Period {
    const fn is_new(&self) -> bool {
        self.recorded == 0 && self.left_out == 0
    }

    fn is_over(&self, now: Timestamp) -> bool {
        now - self.begun >= PERIOD
    }

    /// Begins a new period if the last one is over. Returns how many lines that one left out.
    fn renew(&mut self, now: Timestamp) -> u64 {
        if !self.is_new() && !self.is_over(now) {
            return 0;
        }
        let left_out = self.left_out;
        *self = Self {
            begun: now,
            ..Self::default()
        };
        left_out
    }

    /// Counts one more line. Returns whether it is written.
    const fn take(&mut self, max: u32) -> bool {
        let is_recorded = self.recorded < max;
        if is_recorded {
            self.recorded += 1;
        } else {
            self.left_out += 1;
        }
        is_recorded
    }
}

fn left_out(sessions: u64) {
    if sessions > 0 {
        tracing::info!(
            sessions,
            "further sessions of one address: their lines were left out"
        );
    }
}

/// Errors of the log in answer to a client's message or request: a client that repeats it repeats them.
static TROUBLES: LazyLock<(Clock, Mutex<Period>)> =
    LazyLock::new(|| (Clock::start(), Mutex::default()));

/// Writes that the log failed a message or a request, at most once a minute.
pub fn log_trouble(reason: &dyn Display) {
    let (clock, troubles) = &*TROUBLES;
    let mut period = troubles.lock();
    let before = period.renew(clock.now());
    let is_recorded = period.take(1);
    drop(period);
    if is_recorded {
        tracing::warn!(
            %reason,
            left_out = before,
            "the log did not take or tell something for now"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::net::IpAddr;
    use std::sync::Arc;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The lines that a piece of work writes.
    fn written(work: impl FnOnce()) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let told = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || writer.clone());
        tracing::subscriber::with_default(told.finish(), work);
        let bytes = std::mem::take(&mut *lines.0.lock());
        String::from_utf8(bytes).unwrap()
    }

    fn network(address: &str) -> Option<Network> {
        Some(Network::from(address.parse::<IpAddr>().unwrap()))
    }

    /// Very many sessions from one address make a few lines and a count; other addresses keep their lines.
    #[test]
    fn a_storm_of_sessions_is_a_few_lines() {
        let at = |s: u64| Timestamp::from_millis(s * 1_000);
        let (here, there) = (network("192.0.2.1"), network("192.0.2.2"));
        let journal = Journal::new(3);
        let told = |s, network| {
            (0..1_000)
                .filter(|_| journal.records(at(s), network))
                .count()
        };
        let first = written(|| {
            assert_eq!((told(5, here), told(5, there), told(5, None)), (3, 3, 3));
            assert_eq!(told(64, here), 0);
        });
        assert_eq!(first, "");
        let next = written(|| assert_eq!(told(65, here), 3));
        assert!(next.contains("sessions=1997"), "{next}");
        let swept = written(|| journal.sweep(at(70)));
        assert_eq!(swept.matches("sessions=997").count(), 2, "{swept}");
        assert_eq!(journal.sessions.lock().len(), 1);
        let swept = written(|| journal.sweep(at(125)));
        assert_eq!(swept.matches("sessions=997").count(), 1, "{swept}");
        assert!(journal.sessions.lock().is_empty());
        let all = Journal::new(0);
        assert!((0..1_000).all(|_| all.records(at(0), here)));
    }

    /// A log that fails is one line, however many messages it fails.
    #[test]
    fn a_trouble_of_the_log_is_one_line() {
        let lines = written(|| {
            for _ in 0..1_000 {
                log_trouble(&"disk full");
            }
        });
        assert!(lines.lines().count() <= 1, "{lines}");
    }
}
