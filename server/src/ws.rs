//! The upgrade here: which dialect a connection speaks, and which streams the acceptor makes.

use std::os::fd::AsFd as _;
#[cfg(feature = "tls")]
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{Query, Request, State};
use axum::response::Response;
use everbeat_axum::address::Client;
use everbeat_axum::everbeat::Everbeat;
use everbeat_axum::ws::{self, AnyTransport, Dialect, Ready, Transport, offered};
use hyper::upgrade::{Parts, Upgraded};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpStream;

use crate::config::Config;
#[cfg(feature = "tls")]
use crate::tls::TlsStream;
use crate::tutorial;
use crate::write_deadline::WriteDeadline;

/// The query of a tutorial page's upgrade: its room.
#[derive(Debug, Deserialize)]
pub struct TutorialQuery {
    room: Option<String>,
}

/// Upgrades a connection: with our subprotocol to a session, without any to the tutorial's dialect, where that is
/// served.
pub async fn upgrade(
    State(everbeat): State<Everbeat>,
    State(config): State<Arc<Config>>,
    client: Extension<Client>,
    Query(TutorialQuery { room }): Query<TutorialQuery>,
    request: Request,
) -> Response {
    if config.access.tutorial.is_on() && offered(request.headers()).next().is_none() {
        return tutorial::upgrade::<Accepted>(&everbeat, &client, room.as_deref(), request).await;
    }
    ws::upgrade::<Accepted>(State(everbeat), client, request).await
}

/// The streams that the [`Acceptor`](crate::serve::Acceptor) makes.
pub(crate) enum Accepted {}

impl Transport for Accepted {
    fn begin<D: Dialect>(upgraded: Upgraded, ready: Ready<D>) {
        let upgraded = match upgraded.downcast::<TokioIo<WriteDeadline<TcpStream>>>() {
            Ok(Parts { io, read_buf, .. }) => {
                let stream = io.into_inner().into_inner();
                return ready.begin_over(stream, TcpStream::as_fd, read_buf);
            }
            Err(upgraded) => upgraded,
        };
        #[cfg(feature = "tls")]
        let upgraded = match upgraded.downcast::<TokioIo<TlsStream>>() {
            Ok(Parts { io, read_buf, .. }) => {
                let mut stream = io.into_inner();
                stream.get_mut().0.be_patient();
                return ready.begin_over(stream, below_tls, read_buf);
            }
            Err(upgraded) => upgraded,
        };
        AnyTransport::begin(upgraded, ready);
    }
}

/// The socket below TLS.
#[cfg(feature = "tls")]
fn below_tls(stream: &TlsStream) -> BorrowedFd<'_> {
    stream.get_ref().0.get_ref().as_fd()
}
