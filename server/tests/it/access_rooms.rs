//! Rooms outside a client's grant, over every way to reach them.

use serde_json::{Value, json};

use crate::caller::{Caller, said};
use crate::guarded::{Guarded, join, token, token_for};
use crate::raw::{Raw, refused};
use crate::test_server::TestServer;

/// A server with a message in each of two rooms, and a token that may read one of them.
async fn newsroom() -> (Guarded, String) {
    let guarded = Guarded::start(&["--guest-rooms", "lobby=rw"]).await;
    let (mut editor, _) = guarded.hello(&token("editor"), &Value::Null).await;
    for (seq, room) in [(1, "lobby"), (2, "news")] {
        let body = format!("secret of {room}");
        let publish = json!({"type": "publish", "seq": seq, "room": room, "body": body});
        editor.send(&publish.to_string()).await;
        editor.next_of("ack").await;
    }
    let rooms = json!({"team-*": ["read", "write"], "news": ["read"]});
    (guarded, token_for("ada", &rooms))
}

/// AC-5: every frame about a room outside the grant is refused.
#[tokio::test]
async fn a_closed_room_is_closed_to_a_session() {
    let (guarded, ada) = newsroom().await;
    let (mut raw, _) = guarded.hello(&ada, &Value::Null).await;
    for (frame, code) in [
        (json!({"type": "join", "room": "lobby"}), "read_denied"),
        (
            json!({"type": "history", "room": "lobby", "before": 9, "limit": 9}),
            "read_denied",
        ),
        (
            json!({"type": "publish", "seq": 1, "room": "lobby", "body": "x"}),
            "write_denied",
        ),
        (
            json!({"type": "publish", "seq": 2, "room": "news", "body": "x"}),
            "write_denied",
        ),
        // Membership comes before rights: a client that is not a member has no draft.
        (
            json!({"type": "draft", "room": "lobby", "body": "x"}),
            "not_joined",
        ),
        (
            json!({"type": "draft", "room": "news", "body": "x"}),
            "not_joined",
        ),
    ] {
        raw.send(&frame.to_string()).await;
        let error = raw.next_frame().await;
        assert_eq!(
            (&error["type"], &error["code"]),
            (&json!("error"), &json!(code)),
            "{frame}"
        );
        // A message's number is used up (EO-7).
        assert_eq!(error["seq"], frame["seq"], "{frame}");
        assert_eq!(error.get("retry_after_ms"), None, "{frame}");
    }
    let joined = join(&mut raw, "news").await;
    assert_eq!(
        (&joined["read_only"], &joined["head"]),
        (&json!(true), &json!(1))
    );
    assert_eq!(raw.next_of("message").await["body"], "secret of news");
    raw.send(r#"{"type":"draft","room":"news","body":"x"}"#)
        .await;
    assert_eq!(raw.next_frame().await["code"], "write_denied");
    assert!(join(&mut raw, "team-a").await["read_only"].is_null());
}

/// AC-5: the room's page and the tutorial's page refuse it, too.
#[tokio::test]
async fn a_closed_room_is_no_page() {
    let (guarded, ada) = newsroom().await;
    let cookie = format!("everbeat-token={ada}");
    let (status, body, _) = guarded.page("/", &cookie).await;
    assert_eq!(status, 403);
    assert!(
        body.contains("closed to you") && !body.contains("secret"),
        "{body}"
    );
    let (status, body, _) = guarded.page("/r/news", &cookie).await;
    assert_eq!(status, 200);
    assert!(body.contains("secret of news"), "{body}");
    // Guests have rights of their own, and so have the tutorial's pages.
    assert_eq!(guarded.page("/", "").await.0, 200);
    assert_eq!(guarded.page("/r/news", "").await.0, 403);
    let address = guarded.server.address;
    for path in ["/?room=news", "/ws?room=news", "/?room=never"] {
        assert_eq!(refused(Raw::open(address, path, None).await), 403, "{path}");
    }
    assert!(Raw::open(address, "/?room=lobby", None).await.is_ok());
}

/// A page without its nonces, which differ from answer to answer.
fn without_nonces(page: &str) -> String {
    let mut parts = page.split(" nonce=\"");
    let mut whole = parts.next().unwrap().to_owned();
    for part in parts {
        let (nonce, rest) = part.split_once('"').unwrap();
        assert!(!nonce.is_empty());
        whole += &rest.replace(nonce, "");
    }
    whole
}

/// AC-5: a client without a right to a room cannot learn whether the room was ever used: all answers are equal.
#[tokio::test]
async fn nothing_is_told_of_a_closed_room() {
    let guarded = Guarded::start(&["--guest-rooms", "lobby=rw"]).await;
    let server = &guarded.server;
    let editor = token("editor");
    let (mut member, _) = guarded.hello(&editor, &Value::Null).await;
    join(&mut member, "vault").await;
    let publish = json!({"type": "publish", "seq": 1, "room": "vault", "body": "secret"});
    member.send(&publish.to_string()).await;
    member.next_of("ack").await;

    let stranger = token_for("ada", &json!({"team-*": ["read", "write", "moderate"]}));
    let asked = async |room: &str| {
        let mut told = Vec::new();
        let (mut raw, _) = guarded.hello(&stranger, &Value::Null).await;
        for frame in [
            json!({"type": "join", "room": room}),
            json!({"type": "join", "room": room, "since": {"epoch": "e", "offset": 1}}),
            json!({"type": "history", "room": room, "before": 9, "limit": 9}),
            json!({"type": "publish", "seq": 1, "room": room, "body": "x"}),
            json!({"type": "draft", "room": room, "body": "x"}),
        ] {
            raw.send(&frame.to_string()).await;
            told.push(raw.next_text().await);
        }
        let cookie = format!("everbeat-token={stranger}");
        for cookie in [&*cookie, ""] {
            let (status, body, _) = guarded.page(&format!("/r/{room}"), cookie).await;
            told.push(format!("{status} {}", without_nonces(&body)));
        }
        let as_stranger = Caller::of(server).showing(&stranger);
        for caller in [as_stranger, Caller::of(server)] {
            for answer in [
                caller.get(&format!("/rooms/{room}/messages")).await,
                caller.get(&format!("/rooms/{room}/presence")).await,
                caller.get(&format!("/rooms/{room}/events")).await,
                caller.post(room, "k", &said("x")).await,
                caller.remove(room, 1).await,
            ] {
                let (status, code) = answer.problem();
                told.push(format!("{status} {code} {}", answer.body));
            }
        }
        told
    };
    let (used, unused) = (asked("vault").await, asked("never").await);
    for (used, unused) in used.iter().zip(&unused) {
        assert_eq!(&used.replace("vault", "never"), unused);
        assert!(!used.contains("secret"), "{used}");
    }
    let codes = [
        "read_denied",
        "read_denied",
        "read_denied",
        "write_denied",
        "not_joined",
        "403 ",
        "403 ",
        "403 read_denied ",
        "403 read_denied ",
        "403 read_denied ",
        "403 write_denied ",
        "403 moderate_denied ",
        "403 read_denied ",
        "403 read_denied ",
        "403 read_denied ",
        "403 write_denied ",
        "401 token_required ",
    ];
    assert_eq!(used.len(), codes.len());
    for (told, code) in used.iter().zip(codes) {
        assert!(told.contains(code), "{code}: {told}");
    }
}

/// AC-5: rights are independent: a token for writing alone cannot read, one for reading alone cannot write.
#[tokio::test]
async fn rights_are_apart() {
    let guarded = Guarded::start(&["--guests", "off"]).await;
    let rooms = json!({"drop": ["write"], "news": ["read"]});
    let api = Caller::of(&guarded.server).showing(&token_for("ada", &rooms));
    let posted = api.post("drop", "k", &said("hello")).await;
    assert_eq!((posted.status, &posted.body["offset"]), (201, &json!(1)));
    for what in ["messages", "presence", "events"] {
        let denied = api.get(&format!("/rooms/drop/{what}")).await;
        assert_eq!(denied.problem(), (403, "read_denied"), "{what}");
    }
    for what in ["messages", "presence"] {
        let read = api.get(&format!("/rooms/news/{what}")).await;
        assert_eq!(read.status, 200, "{what}");
    }
    let denied = api.post("news", "k-2", &said("hello")).await;
    assert_eq!(denied.problem(), (403, "write_denied"));
    let read = Caller::of(&guarded.server).showing(&token("bob"));
    let heads = ["drop", "news"].map(|room| format!("/rooms/{room}/messages"));
    assert_eq!(read.get(&heads[0]).await.body["head"], 1);
    assert_eq!(read.get(&heads[1]).await.body["head"], 0);
}

/// `--tutorial off` refuses the tutorial's pages.
#[tokio::test]
async fn the_tutorial_can_be_off() {
    let server = TestServer::start(&["--tutorial", "off"]).await;
    let tutorial = Raw::open(server.address, "/", None).await;
    assert_eq!(refused(tutorial), 400);
    server.raw().await.hello().await;
}
