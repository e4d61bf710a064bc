//! Counts by key of what is held at the same time.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::address::Network;

/// How many each key holds now. There are never more entries than connections.
#[derive(Debug)]
pub(super) struct Counts<K: Copy + Eq + Hash> {
    /// 0: no limit.
    limit: usize,
    pub(super) held: Mutex<HashMap<K, usize>>,
}

/// One of what a key holds; it counts until this is dropped.
#[derive(Debug)]
pub struct Held<K: Copy + Eq + Hash> {
    counts: Arc<Counts<K>>,
    key: K,
}

/// A TCP connection on which no WebSocket has begun; it counts until this is dropped.
#[derive(Debug)]
pub struct Handshake {
    pub(super) _address: Option<Held<Network>>,
    pub(super) _all: Held<()>,
}

impl<K: Copy + Eq + Hash> Counts<K> {
    /// Counts of at most so many for each key; 0: no limit.
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            held: Mutex::default(),
        })
    }

    /// Counts one more; `None` if the key holds as many as it may.
    pub(super) fn hold(self: &Arc<Self>, key: K) -> Option<Held<K>> {
        let mut held = self.held.lock();
        let count = held.get(&key).copied().unwrap_or_default();
        if self.limit > 0 && count >= self.limit {
            return None;
        }
        held.insert(key, count + 1);
        drop(held);
        let counts = Arc::clone(self);
        Some(Held { counts, key })
    }

    /// Counts one more, whatever the limit says.
    pub(super) fn hold_anyway(self: &Arc<Self>, key: K) -> Held<K> {
        *self.held.lock().entry(key).or_default() += 1;
        let counts = Arc::clone(self);
        Held { counts, key }
    }
}

impl Held<Network> {
    /// The network that it counts for.
    pub const fn network(&self) -> Network {
        self.key
    }
}

impl<K: Copy + Eq + Hash> Drop for Held<K> {
    fn drop(&mut self) {
        let mut held = self.counts.held.lock();
        if let Some(count) = held.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.key);
            }
        }
    }
}
