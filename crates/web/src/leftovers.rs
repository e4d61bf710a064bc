//! What pages that are gone left in the area that all pages of the browser share (RS-8), and when it may
//! be taken up. Whether a page is really gone only its lock can tell.

use std::time::Duration;

use crate::area::Area;
use crate::storage::{PageId, StorageFailed, keys};

/// What the keys of all pages begin with; the page's id and a full stop follow.
const LEFT: &str = "left.";
const MARK: &str = "mark";

/// How long a page must be gone. A page that is loaded anew lets its lock go for as long as it takes to
/// start: with less patience another page would take its messages.
pub const GRACE: Duration = Duration::from_secs(3);

/// How long what is left is kept after its page was closed: as long as the server keeps the session
/// (RS-9). A browser that is shared keeps unsent texts for no longer.
pub const KEPT_FOR: Duration = Duration::from_hours(7 * 24);

/// What follows the time in the mark of a page that is on its way out.
const GONE: char = '.';

/// What a page says about itself as long as its outbox is not empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// When it said so: Unix time in milliseconds.
    pub at_ms: u64,
    /// Whether the page was on its way out: closed, or loaded anew.
    pub is_gone: bool,
}

impl Mark {
    /// Reads a page's mark, by where its keys begin.
    pub fn read(area: &impl Area, prefix: &str) -> Option<Self> {
        let text = area.get(&mark_key(prefix))?;
        let digits = text.trim_end_matches(GONE);
        Some(Self {
            at_ms: digits.parse().ok()?,
            is_gone: digits.len() < text.len(),
        })
    }

    /// Writes a page's mark, by where its keys begin.
    ///
    /// # Errors
    /// [`StorageFailed`] if there is no room; the mark before is then still there.
    pub fn write(self, area: &impl Area, prefix: &str) -> Result<(), StorageFailed> {
        let mut text = self.at_ms.to_string();
        text.extend(self.is_gone.then_some(GONE));
        area.set(&mark_key(prefix), &text)
    }
}

/// What is to be done about what a page left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Take it up, if the page is gone.
    Take,
    /// Look again after this long.
    Wait(Duration),
    /// Forget it, if the page is gone: it is too old.
    Forget,
}

/// Where a page's keys begin.
pub fn prefix(page: &PageId) -> String {
    format!("{LEFT}{}.", page.0)
}

fn mark_key(prefix: &str) -> String {
    format!("{prefix}{MARK}")
}

/// Notes that a page is on its way out, if it leaves anything.
pub fn say_gone(area: &impl Area, page: &PageId, now_ms: u64) {
    let mark = Mark {
        at_ms: now_ms,
        is_gone: true,
    };
    if has_any(area, page) {
        // Without room the mark before stays: the page is then taken for one that crashed.
        let _ = mark.write(area, &prefix(page));
    }
}

/// Whether a page has anything in the area.
pub fn has_any(area: &impl Area, page: &PageId) -> bool {
    area.get(&mark_key(&prefix(page))).is_some()
}

/// Forgets everything that begins so.
pub fn forget<A: Area>(area: &A, prefix: &str) {
    for key in keys(area, prefix) {
        area.remove(&key);
    }
}

/// The pages that left something, but for one's own, each with what is to be done. `is_first`: there was no
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
            // A clock that was set back tells nothing about how long that was ago.
            let ago = now_ms.checked_sub(at_ms);
            let ago = ago.map_or(GRACE, Duration::from_millis);
            match GRACE.checked_sub(ago) {
                _ if ago > KEPT_FOR => Verdict::Forget,
                Some(rest) if !rest.is_zero() => Verdict::Wait(rest),
                _ => Verdict::Take,
            }
        }
        // It lives, or it crashed and is perhaps coming back.
        None if is_first => Verdict::Wait(GRACE),
        None => Verdict::Take,
    }
}

#[cfg(test)]
mod tests;
