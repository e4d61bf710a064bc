//! What requests carry, read strictly: what is not as the document says is a problem.

use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use protocol::id::RoomName;
use serde::de::DeserializeOwned;

use super::problem::{Code, Problem};

/// The room in a path.
pub(super) struct InRoom(pub(super) RoomName);

impl<S: Send + Sync> FromRequestParts<S> for InRoom {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        // Not UTF-8, say.
        let Path(path) = path.map_err(|_| Problem::new(Code::BadRoom))?;
        let room = path.iter().find(|(name, _)| name == "room");
        let room = room.map(|(_, room)| RoomName::new(room));
        match room {
            Some(Ok(room)) => Ok(Self(room)),
            Some(Err(_)) | None => Err(Problem::new(Code::BadRoom)),
        }
    }
}

/// What stands behind the question mark.
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(asked)) => Ok(Self(asked)),
            Err(error) => Err(Problem::new(Code::BadRequest).detail(error.body_text())),
        }
    }
}
