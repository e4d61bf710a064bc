//! Pages of rooms' logs, encoded: readers of one room who are far behind want the same ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use protocol::id::RoomName;
use protocol::position::Offset;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::room::Entry;
use crate::log::{Log, LogError};

/// About what a page takes: the cache wants to know how many there may be.
const PAGE_BYTES: u64 = 16 * 1024;

/// The pages that were read lately.
pub(super) struct Replays {
    pages: Cache<Key, Page, Bytes>,
    /// Whether one was asked for since the last look.
    is_used: AtomicBool,
}

/// The room, after which offset the page begins, and how many texts had been removed before it was read.
/// Pages do not change but by that: the log only grows, and what it has trimmed no reader asks for, or is no
/// worse off for getting it.
type Key = (RoomName, Offset, u64);

type Page = Arc<[Entry]>;

#[derive(Clone)]
struct Bytes;

impl Weighter<Key, Page> for Bytes {
    fn weight(&self, _: &Key, page: &Page) -> u64 {
        page.iter().map(|entry| entry.bytes() as u64).sum()
    }
}

impl Replays {
    /// Keeps at most so many bytes; the pages that were not asked for lately go first.
    pub(super) fn new(bytes: u64) -> Self {
        let count = usize::try_from(bytes / PAGE_BYTES).unwrap_or(usize::MAX);
        Self {
            pages: Cache::with_weighter(count, bytes, Bytes),
            is_used: AtomicBool::new(false),
        }
    }

    /// Lets all pages go if none was asked for since this was called last: those who came back are back.
    pub(super) fn sweep(&self) {
        if !self.is_used.swap(false, Ordering::Relaxed) {
            self.pages.clear();
        }
    }

    /// At most `limit` messages after an offset; so many texts had been removed when that was asked. Many who ask for one page at once have it read once.
    ///
    /// # Errors
    /// [`LogError::Unavailable`] if the log cannot tell.
    pub(super) async fn page(
        &self,
        log: &dyn Log,
        (room, after, limit): (&RoomName, Offset, u32),
        removals: u64,
    ) -> Result<Page, LogError> {
        self.is_used.store(true, Ordering::Relaxed);
        let key = (room.clone(), after, removals);
        let place = match self.pages.get_value_or_guard_async(&key).await {
            Ok(page) => return Ok(page),
            Err(place) => place,
        };
        let read = log.read(room.clone(), after, limit).await?;
        let is_full = read.more || read.messages.len() == limit as usize;
        let page: Page = read.messages.into_iter().map(Entry::message).collect();
        // An end of the log, or a gap in it, may be another one soon.
        if is_full {
            // Refused where the page is larger than all that may be kept.
            let _ = place.insert(page.clone());
        }
        Ok(page)
    }
}

impl std::fmt::Debug for Replays {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replays")
            .field("bytes", &self.pages.weight())
            .finish()
    }
}
