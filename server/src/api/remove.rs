//! Texts that go.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use protocol::access::Subject;
use protocol::position::Offset;
use tokio::time::timeout;

use super::caller::Caller;
use super::input::{AtOffset, InRoom};
use super::problem::{Code, Problem, ProblemBody};
use crate::log::Removal;
use crate::state::AppState;

/// How long the answer waits for the text to leave the database's files, too. Without another program that reads
/// them it takes milliseconds.
const SCRUB_WAIT: Duration = Duration::from_secs(2);

/// Remove the text of a message
///
/// For good: from the log, from every page that shows it and from every later answer. Its offset, its
/// author and its time stay. Needs the right to `moderate` the room, which only a token gives. To remove it
/// again changes nothing, and tells whether it has left the database's files by now: another program that
/// reads these, a backup say, keeps it there until it ends.
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
        (status = 204, description = "It is gone, also from the database's files"),
        (status = 202, description = "It is gone from every answer, and will leave the database's files as soon as no other program reads them"),
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
    let removal = state
        .hub
        .log()
        .remove(room.clone(), offset, state.hub.stamp());
    match removal.await? {
        Removal::Removed => {
            let by = caller.access.identity.subject().map(Subject::as_str);
            tracing::info!(%room, %offset, by, "a text was removed");
        }
        Removal::Before => {}
        Removal::Missing => return Err(missing(offset)),
    }
    let scrubbed = timeout(SCRUB_WAIT, state.hub.log().scrubbed()).await;
    Ok(match scrubbed {
        Ok(Ok(())) => StatusCode::NO_CONTENT,
        // Too early, or the server ends: the duty is as durable as the removal.
        Ok(Err(_)) | Err(_) => StatusCode::ACCEPTED,
    })
}

fn missing(offset: Offset) -> Problem {
    let detail = format!("the room's log has no message {offset}, or not any more");
    Problem::new(Code::NotFound).detail(detail)
}
