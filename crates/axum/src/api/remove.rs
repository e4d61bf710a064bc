//! Redacting messages.

use axum::extract::State;
use axum::http::StatusCode;
use protocol::server::{Call, RequestAnswer};

use super::caller::Caller;
use super::input::{AtOffset, InRoom};
use super::perform::perform;
use super::problem::{Problem, ProblemBody};
use crate::everbeat::Everbeat;

/// Remove the text of a message
///
/// For good: the text disappears from the log, from every page that shows it and from every later answer. Offset,
/// author and time stay. Needs the right to `moderate` the room, which only a token gives. To remove it
/// again changes nothing, and tells whether the text has left the database's files by now: another program that
/// reads these (a backup, say) keeps it there until that program ends.
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
    State(everbeat): State<Everbeat>,
    caller: Caller,
    InRoom(room): InRoom,
    AtOffset(offset): AtOffset,
) -> Result<StatusCode, Problem> {
    let call = Call::Redact { room, offset };
    match perform(&everbeat, &caller, call).await?.answer {
        RequestAnswer::Redacted { is_scrubbed: true } => Ok(StatusCode::NO_CONTENT),
        RequestAnswer::Redacted { is_scrubbed: false } => Ok(StatusCode::ACCEPTED),
        _ => Err(Problem::mismatched()),
    }
}
