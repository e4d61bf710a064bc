//! A cache of pages of rooms' logs, encoded: readers of one room that are far behind ask for the same ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use protocol::id::RoomName;
use protocol::position::Offset;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::room::Entry;
use crate::log::{Log, LogError};

/// The usual size of a page: the cache needs to know how many there may be.
const PAGE_BYTES: u64 = 16 * 1024;

/// The pages that were read lately.
pub(super) struct Replays {
    pages: Cache<Key, Page, Bytes>,
    /// Whether a page was asked for since the last sweep.
    is_used: AtomicBool,
}

/// The room, the offset after which the page begins, and the redaction count when it was asked for.
/// Pages change by redactions only: the log only grows, and a page that was trimmed since is either not asked
/// for, or still good to read.
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
    /// A cache of at most so many bytes, which evicts the pages that were not asked for lately.
    pub(super) fn new(bytes: u64) -> Self {
        let count = usize::try_from(bytes / PAGE_BYTES).unwrap_or(usize::MAX);
        Self {
            pages: Cache::with_weighter(count, bytes, Bytes),
            is_used: AtomicBool::new(false),
        }
    }

    /// Drops all pages if none was asked for since the last sweep: then the readers that were behind have caught up.
    pub(super) fn sweep(&self) {
        if !self.is_used.swap(false, Ordering::Relaxed) {
            self.pages.clear();
        }
    }

    /// At most `limit` messages after an offset. `removals` is the redaction count; part of the cache's key. A page
    /// that many readers ask for at once is read once.
    ///
    /// # Errors
    /// [`LogError::Unavailable`] if the log cannot be read now.
    pub(super) async fn page(
        &self,
        log: &dyn Log,
        (room, after, limit): (&RoomName, Offset, u32),
        redactions: u64,
    ) -> Result<Page, LogError> {
        self.is_used.store(true, Ordering::Relaxed);
        let key = (room.clone(), after, redactions);
        let place = match self.pages.get_value_or_guard_async(&key).await {
            Ok(page) => return Ok(page),
            Err(place) => place,
        };
        let read = log.read(room.clone(), after, limit).await?;
        let is_full = read.more || read.messages.len() == limit as usize;
        let page: Page = read.messages.into_iter().map(Entry::message).collect();
        // A page that ends at the log's end, or in a gap, may change soon: it is not cached.
        if is_full {
            // The cache refuses a page larger than its bound.
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
