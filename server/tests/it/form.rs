//! The plain form of a room's page: publishing from a browser without scripts or without WebAssembly.

use reqwest::redirect::Policy;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::caller::{Caller, said};
use crate::guarded::{Guarded, token_for};
use crate::raw::PATIENCE;
use crate::test_server::TestServer;

/// The answer to a form.
struct Told {
    status: u16,
    location: String,
    again: bool,
    page: String,
}

/// Sends a form, written as browsers encode it, with these headers.
async fn send(server: &TestServer, path: &str, form: &str, headers: &[(&str, &str)]) -> Told {
    let client = reqwest::Client::builder().redirect(Policy::none());
    let url = format!("http://{}{path}", server.address);
    let mut request = client.build().unwrap().post(url);
    request = request.header("content-type", "application/x-www-form-urlencoded");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.body(form.to_owned()).send().await.unwrap();
    let header = |name: &str| {
        let value = answer.headers().get(name);
        value.map_or("", |value| value.to_str().unwrap()).to_owned()
    };
    assert_eq!(header("cache-control"), "no-store", "{path}");
    Told {
        status: answer.status().as_u16(),
        location: header("location"),
        again: !header("retry-after").is_empty(),
        page: answer.text().await.unwrap(),
    }
}

/// The value of a hidden field of a page.
fn hidden<'p>(page: &'p str, name: &str) -> &'p str {
    let mark = format!("name=\"{name}\" value=\"");
    let (_, rest) = page
        .split_once(&mark)
        .unwrap_or_else(|| panic!("{name}: {page}"));
    rest.split('"').next().unwrap()
}

async fn page(server: &TestServer, path: &str) -> String {
    let url = format!("http://{}{path}", server.address);
    reqwest::get(url).await.unwrap().text().await.unwrap()
}

/// EO-1: a form that is sent twice, as after a reload, is one message; the next page has another key.
#[tokio::test]
async fn a_form_is_one_message() {
    let server = TestServer::start(&[]).await;
    let keys = [page(&server, "/r/tea").await, page(&server, "/r/tea").await];
    let keys = keys.each_ref().map(|page| hidden(page, "key"));
    assert_ne!(keys[0], keys[1]);
    let form = |key: &str, text: &str| format!("key={key}&name=Ada&body={text}");
    for _ in 0..2 {
        let told = send(&server, "/r/tea", &form(keys[0], "+one%0D%0Atwo%21+"), &[]).await;
        assert_eq!((told.status, &*told.location), (303, "/r/tea"));
    }
    send(&server, "/r/tea", &form(keys[1], "three"), &[]).await;
    let read = Caller::of(&server).get("/rooms/tea/messages").await;
    assert_eq!(read.bodies(), [" one\ntwo!", "three"]);
    assert_eq!(read.body["messages"][0]["name"], "Ada");
    let told = send(&server, "/", &form("k", "here"), &[]).await;
    assert_eq!((told.status, &*told.location), (303, "/"));
    assert!(page(&server, "/").await.contains(">here</p>"));
}

/// A refused form gets a page that says why, keeps the text and can send it again.
#[tokio::test]
async fn a_refused_form_keeps_its_text() {
    // This machine is no trusted proxy here, so its address counts.
    let options = [
        "--publishes-per-address",
        "1",
        "--trusted-proxies",
        "192.0.2.0/24",
    ];
    let server = TestServer::start(&options).await;
    let long = "x".repeat(9_000);
    let long = format!("key=k0&name=Ada&body={long}");
    for (form, status, words, kept) in [
        ("key=k0&body=+%0D%0A", 422, "Your message was not sent", ""),
        (&*long, 413, "Your message was not sent", "xxxx"),
        (
            "body=%3Cb%3E%00%0Akeep",
            400,
            "send it now",
            "&lt;b&gt;\u{fffd}\nkeep</textarea>",
        ),
    ] {
        let told = send(&server, "/r/tea", form, &[]).await;
        assert_eq!(told.status, status, "{form:.60}");
        assert!(
            told.page.contains(words) && told.page.contains(kept),
            "{}",
            told.page
        );
        assert!(!told.page.contains("data-js"), "{}", told.page);
    }
    let first = send(&server, "/r/tea", "key=k1&body=first", &[]).await;
    assert_eq!(first.status, 303);
    // Another text under the same key, as after the browser's Back button.
    let told = send(&server, "/r/tea", "key=k1&name=%22Ada&body=other", &[]).await;
    assert_eq!(told.status, 409);
    let key = hidden(&told.page, "key").to_owned();
    assert_ne!(key, "k1");
    assert_eq!(hidden(&told.page, "name"), "&quot;Ada");
    let told = send(&server, "/r/tea", &format!("key={key}&body=other"), &[]).await;
    assert_eq!(told.status, 303);

    let mut told = told;
    for n in 0..20 {
        told = send(&server, "/r/tea", &format!("key=n{n}&body=many"), &[]).await;
        if told.status != 303 {
            break;
        }
    }
    assert_eq!((told.status, told.again), (429, true));
    assert!(
        hidden(&told.page, "key").starts_with('n'),
        "the same message is sent again"
    );
    // A form over the bytes that the server reads.
    let endless = format!("key=k&body={}", "x".repeat(100_000));
    let told = send(&server, "/r/tea", &endless, &[]).await;
    assert_eq!(told.status, 413);
    assert!(told.page.contains("go back"), "{}", told.page);
    assert_eq!(
        send(&server, "/r/no!", "key=k&body=x", &[]).await.status,
        404
    );
}

