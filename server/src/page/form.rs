//! The plain form of a room's page: a message without a script, and from a page that cannot come alive.

use std::sync::Arc;

use app::{Files, Letter, Place, Refusal, path, refused_shell};
use axum::body::Body;
use axum::extract::{Extension, Form, FromRequest as _, FromRequestParts as _, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use leptos_axum::render_app_async_with_context;
use protocol::id::{Name, RoomName};

use super::{counted, guard_page, page};
use crate::apart::Pages;
use crate::api::{Caller, Code, Key, Problem, publish_once};
use crate::secret;
use crate::state::AppState;

/// Publishes what a form sends, as the HTTP API does, and leads back to the room. A refusal is a
/// page that keeps the text.
pub(super) async fn say(
    State(state): State<AppState>,
    Extension(files): Extension<Arc<Files>>,
    Extension(pages): Extension<Pages>,
    mut request: Request,
) -> Response {
    if !is_form(request.headers()) {
        let allowed = [(header::ALLOW, HeaderValue::from_static("GET,HEAD"))];
        return (StatusCode::METHOD_NOT_ALLOWED, allowed).into_response();
    }
    let Some(room) = Place::at(request.uri().path()).room().cloned() else {
        *request.method_mut() = Method::GET;
        return page(State(state), Extension(files), Extension(pages), request).await;
    };
    let (mut parts, body) = request.into_parts();
    let caller = Caller::from_request_parts(&mut parts, &state).await;
    // What it is shown with is enough to render an answer.
    let rest = Request::from_parts(parts.clone(), Body::empty());
    let (letter, published) = match filled(&state, Request::from_parts(parts, body)).await {
        Ok(letter) => {
            let published = publish(&state, caller, &room, &letter).await;
            (letter, published)
        }
        Err(problem) => (Letter::default(), Err(problem)),
    };
    match published {
        Ok(()) => {
            let never = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
            (never, Redirect::to(&path(&room))).into_response()
        }
        Err(problem) => refused((&pages, &files), rest, room, &problem, letter).await,
    }
}

/// Whether a browser's form sent it, and no program that takes the page for the API.
fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

async fn filled(state: &AppState, request: Request) -> Result<Letter, Problem> {
    // It has come: [`apart`](crate::apart) waits for it.
    match Form::from_request(request, state).await {
        Ok(Form(letter)) => Ok(letter),
        Err(error) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            let detail = "the text is far too long: go back, where your browser still has it, and shorten it";
            Err(Problem::new(Code::BodyTooLarge).detail(detail))
        }
        Err(error) => Err(Problem::new(Code::BadRequest).detail(error.body_text())),
    }
}

async fn publish(
    state: &AppState,
    caller: Result<Caller, Problem>,
    room: &RoomName,
    letter: &Letter,
) -> Result<(), Problem> {
    let caller = caller?;
    let key = Key::new(&letter.key).ok_or_else(|| Problem::new(Code::IdempotencyKeyRequired))?;
    let name = Name::tidy(&letter.name);
    let name = (!name.is_empty()).then_some(&name);
    publish_once(state, &caller, room, &key, letter.text(), name).await?;
    Ok(())
}

/// Renders the page that says why, and holds the text.
async fn refused(
    (pages, files): (&Pages, &Arc<Files>),
    request: Request,
    room: RoomName,
    problem: &Problem,
    mut letter: Letter,
) -> Response {
    let words = match problem.code() {
        // As after Back: the key is that of the message before.
        Code::IdempotencyKeyReused | Code::IdempotencyKeyRequired => {
            letter.key = secret::random_hex::<16>().unwrap_or_default();
            "this form was sent before, with another text. If this one is new, send it now"
        }
        _ => problem.words(),
    };
    let turn = match pages.turn(counted(&request)).await {
        Ok(turn) => turn,
        Err(busy) => return busy,
    };
    let why = format!("Your message was not sent: {words}.");
    let refusal = Refusal { room, why, letter };
    let files = Arc::clone(files);
    let shell = move || refused_shell(&files, refusal.clone());
    let mut rendered = render_app_async_with_context(|| guard_page(None), shell)(request).await;
    rendered.extensions_mut().insert(turn);
    problem.told_by(rendered)
}
