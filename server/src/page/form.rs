//! The plain form of a room's page: it publishes without a script, also from a page that cannot come alive.

use std::sync::Arc;

use app::words::{Word, Words};
use app::{Files, Letter, Place, Refusal, path, refused_shell};
use axum::body::Body;
use axum::extract::{Extension, Form, FromRequest as _, FromRequestParts as _, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use everbeat_axum::access::cookies;
use everbeat_axum::api::{Caller, Code, Key, Problem, publish_once};
use everbeat_axum::everbeat::Everbeat;
use everbeat_axum::http::came_by_tls;
use everbeat_axum::secret;
use leptos::prelude::provide_context;
use leptos_axum::render_app_async_with_context;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use protocol::id::{Name, RoomName};

use super::{Elsewhere, counted, guard_page, page};
use crate::apart::Pages;
use crate::state::AppState;

/// Publishes a form's message, as the HTTP API does, and leads back to the room. A refusal is a
/// page that keeps the text.
pub(super) async fn say(
    State(state): State<AppState>,
    Extension(files): Extension<Arc<Files>>,
    Extension(pages): Extension<Pages>,
    Extension(words): Extension<Words>,
    mut request: Request,
) -> Response {
    if !is_form(request.headers()) {
        let allowed = [(header::ALLOW, HeaderValue::from_static("GET,HEAD"))];
        return (StatusCode::METHOD_NOT_ALLOWED, allowed).into_response();
    }
    let Some(room) = Place::at(request.uri().path()).room().cloned() else {
        *request.method_mut() = Method::GET;
        let (files, pages, words) = (Extension(files), Extension(pages), Extension(words));
        return page(State(state), files, pages, words, request).await;
    };
    let everbeat = state.everbeat();
    let (mut parts, body) = request.into_parts();
    let caller = Caller::from_request_parts(&mut parts, everbeat).await;
    // The head of the request is enough to render an answer.
    let rest = Request::from_parts(parts.clone(), Body::empty());
    let (letter, published) = match filled(Request::from_parts(parts, body)).await {
        Ok(letter) => {
            let published = publish(everbeat, caller, &room, &letter).await;
            (
                letter,
                published.map_err(|problem| (why(&problem), problem)),
            )
        }
        Err(problem) => (Letter::default(), Err(problem)),
    };
    match published {
        Ok(()) => {
            let never = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
            let name = keep_name(&letter, came_by_tls(&rest, everbeat.http().trust()));
            (never, name, Redirect::to(&path(&room))).into_response()
        }
        Err((why, problem)) => {
            let refusal = Refusal { room, why, letter };
            refused((&pages, &files), rest, refusal, &problem, words).await
        }
    }
}

/// The cookie in which a browser keeps the name from the form, for pages without a script.
const NAME_COOKIE: &str = "everbeat-name";

/// The header that has the browser keep the name until it is closed.
fn keep_name(letter: &Letter, by_tls: bool) -> [(HeaderName, String); 1] {
    let name = Name::tidy(&letter.name);
    let name = utf8_percent_encode(name.as_str(), NON_ALPHANUMERIC);
    let secure = if by_tls { "; Secure" } else { "" };
    let cookie = format!("{NAME_COOKIE}={name}; Path=/; HttpOnly; SameSite=Lax{secure}");
    [(header::SET_COOKIE, cookie)]
}

/// The name that the browser keeps.
pub(super) fn kept_name(headers: &HeaderMap) -> Option<Name> {
    let kept = cookies(headers, NAME_COOKIE).next()?;
    let name = Name::tidy(&percent_decode_str(kept).decode_utf8().ok()?);
    (!name.is_empty()).then_some(name)
}

/// Whether a browser's form sent the request, and not a program that takes the page for the API.
fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

async fn filled(request: Request) -> Result<Letter, (Option<Word>, Problem)> {
    // The body is there: [`apart`](crate::apart) has waited for it.
    match Form::from_request(request, &()).await {
        Ok(Form(letter)) => Ok(letter),
        Err(error) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            Err((Some(Word::FormTooLong), Problem::new(Code::BodyTooLarge)))
        }
        Err(_) => Err((Some(Word::FormUnread), Problem::new(Code::BadRequest))),
    }
}

