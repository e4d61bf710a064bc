//! Everbeat in another application, as plain `axum::serve` serves it: real sockets, real clients, the real log.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use everbeat_axum::embedded::{Config, Embedded};
use everbeat_axum::hub::{Hub, HubConfig};
use everbeat_axum::log::sqlite::{SqliteConfig, SqliteLog};
use everbeat_axum::protocol::client::Cause;
use everbeat_axum::protocol::close::CloseCode;
use everbeat_axum::protocol::id::RoomName;
use everbeat_client::{Client, Event, Fate, Options, Status};
use futures_util::{SinkExt, StreamExt};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;

/// Longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// An application with a page of its own, and Everbeat under `/rt`.
struct App {
    address: SocketAddr,
    /// Ends it, as a signal would.
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
    data: TempDir,
}

impl App {
    /// `knows_clients`: it is served with the addresses of clients.
    async fn start(change: impl FnOnce(&mut Config), knows_clients: bool) -> Self {
        let data = tempfile::tempdir().unwrap();
        let database = data.path().join("everbeat.db");
        let open = |rooms| SqliteLog::open(&database, SqliteConfig::default(), rooms);
        let hub = Hub::open(&HubConfig::default(), open).unwrap();
        let mut config = Config::new(data.path().to_owned());
        change(&mut config);
        let everbeat = Embedded::start(config, hub).await.unwrap();
        let app = Router::new()
            .route("/", get(async || "a page of its own"))
            .nest("/rt", everbeat.router());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(async move {
            let drained = async {
                let _ = stopped.await;
                everbeat.drain(Duration::from_millis(100)).await;
                everbeat.close().await.unwrap();
            };
            let served = if knows_clients {
                let app = app.into_make_service_with_connect_info::<SocketAddr>();
                let served = axum::serve(listener, app);
                served.with_graceful_shutdown(drained).await
            } else {
                let served = axum::serve(listener, app);
                served.with_graceful_shutdown(drained).await
            };
            served.unwrap();
        });
        Self {
            address,
            stop,
            serving,
            data,
        }
    }

    fn client(&self, seed: u64) -> Client {
        let url = format!("ws://{}/rt/ws", self.address);
        everbeat_client::connect(&url, Options::new(seed)).unwrap()
    }

    async fn get(&self, path: &str) -> reqwest::Response {
        let url = format!("http://{}{path}", self.address);
        reqwest::get(url).await.unwrap()
    }
}

/// Runs a client until something happens with it.
async fn until<T>(client: &mut Client, mut wanted: impl FnMut(Event) -> Option<T>) -> T {
    let found = async {
        loop {
            let event = client.next().await.expect("the client goes on");
            if let Some(found) = wanted(event) {
                return found;
            }
        }
    };
    timeout(PATIENCE, found).await.expect("it happens in time")
}

async fn joined(client: &mut Client, room: &RoomName) {
    client.join(room.clone(), None);
    until(client, |event| {
        matches!(event, Event::Joined { .. }).then_some(())
    })
    .await;
}

