//! Rooms that are closed to somebody, by every way that there is.

use serde_json::{Value, json};

use crate::guarded::{Guarded, join, token, token_for};
use crate::raw::Raw;
use crate::test_server::TestServer;

/// AC-5: a room outside the grant, by every way that there is.
#[tokio::test]
async fn a_closed_room_is_closed_everywhere() {
    let guarded = Guarded::start(&["--guest-rooms", "lobby=rw"]).await;
    let rooms = json!({"team-*": ["read", "write"], "news": ["read"]});
    let ada = token_for("ada", &rooms);
    let (mut editor, _) = guarded.hello(&token("editor"), &Value::Null).await;
    for (seq, room) in [(1, "lobby"), (2, "news")] {
        let body = format!("secret of {room}");
        let publish = json!({"type": "publish", "seq": seq, "room": room, "body": body});
        editor.send(&publish.to_string()).await;
        editor.next_of("ack").await;
    }
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
    ] {
        raw.send(&frame.to_string()).await;
        let error = raw.next_frame().await;
        assert_eq!(
            (&error["type"], &error["code"]),
            (&json!("error"), &json!(code)),
            "{frame}"
        );
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
    assert!(Raw::open(address, "/?room=news", None).await.is_err());
    assert!(Raw::open(address, "/?room=lobby", None).await.is_ok());
}

/// The tutorial's pages can be shut out.
#[tokio::test]
async fn the_tutorial_can_be_off() {
    let server = TestServer::start(&["--tutorial", "off"]).await;
    assert!(Raw::open(server.address, "/", None).await.is_err());
    server.raw().await.hello().await;
}
