//! The outboxes that closed pages left in the area that all pages of the browser share (RS-8), and when they may
//! be taken up. Only a page's lock proves that it is closed.

use std::time::Duration;

use crate::area::Area;
use crate::storage::{PageId, StorageFailed, keys};

/// The beginning of the keys of all pages; the page's id and a full stop follow.
const LEFT: &str = "left.";
const MARK: &str = "mark";

/// How long a page must be closed. A page that is reloaded releases its lock for as long as it takes to
/// start: with less patience another page would take its messages.
pub const GRACE: Duration = Duration::from_secs(3);

/// How long messages are kept after their page was closed: as long as the server keeps the session
/// (RS-9). A shared browser keeps unsent texts for no longer.
pub const KEPT_FOR: Duration = Duration::from_secs(7 * 24 * 3600);

/// What follows the time in the mark of a page that is being closed.
const GONE: char = '.';

/// The mark of a page whose outbox is not empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// When the page wrote it: Unix time in milliseconds.
    pub at_ms: u64,
    /// Whether the page was being closed, or reloaded.
    pub is_gone: bool,
}

impl Mark {
    /// Reads a page's mark. `prefix`: the beginning of its keys.
    pub fn read(area: &impl Area, prefix: &str) -> Option<Self> {
        let text = area.get(&mark_key(prefix))?;
        let digits = text.trim_end_matches(GONE);
        Some(Self {
            at_ms: digits.parse().ok()?,
            is_gone: digits.len() < text.len(),
        })
    }

    /// Writes a page's mark. `prefix`: the beginning of its keys.
    ///
    /// # Errors
    /// [`StorageFailed`] if there is no room; the earlier mark is then still there.
    pub fn write(self, area: &impl Area, prefix: &str) -> Result<(), StorageFailed> {
        let mut text = self.at_ms.to_string();
        text.extend(self.is_gone.then_some(GONE));
        area.set(&mark_key(prefix), &text)
    }
}

/// What to do about a page's outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Take it up, if the page is closed.
    Take,
    /// Look again after this long.
    Wait(Duration),
    /// Forget it, if the page is closed: it is too old.
    Forget,
}

/// The beginning of a page's keys.
pub fn prefix(page: &PageId) -> String {
    format!("{LEFT}{}.", page.0)
}

fn mark_key(prefix: &str) -> String {
    format!("{prefix}{MARK}")
}

/// Notes that a page is being closed, if it leaves anything.
pub fn say_gone(area: &impl Area, page: &PageId, now_ms: u64) {
    let mark = Mark {
        at_ms: now_ms,
        is_gone: true,
    };
    if has_any(area, page) {
        // Without room the earlier mark stays: the page then counts as one that crashed.
        let _ = mark.write(area, &prefix(page));
    }
}

/// Whether a page has anything in the area.
pub fn has_any(area: &impl Area, page: &PageId) -> bool {
    area.get(&mark_key(&prefix(page))).is_some()
}

/// Forgets everything whose key begins so.
pub fn forget<A: Area>(area: &A, prefix: &str) {
    for key in keys(area, prefix) {
        area.remove(&key);
    }
}

/// The other pages that left something, each with what to do about it. `is_first`: there was no
/// look [`GRACE`] before.
pub fn look<A: Area>(
    area: &A,
    own: Option<&PageId>,
    now_ms: u64,
    is_first: bool,
) -> Vec<(PageId, Verdict)> {
    let mut pages: Vec<(PageId, Verdict)> = Vec::new();
    for key in keys(area, LEFT) {
        let Some((page, _)) = key[LEFT.len()..].split_once('.') else {
            continue;
        };
        let page = PageId(page.to_owned());
        if Some(&page) != own && pages.iter().all(|(known, _)| *known != page) {
            let mark = Mark::read(area, &prefix(&page));
            pages.push((page, verdict(mark, now_ms, is_first)));
        }
    }
    pages
}

fn verdict(mark: Option<Mark>, now_ms: u64, is_first: bool) -> Verdict {
    match mark.filter(|mark| mark.is_gone) {
        Some(Mark { at_ms, .. }) => {
            // A clock that was set back does not tell how long ago that was.
            let ago = now_ms.checked_sub(at_ms);
            let ago = ago.map_or(GRACE, Duration::from_millis);
            match GRACE.checked_sub(ago) {
                _ if ago > KEPT_FOR => Verdict::Forget,
                Some(rest) if !rest.is_zero() => Verdict::Wait(rest),
                _ => Verdict::Take,
            }
        }
        // It is open, or it crashed and is perhaps being reloaded.
        None if is_first => Verdict::Wait(GRACE),
        None => Verdict::Take,
    }
}

#[cfg(test)]
mod tests;
