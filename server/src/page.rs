//! The page: rendered here with the room's newest messages, then replaced by the browser's own.

mod form;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Once};
use std::time::Duration;

use any_spawner::Executor;
use app::words::{Word, Words};
use app::{
    Clock, Closed, Files, LabUrl, Nodes, Place, PlainForm, Snapshot, TokenUrl, Visit, closed_shell,
    not_found_shell, path, shell,
};
use axum::extract::{DefaultBodyLimit, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use axum::{Extension, Router};
use everbeat_axum::access::ShownCredentials;
use everbeat_axum::address::{Client, Network};
use everbeat_axum::everbeat::Everbeat;
use everbeat_axum::http::{came_by_tls, retry_after};
use everbeat_axum::log::Log;
use everbeat_axum::metrics::Limit;
use everbeat_axum::secret;
use leptos::config::LeptosOptions;
use leptos::nonce::use_nonce;
use leptos::prelude::{IntoView, provide_context, use_context};
use leptos_axum::{ResponseOptions, render_app_async_with_context};
use percent_encoding::percent_decode_str;
use protocol::access::Denied;
use protocol::frame::Message;
use protocol::id::{Name, RoomName};
use protocol::position::Position;
use serde::Deserialize;
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::services::{ServeDir, ServeFile};

use crate::apart::{self, Pages};
use crate::headers::page_policy;
use crate::language;
use crate::state::AppState;

/// The caching of files whose names hold a hash of their content: they never change.
const FOREVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// The caching of files whose names stay.
const AN_HOUR: HeaderValue = HeaderValue::from_static("public, max-age=3600");
/// How many of the newest messages are rendered with a room's page.
const NEWEST_LIMIT: u32 = 50;

/// The most bytes of these messages: each is in the page once as HTML, and once as data for the browser. Of larger
/// ones there are fewer, and the page asks for the others as for any older ones.
const NEWEST_BYTES: usize = 128 * 1024;

/// About the bytes that a message takes in a page beside its text.
const MESSAGE_BYTES: usize = 800;

/// The level of compression: a higher one takes longer than the bytes that it saves.
const QUALITY: CompressionLevel = CompressionLevel::Precise(3);

/// The caching of pages: they hold messages, for those who may read them.
const NEVER: HeaderValue = HeaderValue::from_static("private, no-cache");

/// Pages and static files.
pub fn routes(state: &AppState) -> Router<AppState> {
    // Fails if another router of this process was first, as in tests.
    let _ = Executor::init_tokio();
    let (site, leptos) = (state.config().site_root.clone(), state.leptos());
    let pkg = site.join(leptos.site_pkg_dir.as_ref());
    let compiled = files_of(leptos);
    let missing = missing(&site, &compiled);
    if !missing.is_empty() {
        tracing::warn!(
            ?missing,
            "files of the page are missing: give --site-root the site of `cargo leptos build`, and \
             lay the {} that it left beside its program beside this one",
            leptos.hash_file
        );
    }
    let files = ServeDir::new(&site)
        .append_index_html_on_directories(false)
        .fallback(get(page).with_state(state.clone()));
    let pages = Router::new()
        .route("/", get(page).post(form::say))
        .route("/r/{room}", get(page).post(form::say))
        .route(Place::ROOMS, get(wanted))
        .fallback_service(files)
        .layer(DefaultBodyLimit::max(state.config().frame_bytes as usize))
        .layer(Extension(Arc::new(compiled)))
        .layer(CompressionLayer::new().quality(QUALITY))
        .layer(from_fn_with_state(
            Pages::new(state.everbeat().clone()),
            apart::made,
        ))
        .layer(from_fn_with_state(
            state.everbeat().clone(),
            language::choose,
        ))
        .layer(from_fn(|request, next| cached(NEVER, request, next)));
    // A file that `cargo leptos build --precompress` compressed is sent as that left it.
    let compressed = |path| ServeDir::new(path).precompressed_br().precompressed_gzip();
    let hashed = compressed(pkg);
    // Its files have no hash in their names, and fit the program that is running.
    let inspector = compressed(site.join("inspector"));
    let favicon = ServeFile::new(site.join("favicon.svg"));
    let cache = if leptos.hash_files { FOREVER } else { NEVER };
    Router::new()
        .nest_service(&format!("/{}", leptos.site_pkg_dir), hashed)
        .layer(from_fn(move |request, next| {
            cached(cache.clone(), request, next)
        }))
        .merge(
            Router::new()
                .route_service("/favicon.svg", favicon)
                .layer(from_fn(|request, next| cached(AN_HOUR, request, next))),
        )
        .merge(
            Router::new()
                .nest_service("/inspector", inspector)
                .layer(from_fn(|request, next| cached(NEVER, request, next))),
        )
        .merge(pages)
}

/// The fields of the form that leads to other rooms.
#[derive(Deserialize)]
struct Wanted {
    #[serde(default)]
    room: String,
}

/// Leads to the room whose name a user typed, for pages without a script.
async fn wanted(Query(Wanted { room }): Query<Wanted>) -> Response {
    let place = Place::meant(&room);
    // A text that is no room's name leads to a page that says so.
    let to = place.room().map_or_else(|| "/r/".to_owned(), path);
    Redirect::to(&to).into_response()
}

/// Renders the page of an address.
async fn page(
    State(state): State<AppState>,
    Extension(files): Extension<Arc<Files>>,
    Extension(pages): Extension<Pages>,
    Extension(words): Extension<Words>,
    request: Request,
) -> Response {
    let everbeat = state.everbeat();
    warn_of_prefix(request.headers());
    if let Some(to) = elsewhere(request.uri()) {
        return (StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, to)]).into_response();
    }
    if let Some(wait) = too_many(everbeat, &request) {
        let text = format!("{}\n", words.text(Word::TooManyPages));
        return (StatusCode::TOO_MANY_REQUESTS, retry_after(wait), text).into_response();
    }
    let room = match Place::at(request.uri().path()) {
        Place::Room(room) => room,
        place => return not_found(&pages, &files, request, place, words).await,
    };
    let credentials = everbeat.authenticator().credentials(request.headers());
    if let Err(why) = may_read(everbeat, &credentials, &room).await {
        return closed(&pages, &files, request, why, words).await;
    }
    let turn = match pages.turn(counted(&request)).await {
        Ok(turn) => turn,
        Err(busy) => return busy,
    };
    let snapshot = newest(everbeat.hub().log().as_ref(), room.clone()).await;
    let by_tls = came_by_tls(&request, everbeat.http().trust());
    let cookie = everbeat.authenticator().guest_cookie(&credentials, by_tls);
    let cookie = cookie.and_then(|cookie| cookie.header());
    let name = form::kept_name(request.headers());
    let visit = Visit { room, snapshot };
    let elsewhere = Elsewhere::of(&state);
    let leptos = state.leptos().clone();
    let render = render_app_async_with_context(
        move || {
            provide_context(words);
            provide_context(visit.clone());
            provide_context(Clock::UTC);
            let key = secret::random_hex::<16>().unwrap_or_default();
            let name = name.as_ref().map_or("", Name::as_str);
            provide_context(PlainForm::new(&key, name, words));
            guard_page(&elsewhere);
            elsewhere.provide();
        },
        move || shell(leptos.clone(), &files),
    );
    let mut response = render(request).await;
    response.extensions_mut().insert(turn);
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, NEVER);
    if let Some(cookie) = cookie {
        headers.append(header::SET_COOKIE, cookie);
    }
    response
}

