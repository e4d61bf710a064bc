//! Publishing messages.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use protocol::id::{Name, RoomName, SessionId};
use protocol::server::{Call, Posted, RequestAnswer};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::caller::Caller;
use super::input::{ApiJson, InRoom, Key};
use super::messages::FRESH;
use super::perform::perform;
use super::problem::{Code, Problem, ProblemBody};
use crate::everbeat::Everbeat;
use crate::secret;

/// A message to publish.
#[derive(Deserialize, ToSchema)]
pub(super) struct NewMessage {
    /// The text
    #[schema(min_length = 1)]
    body: String,
    /// The name that its author chooses; a token's name counts before it
    #[schema(value_type = Option<String>)]
    name: Option<Name>,
}

/// A durable message
#[derive(Serialize, ToSchema)]
pub(super) struct Published {
    /// The room
    room: String,
    /// The identity of its log
    epoch: String,
    /// The message's offset in it, from 1
    #[schema(minimum = 1)]
    offset: u64,
    /// Whether the message was published before, with the same key
    repeated: bool,
}

/// Publish a message
///
/// Exactly once: a caller that got no answer repeats the request with the same `Idempotency-Key`, and gets
/// the message's offset. The caller chooses the key; a key that was used for another message is refused.
#[utoipa::path(
    post,
    path = "/api/rooms/{room}/messages",
    tag = "messages",
    params(
        ("room" = String, Path, pattern = "^[a-z0-9_-]{1,64}$"),
        (
            "Idempotency-Key" = String, Header, pattern = "^[!-~]{1,255}$",
            description = "Another one for each message, a UUID say; known for a day (`--idempotency-ttl`)"
        ),
    ),
    request_body = NewMessage,
    security((), ("token" = [])),
    responses(
        (status = 201, body = Published, description = "It is in the log"),
        (status = 200, body = Published, description = "It was in the log already"),
        (status = "4XX", body = ProblemBody, content_type = "application/problem+json", description = "Refused: `code` says why"),
        (status = "5XX", body = ProblemBody, content_type = "application/problem+json", description = "Not now: `Retry-After` says when"),
    )
)]
pub(super) async fn publish(
    State(everbeat): State<Everbeat>,
    caller: Caller,
    InRoom(room): InRoom,
    key: Key,
    ApiJson(NewMessage { body, name }): ApiJson<NewMessage>,
) -> Result<(StatusCode, [(HeaderName, HeaderValue); 1], Json<Published>), Problem> {
    let posted = publish_once(&everbeat, &caller, &room, &key, body, name.as_ref()).await?;
    let status = if posted.is_repeat {
        StatusCode::OK
    } else {
        StatusCode::CREATED
    };
    let published = Published {
        room: room.into(),
        epoch: posted.epoch.into(),
        offset: posted.offset.get(),
        repeated: posted.is_repeat,
    };
    Ok((status, FRESH, Json(published)))
}

/// Publishes a message under its author's key, at most once: for the API and for the page's plain form,
/// after the same checks.
///
/// # Errors
/// Why it was not published; or that the outcome is unknown, and then a repeat with the same key tells.
pub async fn publish_once(
    everbeat: &Everbeat,
    caller: &Caller,
    room: &RoomName,
    key: &Key,
    body: String,
    name: Option<&Name>,
) -> Result<Posted, Problem> {
    let session = secret::random_hex::<16>().and_then(|id| SessionId::new(&id).ok());
    let session = session.ok_or_else(|| Problem::new(Code::Internal))?;
    let author = caller.access.identity.subject();
    let call = Call::Publish {
        room: room.clone(),
        key: secret::post_key(author, &caller.client, key.as_str()),
        session,
        name: name.cloned(),
        body,
    };
    match perform(everbeat, caller, call).await?.answer {
        RequestAnswer::Published(posted) => Ok(posted),
        _ => Err(Problem::mismatched()),
    }
}
