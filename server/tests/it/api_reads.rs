//! Reading over HTTP: messages and presence.

use serde_json::{Value, json};

use crate::caller::{Caller, publish};
use crate::guarded::{Guarded, claims, sign, token, token_for};
use crate::test_server::TestServer;

/// RS-5: messages are read in pages, before or after any offset.
#[tokio::test]
async fn messages_are_read_in_pages() {
    let server = TestServer::start(&["--history-page", "5"]).await;
    publish(&server, 12).await;
    let api = Caller::of(&server);
    let newest = api.get("/rooms/lobby/messages").await;
    assert_eq!(
        (newest.status, newest.header("cache-control")),
        (200, "no-store")
    );
    assert_eq!(newest.offsets(), [8, 9, 10, 11, 12]);
    assert_eq!(newest.bodies()[4], "body 12");
    assert_eq!(
        (&newest.body["head"], &newest.body["more"]),
        (&json!(12), &json!(true))
    );
    let message = &newest.body["messages"][0];
    assert!(message["session"].is_string() && message["at_ms"].as_u64() > Some(0));
    assert_eq!(
        (&message["seq"], &message["room"]),
        (&json!(8), &Value::Null)
    );

    let checks = [
        ("after=0", &[1, 2, 3, 4, 5][..], true),
        ("after=10", &[11, 12], false),
        ("after=12", &[], false),
        ("after=2&limit=2", &[3, 4], true),
        ("after=2&before=5", &[3, 4], false),
        ("after=2&before=20", &[3, 4, 5, 6, 7], true),
        ("before=4", &[1, 2, 3], false),
        ("before=9&limit=3", &[6, 7, 8], true),
        ("before=0", &[], false),
        ("limit=4000000000", &[8, 9, 10, 11, 12], true),
    ];
    for (which, offsets, more) in checks {
        let page = api.get(&format!("/rooms/lobby/messages?{which}")).await;
        assert_eq!(page.offsets(), offsets, "{which}");
        assert_eq!(page.body["more"], more, "{which}");
        assert_eq!(page.body["gap"], false, "{which}");
    }
    let empty = api.get("/rooms/empty/messages").await;
    assert_eq!((empty.offsets(), &empty.body["head"]), (vec![], &json!(0)));
}

/// RS-6: a page that does not follow the caller's position says `gap`.
#[tokio::test]
async fn a_gap_is_told() {
    let server = TestServer::start(&["--history", "1"]).await;
    publish(&server, 70).await;
    let api = Caller::of(&server);
    let newest = api.get("/rooms/lobby/messages?limit=1").await;
    let epoch = newest.body["epoch"].as_str().unwrap();
    let checks = [
        ("after=3".to_owned(), true),
        ("after=69".to_owned(), false),
        (format!("after=69&epoch={epoch}"), false),
        ("after=69&epoch=another".to_owned(), true),
        ("after=71".to_owned(), true),
    ];
    for (which, gap) in checks {
        let page = api.get(&format!("/rooms/lobby/messages?{which}")).await;
        assert_eq!(page.body["gap"], gap, "{which}");
        assert_eq!(page.offsets().last(), Some(&70), "{which}");
    }
}

/// AC-1, AC-5: requests are authenticated and authorized as sockets and pages are.
#[tokio::test]
async fn rooms_are_read_by_who_may_read_them() {
    let guarded = Guarded::start(&["--guests", "off"]).await;
    let read = async |caller: Caller, room: &str| {
        let path = format!("/rooms/{room}/messages");
        caller.get(&path).await
    };
    let nobody = read(Caller::of(&guarded.server), "lobby").await;
    assert_eq!(nobody.problem(), (401, "token_required"));
    assert_eq!(
        nobody.header("www-authenticate"),
        r#"Bearer realm="everbeat""#
    );
    let mut old = claims("ada", std::time::Duration::ZERO);
    old["exp"] = json!(old["exp"].as_f64().unwrap() - 60.0);
    for (token, code) in [
        (sign(&old), "token_expired"),
        ("nonsense".to_owned(), "token_invalid"),
        (String::new(), "token_invalid"),
        ("with blanks in it".to_owned(), "token_invalid"),
    ] {
        let answer = read(Caller::of(&guarded.server).showing(&token), "lobby").await;
        assert_eq!(answer.problem(), (401, code), "{token}");
        assert!(answer.header("www-authenticate").contains("invalid_token"));
    }
    let news = token_for("ada", &json!({"news": ["read"], "drop": ["write"]}));
    for (room, status) in [("news", 200), ("drop", 403), ("lobby", 403)] {
        let answer = read(Caller::of(&guarded.server).showing(&news), room).await;
        assert_eq!(answer.status, status, "{room}");
        if status == 403 {
            assert_eq!(answer.problem().1, "read_denied");
        }
    }
    // A browser's token comes in a cookie; an `Authorization` header beside it counts first.
    let cookie = format!("everbeat-token={}", token("ada"));
    let by_cookie = Caller::of(&guarded.server).with("cookie", &cookie);
    assert_eq!(by_cookie.get("/rooms/lobby/messages").await.status, 200);
    let both = by_cookie.showing("nonsense");
    assert_eq!(both.get("/rooms/lobby/messages").await.status, 401);
    // The scheme's name in any case; another scheme is refused.
    for (shown, status) in [
        (format!("bEARER {}", token("ada")), 200),
        ("Basic YWRhOmFkYQ==".to_owned(), 401),
    ] {
        let caller = Caller::of(&guarded.server).with("authorization", &shown);
        assert_eq!(caller.get("/rooms/lobby/messages").await.status, status);
    }
}

/// PR-1, PR-3: the members of a room, and their count.
#[tokio::test]
async fn presence_tells_who_is_there() {
    let server = TestServer::start(&["--members-named", "2"]).await;
    let api = Caller::of(&server);
    let nobody = api.get("/rooms/lobby/presence").await;
    let expected = json!({"room": "lobby", "count": 0, "members": []});
    assert_eq!((nobody.status, nobody.body), (200, expected));
    let raws = [
        server.joined().await,
        server.joined().await,
        server.joined().await,
    ];
    let here = api.get("/rooms/lobby/presence").await;
    assert_eq!(here.body["count"], 3);
    let members = here.body["members"].as_array().unwrap();
    assert_eq!(members.len(), 2, "in a crowd some are named");
    assert!(
        members
            .iter()
            .all(|m| m["name"].is_string() && m["session"].is_string())
    );
    assert_eq!(api.get("/rooms/other/presence").await.body["count"], 0);
    drop(raws);
    let odd = api.get("/rooms/Lobby/presence").await;
    assert_eq!(odd.problem(), (400, "bad_room"));
    let guarded = Guarded::start(&["--guest-rooms", "news=r"]).await;
    let denied = Caller::of(&guarded.server)
        .get("/rooms/lobby/presence")
        .await;
    assert_eq!(denied.problem(), (403, "read_denied"));
}
