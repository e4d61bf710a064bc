//! Drafts of one author in one room: of those that come too fast, or too early, the latest is shown.

use crate::rate::Bucket;
use crate::time::Timestamp;

/// A draft that is not shown yet. A newer one replaces it.
#[derive(Debug, Default)]
pub(super) enum HeldDraft {
    /// There is none.
    #[default]
    None,
    /// A draft over the rate, which is shown at this time.
    Until(Timestamp, String),
    /// A draft from before its author entered the room; it waits for that.
    UntilEntered(String),
}

impl HeldDraft {
    /// Takes a draft; returns it if it may be shown at once.
    pub(super) fn take(
        &mut self,
        now: Timestamp,
        rate: &mut Bucket,
        body: String,
    ) -> Option<String> {
        match (&*self, rate.take(now)) {
            (Self::Until(due, _), _) if now < *due => *self = Self::Until(*due, body),
            (_, Err(wait)) => *self = Self::Until(now + wait, body),
            (_, Ok(())) => {
                *self = Self::None;
                return Some(body);
            }
        }
        None
    }

    /// Keeps a draft until its author is in the room.
    pub(super) fn keep(&mut self, body: String) {
        *self = Self::UntilEntered(body);
    }

    /// The author is in the room: returns the draft that waited for that, if it may be shown at once.
    pub(super) fn entered(&mut self, now: Timestamp, rate: &mut Bucket) -> Option<String> {
        match std::mem::take(self) {
            Self::UntilEntered(body) => self.take(now, rate, body),
            other => {
                *self = other;
                None
            }
        }
    }

    /// Returns the draft that is due, if there is one.
    pub(super) fn flush(&mut self, now: Timestamp, rate: &mut Bucket) -> Option<String> {
        self.due().filter(|due| now >= *due)?;
        let Self::Until(due, body) = std::mem::take(self) else {
            return None;
        };
        match rate.take(now) {
            Ok(()) => Some(body),
            Err(wait) => {
                *self = Self::Until(due.max(now + wait), body);
                None
            }
        }
    }

    /// When to flush.
    pub(super) const fn due(&self) -> Option<Timestamp> {
        match self {
            Self::Until(due, _) => Some(*due),
            Self::None | Self::UntilEntered(_) => None,
        }
    }

    /// Drops the draft.
    pub(super) fn forget(&mut self) {
        *self = Self::None;
    }
}
