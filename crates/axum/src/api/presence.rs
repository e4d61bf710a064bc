//! The members of a room.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue};
use protocol::server::{Call, RequestAnswer};
use serde::Serialize;
use utoipa::ToSchema;

use super::caller::Caller;
use super::input::InRoom;
use super::messages::FRESH;
use super::perform::perform;
use super::problem::{Problem, ProblemBody};
use crate::everbeat::Everbeat;

/// The members of a room
#[derive(Serialize, ToSchema)]
pub(super) struct Presence {
    /// The room
    room: String,
    /// How many members there are
    #[schema(minimum = 0)]
    count: u32,
    /// The members that are named; in a crowd not all are
    members: Vec<Member>,
}

/// A member of a room
#[derive(Serialize, ToSchema)]
pub(super) struct Member {
    /// The id of its session
    session: String,
    /// Its name
    name: String,
}

/// List the members of a room
///
/// The sessions that have joined it, and those that have been away for less than half a minute. To call this,
/// or to listen to events, makes no member.
#[utoipa::path(
    get,
    path = "/api/rooms/{room}/presence",
    tag = "rooms",
    params(("room" = String, Path, pattern = "^[a-z0-9_-]{1,64}$")),
    security((), ("token" = [])),
    responses(
        (status = 200, body = Presence, description = "Who is there"),
        (status = "4XX", body = ProblemBody, content_type = "application/problem+json", description = "Refused: `code` says why"),
        (status = "5XX", body = ProblemBody, content_type = "application/problem+json", description = "Not now: `Retry-After` says when"),
    )
)]
pub(super) async fn presence(
    State(everbeat): State<Everbeat>,
    caller: Caller,
    InRoom(room): InRoom,
) -> Result<([(HeaderName, HeaderValue); 1], Json<Presence>), Problem> {
    let call = Call::Presence { room: room.clone() };
    let performed = perform(&everbeat, &caller, call).await?;
    let RequestAnswer::Presence { members, count } = performed.answer else {
        return Err(Problem::mismatched());
    };
    let members = members.into_iter().map(|member| Member {
        session: member.session.into(),
        name: member.name.into(),
    });
    let presence = Presence {
        room: room.into(),
        count,
        members: members.collect(),
    };
    Ok((FRESH, Json(presence)))
}
