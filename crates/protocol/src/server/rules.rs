//! What is decided alike for a frame and for a request over HTTP.

use super::Config;
use super::rooms::JOIN_LIMIT;
use crate::access::Rights;
use crate::frame::{ErrorCode, Limits};
use crate::id::RoomName;
use crate::time::Timestamp;

/// Whether a text may become a message of a room (AC-5, and the limits of PROTOCOL.md): as a draft, but for an
/// empty one.
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

/// How many messages a page has at most, where the client asks for so many, or does not say.
pub(super) fn page_limit(wish: Option<u32>, limits: &Limits) -> u32 {
    wish.unwrap_or(JOIN_LIMIT).min(limits.history).max(1)
}

/// AC-2: until when a token that ends then is served: a little longer than it is good.
pub(super) fn served_until(ends: Timestamp, config: &Config) -> Timestamp {
    ends + config.token_grace
}