/// Warns of a proxy that serves us under a path of its host, which it says in this header of no standard. Warns
/// once, as any client can send it.
fn warn_of_prefix(headers: &HeaderMap) {
    static TOLD: Once = Once::new();
    let prefix = headers.get("x-forwarded-prefix");
    if prefix.is_some_and(|prefix| !matches!(prefix.as_bytes(), b"" | b"/")) {
        TOLD.call_once(|| {
            tracing::warn!(
                ?prefix,
                "the page does not work under a path: give it a host name of its own"
            );
        });
    }
}

/// The canonical address of a room that is addressed in another form, with the same query.
fn elsewhere(uri: &Uri) -> Option<String> {
    let path = percent_decode_str(uri.path()).decode_utf8().ok()?;
    let canonical = Place::canonical(uri.path(), &path)?;
    Some(match uri.query() {
        Some(query) => format!("{canonical}?{query}"),
        None => canonical,
    })
}

/// The wait of an address that has asked for too many pages; `None` where it may have this one.
fn too_many(everbeat: &Everbeat, request: &Request) -> Option<Duration> {
    let network = counted(request)?;
    let now = everbeat.hub().clock().now();
    let wait = everbeat.limits().page(now, network).err()?;
    everbeat.hub().metrics().limited(Limit::RequestsPerAddress);
    Some(wait)
}

/// The address that a request counts for.
fn counted(request: &Request) -> Option<Network> {
    let client = request.extensions().get::<Client>();
    client.and_then(Client::counted)
}

/// Whether a user may see a room's page (AC-1, AC-5); if not, why.
async fn may_read(
    everbeat: &Everbeat,
    credentials: &ShownCredentials,
    room: &RoomName,
) -> Result<(), Closed> {
    match everbeat
        .authenticator()
        .authenticate(credentials, None)
        .await
    {
        Ok(access) if access.rights.may_read(room).is_ok() => Ok(()),
        Ok(_) => Err(Closed::Room),
        Err(Denied::Unavailable | Denied::Busy(_)) => Err(Closed::Unavailable),
        Err(Denied::TokenRequired | Denied::TokenInvalid | Denied::TokenExpired) => {
            Err(Closed::SignIn)
        }
    }
}

