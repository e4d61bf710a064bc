//! The bytes that all rooms together keep for their readers: tails, encoded changes and drafts. Nothing is lost where
//! they are freed: messages are read from the log again, and a draft comes again with the next key.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::sync::Notify;

/// The most bytes that rooms keep together, by default: as many as 128 full tails, where most have a few kB.
pub const TAILS_BYTES: usize = 64 << 20;

/// Beyond the bound one part in this many is freed in addition, so that not every message frees some.
const SPARE: usize = 8;

/// The sum over all rooms.
#[derive(Debug)]
pub(super) struct Tails {
    most: usize,
    held: AtomicUsize,
    /// Counts on whenever a room keeps more than before.
    turn: AtomicU64,
    full: Notify,
}

/// The part of one room.
#[derive(Debug)]
pub(super) struct Kept {
    bytes: usize,
    turn: u64,
    all: Arc<Tails>,
}

impl Tails {
    /// A sum of at most so many bytes, or little more for a moment.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            held: AtomicUsize::new(0),
            turn: AtomicU64::new(0),
            full: Notify::new(),
        }
    }

    /// Waits until the sum is over its bound.
    pub(super) async fn full(&self) {
        self.full.notified().await;
    }

    /// Whether the sum is over its bound.
    pub(super) fn is_full(&self) -> bool {
        self.held() > self.most
    }

    /// Whether enough was freed.
    pub(super) fn has_spare(&self) -> bool {
        self.held() <= self.most - self.most / SPARE
    }

    /// How many bytes rooms keep now.
    pub(super) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }
}

impl Kept {
    /// A room that keeps nothing yet.
    pub(super) fn new(all: Arc<Tails>) -> Self {
        Self {
            bytes: 0,
            turn: 0,
            all,
        }
    }

    /// Sets the room's bytes; if they are more than before, the room counts as in use.
    pub(super) fn set(&mut self, bytes: usize) {
        let before = std::mem::replace(&mut self.bytes, bytes);
        if bytes <= before {
            self.all.held.fetch_sub(before - bytes, Ordering::Relaxed);
            return;
        }
        self.turn = self.all.turn.fetch_add(1, Ordering::Relaxed);
        self.all.held.fetch_add(bytes - before, Ordering::Relaxed);
        if self.all.is_full() {
            self.all.full.notify_one();
        }
    }

    /// The turn in which the room last kept more, among all rooms; `None` where it keeps nothing.
    pub(super) fn turn(&self) -> Option<u64> {
        (self.bytes > 0).then_some(self.turn)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.set(0);
    }
}