/// A message goes from one client to another, and is read by HTTP and as an event; the application's own routes are
/// its own.
#[tokio::test]
async fn sessions_are_served_under_a_path_of_an_application() {
    let app = App::start(|_| (), false).await;
    let room = RoomName::new("board-7").unwrap();
    let (mut ada, mut bob) = (app.client(1), app.client(2));
    joined(&mut bob, &room).await;
    let events = app.get("/rt/api/rooms/board-7/events?since=:0").await;
    assert_eq!(events.status(), StatusCode::OK);
    let id = ada.publish(room.clone(), "from ada").unwrap();
    until(&mut ada, |event| match event {
        Event::Fate { id: of, fate, .. } if of == id && matches!(fate, Fate::Durable { .. }) => {
            Some(())
        }
        _ => None,
    })
    .await;
    let heard = until(&mut bob, |event| match event {
        Event::Message(message) => Some(message),
        _ => None,
    })
    .await;
    assert_eq!((heard.room, &*heard.body), (room, "from ada"));
    let mut events = events;
    let mut told = String::new();
    while !told.contains("from ada") {
        let more = timeout(PATIENCE, events.chunk()).await.unwrap().unwrap();
        told += &String::from_utf8_lossy(&more.expect("events go on"));
    }
    let read = app.get("/rt/api/rooms/board-7/messages").await;
    let read: Value = serde_json::from_slice(&read.bytes().await.unwrap()).unwrap();
    assert_eq!(read["messages"][0]["body"], "from ada");
    // What is not Everbeat's is the application's, and what is no WebSocket is refused in words.
    assert_eq!(
        app.get("/").await.text().await.unwrap(),
        "a page of its own"
    );
    for path in [
        "/ws",
        "/rt",
        "/rt/nothing",
        "/rt/healthz",
        "/api/rooms/board-7/messages",
    ] {
        assert_eq!(
            app.get(path).await.status(),
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
    let upgrade = app.get("/rt/ws").await.status();
    assert_eq!(upgrade, StatusCode::UPGRADE_REQUIRED);
}

/// A message by HTTP reaches a session. A page of another site changes nothing.
#[tokio::test]
async fn messages_come_by_http() {
    let app = App::start(|_| (), true).await;
    let room = RoomName::new("board-7").unwrap();
    let mut ada = app.client(1);
    joined(&mut ada, &room).await;
    let post = |origin: &'static str| {
        let url = format!("http://{}/rt/api/rooms/board-7/messages", app.address);
        let request = reqwest::Client::new().request(Method::POST, url);
        let request = request.header("idempotency-key", "build-417");
        let request = request.header("content-type", "application/json");
        request
            .header("origin", origin)
            .body(r#"{"body":"built"}"#)
            .send()
    };
    let forged = post("https://evil.example").await.unwrap();
    assert_eq!(forged.status(), StatusCode::FORBIDDEN);
    let own = format!("http://{}", app.address).leak();
    assert_eq!(post(own).await.unwrap().status(), StatusCode::CREATED);
    assert_eq!(
        post(own).await.unwrap().status(),
        StatusCode::OK,
        "it is a repeat"
    );
    let heard = until(&mut ada, |event| match event {
        Event::Message(message) => Some(message),
        _ => None,
    })
    .await;
    assert_eq!(heard.body, "built");
}

/// Limits hold also where the acceptor does not tell the addresses of clients: then all of them count as one.
#[tokio::test]
async fn no_client_is_without_a_limit() {
    for knows_clients in [false, true] {
        let limit = |config: &mut Config| {
            config.limits.requests_per_address = 1;
            config.http.trusted_proxies.clear();
        };
        let app = App::start(limit, knows_clients).await;
        let mut refused = false;
        for _ in 0..20 {
            let status = app.get("/rt/api/rooms/board-7/presence").await.status();
            refused |= status == StatusCode::TOO_MANY_REQUESTS;
        }
        assert!(refused, "{knows_clients}");
        assert_eq!(app.get("/").await.status(), StatusCode::OK);
    }
}

/// A session is watched under the application's path, by its key. The trace ends with the application, also that of a
/// session that is away.
#[tokio::test]
async fn a_session_is_watched_until_the_application_ends() {
    let app = App::start(|_| (), true).await;
    let mut sessions = Vec::new();
    for _ in 0..2 {
        let mut request = format!("ws://{}/rt/ws", app.address)
            .into_client_request()
            .unwrap();
        let subprotocol = HeaderValue::from_static("everbeat.v1");
        request
            .headers_mut()
            .insert("sec-websocket-protocol", subprotocol);
        let stream = TcpStream::connect(app.address).await.unwrap();
        let (mut socket, _) = client_async(request, stream).await.unwrap();
        let hello = Message::text(r#"{"type":"hello"}"#);
        socket.send(hello).await.unwrap();
        let welcome = socket.next().await.unwrap().unwrap().into_text().unwrap();
        let welcome: Value = serde_json::from_str(&welcome).unwrap();
        sessions.push((socket, welcome["session"].clone()));
    }
    let watch = |session: &Value, key: &Value| {
        let id = session["id"].as_str().unwrap();
        let url = format!("http://{}/rt/api/sessions/{id}/trace", app.address);
        let request = reqwest::Client::new().get(url);
        let request = request.header("everbeat-session-key", key.as_str().unwrap());
        request.send()
    };
    let (away, other) = sessions.pop().unwrap();
    let (socket, session) = &mut sessions[0];
    let refused = watch(session, &other["key"]).await.unwrap();
    assert_eq!(refused.status(), StatusCode::NOT_FOUND);
    let mut trace = watch(session, &session["key"]).await.unwrap();
    let quiet = watch(&other, &other["key"]).await.unwrap();
    drop(away);
    socket
        .send(Message::text(r#"{"type":"ping"}"#))
        .await
        .unwrap();
    let mut told = String::new();
    while !told.contains(r#""kind":"out","ordinal":2,"frame":"pong""#) {
        let more = timeout(PATIENCE, trace.chunk()).await.unwrap().unwrap();
        told += &String::from_utf8_lossy(&more.expect("the trace goes on"));
    }
    app.stop.send(()).unwrap();
    let rest = timeout(PATIENCE, trace.text()).await.unwrap().unwrap();
    let last: Value = serde_json::from_str(rest.lines().last().unwrap()).unwrap();
    assert_eq!(
        (&last["kind"], &last["code"]),
        (&"close".into(), &1012.into())
    );
    timeout(PATIENCE, quiet.text()).await.unwrap().unwrap();
    timeout(PATIENCE, app.serving).await.unwrap().unwrap();
}

/// A drain ends the sessions in order, and the application with them; the log is closed, and can be opened again.
#[tokio::test]
async fn an_application_drains() {
    let app = App::start(|_| (), false).await;
    let mut ada = app.client(1);
    until(&mut ada, |event| {
        matches!(event, Event::Welcomed { .. }).then_some(())
    })
    .await;
    app.stop.send(()).unwrap();
    let cause = until(&mut ada, |event| match event {
        Event::Status(Status::Waiting { cause, .. }) => Some(cause),
        _ => None,
    });
    let (cause, served) = tokio::join!(cause, timeout(PATIENCE, app.serving));
    served.unwrap().unwrap();
    let restart = Cause::Closed(Some(CloseCode::SERVICE_RESTART));
    assert!([Cause::GoAway, restart].contains(&cause), "{cause:?}");
    let database = app.data.path().join("everbeat.db");
    let open = |rooms| SqliteLog::open(&database, SqliteConfig::default(), rooms);
    assert!(Hub::open(&HubConfig::default(), open).is_ok());
}
