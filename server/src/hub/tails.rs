//! What rooms keep for their readers, of all rooms together, in bytes: the newest messages, encoded, and what
//! is typed. None of it is lost where it goes: messages are read from the log again, and a draft comes anew
//! with the next key.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::sync::Notify;

/// How many bytes rooms keep together, unless the options say otherwise: 128 tails that are full, where most
/// have a few kB.
pub const TAILS_BYTES: usize = 64 << 20;

/// Where there is too much, this part more goes, so that it is not looked for at every message.
const SPARE: usize = 8;

/// The sum of it.
#[derive(Debug)]
pub(super) struct Tails {
    most: usize,
    held: AtomicUsize,
    /// Counts on whenever something is said or typed anywhere.
    turn: AtomicU64,
    full: Notify,
}

/// What one room has of it.
#[derive(Debug)]
pub(super) struct Kept {
    bytes: usize,
    turn: u64,
    all: Arc<Tails>,
}

impl Tails {
    /// At most so many bytes, or little more for a moment.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            held: AtomicUsize::new(0),
            turn: AtomicU64::new(0),
            full: Notify::new(),
        }
    }

    /// Waits until there is too much.
    pub(super) async fn full(&self) {
        self.full.notified().await;
    }

    /// Whether there is too much.
    pub(super) fn is_full(&self) -> bool {
        self.held() > self.most
    }

    /// Whether enough went.
    pub(super) fn has_spare(&self) -> bool {
        self.held() <= self.most - self.most / SPARE
    }

    /// How many bytes there are now.
    pub(super) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }
}

impl Kept {
    /// Nothing yet.
    pub(super) fn new(all: Arc<Tails>) -> Self {
        Self {
            bytes: 0,
            turn: 0,
            all,
        }
    }

    /// It is so much now; more of it means that the room is in use.
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

    /// When it last became more, among all rooms; none where there is nothing.
    pub(super) fn turn(&self) -> Option<u64> {
        (self.bytes > 0).then_some(self.turn)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.set(0);
    }
}
