//! The watchdog: reports calls to the database that do not return, as on a disk that hangs or under another program's
//! lock. The thread in such a call cannot report it itself.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// After how long the journal reports a hang: longer than the default wait for another program's lock
/// ([`SqliteConfig::busy_timeout`](super::SqliteConfig)).
const HANGS_AFTER: Duration = Duration::from_secs(3);

/// How often the watchdog looks: a hang is reported within 6 s. Each look wakes the thread, which a quiet server pays for.
const LOOK_EVERY: Duration = Duration::from_secs(3);

/// The time since which each connection to the database is in a call; `None` while it is idle.
#[derive(Debug)]
pub(super) struct Calls(Vec<Mutex<Option<Instant>>>);

/// A call that is under way, until this is dropped.
#[derive(Debug)]
pub(super) struct Call {
    calls: Arc<Calls>,
    connection: usize,
}

impl Calls {
    /// The calls of so many connections, all of them idle.
    pub(super) fn new(connections: usize) -> Self {
        Self((0..connections).map(|_| Mutex::default()).collect())
    }

    /// Begins a call on a connection, which has one call at a time.
    pub(super) fn begin(self: &Arc<Self>, connection: usize) -> Call {
        self.set(connection, Some(Instant::now()));
        let calls = Arc::clone(self);
        Call { calls, connection }
    }

    fn set(&self, connection: usize, since: Option<Instant>) {
        if let Some(call) = self.0.get(connection) {
            *call.lock() = since;
        }
    }

    /// The time at which the oldest call under way began.
    fn oldest(&self) -> Option<Instant> {
        self.0.iter().filter_map(|call| *call.lock()).min()
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.calls.set(self.connection, None);
    }
}

/// The thread that looks. Dropping this ends it.
#[derive(Debug)]
pub(super) struct Watchdog {
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    /// Starts the thread.
    pub(super) fn start(calls: Arc<Calls>) -> io::Result<Self> {
        let (end, ended) = channel();
        let thread = thread::Builder::new().name("log-watchdog".to_owned());
        let thread = thread.spawn(move || run(&calls, &ended))?;
        Ok(Self {
            end: Some(end),
            thread: Some(thread),
        })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.end = None;
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn run(calls: &Calls, ended: &Receiver<()>) {
    let mut hang = Hang::default();
    while ended.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
        match hang.look(Instant::now(), calls.oldest()) {
            Some(News::Hangs(since)) => tracing::error!(
                ?since,
                "the log HANGS: the disk does not answer, or another program keeps the database locked. Publishes \
                 wait, and what cannot be read is answered with 503"
            ),
            Some(News::GoesOn(since)) => tracing::info!(?since, "the log goes on"),
            None => {}
        }
    }
}

/// Whether the log hangs, as the journal has it: one line when a hang begins, and one when it ends.
#[derive(Debug, Default)]
struct Hang {
    /// Since when the log hangs; `None` where it does not.
    since: Option<Instant>,
}

/// A line for the journal, with the time since the hang began.
#[derive(Debug, PartialEq, Eq)]
enum News {
    Hangs(Duration),
    GoesOn(Duration),
}

impl Hang {
    /// Compares the time at which the oldest call began with the limit.
    fn look(&mut self, now: Instant, oldest: Option<Instant>) -> Option<News> {
        let old = oldest.filter(|began| now.saturating_duration_since(*began) >= HANGS_AFTER);
        match (self.since, old) {
            (None, Some(began)) => {
                self.since = Some(began);
                Some(News::Hangs(now - began))
            }
            (Some(since), None) => {
                self.since = None;
                Some(News::GoesOn(now - since))
            }
            (None, None) | (Some(_), Some(_)) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hang_is_told_once_when_it_begins_and_once_when_it_ends() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut hang = Hang::default();
        assert_eq!(hang.look(at(0), None), None);
        // A slow call is not yet a hang.
        assert_eq!(hang.look(at(2), Some(at(0))), None);
        let told = hang.look(at(3), Some(at(0)));
        assert_eq!(told, Some(News::Hangs(Duration::from_secs(3))));
        assert_eq!(hang.look(at(4), Some(at(0))), None);
        // Another call hangs, too: that is the same hang.
        assert_eq!(hang.look(at(25), Some(at(20))), None);
        let told = hang.look(at(26), Some(at(25)));
        assert_eq!(told, Some(News::GoesOn(Duration::from_secs(26))));
        assert_eq!(hang.look(at(27), None), None);
        assert!(hang.look(at(30), Some(at(27))).is_some());
    }

    #[test]
    fn the_oldest_call_counts_until_it_ends() {
        let calls = Arc::new(Calls::new(3));
        assert_eq!(calls.oldest(), None);
        let first = calls.begin(0);
        let began = calls.oldest();
        let second = calls.begin(2);
        assert_eq!(calls.oldest(), began);
        drop(first);
        assert!(calls.oldest() >= began);
        drop(second);
        assert_eq!(calls.oldest(), None);
    }
}