async fn publish(
    everbeat: &Everbeat,
    caller: Result<Caller, Problem>,
    room: &RoomName,
    letter: &Letter,
) -> Result<(), Problem> {
    let caller = caller?;
    let key = Key::new(&letter.key).ok_or_else(|| Problem::new(Code::IdempotencyKeyRequired))?;
    let name = Name::tidy(&letter.name);
    let name = (!name.is_empty()).then_some(&name);
    publish_once(everbeat, &caller, room, &key, letter.text(), name).await?;
    Ok(())
}

/// Why a message was not published, by the code of the refusal; `None` where it is not known whether it was.
fn why(problem: &Problem) -> Option<Word> {
    let word = match problem.code() {
        _ if problem.is_open() => return None,
        Code::BadRoom => Word::BadRoom,
        Code::BodyEmpty => Word::BodyEmpty,
        Code::BodyTooLarge => Word::BodyTooLarge,
        Code::Forbidden => Word::FormForeign,
        // As after Back: the form's key is that of the message before.
        Code::IdempotencyKeyReused | Code::IdempotencyKeyRequired => Word::FormRepeated,
        Code::Internal => Word::ServerFault,
        Code::RateLimited => Word::RateLimited,
        Code::ReadDenied => Word::ReadDenied,
        Code::RequestTimeout => Word::FormSlow,
        Code::TokenExpired => Word::TokenExpired,
        Code::TokenInvalid => Word::TokenInvalid,
        Code::TokenRequired => Word::TokenRequired,
        Code::Unavailable => Word::ServerBusy,
        Code::WriteDenied => Word::WriteDenied,
        // Codes of other requests.
        Code::BadRequest
        | Code::MethodNotAllowed
        | Code::ModerateDenied
        | Code::NotFound
        | Code::UnsupportedMediaType => Word::Refused,
    };
    Some(word)
}

/// Renders the page that shows the reason, and keeps the text.
async fn refused(
    (pages, files): (&Pages, &Arc<Files>),
    request: Request,
    mut refusal: Refusal,
    problem: &Problem,
    words: Words,
) -> Response {
    if refusal.why == Some(Word::FormRepeated) {
        refusal.letter.key = secret::random_hex::<16>().unwrap_or_default();
    }
    let turn = match pages.turn(counted(&request)).await {
        Ok(turn) => turn,
        Err(busy) => return busy,
    };
    let files = Arc::clone(files);
    let shell = move || refused_shell(&files, refusal.clone());
    let mut rendered = render_app_async_with_context(
        move || {
            provide_context(words);
            guard_page(&Elsewhere::default());
        },
        shell,
    )(request)
    .await;
    rendered.extensions_mut().insert(turn);
    problem.told_by(rendered)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use protocol::frame::ErrorCode;
    use protocol::server::RequestError;

    use super::*;

    #[test]
    fn what_may_be_published_is_not_refused() {
        let wait = Duration::from_secs(1);
        assert_eq!(why(&RequestError::OutcomeUnknown(wait).into()), None);
        let later = RequestError::Later(ErrorCode::Unavailable, wait);
        assert_eq!(why(&later.into()), Some(Word::ServerBusy));
    }

    #[test]
    fn a_name_is_kept_as_it_was_given() {
        let kept = |name: &str| {
            let letter = Letter {
                name: name.into(),
                ..Letter::default()
            };
            let [(_, cookie)] = keep_name(&letter, false);
            let mut headers = HeaderMap::new();
            headers.append(header::COOKIE, HeaderValue::from_static("other=1"));
            headers.append(header::COOKIE, cookie.parse().unwrap());
            kept_name(&headers).map(|name| name.to_string())
        };
        assert_eq!(
            kept("Zo\u{eb} <b>; x=\"1\",%41").as_deref(),
            Some("Zo\u{eb} <b>; x=\"1\",%41")
        );
        assert_eq!(kept("  "), None);
        let [(_, cookie)] = keep_name(&Letter::default(), true);
        assert!(cookie.ends_with("; Secure"));
        let mut headers = HeaderMap::new();
        headers.append(
            header::COOKIE,
            HeaderValue::from_static("everbeat-name=%ff"),
        );
        assert_eq!(kept_name(&headers), None);
    }
}