/// AC-5: a form needs its sender's right to write; a form on another site's page is refused.
#[tokio::test]
async fn a_form_may_do_what_its_sender_may() {
    let guarded = Guarded::start(&["--guest-rooms", "lobby=rw,news=r"]).await;
    let server = &guarded.server;
    let form = "key=k&body=x";
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example"),
        ("origin", "null"),
    ] {
        let client = reqwest::Client::new();
        let url = format!("http://{}/", server.address);
        let request = client.post(url).header(name, value).body(form);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        assert_eq!(
            request.send().await.unwrap().status().as_u16(),
            403,
            "{name}: {value}"
        );
    }
    let told = send(server, "/r/news", form, &[]).await;
    assert_eq!(told.status, 403);
    assert!(told.page.contains("you may not write"), "{}", told.page);
    let cookie = format!(
        "everbeat-token={}",
        token_for("ada", &json!({"news": ["write"]}))
    );
    let told = send(server, "/r/news", form, &[("cookie", &cookie)]).await;
    assert_eq!(told.status, 303);
    let told = send(
        server,
        "/r/news",
        form,
        &[("cookie", "everbeat-token=nonsense")],
    )
    .await;
    assert_eq!(told.status, 401);
    let own = format!("http://{}", server.address);
    let told = send(server, "/", form, &[("origin", &own)]).await;
    assert_eq!(told.status, 303);
    // The same key over the API is the same message.
    let again = Caller::of(server).post("lobby", "k", &said("x")).await;
    assert_eq!((again.status, &again.body["repeated"]), (200, &json!(true)));
    let read = Caller::of(server).get("/rooms/lobby/messages").await;
    assert_eq!(read.bodies(), ["x"]);
}

/// The form for another room's name redirects there, without a script.
#[tokio::test]
async fn a_typed_room_is_led_to() {
    let server = TestServer::start(&[]).await;
    let client = reqwest::Client::builder()
        .redirect(Policy::none())
        .build()
        .unwrap();
    for (typed, to) in [
        ("Tea+Room", "/r/tea-room"),
        ("lobby", "/"),
        ("%3Cb%3E", "/r/"),
        ("", "/r/"),
    ] {
        let url = format!("http://{}/r?room={typed}", server.address);
        let answer = client.get(url).send().await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["location"]),
            (303, &to.parse().unwrap())
        );
    }
}

/// A slow or unfinished form delays no page: it takes a turn only once it is read.
#[tokio::test]
async fn slow_forms_hold_no_page_up() {
    let server = TestServer::start(&[]).await;
    let mut slow = Vec::new();
    for _ in 0..8 {
        let mut stream = TcpStream::connect(&server.address).await.unwrap();
        let head = "POST /r/tea HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\
            Content-Type: application/x-www-form-urlencoded\r\n\r\nkey=";
        stream.write_all(head.as_bytes()).await.unwrap();
        slow.push(stream);
    }
    // The slow forms have arrived by now, as they were sent before these requests.
    let url = format!("http://{}/r/tea", server.address);
    for _ in 0..3 {
        let page = timeout(PATIENCE, reqwest::get(&url))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(page.status(), 200);
    }
}
