//! The configuration of a hub.

use std::sync::Arc;

use protocol::presence::pace::FAN_OUT_BYTES;

use super::tails::TAILS_BYTES;
use super::{Hub, Rooms};
use crate::answers::{ANSWER_BYTES, Answers};
use crate::clock::Clock;
use crate::log::{Log, Observer, PAGE_BYTES};

/// The configuration of a hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HubConfig {
    /// Members of a room that the others know by name (PR-3).
    pub members_named: usize,
    /// The most bytes of the newest messages of rooms in use, and of drafts, of all rooms together.
    pub tail_bytes: usize,
    /// Bytes of drafts and members a second that readers of all rooms together get.
    pub fan_out_bytes: u32,
    /// The most bytes that are kept of what was read from the log for readers that were away.
    pub replay_bytes: u64,
    /// The most bytes of answers that are not written yet, of all connections together.
    pub answer_bytes: usize,
    /// Messages read from the log at once, in bytes; the log's own pages have as many.
    pub page_bytes: u32,
}

impl Default for HubConfig {
    fn default() -> Self {
        Self {
            members_named: protocol::server::Config::default().members_named,
            tail_bytes: TAILS_BYTES,
            fan_out_bytes: FAN_OUT_BYTES,
            // Many who come back at once want the same.
            replay_bytes: 64 << 20,
            answer_bytes: ANSWER_BYTES,
            page_bytes: PAGE_BYTES,
        }
    }
}

impl Hub {
    /// A hub over a log, which is opened with the rooms as its observer.
    ///
    /// # Errors
    /// Those of the log.
    pub fn open<L: Log + 'static, E>(
        config: &HubConfig,
        open_log: impl FnOnce(Arc<dyn Observer>) -> Result<L, E>,
    ) -> Result<Self, E> {
        Self::open_over(config, |rooms, _| open_log(rooms))
    }

    /// As [`Hub::open`], for a log that needs to know the rooms before it is opened, or the hub's clock.
    ///
    /// # Errors
    /// Those of the log.
    pub fn open_over<L: Log + 'static, E>(
        config: &HubConfig,
        open_log: impl FnOnce(Arc<Rooms>, Clock) -> Result<L, E>,
    ) -> Result<Self, E> {
        let clock = Clock::start();
        let rooms = Rooms::new(config.members_named)
            .with_tails(config.tail_bytes)
            .with_fan_out(clock, config.fan_out_bytes);
        let rooms = Arc::new(rooms);
        let log = open_log(Arc::clone(&rooms), clock)?;
        let answers = Answers::new(config.answer_bytes, config.page_bytes);
        Ok(Self::new(rooms, Arc::new(log), config.replay_bytes, clock).with_answers(answers))
    }
}
