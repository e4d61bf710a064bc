//! The decisions that all logs share: what becomes of a number, and how much to trim.

use protocol::frame::{ErrorCode, Message};
use protocol::id::Seq;
use protocol::position::{Epoch, Offset};

use super::{Append, LogError, Post, Posted};

/// Where a `seq` stands among the numbers of its session (EO-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// The next one: it is to be settled now.
    Next,
    /// Settled before: what it was used for decides.
    Settled,
}

/// What a settled number was used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// A message.
    Message {
        /// Its first offset.
        offset: Offset,
        /// Whether it is the message that is repeated now: same room, same body.
        same: bool,
    },
    /// A refusal for good.
    Refusal(ErrorCode),
}

/// Decides where a number stands. `last_seq` is `None` for an unknown session.
pub(super) fn standing(last_seq: Option<u64>, seq: Seq) -> Result<Standing, LogError> {
    let last_seq = last_seq.ok_or(LogError::UnknownSession)?;
    if seq.get() <= last_seq {
        Ok(Standing::Settled)
    } else if seq == Seq::after(last_seq) {
        Ok(Standing::Next)
    } else {
        Err(LogError::OutOfOrder { last_seq })
    }
}

/// Decides where the number of an append stands. A repeat is never the next one.
pub(super) fn standing_of(last_seq: Option<u64>, append: &Append) -> Result<Standing, LogError> {
    match standing(last_seq, append.seq)? {
        Standing::Next if append.is_repeat => Err(LogError::OutOfOrder {
            last_seq: last_seq.unwrap_or_default(),
        }),
        standing => Ok(standing),
    }
}

/// Answers an append whose number is settled (EO-1, EO-6, EO-7).
///
/// Only in a damaged log is a settled number used for nothing. That is answered as a conflict: the client then gives
/// its message a new number, and no message is acked that is not in the log.
pub(super) fn repeated_append(used: Option<Use>) -> Result<Offset, LogError> {
    match used {
        Some(Use::Message { offset, same: true }) => Ok(offset),
        Some(Use::Refusal(code)) => Err(LogError::Refused(code)),
        Some(Use::Message { same: false, .. }) | None => Err(LogError::Conflict),
    }
}

/// Answers a refusal whose number is settled (EO-7). To refuse it once more is harmless.
pub(super) fn repeated_refusal(used: Option<Use>) -> Result<(), LogError> {
    match used {
        Some(Use::Refusal(_)) => Ok(()),
        Some(Use::Message { .. }) | None => Err(LogError::Conflict),
    }
}

impl Append {
    /// The message that this append becomes at this offset.
    pub(super) fn at(self, offset: Offset) -> Message {
        Message {
            room: self.room,
            offset,
            session: self.session,
            seq: self.seq,
            name: self.name,
            at_ms: self.at_ms,
            body: self.body,
            removed: false,
        }
    }
}

impl Post {
    /// The post as an append: the first message of its session.
    pub(super) fn into_append(self) -> Append {
        Append {
            session: self.session,
            seq: Seq::FIRST,
            room: self.room,
            name: self.name,
            body: self.body,
            at_ms: self.at_ms,
            is_repeat: false,
        }
    }
}

/// Answers a post whose key was used before: for the same message, or for another one.
pub(super) fn repeated_post(epoch: Epoch, offset: Offset, same: bool) -> Result<Posted, LogError> {
    let posted = Posted {
        epoch,
        offset,
        is_repeat: true,
    };
    same.then_some(posted).ok_or(LogError::Conflict)
}

/// The most messages that are trimmed from one room at a time. They go in one transaction, for which all other
/// writes wait: this bounds the wait also where the limit was lowered by a million.
pub(super) const TRIM_MAX: u64 = 4096;

/// The offset up to which to trim a room; `None` while the room holds little more than its limit.
///
/// The slack makes trimming rare, instead of a part of every append.
pub(super) fn trim_to(head: Offset, trimmed: Offset, history_per_room: u64) -> Option<Offset> {
    let slack = (history_per_room / 16).clamp(64, 1024);
    let held = head.get() - trimmed.get();
    let surplus = held.checked_sub(history_per_room)?;
    (surplus > slack).then(|| head.back(held - surplus.min(TRIM_MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offset(number: u64) -> Offset {
        Offset::new(number).unwrap()
    }

    /// EO-1: the next number, the lower ones, the higher ones.
    #[test]
    fn a_number_is_next_settled_or_out_of_order() {
        let seq = |number| Seq::new(number).unwrap();
        assert_eq!(standing(None, seq(1)), Err(LogError::UnknownSession));
        assert_eq!(standing(Some(0), seq(1)), Ok(Standing::Next));
        assert_eq!(standing(Some(7), seq(8)), Ok(Standing::Next));
        assert_eq!(standing(Some(7), seq(7)), Ok(Standing::Settled));
        assert_eq!(standing(Some(7), seq(1)), Ok(Standing::Settled));
        let gap = Err(LogError::OutOfOrder { last_seq: 7 });
        assert_eq!(standing(Some(7), seq(9)), gap);
    }

    /// EO-6: a message is acked only if it is the same one.
    #[test]
    fn only_the_same_message_is_acked_again() {
        let message = |same| {
            Some(Use::Message {
                offset: offset(3),
                same,
            })
        };
        let refusal = Some(Use::Refusal(ErrorCode::BodyTooLarge));
        assert_eq!(repeated_append(message(true)), Ok(offset(3)));
        assert_eq!(repeated_append(message(false)), Err(LogError::Conflict));
        assert_eq!(repeated_append(None), Err(LogError::Conflict));
        let refused = Err(LogError::Refused(ErrorCode::BodyTooLarge));
        assert_eq!(repeated_append(refusal), refused);

        assert_eq!(repeated_refusal(refusal), Ok(()));
        assert_eq!(repeated_refusal(message(true)), Err(LogError::Conflict));
        assert_eq!(repeated_refusal(None), Err(LogError::Conflict));
    }

    #[test]
    fn trimming_is_rare_and_bounded() {
        let check = |head, trimmed, history, expected: Option<u64>| {
            let trim = trim_to(offset(head), offset(trimmed), history);
            assert_eq!(
                trim.map(Offset::get),
                expected,
                "{head} {trimmed} {history}"
            );
        };
        check(0, 0, 100, None);
        check(164, 0, 100, None);
        check(165, 0, 100, Some(65));
        check(265, 165, 100, None);
        check(101_024, 0, 100_000, None);
        check(101_025, 0, 100_000, Some(1025));
        check(1_000_000, 0, 100, Some(4096));
        check(65, 0, 0, Some(65));
        check(u64::from(u32::MAX), 0, u64::MAX, None);
    }
}
