//! A session's trace over HTTP: lines of JSON, apart from the session's WebSockets, so that it survives their faults.

use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use protocol::access::Subject;
use protocol::id::{NodeName, SessionId, SessionKey};
use protocol::server::{Full, served_until};
use protocol::time::Timestamp;
use protocol::trace::{Fact, TraceClock};
use tokio::time::{sleep, sleep_until};

use super::caller::Caller;
use super::problem::{Code, Problem, ProblemBody};
use crate::clock::{Second, unix_ms};
use crate::everbeat::Everbeat;
use crate::hub::inspect::{Kind, Question, Vitals};
use crate::hub::trace::Watch;
use crate::log::LogError;
use crate::permit::ConnectionPermit;
use crate::secret;
use crate::stream::{HalfOpen, Placed};
use crate::ws::wire::WRITE_BYTES;

/// The header with the session's key. Not in the path, which proxies and browsers write down.
const KEY_HEADER: &str = "everbeat-session-key";

/// The media type of the answer.
const LINES: HeaderValue = HeaderValue::from_static("application/x-ndjson");

/// How long a trace goes on while the server ends: in this time it gets the ends of the session's connections.
const LAST_ENTRIES: Duration = Duration::from_secs(1);

/// Watch a session
///
/// What the server receives, sends and decides on the session's connections, from now on, in lines of JSON; it goes on
/// over reconnects and take-overs. It holds no texts, names, keys or tokens. Needs the session's key, beside the
/// credentials of the session's owner: another key and an unknown session are answered alike.
///
/// Each line has `n` (its number; lost lines count), `ms` (the server's monotonic clock), `connection` (the server's
/// number; 0 for none) and `kind`: `clock`, `open`, `in`, `out`, `verdict`, `commit`, `replay`, `slot`, `takeover`,
/// `close`, `lost`. The first is `clock`; in quiet another one comes now and then. Where there are several nodes it names
/// the node: connections at others are not in the trace. The answer ends when the server ends, or the caller's token.
#[utoipa::path(
    get,
    path = "/api/sessions/{session}/trace",
    tag = "sessions",
    params(
        ("session" = String, Path, pattern = "^[!-~]{1,64}$", description = "The session's id"),
        (
            "Everbeat-Session-Key" = String, Header, pattern = "^[!-~]{1,64}$",
            description = "The session's key, as `welcome` gave it"
        ),
    ),
    security((), ("token" = [])),
    responses(
        (status = 200, content_type = "application/x-ndjson", body = String, description = "Lines, for as long as it goes"),
        (status = "4XX", body = ProblemBody, content_type = "application/problem+json", description = "Refused: `code` says why"),
        (status = "5XX", body = ProblemBody, content_type = "application/problem+json", description = "Not now: `Retry-After` says when"),
    )
)]
pub(super) async fn trace(
    State(everbeat): State<Everbeat>,
    caller: Caller,
    session: Result<Path<String>, PathRejection>,
    half_open: Option<Extension<Arc<HalfOpen>>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let key = key(&headers)?;
    let session = session.ok().and_then(|Path(id)| SessionId::new(&id).ok());
    let session = session.ok_or_else(unknown)?;
    let hashes = secret::hashes(&key, &caller.access.identity);
    let hub = everbeat.hub();
    match hub.log().owns(session.clone(), hashes).await {
        Ok(true) => {}
        Ok(false) => return Err(unknown()),
        Err(LogError::Number(_) | LogError::Unavailable(_) | LogError::Unknown(_)) => {
            let wait = everbeat.protocol().unavailable_retry;
            return Err(Problem::later(Code::Unavailable, wait));
        }
    }
    let later = || Problem::later(Code::Unavailable, Full::LATER);
    let permit = everbeat.connect(caller.client.counted());
    let permit = permit.map_err(|_| later())?;
    let watch = hub.watch(&session, everbeat.http().traces);
    let now = hub.clock().now();
    let config = everbeat.protocol();
    let ends = caller.access.ends(now);
    let watcher = Watcher {
        watch: watch.map_err(|_| later())?,
        // Held until this watcher ends, also if its answer is to HEAD or an error.
        _placed: half_open.map(|Extension(half_open)| half_open.place()),
        subject: caller.access.identity.subject().cloned(),
        ends: ends.map(|ends| served_until(ends, config)),
        node: hub.node_name(),
        has_begun: false,
        opened: hub.clock().second(),
        permit,
    };
    let lines = stream::unfold(watcher, |mut watcher| async {
        let lines = watcher.next().await?;
        Some((Ok::<_, Infallible>(lines), watcher))
    });
    let head = [
        (header::CONTENT_TYPE, LINES),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        // Proxies that buffer answers would hold lines back.
        (
            HeaderName::from_static("x-accel-buffering"),
            HeaderValue::from_static("no"),
        ),
    ];
    Ok((head, Body::from_stream(lines)).into_response())
}

