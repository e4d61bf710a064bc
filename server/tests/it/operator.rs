//! The operator's pages: their updates, connections found and sorted, what an operator can do, languages.

use std::time::Instant;

use reqwest::header::{ACCEPT_LANGUAGE, COOKIE, SET_COOKIE};
use reqwest::{Client, Response, StatusCode, redirect};
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use crate::raw::{PATIENCE, Raw};
use crate::test_server::TestServer;

impl TestServer {
    /// A session with this name, in the lobby.
    async fn named(&self, name: &str) -> (Raw, Value) {
        let mut raw = self.raw().await;
        raw.send(&json!({"type": "hello", "name": name}).to_string())
            .await;
        let welcome = raw.next_of("welcome").await;
        raw.send(r#"{"type":"join","room":"lobby"}"#).await;
        raw.next_of("joined").await;
        (raw, welcome["session"].clone())
    }

    async fn updates(&self, path: &str) -> Updates {
        let answer = reqwest::get(self.admin_url(path)).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Updates {
            answer,
            text: String::new(),
        }
    }
}

/// A page's stream of updates.
struct Updates {
    answer: Response,
    text: String,
}

impl Updates {
    /// The next update: the regions that changed, by their ids. `None` at the end of the stream.
    async fn next(&mut self) -> Option<Vec<(String, String)>> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let data = event.lines().find_map(|line| line.strip_prefix("data: "));
                let regions = serde_json::from_str(data.unwrap()).unwrap();
                self.text = rest.to_owned();
                return Some(regions);
            }
            let chunk = timeout(PATIENCE, self.answer.chunk()).await;
            let chunk = chunk.expect("an update within 20 s").ok()??;
            self.text += std::str::from_utf8(&chunk).unwrap();
        }
    }
}

/// The ids of the rows of a page's connections, in their order.
fn rows(page: &str) -> Vec<u64> {
    let parts = page.split("<tr id=\"connection-").skip(1);
    let ids = parts.filter_map(|part| part.split('"').next()?.parse().ok());
    ids.collect()
}

/// An open page gets all of its regions once, and then those that change.
#[tokio::test]
async fn updates_carry_what_changed() {
    let server = TestServer::start(&[]).await;
    let page = server.status("/status").await;
    assert!(page.contains("data-updates=\"/status/updates?lang=en\""));
    let mut updates = server.updates("/status/updates?lang=en").await;
    let first = updates.next().await.unwrap();
    let ids: Vec<&str> = first.iter().map(|(id, _)| id.as_str()).collect();
    assert!(
        ids.contains(&"strip") && ids.contains(&"connections"),
        "{ids:?}"
    );
    for (id, html) in &first {
        assert!(html.starts_with(&format!("<section id=\"{id}\"")), "{html}");
        assert_eq!(page.matches(&format!("id=\"{id}\"")).count(), 1, "{id}");
    }
    let (_ada, _) = server.named("Ada <3").await;
    loop {
        let changed = updates.next().await.unwrap();
        let connections = changed.iter().find(|(id, _)| id == "connections");
        if let Some((_, html)) = connections {
            assert!(html.contains("Ada &lt;3"), "{html}");
            assert!(changed.iter().any(|(id, _)| id == "strip"));
            break;
        }
    }
}

