//! Problems: the API's refusals (RFC 9457).

use std::time::Duration;

use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use protocol::access::Denied;
use protocol::frame::ErrorCode;
use protocol::server::RequestError;
use serde::Serialize;
use utoipa::ToSchema;

use super::PREFIX;
use crate::http::retry_after;

/// The media type of a problem.
const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/problem+json");

/// How long a caller should wait while the keys of tokens cannot be read.
const AGAIN: Duration = Duration::from_secs(2);

/// Why a request was refused, for programs. A refusal that sockets know too has the same name there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The request is not as the document says.
    BadRequest,
    /// A publish without an idempotency key.
    IdempotencyKeyRequired,
    /// The key was used for another message.
    IdempotencyKeyReused,
    /// The room's name is not 1 to 64 of a-z 0-9 - _.
    BadRoom,
    /// A message without a text.
    BodyEmpty,
    /// A text longer than this server takes.
    BodyTooLarge,
    /// The request comes from a page of another site (CSRF).
    Forbidden,
    /// There is nothing at this path.
    NotFound,
    /// There is no such method at this path.
    MethodNotAllowed,
    /// The body did not arrive in time.
    RequestTimeout,
    /// The body is not JSON.
    UnsupportedMediaType,
    /// Too many requests: again after the time in `Retry-After`.
    RateLimited,
    /// No right to read the room.
    ReadDenied,
    /// No right to write in the room.
    WriteDenied,
    /// No right to moderate the room.
    ModerateDenied,
    /// The token has ended.
    TokenExpired,
    /// The token is not a good one.
    TokenInvalid,
    /// The server takes no guests: a token is needed.
    TokenRequired,
    /// Not possible now: again after the time in `Retry-After`.
    Unavailable,
    /// A fault of the server.
    Internal,
}

impl Code {
    const fn status(self) -> StatusCode {
        match self {
            Self::BadRequest | Self::BadRoom | Self::IdempotencyKeyRequired => {
                StatusCode::BAD_REQUEST
            }
            Self::BodyEmpty => StatusCode::UNPROCESSABLE_ENTITY,
            Self::IdempotencyKeyReused => StatusCode::CONFLICT,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Forbidden | Self::ReadDenied | Self::WriteDenied | Self::ModerateDenied => {
                StatusCode::FORBIDDEN
            }
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            Self::TokenExpired | Self::TokenInvalid | Self::TokenRequired => {
                StatusCode::UNAUTHORIZED
            }
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The sentence for people. A refusal that sockets know too has the same words there.
    const fn text(self) -> &'static str {
        match self {
            Self::BadRequest => "the request is not as /api/openapi.json says",
            Self::BadRoom => "a room's name is 1 to 64 of a-z 0-9 - _",
            Self::IdempotencyKeyRequired => {
                "give each message a key of its own, in the header Idempotency-Key, and the same one when you repeat it"
            }
            Self::IdempotencyKeyReused => "this key was used for another message",
            Self::BodyEmpty => ErrorCode::BodyEmpty.message(),
            Self::BodyTooLarge => ErrorCode::BodyTooLarge.message(),
            Self::Forbidden => "pages of another site may not do this",
            Self::NotFound => "nothing is here: /api/openapi.json says what there is",
            Self::MethodNotAllowed => "not with this method: see Allow",
            Self::RequestTimeout => "the content did not come in time: try again",
            Self::UnsupportedMediaType => "send JSON, and say so: Content-Type: application/json",
            Self::RateLimited => ErrorCode::RateLimited.message(),
            Self::ReadDenied => ErrorCode::ReadDenied.message(),
            Self::WriteDenied => ErrorCode::WriteDenied.message(),
            Self::ModerateDenied => "you may not remove what is said in this room",
            Self::TokenExpired => ErrorCode::TokenExpired.message(),
            Self::TokenInvalid => ErrorCode::TokenInvalid.message(),
            Self::TokenRequired => ErrorCode::TokenRequired.message(),
            Self::Unavailable => "the server cannot do this now: try again later",
            Self::Internal => "something went wrong here",
        }
    }

    /// The code for an answer that was given before the request reached the API.
    fn of(status: StatusCode) -> Self {
        match status {
            StatusCode::FORBIDDEN => Self::Forbidden,
            StatusCode::NOT_FOUND => Self::NotFound,
            StatusCode::METHOD_NOT_ALLOWED => Self::MethodNotAllowed,
            StatusCode::REQUEST_TIMEOUT => Self::RequestTimeout,
            StatusCode::PAYLOAD_TOO_LARGE => Self::BodyTooLarge,
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Self::UnsupportedMediaType,
            StatusCode::TOO_MANY_REQUESTS => Self::RateLimited,
            StatusCode::SERVICE_UNAVAILABLE => Self::Unavailable,
            status if status.is_client_error() => Self::BadRequest,
            _ => Self::Internal,
        }
    }
}

/// A refusal that sockets know too has the same name here.
impl From<ErrorCode> for Code {
    fn from(code: ErrorCode) -> Self {
        match code {
            ErrorCode::BadRoom => Self::BadRoom,
            ErrorCode::BodyEmpty => Self::BodyEmpty,
            ErrorCode::BodyTooLarge => Self::BodyTooLarge,
            ErrorCode::RateLimited => Self::RateLimited,
            ErrorCode::ReadDenied => Self::ReadDenied,
            ErrorCode::WriteDenied => Self::WriteDenied,
            ErrorCode::TokenRequired => Self::TokenRequired,
            ErrorCode::TokenInvalid => Self::TokenInvalid,
            ErrorCode::TokenExpired => Self::TokenExpired,
            ErrorCode::Busy | ErrorCode::Unavailable => Self::Unavailable,
            // Codes about frames and sessions, which requests do not have.
            _ => Self::Internal,
        }
    }
}

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    code: Code,
    detail: Option<String>,
    again: Option<Duration>,
    is_open: bool,
}