/// The refusal of a session that is unknown, or another's.
fn unknown() -> Problem {
    Problem::new(Code::NotFound).detail("there is no such session, or its key is another one")
}

fn key(headers: &HeaderMap) -> Result<SessionKey, Problem> {
    let mut shown = headers.get_all(KEY_HEADER).iter();
    let key = shown.next().and_then(|key| key.to_str().ok());
    let key = key.and_then(|key| SessionKey::new(key).ok());
    key.filter(|_| shown.next().is_none()).ok_or_else(|| {
        let detail = "Everbeat-Session-Key: the key of the session, once";
        Problem::new(Code::BadRequest).detail(detail)
    })
}

/// A watcher, which counts as a connection.
struct Watcher {
    watch: Watch,
    permit: ConnectionPermit,
    _placed: Option<Placed>,
    subject: Option<Subject>,
    /// When its access ends, or the server.
    ends: Option<Timestamp>,
    /// The node, where there are several.
    node: Option<NodeName>,
    has_begun: bool,
    opened: Second,
}

impl Watcher {
    /// The next lines; called when the connection has room for them.
    async fn next(&mut self) -> Option<Bytes> {
        let mut out = String::new();
        if !std::mem::replace(&mut self.has_begun, true) {
            self.clock(&mut out);
        }
        loop {
            self.watch.read(self.now(), WRITE_BYTES, &mut out);
            if !out.is_empty() {
                return Some(Bytes::from(out));
            }
            if self.is_over() {
                return None;
            }
            self.wait(&mut out).await;
        }
    }

    fn is_over(&self) -> bool {
        let is_past = self.ends.is_some_and(|ends| self.now() >= ends);
        is_past || self.watch.is_over()
    }

    /// Waits for an entry, a mark or a deadline; after a long silence writes the clock, which tells the watcher that the
    /// server lives, and the server that the watcher is there.
    async fn wait(&mut self, out: &mut String) {
        let (clock, ends) = (self.permit.hub().clock(), self.ends);
        let ends = async {
            match ends {
                Some(ends) => sleep_until(clock.instant(ends)).await,
                None => pending().await,
            }
        };
        let quiet = self.permit.everbeat.protocol().heartbeat_interval;
        tokio::select! {
            () = self.watch.grown() => {}
            () = poll_fn(|cx| self.permit.mailbox.poll_marked(cx)) => self.look_into_mailbox(),
            () = ends => {}
            () = sleep(quiet) => self.clock(out),
        }
    }

    fn look_into_mailbox(&mut self) {
        let marks = self.permit.mailbox.take();
        let now = self.now();
        if marks.disconnected {
            self.ends = Some(now);
        }
        if marks.shut_down {
            self.ends.get_or_insert(now + LAST_ENTRIES);
        }
        if let Some(asked) = marks.asked {
            self.report(&asked);
        }
    }

    /// Writes the server's clocks and heartbeat.
    fn clock(&mut self, out: &mut String) {
        let clock = TraceClock::new(
            unix_ms(),
            self.permit.everbeat.protocol(),
            self.node.clone(),
        );
        self.watch.write(self.now(), Fact::Clock(clock), out);
    }

    /// Reports the state of the connection to the operator.
    fn report(&self, asked: &Question) {
        let vitals = Vitals {
            session: Some(self.watch.session().clone()),
            name: None,
            subject: self.subject.as_ref().map(|who| who.as_str().to_owned()),
            rooms: Vec::new(),
            round_trip: None,
            quiet: None,
            kind: Kind::Trace,
            network: self.permit.network(),
            open: self.permit.hub().clock().since(self.opened),
        };
        asked.answer(self.permit.id, vitals);
    }

    fn now(&self) -> Timestamp {
        self.permit.hub().clock().now()
    }
}
