//! What most connections have no need of, and no memory for.

use std::collections::VecDeque;

use protocol::server::Transmit;

use super::requests::Answer;
use super::trace::Tracing;
use crate::answers::Owed;
use crate::ws::reading::Reading;

/// What is read later, what that needs, and a recorder.
#[derive(Default)]
pub(super) struct Rare {
    /// The reads, in order: the next one begins when the one before is answered.
    pub(super) reads: VecDeque<Reading<Answer>>,
    /// The memory reserved for the answers that are being written.
    pub(super) owed: Vec<Owed>,
    /// Pulls that wait until the peer has taken what was written.
    pub(super) postponed: VecDeque<Transmit>,
    /// What records the connection, while its session is watched.
    pub(super) tracing: Option<Tracing>,
}

impl Rare {
    /// With a recorder alone.
    pub(super) fn with(tracing: Tracing) -> Box<Self> {
        Box::new(Self {
            tracing: Some(tracing),
            ..Self::default()
        })
    }

    /// Whether nothing is in it any more.
    pub(super) fn is_empty(&self) -> bool {
        let is_read = self.reads.is_empty() && self.owed.is_empty() && self.postponed.is_empty();
        is_read && self.tracing.is_none()
    }
}
