//! Token buckets by key: the rate of one address or one user.

use std::hash::Hash;
use std::num::NonZeroU32;
use std::time::Duration;

use parking_lot::Mutex;
use protocol::access::Subject;
use protocol::rate::Bucket;
use protocol::time::Timestamp;
use quick_cache::Weighter;
use quick_cache::unsync::Cache;

use crate::address::Network;

/// The memory of an entry beside its key and its bucket: links, an index, and spare capacity of a table
/// while it grows. Tested by `a_flood_of_addresses_has_a_bound`.
const ENTRY_BYTES: u64 = 88;

/// Token buckets, one for each key that took tokens lately. Together they take a bounded number of bytes: a
/// further key evicts one that was idle for long, whose next bucket is full anyway.
pub(super) struct Buckets<K> {
    per_s: NonZeroU32,
    /// How many tokens a full bucket holds.
    burst: u32,
    /// The most bytes that the entries take.
    bytes: u64,
    entries: Mutex<Entries<K>>,
}

/// The key of a bucket: an address, or a user.
pub(super) trait Key: Clone + Eq + Hash {
    /// The bytes that it holds on the heap.
    fn heap_bytes(&self) -> usize;
}

impl Key for Network {
    fn heap_bytes(&self) -> usize {
        0
    }
}

impl Key for Subject {
    fn heap_bytes(&self) -> usize {
        // Its text, and the two counts of an Arc.
        self.as_str().len() + 2 * size_of::<usize>()
    }
}

impl<K: Key> Buckets<K> {
    /// Buckets that refill with `per_s` tokens a second and hold `seconds` times as many; `None` where that is
    /// 0, which is no limit. The entries take at most so many bytes.
    pub(super) fn new(per_s: u32, seconds: u32, bytes: u64) -> Option<Self> {
        let per_s = NonZeroU32::new(per_s)?;
        Some(Self {
            per_s,
            burst: per_s.get().saturating_mul(seconds),
            bytes,
            entries: Mutex::new(Entries::new(bytes)),
        })
    }

    /// Takes so many tokens, or none of them.
    ///
    /// # Errors
    /// The wait until there are so many.
    pub(super) fn take(&self, now: Timestamp, key: &K, tokens: u32) -> Result<(), Duration> {
        self.with(now, key, |bucket| bucket.take_many(now, tokens))
    }

    /// Takes so many tokens, also beyond what there are. Returns the wait until they are paid for. (If a
    /// refusal took nothing, a thousand connections that wait for one token would all go on with it.)
    pub(super) fn spend(&self, now: Timestamp, key: &K, tokens: u32) -> Duration {
        self.with(now, key, |bucket| bucket.spend(now, tokens))
    }

    /// Drops entries whose bucket is full, as a new one is the same. Returns how many were evicted since the last
    /// sweep.
    pub(super) fn sweep(&self, now: Timestamp) -> u64 {
        let mut entries = self.entries.lock();
        let evicted = std::mem::take(&mut entries.evicted);
        // Into a new table, so that the memory of the dropped entries is free again.
        let mut kept = Entries::new(self.bytes);
        let drained = entries.buckets.drain();
        for (key, bucket) in drained.filter(|(_, bucket)| !bucket.is_full(now)) {
            kept.buckets.insert(key, bucket);
        }
        *entries = kept;
        evicted
    }

    fn with<T>(&self, now: Timestamp, key: &K, work: impl FnOnce(&mut Bucket) -> T) -> T {
        let mut entries = self.entries.lock();
        if let Some(mut bucket) = entries.buckets.get_mut(key) {
            return work(&mut bucket);
        }
        let mut bucket = Bucket::new(now, self.per_s.get(), self.burst);
        let done = work(&mut bucket);
        entries.insert(key.clone(), bucket);
        done
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.lock().buckets.len()
    }

    #[cfg(test)]
    pub(super) fn memory_used(&self) -> u64 {
        self.entries.lock().buckets.memory_used().total() as u64
    }
}

struct Entries<K> {
    buckets: Cache<K, Bucket, Bytes>,
    /// How many were evicted.
    evicted: u64,
}

impl<K: Key> Entries<K> {
    fn new(bytes: u64) -> Self {
        // The first argument bounds the evicted keys that are remembered: none, as they take memory of their own.
        let buckets = Cache::with_weighter(0, bytes, Bytes);
        Self {
            buckets,
            evicted: 0,
        }
    }

    fn insert(&mut self, key: K, bucket: Bucket) {
        let before = self.buckets.len();
        self.buckets.insert(key, bucket);
        self.evicted += (before + 1).saturating_sub(self.buckets.len()) as u64;
    }
}

#[derive(Clone)]
struct Bytes;

impl<K: Key> Weighter<K, Bucket> for Bytes {
    fn weight(&self, key: &K, _: &Bucket) -> u64 {
        weight::<K>(key.heap_bytes())
    }
}

/// The memory of an entry, in bytes.
const fn weight<K>(heap_bytes: usize) -> u64 {
    (size_of::<K>() + size_of::<Bucket>() + heap_bytes) as u64 + ENTRY_BYTES
}