/// What a page connects to beside this server's own origin.
#[derive(Clone, Default)]
struct Elsewhere {
    token_url: Option<TokenUrl>,
    nodes: Option<Nodes>,
    lab: Option<LabUrl>,
}

impl Elsewhere {
    fn of(state: &AppState) -> Self {
        let config = state.config();
        let token_url = config.access.token_url.as_deref();
        Self {
            token_url: token_url.map(|url| TokenUrl(url.into())),
            nodes: config.nodes.addresses_text(),
            lab: state.lab().map(|lab| LabUrl(lab.origin().into())),
        }
    }

    /// Tells the page of it.
    fn provide(&self) {
        if let Some(url) = &self.token_url {
            provide_context(url.clone());
        }
        if let Some(nodes) = &self.nodes {
            provide_context(nodes.clone());
        }
        if let Some(lab) = &self.lab {
            provide_context(lab.clone());
        }
    }

    fn urls(&self) -> impl Iterator<Item = &str> {
        let tokens = self.token_url.iter().map(|TokenUrl(url)| &**url);
        let nodes = self.nodes.as_ref();
        let nodes = nodes.map_or("", |Nodes(addresses)| addresses);
        let lab = self.lab.iter().map(|LabUrl(url)| &**url);
        tokens.chain(nodes.split_whitespace()).chain(lab)
    }
}

/// Sets the page's content security policy.
fn guard_page(elsewhere: &Elsewhere) {
    let elsewhere = elsewhere.urls();
    // The variable that cargo-leptos sets while it watches.
    let is_watched = std::env::var_os("LEPTOS_WATCH").is_some();
    let policy = use_nonce().and_then(|nonce| page_policy(&nonce, elsewhere, is_watched));
    if let (Some(policy), Some(response)) = (policy, use_context::<ResponseOptions>()) {
        response.insert_header(header::CONTENT_SECURITY_POLICY, policy);
    }
}

/// Renders the page of an address that is no room's.
async fn not_found(
    pages: &Pages,
    files: &Arc<Files>,
    request: Request,
    place: Place,
    words: Words,
) -> Response {
    let files = Arc::clone(files);
    let shell = move || not_found_shell(&files, place.clone());
    still(pages, request, (StatusCode::NOT_FOUND, words), shell).await
}

/// Renders the page of a room that the user may not see.
async fn closed(
    pages: &Pages,
    files: &Arc<Files>,
    request: Request,
    why: Closed,
    words: Words,
) -> Response {
    let files = Arc::clone(files);
    let status = match why {
        Closed::SignIn => StatusCode::UNAUTHORIZED,
        Closed::Room => StatusCode::FORBIDDEN,
        Closed::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    };
    let shell = move || closed_shell(&files, why);
    still(pages, request, (status, words), shell).await
}

/// Renders a page that is no room's: it has no program, opens no session, and is not stored.
async fn still<V: IntoView + 'static>(
    pages: &Pages,
    request: Request,
    (status, words): (StatusCode, Words),
    shell: impl Fn() -> V + Clone + Send + Sync + 'static,
) -> Response {
    let turn = match pages.turn(counted(&request)).await {
        Ok(turn) => turn,
        Err(busy) => return busy,
    };
    let mut response = render_app_async_with_context(
        move || {
            provide_context(words);
            guard_page(&Elsewhere::default());
        },
        shell,
    )(request)
    .await;
    response.extensions_mut().insert(turn);
    *response.status_mut() = status;
    let never = HeaderValue::from_static("no-store");
    response.headers_mut().insert(header::CACHE_CONTROL, never);
    response
}

/// The page's files as cargo-leptos named them: with `hash_files`, by the names in a file beside
/// the program.
fn files_of(options: &LeptosOptions) -> Files {
    let hashes = std::env::current_exe().ok().and_then(|program| {
        let file = program.parent()?.join(options.hash_file.as_ref());
        std::fs::read_to_string(file).ok()
    });
    let hashes = hashes.filter(|_| options.hash_files).unwrap_or_default();
    let hash = |kind| {
        let mut lines = hashes.lines().filter_map(|line| line.split_once(':'));
        let found = lines.find(|(of, _)| of.trim() == kind);
        found.map(|(_, hash)| format!(".{}", hash.trim()))
    };
    let (folder, name) = (&options.site_pkg_dir, &options.output_name);
    let at = |kind| format!("/{folder}/{name}{}.{kind}", hash(kind).unwrap_or_default());
    Files {
        css: at("css"),
        js: at("js"),
        wasm: at("wasm"),
    }
}

