//! Traces: which sessions are watched, and the ring of each one's newest entries.
//!
//! The first watcher of a session starts its ring, the last one ends it. A connection's task has a handle on the ring
//! while its session is watched: it takes it when it attaches to the session, or when its mailbox is marked.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;
use protocol::id::SessionId;
use protocol::time::Timestamp;
use protocol::trace::{Fact, Reader, Recorder, Ring};
use tokio::sync::Notify;

use super::Hub;
use crate::metrics::Limit;

/// The configuration of traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceConfig {
    /// Watchers of all sessions together. 0: no limit.
    pub watchers: usize,
    /// Watchers of one session. 0: no limit.
    pub watchers_per_session: usize,
    /// The most bytes of entries that are kept of one session.
    pub bytes: usize,
}

impl Default for TraceConfig {
    fn default() -> Self {
        Self {
            // With as many sessions 4 MiB of entries.
            watchers: 64,
            // A page and a few more who look at it.
            watchers_per_session: 4,
            // Some 400 entries: a session that comes back to its rooms makes half as many at once.
            bytes: 64 * 1024,
        }
    }
}

/// A session that is watched.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) ring: Arc<SharedRing>,
    watchers: usize,
}

/// The ring of a watched session, which its connections' tasks fill and its watchers read.
#[derive(Debug)]
pub struct SharedRing {
    ring: Mutex<Ring>,
    grown: Notify,
}

impl SharedRing {
    fn new(bytes: usize) -> Self {
        Self {
            ring: Mutex::new(Ring::new(bytes)),
            grown: Notify::new(),
        }
    }

    /// Takes the entries of a connection's recorder, and wakes the watchers if there are any.
    pub fn take(&self, recorder: &mut Recorder) {
        let mut ring = self.ring.lock();
        let mut is_news = false;
        while let Some(entry) = recorder.poll_entry() {
            ring.push(&entry);
            is_news = true;
        }
        drop(ring);
        if is_news {
            self.grown.notify_waiters();
        }
    }
}

/// A watcher of a session, until it is dropped.
pub struct Watch {
    hub: Arc<Hub>,
    session: SessionId,
    ring: Arc<SharedRing>,
    reader: Reader,
}

impl Watch {
    /// Writes the next entries, one a line, until `out` has `bytes` or more. Returns how many were lost, as the watcher
    /// was too slow; that is counted, too.
    pub fn read(&mut self, now: Timestamp, bytes: usize, out: &mut String) -> u64 {
        let lost = self.reader.read(now, &self.ring.ring.lock(), bytes, out);
        if lost > 0 {
            self.hub.metrics().limited_times(Limit::TraceBytes, lost);
        }
        lost
    }

    /// Writes a line of the watcher's own.
    pub fn write(&mut self, now: Timestamp, fact: Fact, out: &mut String) {
        self.reader.write(now, fact, out);
    }

    /// Waits until there is more to read.
    pub async fn grown(&self) {
        let mut grown = pin!(self.ring.grown.notified());
        // Before the look: what comes after it wakes this.
        grown.as_mut().enable();
        if !self.reader.is_behind(&self.ring.ring.lock()) {
            grown.await;
        }
    }

    /// The session that is watched.
    pub const fn session(&self) -> &SessionId {
        &self.session
    }

    /// Whether nothing more can come: the server drains, and the session has no connection here.
    pub fn is_over(&self) -> bool {
        let connections = self.hub.rooms.connections.lock();
        connections.drain.is_some() && !connections.sessions.contains_key(&self.session)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut connections = self.hub.rooms.connections.lock();
        if let Some(watched) = connections.watched.get_mut(&self.session) {
            watched.watchers -= 1;
            if watched.watchers == 0 {
                connections.watched.remove(&self.session);
                connections.retrace(&self.session);
            }
        }
        let all = self.hub.watchers.load(Ordering::Relaxed);
        self.hub.watchers.store(all - 1, Ordering::Relaxed);
    }
}

impl Hub {
    /// Watches a session from now on: its connections here, also those to come.
    ///
    /// # Errors
    /// The limit that would be exceeded; it is counted.
    pub fn watch(
        self: &Arc<Self>,
        session: &SessionId,
        config: TraceConfig,
    ) -> Result<Watch, Limit> {
        let watch = self.begin_watch(session, config);
        watch.inspect_err(|met| self.metrics().limited(*met))
    }

    fn begin_watch(
        self: &Arc<Self>,
        session: &SessionId,
        config: TraceConfig,
    ) -> Result<Watch, Limit> {
        let mut connections = self.rooms.connections.lock();
        // Changed under the lock alone.
        let all = self.watchers.load(Ordering::Relaxed);
        if config.watchers > 0 && all >= config.watchers {
            return Err(Limit::TraceWatchers);
        }
        let before = connections.watched.get(session);
        let of_session = before.map_or(0, |watched| watched.watchers);
        if config.watchers_per_session > 0 && of_session >= config.watchers_per_session {
            return Err(Limit::TraceWatchersPerSession);
        }
        let watched = connections.watched.entry(session.clone());
        let watched = watched.or_insert_with(|| Watched {
            ring: Arc::new(SharedRing::new(config.bytes)),
            watchers: 0,
        });
        watched.watchers += 1;
        let ring = Arc::clone(&watched.ring);
        self.watchers.store(all + 1, Ordering::Relaxed);
        let reader = ring.ring.lock().reader();
        if of_session == 0 {
            connections.retrace(session);
        }
        drop(connections);
        Ok(Watch {
            hub: Arc::clone(self),
            session: session.clone(),
            ring,
            reader,
        })
    }

    /// Whether any session is watched.
    pub fn is_watched(&self) -> bool {
        self.watchers.load(Ordering::Relaxed) > 0
    }

    /// The ring of a session, while it is watched.
    pub fn ring(&self, session: &SessionId) -> Option<Arc<SharedRing>> {
        self.rooms.connections.lock().ring(session)
    }
}
