//! Refusals (`error`), and the one rule by which a client reads what they say of a message (EO-7).

use std::time::Duration;

use super::{ErrorCode, Refusal};
use crate::id::Seq;

/// The fate of a message's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NumberFate {
    /// Used up: the message is refused for good.
    Used(Seq),
    /// Not used: the message comes again under the same number, after this time.
    Later(Seq, Duration),
    /// Not used, and the connection ends for it: the message stays where it is.
    Unsettled(Seq),
}

impl Refusal {
    /// A refusal of something that is neither a message nor in a room.
    pub fn new(code: ErrorCode) -> Self {
        let message = code.message().to_owned();
        Self {
            code,
            message,
            seq: None,
            unsettled: None,
            room: None,
            retry_after_ms: None,
        }
    }

    /// The fate of a message's number; none if the refusal is about something else.
    pub fn number_fate(&self) -> Option<NumberFate> {
        // Older servers named the number of these two like a refusal for good.
        let is_unsettled = matches!(self.code, ErrorCode::SeqConflict | ErrorCode::SeqGap);
        let wait = self.retry_after_ms.map(Duration::from_millis);
        match (self.unsettled, self.seq, wait) {
            (Some(seq), _, _) => Some(NumberFate::Unsettled(seq)),
            (None, Some(seq), _) if is_unsettled => Some(NumberFate::Unsettled(seq)),
            (None, Some(seq), Some(wait)) => Some(NumberFate::Later(seq, wait)),
            (None, Some(seq), None) => Some(NumberFate::Used(seq)),
            (None, None, _) => None,
        }
    }
}
