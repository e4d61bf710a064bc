//! Reading the messages of a room.

use std::num::NonZeroU32;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use protocol::frame::Message;
use protocol::position::{Epoch, Offset};
use protocol::server::{Call, RequestAnswer, Which};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::caller::Caller;
use super::input::{ApiQuery, InRoom};
use super::perform::perform;
use super::problem::{Problem, ProblemBody};
use crate::everbeat::Everbeat;

/// The media type of the answers.
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Answers must not be cached: each new message changes them.
pub(super) const FRESH: [(HeaderName, HeaderValue); 1] =
    [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];

/// The query: the document's text on each field is with [`list`].
#[derive(Deserialize)]
pub(super) struct Query {
    after: Option<Offset>,
    before: Option<Offset>,
    epoch: Option<Epoch>,
    limit: Option<NonZeroU32>,
}

impl From<Query> for Which {
    fn from(query: Query) -> Self {
        Self {
            after: query.after,
            before: query.before,
            epoch: query.epoch,
            limit: query.limit.map(NonZeroU32::get),
        }
    }
}

/// Messages, and where they stand in the room's log
#[derive(Serialize, ToSchema)]
pub(super) struct Messages {
    /// The room
    room: String,
    /// The identity of its log
    epoch: String,
    /// The offset of its newest message; 0 for none
    #[schema(minimum = 0)]
    head: u64,
    /// Messages between `after` and the first of these are missing, as the log does not reach back there,
    /// or is another one. Then these are the newest
    gap: bool,
    /// Whether there are more in the same direction
    more: bool,
    /// Oldest first
    messages: Vec<Entry>,
}

/// A message.
#[derive(Serialize, ToSchema)]
#[schema(as = Message)]
pub(super) struct Entry {
    /// The message's place in the room's log, from 1
    #[schema(minimum = 1)]
    offset: u64,
    /// The id of its author's session
    session: String,
    /// Its number in that session, from 1
    #[schema(minimum = 1)]
    seq: u64,
    /// The name of its author at that time
    name: String,
    /// When it was appended to the log: Unix time in milliseconds
    #[schema(minimum = 0)]
    at_ms: u64,
    /// The text; empty if it is redacted
    body: String,
    /// Whether the text was redacted
    removed: bool,
}

impl From<Message> for Entry {
    fn from(message: Message) -> Self {
        Self {
            offset: message.offset.get(),
            session: message.session.into(),
            seq: message.seq.get(),
            name: message.name.into(),
            at_ms: message.at_ms,
            body: message.body,
            removed: message.removed,
        }
    }
}

/// Read the messages of a room
///
/// Without `after` the newest messages, for a first look; with `after` those that came since, to follow a
/// room by polling.
#[utoipa::path(
    get,
    path = "/api/rooms/{room}/messages",
    tag = "messages",
    params(
        ("room" = String, Path, pattern = "^[a-z0-9_-]{1,64}$"),
        (
            "after" = Option<u64>, Query, minimum = 0, maximum = 9_007_199_254_740_991_u64,
            description = "Only messages with a larger offset, oldest first; without it the newest"
        ),
        (
            "before" = Option<u64>, Query, minimum = 0, maximum = 9_007_199_254_740_991_u64,
            description = "Only messages with a smaller offset"
        ),
        (
            "epoch" = Option<String>, Query,
            description = "Of which log `after` is an offset; where the room has another one, `gap` says so"
        ),
        (
            "limit" = Option<u32>, Query, minimum = 1, maximum = 4_294_967_295_u32,
            description = "At most so many, 50 if this is not said; cut to what the server allows (200, and 256 KiB as JSON): `more` says so"
        ),
    ),
    security((), ("token" = [])),
    responses(
        (status = 200, body = Messages, description = "Messages, and where they stand"),
        (status = "4XX", body = ProblemBody, content_type = "application/problem+json", description = "Refused: `code` says why"),
        (status = "5XX", body = ProblemBody, content_type = "application/problem+json", description = "Not now: `Retry-After` says when"),
    )
)]
pub(super) async fn list(
    State(everbeat): State<Everbeat>,
    caller: Caller,
    InRoom(room): InRoom,
    ApiQuery(query): ApiQuery<Query>,
) -> Result<Response, Problem> {
    let call = Call::Read {
        room: room.clone(),
        which: query.into(),
    };
    let performed = perform(&everbeat, &caller, call).await?;
    let RequestAnswer::Messages(page) = performed.answer else {
        return Err(Problem::mismatched());
    };
    let messages = Messages {
        room: room.into(),
        epoch: page.epoch.into(),
        head: page.head.get(),
        gap: page.gap,
        more: page.more,
        messages: page.messages.into_iter().map(Entry::from).collect(),
    };
    // Strings, numbers and flags always serialize.
    let content = serde_json::to_vec(&messages).unwrap_or_default();
    let json = [(header::CONTENT_TYPE, JSON)];
    let content = Bytes::from(content);
    let content = match performed.owed {
        Some(owed) => owed.hold(content),
        None => content,
    };
    Ok((FRESH, json, Body::from(content)).into_response())
}
