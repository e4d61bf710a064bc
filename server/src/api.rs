//! The HTTP API: what programs read from rooms, and what they put into them, without a socket.
//!
//! Who asks is found out by the same authenticator as for sockets and pages (`caller`), what is refused is told
//! as `application/problem+json` (`problem`), and the document at `/api/openapi.json` is made from the
//! very handlers that it describes.

mod caller;
mod events;
mod input;
mod messages;
mod perform;
mod presence;
mod problem;
mod publish;
mod remove;

use axum::extract::DefaultBodyLimit;
use axum::http::header;
use axum::routing::{any, get};
use axum::{Json, Router};
use utoipa::OpenApi as _;
use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) use self::caller::Caller;
pub(crate) use self::input::Key;
pub use self::problem::everywhere;
pub(crate) use self::problem::{Code, Problem};
pub(crate) use self::publish::publish_once;
use crate::state::AppState;

/// Under which path the API is.
pub const PREFIX: &str = "/api/";

/// The API's routes:
///
/// - `GET /api/rooms/{room}/messages`: what was said
/// - `POST /api/rooms/{room}/messages`: say something
/// - `DELETE /api/rooms/{room}/messages/{offset}`: take back what somebody said
/// - `GET /api/rooms/{room}/events`: what is said as it is said
/// - `GET /api/rooms/{room}/presence`: who is there
/// - `GET /api/openapi.json`: what there is
pub fn routes(state: &AppState) -> Router<AppState> {
    let (routes, document) = parts();
    routes
        .route(
            "/api/openapi.json",
            get(async move || {
                (
                    [(header::CACHE_CONTROL, "no-cache")],
                    Json(document.clone()),
                )
            }),
        )
        .route("/api", any(nothing))
        .route("/api/{*path}", any(nothing))
        .method_not_allowed_fallback(not_that_method)
        .layer(DefaultBodyLimit::max(state.config.frame_bytes as usize))
}

/// What the document says of all of it.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Everbeat",
        description = "Rooms, read and written without a socket. Refusals are problems (RFC 9457) whose `code` says why.",
    ),
    tags(
        (name = "messages", description = "What is said"),
        (name = "rooms", description = "Where it is said"),
    ),
    modifiers(&Tokens)
)]
struct Document;

struct Tokens;

impl utoipa::Modify for Tokens {
    fn modify(&self, document: &mut OpenApi) {
        let token = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .description(Some(
                "Who it is, and what they may do; without one, a guest, where guests are taken",
            ))
            .build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(token));
    }
}

/// The routes that the document describes, and the document.
fn parts() -> (Router<AppState>, OpenApi) {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(messages::list, publish::publish))
        .routes(routes!(remove::remove))
        .routes(routes!(events::events))
        .routes(routes!(presence::presence))
        .split_for_parts()
}

async fn nothing() -> Problem {
    Problem::new(Code::NotFound)
}

async fn not_that_method() -> Problem {
    Problem::new(Code::MethodNotAllowed)
}
