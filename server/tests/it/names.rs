//! Deceptive names, of users and of rooms: that look like another name, or like markup.

use serde_json::json;

use crate::http::{HEADERS, ask, get_raw, status};
use crate::test_server::TestServer;

/// The name that a member has in the room after a `hello` with this name.
async fn called(server: &TestServer, name: &str) -> String {
    let mut raw = server.raw().await;
    raw.send(&json!({"type": "hello", "name": name}).to_string())
        .await;
    let session = raw.next_of("welcome").await["session"]["id"].clone();
    raw.send(r#"{"type":"join","room":"lobby"}"#).await;
    let joined = raw.next_of("joined").await;
    let mut members = joined["members"].as_array().unwrap().iter();
    let own = members.find(|member| member["session"] == session).unwrap();
    own["name"].as_str().unwrap().to_owned()
}

/// Invisible characters are removed from names; a name without a visible one counts as none.
#[tokio::test]
async fn names_show_what_they_are() {
    let server = TestServer::start(&[]).await;
    for ada in [
        "Ada",
        "A\u{200d}da",
        "Ad\u{200c}a\u{fe0f}",
        "\u{202e}Ada\u{e0100}",
        "A\u{34f}d\u{17b4}a",
    ] {
        assert_eq!(called(&server, ada).await, "Ada", "{ada:?}");
    }
    for none in [
        "",
        " ",
        "\u{200d}",
        "\u{fe0f}",
        "\u{301}\u{34f}",
        "\u{a0}\u{200d}",
    ] {
        let name = called(&server, none).await;
        assert!(name.starts_with("guest "), "{none:?}: {name:?}");
    }
    // A name is text, also where it looks like markup: the page escapes it.
    let family = "\u{1f468}\u{200d}\u{1f469}";
    for name in [family, "<script>", "l\u{43e}bby"] {
        assert_eq!(called(&server, name).await, name);
    }
}

/// A room's name is ASCII: no look-alike letter and no path traversal is one. `None`: the target is no URI,
/// and HTTP itself refuses it.
#[tokio::test]
async fn odd_names_of_rooms_are_refused_everywhere() {
    let server = TestServer::start(&[]).await;
    for (odd, page) in [
        ("l%d0%bebby", 404),
        ("%3Cscript%3Ealert(1)%3C%2Fscript%3E", 404),
        ("%22%3E%3Cimg%20src=x%20onerror=alert(1)%3E", 404),
        ("<script>alert(1)<\\script>", 400),
        ("%2e%2e", 404),
        ("%252e%252e%252fsecret.txt", 404),
        ("..%2fsecret.txt", 404),
        ("..%5csecret.txt", 404),
        ("..\\secret.txt", 404),
        ("%c0%ae%c0%ae", 404),
        ("lobby%00.png", 404),
        ("Lobby", 308),
    ] {
        let answer = get_raw(server.address, &format!("/r/{odd}")).await;
        assert_eq!(status(&answer), page, "/r/{odd}: {answer}");
        assert!(!answer.contains("alert(1)"), "/r/{odd}: {answer}");
        let api = get_raw(server.address, &format!("/api/rooms/{odd}/messages")).await;
        assert_eq!(status(&api), 400, "{odd}: {api}");
        assert!(!api.contains("alert(1)"), "{odd}: {api}");
        for path in ["/", "/ws"] {
            let line = format!("GET {path}?room={odd} HTTP/1.1");
            let head = ask(server.address, &line, &HEADERS).await;
            assert!(head.starts_with("http/1.1 400 "), "{line}: {head}");
            assert!(!head.contains("alert(1)"), "{line}: {head}");
        }
    }
    for odd in ["l\u{43e}bby", "<script>", "lobby\u{200d}", "..\\secret.txt"] {
        let mut raw = server.joined().await;
        raw.send(&json!({"type": "join", "room": odd}).to_string())
            .await;
        let error = raw.next_frame().await;
        assert_eq!(error["code"], "bad_room", "{odd}");
        assert!(!error.to_string().contains(odd), "{error}");
    }
}

/// Another form of a room's address redirects to the room's own, with its query, and never to another
/// host.
#[tokio::test]
async fn other_forms_of_a_rooms_address_lead_to_it() {
    let server = TestServer::start(&[]).await;
    let asked = async |target: &str| {
        let answer = get_raw(server.address, target).await;
        let to = answer
            .lines()
            .find_map(|line| line.strip_prefix("location: "));
        (status(&answer), to.unwrap_or_default().to_owned())
    };
    for (target, to) in [
        ("/r/tea/", "/r/tea"),
        ("/r/Tea", "/r/tea"),
        ("/r/TEA/?a=B&c=%64", "/r/tea?a=B&c=%64"),
        ("//r/tea", "/r/tea"),
        ("/r//tea", "/r/tea"),
        ("/R/tea?", "/r/tea?"),
        ("/r/t%65a", "/r/tea"),
        ("/r%2ftea", "/r/tea"),
        ("/r/Lobby", "/"),
        ("//", "/"),
    ] {
        assert_eq!(asked(target).await, (308, to.to_owned()), "{target}");
    }
    for target in ["/", "/r/tea", "/r/lobby", "/?a=b"] {
        assert_eq!(asked(target).await, (200, String::new()), "{target}");
    }
    for target in ["//evil.example/r/tea", "/r/tea/pot", "/r/", "/r/te%20a"] {
        assert_eq!(asked(target).await, (404, String::new()), "{target}");
    }
}
