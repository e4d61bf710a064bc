//! The parts of requests, parsed strictly: what differs from the document is a problem.

use std::borrow::Cow;
use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::rejection::JsonRejection;
use axum::extract::{
    DefaultBodyLimit, FromRef, FromRequest, FromRequestParts, Path, Query, Request,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use protocol::codec::to_well_formed;
use protocol::id::RoomName;
use protocol::position::Offset;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::problem::{Code, Problem};
use crate::everbeat::HttpConfig;
use crate::hub::Hub;
use crate::metrics::Limit;

/// The room in a path.
pub(super) struct InRoom(pub(super) RoomName);

impl<S: Send + Sync> FromRequestParts<S> for InRoom {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        // Such as a path that is not UTF-8.
        let Path(path) = path.map_err(|_| Problem::new(Code::BadRoom))?;
        let room = path.iter().find(|(name, _)| name == "room");
        let room = room.map(|(_, room)| RoomName::new(room));
        match room {
            Some(Ok(room)) => Ok(Self(room)),
            Some(Err(_)) | None => Err(Problem::new(Code::BadRoom)),
        }
    }
}

/// The offset in a path.
pub(super) struct AtOffset(pub(super) Offset);

impl<S: Send + Sync> FromRequestParts<S> for AtOffset {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        let Path(path) = path.map_err(|_| Problem::new(Code::BadRequest))?;
        let offset = path.iter().find(|(name, _)| name == "offset");
        let offset = offset.and_then(|(_, offset)| Offset::new(offset.parse().ok()?).ok());
        offset.map(Self).ok_or_else(|| {
            let detail = "an offset is a whole number below 2^53";
            Problem::new(Code::BadRequest).detail(detail)
        })
    }
}

/// The query of a URL.
pub(super) struct ApiQuery<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for ApiQuery<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(asked)) => Ok(Self(asked)),
            Err(error) => Err(Problem::new(Code::BadRequest).detail(error.body_text())),
        }
    }
}

/// A body of JSON.
pub(super) struct ApiJson<T>(pub(super) T);

impl<T, S> FromRequest<S> for ApiJson<T>
where
    T: DeserializeOwned,
    S: Send + Sync,
    Arc<Hub>: FromRef<S>,
    Arc<HttpConfig>: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let encoding = request.headers().get(header::CONTENT_ENCODING);
        if encoding.is_some_and(|encoding| encoding != "identity") {
            // A small compressed body may be a very large one.
            return Err(Problem::new(Code::UnsupportedMediaType).detail("send it uncompressed"));
        }
        let coming = json(request, state);
        let http = Arc::<HttpConfig>::from_ref(state);
        match timeout(http.body_timeout, coming).await {
            Ok(Ok(Json(given))) => Ok(Self(given)),
            Ok(Err(error)) => Err(not_given(&error)),
            Err(_) => {
                let hub = Arc::<Hub>::from_ref(state);
                hub.metrics().limited(Limit::BodyTimeout);
                Err(Problem::new(Code::RequestTimeout))
            }
        }
    }
}

/// Reads JSON as a frame is read: a lone surrogate in a text becomes U+FFFD.
async fn json<T: DeserializeOwned, S: Send + Sync>(
    request: Request,
    state: &S,
) -> Result<Json<T>, JsonRejection> {
    let content_type = request.headers().get(header::CONTENT_TYPE).cloned();
    let body = Bytes::from_request(request, state).await?;
    let mended = match str::from_utf8(&body).map(to_well_formed) {
        Ok(Cow::Owned(mended)) => Some(mended),
        Ok(Cow::Borrowed(_)) | Err(_) => None,
    };
    let mut request = Request::new(mended.map_or_else(|| Body::from(body), Body::from));
    // The body has been read already, within the limit.
    DefaultBodyLimit::disable().apply(&mut request);
    let headers = request.headers_mut();
    headers.extend(content_type.map(|content_type| (header::CONTENT_TYPE, content_type)));
    Json::from_request(request, state).await
}

fn not_given(error: &JsonRejection) -> Problem {
    match error {
        JsonRejection::MissingJsonContentType(_) => Problem::new(Code::UnsupportedMediaType),
        error if error.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            Problem::new(Code::BodyTooLarge)
        }
        error => Problem::new(Code::BadRequest).detail(error.body_text()),
    }
}

/// The most bytes of a key.
pub(super) const KEY_BYTES_MAX: usize = 255;

/// The header of a key.
pub(super) const KEY_HEADER: &str = "idempotency-key";

/// An idempotency key, by which a repeated message is recognised: any visible ASCII, or a string of structured fields
/// (RFC 8941 section 3.3.3), which is the same with quotes around it.
pub struct Key(String);

impl Key {
    /// A key; `None` where the text cannot be one.
    pub fn new(text: &str) -> Option<Self> {
        let is_visible = text.bytes().all(|byte| byte.is_ascii_graphic());
        let is_key = (1..=KEY_BYTES_MAX).contains(&text.len()) && is_visible;
        is_key.then(|| Self(text.to_owned()))
    }

    /// The key as text.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Key {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        key(&parts.headers)
    }
}

fn key(headers: &HeaderMap) -> Result<Key, Problem> {
    let mut shown = headers.get_all(KEY_HEADER).iter();
    let Some(key) = shown.next() else {
        return Err(Problem::new(Code::IdempotencyKeyRequired));
    };
    let key = key.to_str().ok().and_then(Key::new);
    let Some(Key(key)) = key.filter(|_| shown.next().is_none()) else {
        let detail =
            format!("Idempotency-Key: one, of 1 to {KEY_BYTES_MAX} visible ASCII characters");
        return Err(Problem::new(Code::BadRequest).detail(detail));
    };
    let bare = key.strip_prefix('"').and_then(|key| key.strip_suffix('"'));
    let bare = bare.and_then(Key::new);
    Ok(bare.unwrap_or(Key(key)))
}
