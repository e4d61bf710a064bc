//! The log's decisions about a `seq` or a key that may have been used before: the same for every log.

use super::{AppendError, PostError, Posted};
use crate::frame::ErrorCode;
use crate::id::{Generation, Seq};
use crate::position::{Epoch, Offset};
use serde::Serialize;

/// Where a `seq` stands among the numbers of its session (EO-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The next one: it is settled now.
    Next,
    /// Settled before: its use decides.
    Settled,
}

/// What a settled number was used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
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

/// Why a number, or a key, is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NumberError {
    /// It was used for another message (EO-6).
    Conflict,
    /// The number does not follow the session's last one (EO-1).
    OutOfOrder,
    /// The number was used up by a refusal for good (EO-7).
    Refused(ErrorCode),
    /// The log does not know the session, or no longer.
    UnknownSession,
    /// The session was opened again since (RS-4): another connection has it.
    Fenced,
}

/// Lets only the newest opening of a session use its numbers (RS-4). `newest` is `None` for an unknown session.
///
/// # Errors
/// [`NumberError::UnknownSession`], or [`NumberError::Fenced`] for an earlier opening.
pub fn fence(newest: Option<Generation>, own: Generation) -> Result<(), NumberError> {
    if own < newest.ok_or(NumberError::UnknownSession)? {
        return Err(NumberError::Fenced);
    }
    Ok(())
}

/// Decides where the number of an append or of a refusal stands. `last_seq` is `None` for an unknown session; what can
/// only be a repeat (`is_repeat`) is never the next one.
///
/// # Errors
/// [`NumberError::UnknownSession`], or [`NumberError::OutOfOrder`] for a number that is not settled and not the next.
pub fn standing(last_seq: Option<u64>, seq: Seq, is_repeat: bool) -> Result<Standing, NumberError> {
    let last_seq = last_seq.ok_or(NumberError::UnknownSession)?;
    if seq.get() <= last_seq {
        Ok(Standing::Settled)
    } else if seq == Seq::after(last_seq) && !is_repeat {
        Ok(Standing::Next)
    } else {
        Err(NumberError::OutOfOrder)
    }
}

/// Answers an append whose number is settled (EO-1, EO-6, EO-7): with the message's first offset.
///
/// Only in a damaged log is a settled number used for nothing. That is answered as a conflict: the client then gives
/// its message a new number, and no message is acked that is not in the log.
///
/// # Errors
/// [`NumberError::Refused`], or [`NumberError::Conflict`] for another message.
pub const fn repeated_append(used: Option<Use>) -> Result<Offset, NumberError> {
    match used {
        Some(Use::Message { offset, same: true }) => Ok(offset),
        Some(Use::Refusal(code)) => Err(NumberError::Refused(code)),
        Some(Use::Message { same: false, .. }) | None => Err(NumberError::Conflict),
    }
}

/// Answers a refusal whose number is settled (EO-7): with the code that it was refused with first.
///
/// # Errors
/// [`NumberError::Conflict`] where the number is a message's.
pub const fn repeated_refusal(used: Option<Use>) -> Result<ErrorCode, NumberError> {
    match used {
        Some(Use::Refusal(code)) => Ok(code),
        Some(Use::Message { .. }) | None => Err(NumberError::Conflict),
    }
}

/// Answers a post whose key was used before: for the `same` message, or for another one.
///
/// # Errors
/// [`NumberError::Conflict`] for another message.
pub fn repeated_post(epoch: Epoch, offset: Offset, same: bool) -> Result<Posted, NumberError> {
    let posted = Posted {
        epoch,
        offset,
        is_repeat: true,
    };
    same.then_some(posted).ok_or(NumberError::Conflict)
}

impl From<NumberError> for AppendError {
    fn from(error: NumberError) -> Self {
        match error {
            NumberError::Conflict => Self::Conflict,
            NumberError::OutOfOrder => Self::OutOfOrder,
            NumberError::Refused(code) => Self::Refused(code),
            NumberError::UnknownSession => Self::UnknownSession,
            NumberError::Fenced => Self::Fenced,
        }
    }
}

impl From<NumberError> for PostError {
    /// A post is the first message of its own session: only its key can be in the way.
    fn from(_: NumberError) -> Self {
        Self::Conflict
    }
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
        let stands = |last_seq, number| standing(last_seq, seq(number), false);
        assert_eq!(stands(None, 1), Err(NumberError::UnknownSession));
        assert_eq!(stands(Some(0), 1), Ok(Standing::Next));
        assert_eq!(stands(Some(7), 8), Ok(Standing::Next));
        assert_eq!(stands(Some(7), 7), Ok(Standing::Settled));
        assert_eq!(stands(Some(7), 1), Ok(Standing::Settled));
        assert_eq!(stands(Some(7), 9), Err(NumberError::OutOfOrder));
        let repeat = |number| standing(Some(7), seq(number), true);
        assert_eq!(repeat(7), Ok(Standing::Settled));
        assert_eq!(repeat(8), Err(NumberError::OutOfOrder));
    }

    /// RS-4: what an earlier opening still sends changes nothing.
    #[test]
    fn an_earlier_opening_is_fenced() {
        let newest = Some(Generation(3));
        assert_eq!(fence(newest, Generation(3)), Ok(()));
        assert_eq!(fence(newest, Generation(2)), Err(NumberError::Fenced));
        let unknown = fence(None, Generation(3));
        assert_eq!(unknown, Err(NumberError::UnknownSession));
    }

    /// EO-6: a message is acked only if it is the same one. EO-7: the first code counts.
    #[test]
    fn only_the_same_message_is_acked_again() {
        let message = |same| {
            Some(Use::Message {
                offset: offset(3),
                same,
            })
        };
        let code = ErrorCode::BodyTooLarge;
        let refusal = Some(Use::Refusal(code));
        assert_eq!(repeated_append(message(true)), Ok(offset(3)));
        assert_eq!(repeated_append(message(false)), Err(NumberError::Conflict));
        assert_eq!(repeated_append(None), Err(NumberError::Conflict));
        assert_eq!(repeated_append(refusal), Err(NumberError::Refused(code)));

        assert_eq!(repeated_refusal(refusal), Ok(code));
        assert_eq!(repeated_refusal(message(true)), Err(NumberError::Conflict));
        assert_eq!(repeated_refusal(None), Err(NumberError::Conflict));

        let post = |same| repeated_post(Epoch::new("e"), offset(3), same);
        assert!(post(true).is_ok_and(|posted| posted.is_repeat && posted.offset == offset(3)));
        assert_eq!(post(false), Err(NumberError::Conflict));
    }
}
