//! Drafts of one author in one room: of those that come too fast the latest is shown.

use crate::rate::Bucket;
use crate::time::Timestamp;

/// A draft over the rate, to be shown at its time unless a newer one replaces it.
#[derive(Debug, Default)]
pub(super) struct HeldDraft(Option<(Timestamp, String)>);

impl HeldDraft {
    /// Takes a draft; returns it if it may be shown at once.
    pub(super) fn take(
        &mut self,
        now: Timestamp,
        rate: &mut Bucket,
        body: String,
    ) -> Option<String> {
        match (&self.0, rate.take(now)) {
            (Some((due, _)), _) if now < *due => self.0 = Some((*due, body)),
            (_, Err(wait)) => self.0 = Some((now + wait, body)),
            (_, Ok(())) => {
                self.0 = None;
                return Some(body);
            }
        }
        None
    }

    /// Returns what was held back and is due.
    pub(super) fn flush(&mut self, now: Timestamp, rate: &mut Bucket) -> Option<String> {
        let (due, body) = self.0.take_if(|(due, _)| now >= *due)?;
        match rate.take(now) {
            Ok(()) => Some(body),
            Err(wait) => {
                self.0 = Some((due.max(now + wait), body));
                None
            }
        }
    }

    /// When to flush.
    pub(super) fn due(&self) -> Option<Timestamp> {
        self.0.as_ref().map(|(due, _)| *due)
    }

    /// Shows it never.
    pub(super) fn forget(&mut self) {
        self.0 = None;
    }
}
