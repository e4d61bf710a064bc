//! The routes, and what stands before them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Once};

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{Extensions, StatusCode};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tracing::Instrument;
use tracing::field::Empty;

use crate::address::{Client, Peer};
use crate::api;
use crate::everbeat::{Everbeat, HttpConfig};
use crate::http::{came_by_tls, retry_after};
use crate::hub::Hub;
use crate::limits::Limits;
use crate::metrics::Limit;
use crate::origin::is_forged;
use crate::spans::SPANS;
use crate::ws::{self, AnyTransport};

impl Everbeat {
    /// The routes for an application of one's own, which may nest them under a path:
    ///
    /// - `GET /ws`: a WebSocket
    /// - `/api`: see [`api::routes`]
    ///
    /// There is nothing else: no fallback, no `/`, no health. Requests are counted and limited, and those that pages
    /// of other sites forge are refused. Serve the application with
    /// [`into_make_service_with_connect_info::<SocketAddr>`](Router::into_make_service_with_connect_info): it tells
    /// the addresses of clients, without which all of them are limited as one.
    pub fn router(&self) -> Router {
        let routes = Router::new()
            .route("/ws", get(ws::upgrade::<AnyTransport>))
            .merge(api::routes(self.protocol()))
            .with_state(self.clone());
        watched(guarded(routes, self), self)
    }
}

/// Puts the limits before these routes: the rate of requests of an address, and requests that pages of other sites
/// forge (CSRF). A refusal of the API is a problem there, too. Handlers find the [`Client`] among the extensions.
pub fn guarded<S: Clone + Send + Sync + 'static>(
    routes: Router<S>,
    everbeat: &Everbeat,
) -> Router<S> {
    routes
        .layer(from_fn_with_state(everbeat.clone(), own_pages))
        .layer(from_fn_with_state(everbeat.clone(), limited))
        .layer(from_fn(api::everywhere))
}

/// Counts each request to these routes, and makes a span of it.
pub fn watched<S: Clone + Send + Sync + 'static>(
    routes: Router<S>,
    everbeat: &Everbeat,
) -> Router<S> {
    routes.layer(from_fn_with_state(everbeat.clone(), watch))
}

async fn watch(State(hub): State<Arc<Hub>>, request: Request, next: Next) -> Response {
    let span = tracing::trace_span!(
        target: SPANS,
        "request",
        otel.kind = "server",
        http.request.method = %request.method(),
        url.path = request.uri().path(),
        http.response.status_code = Empty,
    );
    let response = next.run(request).instrument(span.clone()).await;
    hub.metrics().answered(response.status());
    span.record("http.response.status_code", response.status().as_u16());
    response
}

/// Counts a request for its address, and adds its [`Client`] for the handlers. A program on a trusted
/// address that acts for itself is not limited.
async fn limited(
    State(hub): State<Arc<Hub>>,
    State(limits): State<Arc<Limits>>,
    State(http): State<Arc<HttpConfig>>,
    mut request: Request,
    next: Next,
) -> Response {
    let peer = peer(request.extensions());
    let client = Client::of(peer, request.headers(), http.trust());
    let counted = client.counted();
    let now = hub.clock().now();
    if let Some(Err(wait)) = counted.map(|network| limits.request(now, network)) {
        hub.metrics().limited(Limit::RequestsPerAddress);
        let text = "Too many requests from your address: try again later.\n";
        return (StatusCode::TOO_MANY_REQUESTS, retry_after(wait), text).into_response();
    }
    request.extensions_mut().insert(peer);
    request.extensions_mut().insert(client);
    next.run(request).await
}

/// The peer, as the acceptor noted it at the request. Where it noted nothing all peers count as one: no client is
/// without a limit.
fn peer(extensions: &Extensions) -> Peer {
    static TOLD: Once = Once::new();
    let noted = extensions.get::<Peer>().copied();
    let info = || extensions.get::<ConnectInfo<SocketAddr>>();
    noted.unwrap_or_else(|| Peer {
        address: info().map_or_else(
            || {
                TOLD.call_once(|| {
                    tracing::warn!(
                        "the addresses of clients are not known, and all of them are limited as one: serve with \
                         into_make_service_with_connect_info::<SocketAddr>()"
                    );
                });
                SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0)
            },
            |ConnectInfo(address)| *address,
        ),
        is_tls: false,
    })
}

/// Refuses requests that change something and come from pages of other sites (CSRF).
async fn own_pages(
    State(hub): State<Arc<Hub>>,
    State(http): State<Arc<HttpConfig>>,
    request: Request,
    next: Next,
) -> Response {
    let by_tls = came_by_tls(&request, http.trust());
    if is_forged(&request, &http.allowed_origins, by_tls) {
        hub.metrics().limited(Limit::Origins);
        let text = "Pages of this origin may change nothing here: see --allowed-origins.\n";
        return (StatusCode::FORBIDDEN, text).into_response();
    }
    next.run(request).await
}
