//! Messages of a room.

use std::num::NonZeroU32;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use protocol::access::Right;
use protocol::frame::Message;
use protocol::position::{Epoch, Offset, Position};
use protocol::server::Span;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::caller::Caller;
use super::input::{Asked, InRoom};
use super::problem::{Problem, ProblemBody};
use crate::log::RoomLog;
use crate::state::AppState;

/// How many messages are sent to who does not say how many.
const LIMIT: NonZeroU32 = NonZeroU32::new(50).unwrap();

/// The media type of what is answered.
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// What is read changes with every message.
pub(super) const FRESH: [(HeaderName, HeaderValue); 1] =
    [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];

/// Which messages: what the document says about each is with [`list`].
#[derive(Deserialize)]
pub(super) struct Which {
    after: Option<Offset>,
    before: Option<Offset>,
    epoch: Option<Epoch>,
    limit: Option<NonZeroU32>,
}

/// Messages, and where they stand in the room's log.
#[derive(Serialize, ToSchema)]
pub(super) struct Messages {
    /// The room
    room: String,
    /// The identity of its log
    epoch: String,
    /// The offset of its newest message; 0 for none
    #[schema(minimum = 0)]
    head: u64,
    /// Messages between `after` and the first of these are missing: the log does not reach back there,
    /// or is another one. Then these are the newest
    gap: bool,
    /// There are more, further on in the same direction
    more: bool,
    /// Oldest first
    messages: Vec<Entry>,
}

/// A message.
#[derive(Serialize, ToSchema)]
#[schema(as = Message)]
pub(super) struct Entry {
    /// Its place in the room's log, from 1
    #[schema(minimum = 1)]
    offset: u64,
    /// Whose session
    session: String,
    /// Its number in that session, from 1
    #[schema(minimum = 1)]
    seq: u64,
    /// How its author was called
    name: String,
    /// When it became part of the log: Unix time in milliseconds
    #[schema(minimum = 0)]
    at_ms: u64,
    /// The text; empty once it is removed
    body: String,
    /// Somebody removed the text
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

/// What was said in a room
///
/// Without `after` the newest messages, as for a first look; with `after` what came since, to follow a
/// room by asking again and again.
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
    State(state): State<AppState>,
    caller: Caller,
    InRoom(room): InRoom,
    Asked(which): Asked<Which>,
) -> Result<Response, Problem> {
    caller.may(&room, Right::Read)?;
    let owed = state.hub.owe(caller.client.counted()).await?;
    let log = state.hub.log();
    let held = log.room(room.clone()).await?;
    let limit = which.limit.unwrap_or(LIMIT).get();
    let limit = limit.min(state.protocol.limits.history);
    let (messages, gap, more) = if let Some(after) = which.after {
        let (from, follows) = which.begin(&held, after, limit);
        let mut messages = log.read(room.clone(), from, limit).await?.messages;
        // Some may have been trimmed since the log was asked what it holds.
        let starts = messages.first().is_none_or(|m| m.offset == from.next());
        let last = messages.last().map_or(from, |last| last.offset);
        let end = which.before.unwrap_or_else(|| held.head.next());
        messages.retain(|message| message.offset < end);
        (messages, !(follows && starts), last.next() < end)
    } else {
        let before = which.before.unwrap_or_else(|| held.head.next());
        let page = log.read_before(room.clone(), before, limit).await?;
        (page.messages, false, page.more)
    };
    let messages = Messages {
        room: room.into(),
        epoch: held.epoch.into(),
        head: held.head.get(),
        gap,
        more,
        messages: messages.into_iter().map(Entry::from).collect(),
    };
    // Strings, numbers and flags: nothing that JSON lacks.
    let content = serde_json::to_vec(&messages).unwrap_or_default();
    let json = [(header::CONTENT_TYPE, JSON)];
    let body = Body::from(owed.hold(content.into()));
    Ok((FRESH, json, body).into_response())
}

impl Which {
    /// Where to read on, and whether that follows what the caller has: as for a session (RS-6).
    fn begin(&self, held: &RoomLog, after: Offset, limit: u32) -> (Offset, bool) {
        let epoch = self.epoch.clone();
        let since = Position {
            epoch: epoch.unwrap_or_else(|| held.epoch.clone()),
            offset: after,
        };
        let span = Span {
            epoch: &held.epoch,
            head: held.head,
            trimmed: held.trimmed,
        };
        span.begin(Some(&since), limit)
    }
}
