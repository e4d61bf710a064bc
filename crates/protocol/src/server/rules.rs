//! Decisions that are the same for a frame and for a request over HTTP.

use super::Config;
use super::rooms::JOIN_LIMIT;
use crate::access::Rights;
use crate::frame::{ErrorCode, Limits};
use crate::id::RoomName;
use crate::time::Timestamp;

/// Whether a text may become a message of a room (AC-5, and the limits of PROTOCOL.md): if it may be a draft, and is
/// not empty.
///
/// # Errors
/// Why it is refused for good (EO-7).
pub(super) fn check_message(
    rights: &Rights,
    room: &RoomName,
    body: &str,
    limits: &Limits,
) -> Result<(), ErrorCode> {
    check_draft(rights, room, body, limits)?;
    if body.is_empty() {
        return Err(ErrorCode::BodyEmpty);
    }
    Ok(())
}

/// Whether a text may be shown as a draft in a room: an empty one clears it.
///
/// # Errors
/// Why it is dropped.
pub(super) fn check_draft(
    rights: &Rights,
    room: &RoomName,
    body: &str,
    limits: &Limits,
) -> Result<(), ErrorCode> {
    rights.may_write(room)?;
    let fits = body.len() <= limits.body_bytes as usize;
    fits.then_some(()).ok_or(ErrorCode::BodyTooLarge)
}

/// How many messages a page has at most: as many as the client asks for, within the limit.
pub(super) fn page_limit(wish: Option<u32>, limits: &Limits) -> u32 {
    wish.unwrap_or(JOIN_LIMIT).min(limits.history).max(1)
}

/// AC-2: how long a session whose token ends is served: until the end of the grace period.
pub fn served_until(ends: Timestamp, config: &Config) -> Timestamp {
    ends + config.token_grace
}