/// Connections are found by name, room, address and session; sorted, and cut into pages.
#[tokio::test]
async fn connections_are_found_sorted_and_paged() {
    let server = TestServer::start(&[]).await;
    let mut held = Vec::new();
    for index in 0..52 {
        held.push(server.named(&format!("Name {index:02}")).await);
    }
    let proxied = [("x-forwarded-for", "192.0.2.77")];
    let far = Raw::open_with(server.address, "/ws", Some("everbeat.v1"), &proxied).await;
    let mut far = far.unwrap();
    far.send(r#"{"type":"hello","name":"Zoe"}"#).await;
    far.next_of("welcome").await;
    far.send(r#"{"type":"join","room":"attic"}"#).await;
    far.next_of("joined").await;

    let first = rows(&server.status("/status").await);
    assert_eq!(first.len(), 50);
    assert!(first.is_sorted_by(|one, next| one > next), "{first:?}");
    let last = rows(&server.status("/status?page=2").await);
    assert_eq!(last.len(), 3);
    assert!(last[0] < first[49]);
    // Beyond the last page is the last one.
    assert_eq!(rows(&server.status("/status?page=99").await), last);

    let by_name = server.status("/status?sort=name").await;
    assert!(by_name.contains("aria-sort=\"ascending\""));
    let by_name = rows(&by_name);
    assert!(by_name.is_sorted() && by_name.len() == 50, "{by_name:?}");
    let down = rows(&server.status("/status?sort=name&order=down").await);
    assert_eq!(down[..2], first[..2], "Zoe came last");

    for (find, found) in [
        ("name+07", 1),
        ("LOBBY", 52),
        ("attic", 1),
        ("192.0.2.77", 1),
        ("none+such", 0),
    ] {
        let page = server.status(&format!("/status?find={find}")).await;
        assert_eq!(rows(&page).len(), found.min(50), "{find}");
        let note = match found {
            0 => "No connection matches.".to_owned(),
            found => format!("{found} of 53 connections match."),
        };
        assert!(page.contains(&note), "{find}: {page}");
    }
    let session = held[7].1["id"].as_str().unwrap();
    let page = server.status(&format!("/status?find={session}")).await;
    assert_eq!(rows(&page).len(), 1);
    let far = server.status("/status?find=attic&sort=address").await;
    assert!(far.contains("192.0.2.77"));
}

/// "Reconnect" closes with 1012, and the client resumes; the page follows the session to its new connection.
#[tokio::test]
async fn an_operator_has_a_session_reconnect() {
    let server = TestServer::start(&[]).await;
    let (mut ada, session) = server.named("Ada").await;
    let path = format!("/status/sessions/{}", session["id"].as_str().unwrap());
    let client = Client::builder().redirect(redirect::Policy::none());
    let client = client.build().unwrap();
    let reconnect = server.admin_url(&format!("{path}/reconnect"));
    let pressed = client.post(&reconnect).send().await.unwrap();
    assert_eq!(pressed.status(), StatusCode::SEE_OTHER);
    assert_eq!(pressed.headers()["location"], path);
    assert_eq!(ada.end().await.0, Some(1012));
    let away = server.status(&path).await;
    assert!(away.contains("This session has no connection here."));
    assert!(!away.contains("<form"), "there is nothing to close");
    let mut again = server.raw().await;
    let hello = json!({"type": "hello", "session": session});
    again.send(&hello.to_string()).await;
    assert_eq!(again.next_of("welcome").await["resumed"], true);
    let back = server.status(&path).await;
    assert!(back.contains("/reconnect\"") && back.contains("/remove\""));
    // A connection before its `hello` has a page, too.
    let mut silent = server.raw().await;
    let id = rows(&server.status("/status").await)[0];
    let path = format!("/status/connections/{id}");
    assert!(server.status(&path).await.contains("before hello"));
    let remove = server.admin_url(&format!("{path}/remove"));
    assert_eq!(
        client.post(&remove).send().await.unwrap().status(),
        StatusCode::SEE_OTHER
    );
    assert_eq!(silent.end().await.0, Some(4203));
    for nonsense in [
        "/status/sessions/a%20b",
        "/status/rooms/1",
        "/status/connections/x",
    ] {
        let answer = client.get(server.admin_url(nonsense)).send().await.unwrap();
        assert!(answer.status().is_client_error(), "{nonsense}");
    }
}

/// The pages speak the language that the browser wants, or the one that was chosen.
#[tokio::test]
async fn the_pages_speak_three_languages() {
    let server = TestServer::start(&[]).await;
    let client = Client::new();
    let get = async |path: &str, name, value: &str| {
        let request = client.get(server.admin_url(path)).header(name, value);
        request.send().await.unwrap()
    };
    let wanted = get("/status", ACCEPT_LANGUAGE, "zh-TW,zh;q=0.9").await;
    assert_eq!(wanted.headers().get(SET_COOKIE), None);
    let wanted = wanted.text().await.unwrap();
    assert!(wanted.contains("<html lang=\"zh-Hant\">") && wanted.contains("連線"));
    let chosen = get("/status?lang=zh-Hans&sort=name", ACCEPT_LANGUAGE, "zh-TW").await;
    let cookie = chosen.headers()[SET_COOKIE].to_str().unwrap().to_owned();
    let chosen = chosen.text().await.unwrap();
    assert!(chosen.contains("<html lang=\"zh-Hans\">") && chosen.contains("连接"));
    let cookie = cookie.split(';').next().unwrap();
    let kept = get("/status", COOKIE, cookie).await.text().await.unwrap();
    assert!(kept.contains("<html lang=\"zh-Hans\">"));
    let mut updates = server.updates("/status/updates?lang=zh-Hans").await;
    let regions = updates.next().await.unwrap();
    assert!(regions.iter().any(|(_, html)| html.contains("连接")));
}

/// Open pages leave room for scrapers, and do not hold up the end of the server.
#[tokio::test]
async fn streams_are_bounded_and_end_with_the_server() {
    let mut server = TestServer::start(&["--drain", "3s"]).await;
    let mut open = Vec::new();
    for _ in 0..32 {
        let mut updates = server.updates("/status/updates").await;
        updates.next().await.unwrap();
        open.push(updates);
    }
    let more = reqwest::get(server.admin_url("/status/updates")).await;
    assert_eq!(more.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(server.metrics().await.contains("everbeat_connections"));
    // A page that is closed makes room for another one.
    open.pop();
    let again = async {
        loop {
            let again = reqwest::get(server.admin_url("/status/updates")).await;
            if again.unwrap().status() == StatusCode::OK {
                break;
            }
        }
    };
    timeout(PATIENCE, again).await.unwrap();

    // While it drains, the page counts down.
    let mut ada = server.joined().await;
    server.terminate();
    ada.next_of("go_away").await;
    let draining = server.status("/status").await;
    assert!(draining.contains("Draining: no new"), "{draining}");
    assert!(draining.contains(" s left"), "{draining}");
    drop(ada);
    let begun = Instant::now();
    let mut last = open.pop().unwrap();
    while last.next().await.is_some() {}
    server.ended().await;
    // Not after the deadline of requests that are under way.
    assert!(begun.elapsed().as_secs() < 5, "{:?}", begun.elapsed());
}

/// A part of a page: the element with this id, to its end.
fn part<'p>(page: &'p str, id: &str) -> &'p str {
    let (_, rest) = page.split_once(&format!("<section id=\"{id}\"")).unwrap();
    rest.split_once("</section>").unwrap().0
}

/// Events tell of sessions and of their ends, by name and with a link; the returns are counted by cause.
#[tokio::test]
async fn events_tell_why_a_session_came_back() {
    let server = TestServer::start(&[]).await;
    let (mut ada, session) = server.named("<i>Ada").await;
    let id = session["id"].as_str().unwrap();
    let hello = json!({"type": "hello", "name": "<i>Ada", "session": session}).to_string();
    // The client's network changes: it comes back while the server still holds its connection.
    let mut second = server.raw().await;
    second.send(&hello).await;
    assert_eq!(second.next_of("welcome").await["resumed"], true);
    assert_eq!(ada.end().await.0, Some(4100));
    // Its connection breaks, without a close.
    drop(second);
    let path = format!("/status/sessions/{id}");
    let away = async {
        while !server.status(&path).await.contains("has no connection") {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, away).await.unwrap();
    let mut third = server.raw().await;
    third.send(&hello).await;
    assert_eq!(third.next_of("welcome").await["resumed"], true);

    let page = server.status("/status").await;
    let events = part(&page, "events");
    let links = format!("<a href=\"{path}\">&lt;i&gt;Ada</a>");
    assert_eq!(events.matches(&links).count(), 5, "{events}");
    for event in [
        "session opened:",
        "session resumed (client noticed first):",
        "session resumed (broken connection):",
        "resumed on another connection (4100):",
        "it broke (1006):",
    ] {
        assert_eq!(events.matches(event).count(), 1, "{event} in {events}");
    }
    let (_bob, _) = server.named("Bob").await;
    let page = server.status(&path).await;
    assert_eq!(part(&page, "events").matches("<li").count(), 5);
    // A sample later the chart has the returns, too.
    let mut updates = server.updates("/status/updates?span=hour").await;
    let charts = async {
        loop {
            let regions = updates.next().await.unwrap();
            let charts = regions.into_iter().find(|(id, _)| id == "charts");
            if let Some((_, charts)) = charts {
                break charts;
            }
        }
    };
    let charts = timeout(PATIENCE, charts).await.unwrap();
    assert_eq!(charts.matches("<figure").count(), 6);
    let mut updates = server.updates("/status/updates").await;
    let counted = async {
        loop {
            let regions = updates.next().await.unwrap();
            let told = "client noticed first 1; silent connection 0; broken connection 1;";
            if regions.iter().any(|(_, html)| html.contains(told)) {
                break;
            }
        }
    };
    timeout(PATIENCE, counted).await.unwrap();
}

/// Rooms are listed with their members and messages; very much of everything is a page of some hundred kilobytes.
#[tokio::test]
async fn a_page_is_bounded_in_bytes() {
    let server = TestServer::start(&["--session-lines", "0"]).await;
    let mut held = Vec::new();
    for index in 0..120 {
        let mut raw = server.raw().await;
        let name = format!("{index}{}", "動".repeat(40));
        raw.send(&json!({"type": "hello", "name": name}).to_string())
            .await;
        raw.next_of("welcome").await;
        for room in 0..2 {
            let room = format!("{index:03}-{room}-{}", "x".repeat(50));
            raw.send(&json!({"type": "join", "room": room}).to_string())
                .await;
            raw.next_of("joined").await;
        }
        held.push(raw);
    }
    for mut raw in held.drain(60..) {
        raw.send_message(Message::Close(None)).await.unwrap();
        raw.end().await;
    }
    let mut ada = server.joined().await;
    let _bob = server.joined().await;
    ada.publish(1, "one").await;
    ada.next_of("ack").await;
    let page = server.status("/status").await;
    let rooms = part(&page, "rooms");
    assert!(rooms.contains("more."), "{rooms}");
    let (_, lobby) = rooms.split_once("id=\"room-lobby\"").unwrap();
    let lobby = lobby.split_once("</tr>").unwrap().0;
    assert!(lobby.contains("<td>2</td><td>1</td>"), "{lobby}");
    assert_eq!(part(&page, "events").matches("<li").count(), 182);
    assert_eq!(rows(&page).len(), 50);
    assert!(page.len() < 300_000, "{}", page.len());
}
