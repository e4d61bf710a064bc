//! The HTTP API: reads from rooms and publishes to them, for programs without a socket.
//!
//! Callers are authenticated as sockets and pages are (`caller`), refusals are sent
//! as `application/problem+json` (`problem`), and the document at `/api/openapi.json` is generated from the
//! handlers that it describes.

mod caller;
mod events;
mod input;
mod messages;
mod perform;
mod presence;
mod problem;
mod publish;
mod remove;
mod trace;

use axum::extract::DefaultBodyLimit;
use axum::http::header;
use axum::routing::{any, get};
use axum::{Json, Router};
use utoipa::OpenApi as _;
use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use self::caller::Caller;
pub use self::input::Key;
pub use self::problem::everywhere;
pub use self::problem::{Code, Problem};
pub use self::publish::publish_once;
use crate::everbeat::Everbeat;

/// The path under which the API is.
pub const PREFIX: &str = "/api/";

/// The API's routes:
///
/// - `GET /api/rooms/{room}/messages`: reads messages
/// - `POST /api/rooms/{room}/messages`: publishes a message
/// - `DELETE /api/rooms/{room}/messages/{offset}`: redacts a message
/// - `GET /api/rooms/{room}/events`: follows a room, as Server-Sent Events
/// - `GET /api/rooms/{room}/presence`: the members of a room
/// - `GET /api/sessions/{session}/trace`: watches a session
/// - `GET /api/openapi.json`: the API's document
pub fn routes(config: &protocol::server::Config) -> Router<Everbeat> {
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
        .layer(DefaultBodyLimit::max(config.limits.frame_bytes as usize))
}

/// The head of the document.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Everbeat",
        description = "Rooms, read and written without a socket. Refusals are problems (RFC 9457) whose `code` says why.",
    ),
    tags(
        (name = "messages", description = "What is said"),
        (name = "rooms", description = "Where it is said"),
        (name = "sessions", description = "What the server does for one"),
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
fn parts() -> (Router<Everbeat>, OpenApi) {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(messages::list, publish::publish))
        .routes(routes!(remove::remove))
        .routes(routes!(events::events))
        .routes(routes!(presence::presence))
        .routes(routes!(trace::trace))
        .split_for_parts()
}

async fn nothing() -> Problem {
    Problem::new(Code::NotFound)
}

async fn not_that_method() -> Problem {
    Problem::new(Code::MethodNotAllowed)
}