/// A refusal as it is sent (RFC 9457).
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct ProblemBody {
    /// No type beyond the status: `code` tells more.
    #[schema(example = "about:blank")]
    r#type: &'static str,
    /// The status in words.
    title: &'static str,
    /// The status.
    status: u16,
    /// Why, for programs.
    code: Code,
    /// Why, for people.
    detail: String,
}

impl Problem {
    /// A refusal in the usual words.
    pub fn new(code: Code) -> Self {
        Self {
            code,
            detail: None,
            again: None,
            is_open: false,
        }
    }

    /// The same refusal, in words about this request.
    #[must_use]
    pub fn detail(self, detail: impl Into<String>) -> Self {
        Self {
            detail: Some(detail.into()),
            ..self
        }
    }

    /// A refusal for now.
    pub(super) fn later(code: Code, again: Duration) -> Self {
        Self {
            again: Some(again),
            ..Self::new(code)
        }
    }

    /// The error for an answer of the core to another call; the core never gives one.
    pub(super) fn mismatched() -> Self {
        Self::new(Code::Internal)
    }

    /// Why, for programs.
    pub const fn code(&self) -> Code {
        self.code
    }

    /// Whether it is not known yet if the message is published: the same request tells, when it is repeated.
    pub const fn is_open(&self) -> bool {
        self.is_open
    }

    /// Why, for people: a sentence without its full stop.
    pub fn words(&self) -> &str {
        self.detail.as_deref().unwrap_or_else(|| self.code.text())
    }

    /// The same refusal, as the status of a page.
    pub fn told_by(&self, mut page: Response) -> Response {
        *page.status_mut() = self.code.status();
        let headers = page.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(again) = self.again {
            headers.extend(retry_after(again));
        }
        page
    }

    fn body(&self, status: StatusCode) -> String {
        let body = ProblemBody {
            r#type: "about:blank",
            title: status.canonical_reason().unwrap_or_default(),
            status: status.as_u16(),
            code: self.code,
            detail: self.words().to_owned(),
        };
        // Strings and a number always serialize.
        serde_json::to_string(&body).unwrap_or_default()
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        let code = denied.code().into();
        match denied {
            Denied::TokenRequired | Denied::TokenInvalid | Denied::TokenExpired => Self::new(code),
            Denied::Unavailable => Self::later(code, AGAIN),
            Denied::Busy(slot) => Self::later(code, slot),
        }
    }
}

impl From<RequestError> for Problem {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Refused(code) => Self::new(code.into()),
            RequestError::Later(code, wait) => Self::later(code.into(), wait),
            RequestError::OutcomeUnknown(wait) => Self {
                is_open: true,
                ..Self::later(Code::Unavailable, wait).detail(
                    "it is not known yet whether the message is published: repeat the request with the same Idempotency-Key",
                )
            },
            RequestError::ModerateDenied => Self::new(Code::ModerateDenied),
            RequestError::KeyReused => Self::new(Code::IdempotencyKeyReused),
            RequestError::NoMessage(offset) => {
                let detail = format!("the room's log has no message {offset}, or not any more");
                Self::new(Code::NotFound).detail(detail)
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.code.status();
        let head = [
            (header::CONTENT_TYPE, MEDIA_TYPE),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        ];
        let mut response = (status, head, self.body(status)).into_response();
        let headers = response.headers_mut();
        if let Some(again) = self.again {
            headers.extend(retry_after(again));
        }
        // RFC 6750 section 3: only a caller that showed a token gets the reason.
        if status == StatusCode::UNAUTHORIZED {
            let how = match self.code {
                Code::TokenRequired => r#"Bearer realm="everbeat""#,
                _ => r#"Bearer realm="everbeat", error="invalid_token""#,
            };
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(how));
        }
        response
    }
}

/// Turns refusals that were made before a request reached the API, or by the router, into problems, too.
pub async fn everywhere(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let is_api = path.starts_with(PREFIX) || path == PREFIX.trim_end_matches('/');
    let response = next.run(request).await;
    let status = response.status();
    let is_refused = status.is_client_error() || status.is_server_error();
    let is_problem = response.headers().get(header::CONTENT_TYPE) == Some(&MEDIA_TYPE);
    if !is_api || !is_refused || is_problem {
        return response;
    }
    let (mut parts, _) = response.into_parts();
    let told = Problem::new(Code::of(status)).into_response();
    let (told, body) = told.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    for (name, value) in &told.headers {
        parts.headers.insert(name, value.clone());
    }
    Response::from_parts(parts, body)
}
