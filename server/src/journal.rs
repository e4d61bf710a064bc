//! Lines of the journal of which a stranger can cause very many: some are written, and of the rest how many
//! they were.

use std::collections::HashMap;
use std::fmt::Display;
use std::sync::LazyLock;
use std::time::Duration;

use parking_lot::Mutex;
use protocol::time::Timestamp;

use crate::address::Network;
use crate::clock::Clock;

/// How often lines are counted anew.
const PERIOD: Duration = Duration::from_secs(60);

/// Which sessions have lines.
#[derive(Debug)]
pub struct Journal {
    /// So many of one address in a period; 0: all.
    sessions_max: u32,
    /// Those whose address is not known count together.
    sessions: Mutex<HashMap<Option<Network>, Period>>,
}

/// What was told in a time, and what was not.
#[derive(Clone, Copy, Debug, Default)]
struct Period {
    begun: Timestamp,
    told: u32,
    left_out: u64,
}

impl Journal {
    /// Tells of so many sessions of an address in a minute; 0: of all.
    pub fn new(sessions_max: u32) -> Self {
        Self {
            sessions_max,
            sessions: Mutex::default(),
        }
    }

    /// Whether the journal tells of a session of this address that begins now.
    pub fn tells(&self, now: Timestamp, network: Option<Network>) -> bool {
        if self.sessions_max == 0 {
            return true;
        }
        let mut sessions = self.sessions.lock();
        let period = sessions.entry(network).or_default();
        let before = period.renew(now);
        let is_told = period.take(self.sessions_max);
        drop(sessions);
        left_out(before);
        is_told
    }

    /// Tells what was left out, and forgets addresses of which nothing was heard for a while.
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
        self.told == 0 && self.left_out == 0
    }

    fn is_over(&self, now: Timestamp) -> bool {
        now - self.begun >= PERIOD
    }

    /// Begins anew if it is over. Returns how many lines were left out in the one before.
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

    /// Whether one more line is written.
    const fn take(&mut self, max: u32) -> bool {
        let is_told = self.told < max;
        if is_told {
            self.told += 1;
        } else {
            self.left_out += 1;
        }
        is_told
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

/// Errors of the log that a client's message or request met: a client that repeats it repeats them.
static TROUBLES: LazyLock<(Clock, Mutex<Period>)> =
    LazyLock::new(|| (Clock::start(), Mutex::default()));

/// Tells that the log did not take a message or answer a request, once in a minute.
pub fn log_trouble(reason: &dyn Display) {
    let (clock, troubles) = &*TROUBLES;
    let mut period = troubles.lock();
    let before = period.renew(clock.now());
    let is_told = period.take(1);
    drop(period);
    if is_told {
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

    /// What is written while something is done.
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

    /// A storm of sessions from one address is some lines and a count; others keep theirs.
    #[test]
    fn a_storm_of_sessions_is_a_few_lines() {
        let at = |s: u64| Timestamp::from_millis(s * 1_000);
        let (here, there) = (network("192.0.2.1"), network("192.0.2.2"));
        let journal = Journal::new(3);
        let told = |s, network| (0..1_000).filter(|_| journal.tells(at(s), network)).count();
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
        assert!((0..1_000).all(|_| all.tells(at(0), here)));
    }

    /// A log that takes nothing is one line, however many messages it does not take.
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
