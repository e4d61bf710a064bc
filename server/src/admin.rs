//! The operator's listener: metrics, health and the status page. It is not for the internet.

mod disk;
mod lab;
mod status;
mod words;

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use axum::{Json, Router};
use everbeat_axum::hub::Hub;
use everbeat_axum::origin::{self, is_forged};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::internal::InternalListener;
use crate::lab::Lab;
use crate::state::AppState;
use crate::{headers, health, language};

/// The content type for Prometheus.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Starts to serve the operator.
pub fn begin(listener: TcpListener, state: &AppState) -> InternalListener {
    InternalListener::begin(listener, state, |end| build(state.clone(), end))
}

/// The operator's routes, for requests that name this listener by an address or by one of its names:
///
/// - `GET /metrics`: see [`everbeat_axum::metrics`]
/// - `GET /healthz`, `GET /readyz`: see [`health`]
/// - `GET /cluster`: the nodes as JSON; 404 on one machine
/// - `/status`: pages and their buttons, see [`status::routes`]
/// - `POST /lab/…`: see [`lab::routes`]; only with `--lab`
///
/// `end` ends answers that have no end of their own.
fn build(state: AppState, end: CancellationToken) -> Router {
    let lab = state.lab().map(lab::routes);
    Router::new()
        .merge(lab.unwrap_or_default())
        .route("/", get(async || Redirect::to("/status")))
        .merge(
            status::routes(&state, end).layer(from_fn_with_state(state.clone(), language::choose)),
        )
        .route("/metrics", get(metrics))
        .route("/cluster", get(cluster))
        .merge(health::routes())
        .layer(from_fn_with_state(state.clone(), own_pages))
        .layer(from_fn(headers::guard))
        .layer(from_fn(headers::unambiguous))
        .with_state(state)
}

async fn metrics(State(hub): State<Arc<Hub>>) -> Response {
    let now = hub.now().await;
    match hub.metrics().render(now) {
        Ok(text) => ([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn cluster(State(hub): State<Arc<Hub>>) -> Response {
    let status = hub.log().cluster();
    status.map_or_else(
        || {
            (
                StatusCode::NOT_FOUND,
                "This server is no node of a cluster.\n",
            )
                .into_response()
        },
        |status| Json(status).into_response(),
    )
}

/// Refuses requests that name another host, and those of other pages: a page elsewhere whose name was made to
/// resolve to this listener (DNS rebinding) would have the operator's browser read it and press its buttons. Such a
/// request names the page's host.
///
/// The server's own pages, which have another port, may use the lab.
async fn own_pages(
    State(config): State<Arc<Config>>,
    State(lab): State<Option<Lab>>,
    request: Request,
    next: Next,
) -> Response {
    let names = &config.operation.admin_hosts;
    if !origin::host(&request).is_some_and(|host| is_own(host, names)) {
        let text = "Here only by an IP address, as localhost, or by a name of --admin-hosts.\n";
        return (StatusCode::MISDIRECTED_REQUEST, text).into_response();
    }
    let is_of_lab = request.uri().path().starts_with(lab::PREFIX);
    let lab = lab.filter(|_| is_of_lab);
    let pages = lab.as_ref().map_or(&[][..], Lab::pages);
    if is_forged(&request, pages, false) {
        return (StatusCode::FORBIDDEN, "Not from other pages.\n").into_response();
    }
    next.run(request).await
}

/// Whether a host is an IP address, which no other site can have as its name, or one of our names.
fn is_own(host: &str, names: &[String]) -> bool {
    let authority = host.parse::<Authority>().ok();
    let authority = authority.filter(|authority| !authority.as_str().contains('@'));
    authority.is_some_and(|authority| {
        let name = authority.host();
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        let mut names = names.iter().map(String::as_str).chain(["localhost"]);
        names.any(|own| own.eq_ignore_ascii_case(name)) || bare.parse::<IpAddr>().is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_no_addresses() {
        for host in [
            "localhost",
            "LOCALHOST:8090",
            "127.0.0.1:8090",
            "[::1]:8090",
            "10.0.0.7",
        ] {
            assert!(is_own(host, &[]), "{host}");
        }
        let ours = ["Metrics.internal".to_owned()];
        assert!(is_own("metrics.internal:8090", &ours));
        assert!(!is_own("metrics.internal.evil.example", &ours));
        for host in [
            "evil.example",
            "localhost.evil.example:8090",
            "127.0.0.1.evil.example",
            "evil.example:8090@127.0.0.1:8090.evil.example",
            "metrics.internal",
            "",
        ] {
            assert!(!is_own(host, &[]), "{host}");
        }
    }
}
