//! The operator's pages: the server's health, charts, nodes and connections; and one session.
//!
//! A page is made of regions, each an element with an id. The server renders them for the page and, while it is open,
//! again for its stream of updates, which carries those that changed. So the pages say the same without scripts.

mod charts;
mod connections;
mod desk;
mod document;
mod events;
mod gather;
mod nodes;
mod regions;
mod rooms;
mod session;
mod strip;
mod updates;
mod view;

use std::fmt::Display;
use std::sync::Arc;

use app::words::{Language, Words as PageWords};
use axum::Router;
use axum::extract::{FromRequestParts, Path, Query, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use everbeat_axum::hub::Hub;
use everbeat_axum::hub::feed::What;
use protocol::id::{ConnectionId, SessionId};
use tokio_util::sync::CancellationToken;

use self::desk::{Desk, Scope};
use self::view::{Asked, View};
use super::words::Words;
use crate::state::AppState;

/// The page's policy: no inline code, and nothing from other sites.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
);

/// The colours are the chat page's.
const STYLE: &str = concat!(
    include_str!("../../../style/tokens.css"),
    include_str!("status/status.css")
);
const SCRIPT: &str = include_str!("status/status.js");
const ICON: &str = include_str!("../../../public/favicon.svg");

/// - `GET /status`: the overview
/// - `GET /status/sessions/{id}`, `/status/connections/{id}`: one session, over its connections; one connection
/// - `GET …/updates` under each: its stream of updates, as Server-Sent Events
/// - `POST …/reconnect` and `…/remove`: close a connection with 1012, or with 4203
/// - the files that the pages load
pub(super) fn routes<S>(state: &AppState, end: CancellationToken) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    let file = |kind: &'static str, text: &'static str| {
        get(async move || ([(header::CONTENT_TYPE, kind)], text))
    };
    Router::new()
        .route("/status", get(page))
        .route("/status/updates", get(follow))
        .route("/status/{kind}/{id}", get(page))
        .route("/status/{kind}/{id}/updates", get(follow))
        .route("/status/{kind}/{id}/reconnect", post(reconnect))
        .route("/status/{kind}/{id}/remove", post(remove))
        .route("/status.css", file("text/css; charset=utf-8", STYLE))
        .route("/status.js", file("text/javascript; charset=utf-8", SCRIPT))
        .route("/favicon.svg", file("image/svg+xml", ICON))
        .with_state(Arc::new(Desk::new(state, end)))
}

/// What a request asks for: which page, and in which language.
struct Wanted {
    scope: Scope,
    words: Words,
}

impl<S: Send + Sync> FromRequestParts<S> for Wanted {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let refused = |refused: &dyn Display| {
            (StatusCode::BAD_REQUEST, format!("{refused}\n")).into_response()
        };
        let asked = Query::<Asked>::from_request_parts(parts, state).await;
        let Query(asked) = asked.map_err(|error| refused(&error))?;
        let named = Option::<Path<(String, String)>>::from_request_parts(parts, state).await;
        let scope = match named.map_err(|error| refused(&error))? {
            None => Scope::All(View::of(&asked)),
            Some(Path((kind, id))) => match (kind.as_str(), id.parse()) {
                ("sessions", _) => {
                    Scope::Session(SessionId::new(&id).map_err(|error| refused(&error))?)
                }
                ("connections", Ok(id)) => Scope::Connection(ConnectionId::new(id)),
                _ => return Err(StatusCode::NOT_FOUND.into_response()),
            },
        };
        // As `language::choose` found it.
        let words = parts.extensions.get::<PageWords>().copied();
        let language = words.map_or_else(Language::default, PageWords::language);
        let words = Words(language);
        Ok(Self { scope, words })
    }
}

async fn page(State(desk): State<Arc<Desk>>, wanted: Wanted) -> Response {
    let look = desk.look(&wanted.scope).await;
    let html = document::render(wanted.words, &wanted.scope, &look);
    let mut response = Html(html).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::CONTENT_SECURITY_POLICY, POLICY);
    response
}

async fn follow(State(desk): State<Arc<Desk>>, wanted: Wanted) -> Response {
    updates::stream(desk, wanted.scope, wanted.words)
}

/// Closes a connection so that its client reconnects and resumes.
async fn reconnect(desk: State<Arc<Desk>>, wanted: Wanted) -> Response {
    let was_there = desk.close(&wanted.scope, What::Reconnected, Hub::reconnect_by_operator);
    closed(desk, wanted, was_there).await
}

/// Closes a connection so that its client stays away until its user acts.
async fn remove(desk: State<Arc<Desk>>, wanted: Wanted) -> Response {
    let was_there = desk.close(&wanted.scope, What::Removed, Hub::disconnect_by_operator);
    closed(desk, wanted, was_there).await
}

/// Leads back to the page; where the connection was closed already, that is the answer.
async fn closed(desk: State<Arc<Desk>>, wanted: Wanted, was_there: bool) -> Response {
    if was_there {
        return Redirect::to(&wanted.scope.path()).into_response();
    }
    let page = page(desk, wanted).await;
    (StatusCode::NOT_FOUND, page).into_response()
}
