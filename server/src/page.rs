//! The page: rendered here with the room's newest messages, then brought to life by the browser.

use std::sync::Arc;

use app::{App, Backend, BackendHandle, Snapshot, StatusHook, shell};
use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use leptos::prelude::{provide_context, use_context};
use leptos_axum::{LeptosRoutes, ResponseOptions, file_and_error_handler, generate_route_list};
use protocol::id::RoomName;
use protocol::position::Position;
use tower_http::compression::CompressionLayer;
use tower_http::services::ServeDir;

use crate::hub::Hub;
use crate::log::Log;
use crate::state::AppState;

/// Files whose names carry a hash of their content never change.
const FOREVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// Files whose names stay.
const AN_HOUR: HeaderValue = HeaderValue::from_static("public, max-age=3600");
/// Pages hold the newest messages.
const NEVER: HeaderValue = HeaderValue::from_static("no-cache");

/// Pages and static files.
pub fn routes(state: &AppState) -> Router<AppState> {
    let site = state.config.site_root.clone();
    let pkg = site.join(state.leptos.site_pkg_dir.as_ref());
    let backend = BackendHandle(Arc::new(HubBackend {
        hub: Arc::clone(&state.hub),
    }));
    let options = state.leptos.clone();
    let pages = Router::new()
        .leptos_routes_with_context(
            state,
            generate_route_list(App),
            move || provide_server_side(backend.clone()),
            move || shell(options.clone()),
        )
        .fallback(file_and_error_handler::<AppState, _>(shell))
        .layer(CompressionLayer::new())
        .layer(from_fn(|request, next| cached(NEVER, request, next)));
    // What `cargo leptos build --precompress` laid beside a file is sent as it is.
    let hashed = ServeDir::new(pkg).precompressed_br().precompressed_gzip();
    let favicon = tower_http::services::ServeFile::new(site.join("favicon.svg"));
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

/// What only the server can do for a page while it renders it.
fn provide_server_side(backend: BackendHandle) {
    provide_context(backend);
    if let Some(response) = use_context::<ResponseOptions>() {
        provide_context(StatusHook::new(move |code| {
            if let Ok(status) = StatusCode::from_u16(code) {
                response.set_status(status);
            }
        }));
    }
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

struct HubBackend {
    hub: Arc<Hub>,
}

impl Backend for HubBackend {
    fn newest(
        &self,
        room: RoomName,
        limit: u32,
    ) -> std::pin::Pin<Box<dyn Future<Output = Option<Snapshot>> + Send>> {
        let log = Arc::clone(self.hub.log());
        Box::pin(async move { newest(log.as_ref(), room, limit).await })
    }
}

/// RS-7: the newest messages together with the position just after them.
async fn newest(log: &dyn Log, room: RoomName, limit: u32) -> Option<Snapshot> {
    let held = log.room(room.clone()).await.ok()?;
    let page = log.read_before(room, held.head.next(), limit).await.ok()?;
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
