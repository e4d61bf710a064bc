//! Texts that go.

use axum::extract::State;
use axum::http::StatusCode;
use protocol::position::Offset;

use super::caller::Caller;
use super::input::{AtOffset, InRoom};
use super::problem::{Code, Problem, ProblemBody};
use crate::clock::unix_ms;
use crate::log::Removal;
use crate::state::AppState;

/// Remove the text of a message
///
/// For good: from the log, from every page that shows it and from every later answer. Its offset, its
/// author and its time stay. Needs the right to `moderate` the room, which only a token gives. To remove it
/// again changes nothing.
#[utoipa::path(
    delete,
    path = "/api/rooms/{room}/messages/{offset}",
    tag = "messages",
    params(
        ("room" = String, Path, pattern = "^[a-z0-9_-]{1,64}$"),
        ("offset" = u64, Path, minimum = 0, maximum = 9_007_199_254_740_991_u64),
    ),
    security(("token" = [])),
    responses(
        (status = 204, description = "It is gone"),
        (status = "4XX", body = ProblemBody, content_type = "application/problem+json", description = "Refused: `code` says why"),
        (status = "5XX", body = ProblemBody, content_type = "application/problem+json", description = "Not now: `Retry-After` says when"),
    )
)]
pub(super) async fn remove(
    State(state): State<AppState>,
    caller: Caller,
    InRoom(room): InRoom,
    AtOffset(offset): AtOffset,
) -> Result<StatusCode, Problem> {
    caller.may_moderate(&state, &room)?;
    let removal = state.hub.log().remove(room.clone(), offset, unix_ms());
    match removal.await? {
        Removal::Removed => {
            let by = caller.access.subject.as_ref().map(|by| by.as_str());
            tracing::info!(%room, %offset, by, "a text was removed");
            Ok(StatusCode::NO_CONTENT)
        }
        Removal::Before => Ok(StatusCode::NO_CONTENT),
        Removal::Missing => Err(missing(offset)),
    }
}

fn missing(offset: Offset) -> Problem {
    let detail = format!("the room's log has no message {offset}, or not any more");
    Problem::new(Code::NotFound).detail(detail)
}
