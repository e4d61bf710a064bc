//! The page: rendered here with the room's newest messages, then brought to life by the browser.

use any_spawner::Executor;
use app::{Place, Snapshot, Visit, shell};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::get;
use leptos::prelude::provide_context;
use leptos_axum::render_app_async_with_context;
use protocol::id::RoomName;
use protocol::position::Position;
use tower_http::compression::CompressionLayer;
use tower_http::services::{ServeDir, ServeFile};

use crate::log::Log;
use crate::state::AppState;

/// Files whose names carry a hash of their content never change.
const FOREVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// Files whose names stay.
const AN_HOUR: HeaderValue = HeaderValue::from_static("public, max-age=3600");
/// How many of the newest messages are rendered with a room's page.
const NEWEST_LIMIT: u32 = 50;

/// Pages hold the newest messages.
const NEVER: HeaderValue = HeaderValue::from_static("no-cache");

/// Pages and static files.
pub fn routes(state: &AppState) -> Router<AppState> {
    // Fails if another router of this process was first, as in tests.
    let _ = Executor::init_tokio();
    let site = state.config.site_root.clone();
    let pkg = site.join(state.leptos.site_pkg_dir.as_ref());
    let files = ServeDir::new(&site)
        .append_index_html_on_directories(false)
        .fallback(get(page).with_state(state.clone()));
    let pages = Router::new()
        .route("/", get(page))
        .route("/r/{room}", get(page))
        .fallback_service(files)
        .layer(CompressionLayer::new())
        .layer(from_fn(|request, next| cached(NEVER, request, next)));
    // What `cargo leptos build --precompress` laid beside a file is sent as it is.
    let hashed = ServeDir::new(pkg).precompressed_br().precompressed_gzip();
    let favicon = ServeFile::new(site.join("favicon.svg"));
    let cache = if state.leptos.hash_files {
        FOREVER
    } else {
        NEVER
    };
    Router::new()
        .nest_service(&format!("/{}", state.leptos.site_pkg_dir), hashed)
        .layer(from_fn(move |request, next| {
            cached(cache.clone(), request, next)
        }))
        .merge(
            Router::new()
                .route_service("/favicon.svg", favicon)
                .layer(from_fn(|request, next| cached(AN_HOUR, request, next))),
        )
        .merge(pages)
}

/// Renders whatever an address leads to.
async fn page(State(state): State<AppState>, request: Request) -> Response {
    let place = Place::at(request.uri().path());
    let (snapshot, status) = match place.room() {
        Some(room) => {
            let log = state.hub.log().as_ref();
            (newest(log, room.clone()).await, StatusCode::OK)
        }
        None => (None, StatusCode::NOT_FOUND),
    };
    let visit = Visit { place, snapshot };
    let render = render_app_async_with_context(
        move || provide_context(visit.clone()),
        move || shell(state.leptos.clone()),
    );
    let mut response = render(request).await;
    *response.status_mut() = status;
    response
}

/// Says how long a good answer may be kept.
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
    Some(Snapshot {
        position,
        messages: page.messages,
        more: page.more,
    })
}