/// Those of the page's files that are missing in the site.
fn missing(site: &Path, files: &Files) -> Vec<PathBuf> {
    let named = [&files.css, &files.js, &files.wasm];
    let paths = named.map(|file| site.join(file.trim_start_matches('/')));
    paths.into_iter().filter(|path| !path.is_file()).collect()
}

/// Sets how long a good answer may be cached.
async fn cached(how_long: HeaderValue, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if response.status().is_success() && !response.headers().contains_key(header::CACHE_CONTROL) {
        response
            .headers_mut()
            .insert(header::CACHE_CONTROL, how_long);
    }
    response
}

/// RS-7: the newest messages together with the position just after them.
async fn newest(log: &dyn Log, room: RoomName) -> Option<Snapshot> {
    let held = log.room(room.clone()).await.ok()?;
    let page = log
        .read_before(room, held.head.next(), NEWEST_LIMIT)
        .await
        .ok()?;
    let position = Position {
        epoch: held.epoch,
        offset: held.head,
    };
    let (messages, is_cut) = newest_of(page.messages);
    Some(Snapshot {
        position,
        messages,
        more: page.more || is_cut,
    })
}

/// As many of the newest messages as a page may hold, at least one; and whether some are left out.
fn newest_of(mut messages: Vec<Message>) -> (Vec<Message>, bool) {
    let mut left = NEWEST_BYTES;
    let held = messages.iter().rev().take_while(|message| {
        let rest = left.checked_sub(rendered_bytes(&message.body));
        left = rest.unwrap_or_default();
        rest.is_some()
    });
    let held = held.count().max(1);
    let cut = messages.len().saturating_sub(held);
    messages.drain(..cut);
    (messages, cut > 0)
}

/// The most bytes that a text takes in a page, with everything around it: as HTML, and as JSON in a string of a
/// script, in which quotes are escaped twice and `<` is never plain.
fn rendered_bytes(text: &str) -> usize {
    let rendered = |byte: u8| match byte {
        ..=0x1f | b'<' | b'>' | b'&' | b'"' | b'\'' | b'\\' => 12,
        _ => 2,
    };
    MESSAGE_BYTES + text.bytes().map(rendered).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use protocol::id::{Name, Seq, SessionId};
    use protocol::position::Offset;

    use super::*;

    fn messages(bodies: impl IntoIterator<Item = String>) -> Vec<Message> {
        let numbered = (1..).zip(bodies);
        let message = |(number, body)| Message {
            room: RoomName::lobby(),
            offset: Offset::new(number).unwrap(),
            session: SessionId::new("ada").unwrap(),
            seq: Seq::new(number).unwrap(),
            name: Name::tidy("Ada"),
            at_ms: 1,
            body,
            removed: false,
        };
        numbered.map(message).collect()
    }

    /// The names have hashes, and the file with these is not beside the program.
    #[test]
    fn a_page_without_its_files_is_found_out_at_the_start() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str| directory.path().join("pkg").join(name);
        std::fs::create_dir(directory.path().join("pkg")).unwrap();
        for name in ["everbeat.css", "everbeat.js", "everbeat.h4sh.wasm"] {
            std::fs::write(file(name), "").unwrap();
        }
        let named = |wasm: &str| Files {
            css: "/pkg/everbeat.css".into(),
            js: "/pkg/everbeat.js".into(),
            wasm: wasm.into(),
        };
        let found = |wasm| missing(directory.path(), &named(wasm));
        assert_eq!(found("/pkg/everbeat.wasm"), [file("everbeat.wasm")]);
        assert_eq!(found("/pkg/everbeat.h4sh.wasm"), Vec::<PathBuf>::new());
    }

    fn held(bodies: impl IntoIterator<Item = String>) -> (Vec<u64>, bool) {
        let (held, is_cut) = newest_of(messages(bodies));
        let offsets = held.iter().map(|message| message.offset.get());
        (offsets.collect(), is_cut)
    }

    #[test]
    fn a_page_holds_so_many_bytes_of_messages() {
        // Ordinary messages: all of them fit.
        let said = "a message of ordinary length, with \"quotes\" & all".repeat(10);
        assert_eq!(held(vec![said; 50]), ((1..=50).collect(), false));
        // The longest texts, of the characters that take the least and the most.
        assert_eq!(
            held(vec!["x".repeat(8192); 50]),
            ((44..=50).collect(), true)
        );
        assert_eq!(held(vec!["<".repeat(8192); 50]), (vec![50], true));
        assert_eq!(held(vec!["<".repeat(100_000); 2]), (vec![2], true));
        assert_eq!(held(Vec::new()), (Vec::new(), false));
    }
}
