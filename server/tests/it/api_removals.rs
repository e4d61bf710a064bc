//! Redacting messages over HTTP.

use std::fs;

use reqwest::Method;
use rusqlite::Connection;
use serde_json::json;

use crate::caller::{Caller, moderator, publish, said};
use crate::guarded::{Guarded, token, token_for};
use crate::test_server::TestServer;

/// EO-8: a redacted text is removed everywhere, its offset stays, and clients that have it are notified.
#[tokio::test]
async fn a_removed_text_is_gone_everywhere() {
    let Guarded { server, .. } = &Guarded::start(&[]).await;
    let mut author = publish(server, 3).await;
    let mut reader = server.joined().await;
    for _ in 0..3 {
        reader.next_of("message").await;
    }
    let api = Caller::of(server).showing(&moderator());
    let gone = api.remove("lobby", 2).await;
    assert_eq!((gone.status, &gone.body), (204, &json!("")));
    assert_eq!(api.remove("lobby", 2).await.status, 204);

    // Members get the same message once more, without its text.
    let told = reader.next_of("message").await;
    assert_eq!(
        (&told["offset"], &told["body"], &told["removed"]),
        (&json!(2), &json!(""), &json!(true))
    );
    api.post("lobby", "k", &said("after")).await;
    assert_eq!(reader.next_of("message").await["body"], "after");
    // In history, in a replay, over HTTP, and on the page.
    reader
        .send(r#"{"type":"history","room":"lobby","before":4,"limit":10}"#)
        .await;
    let history = reader.next_of("history").await;
    assert_eq!(history["messages"][1]["removed"], true);
    assert!(!history.to_string().contains("body 2"));
    let mut late = server.joined().await;
    let replayed = [late.next_of("message").await, late.next_of("message").await];
    assert_eq!(
        (&replayed[0]["body"], &replayed[1]["removed"]),
        (&json!("body 1"), &json!(true))
    );
    let read = api.get("/rooms/lobby/messages").await;
    assert_eq!(read.bodies(), ["body 1", "", "body 3", "after"]);
    assert_eq!(read.body["messages"][1]["removed"], true);
    let page = reqwest::get(format!("http://{}/", server.address))
        .await
        .unwrap();
    let page = page.text().await.unwrap();
    assert!(page.contains("body 1") && !page.contains("body 2"));
    assert!(page.contains(">removed</p>"), "{page}");

    // A client that was away gets the redaction after `joined`; the author's `seq` counts as before.
    let epoch = read.body["epoch"].as_str().unwrap();
    let since = json!({"epoch": epoch, "offset": 3});
    let mut back = server.raw().await;
    back.hello().await;
    back.send(&json!({"type": "join", "room": "lobby", "since": since}).to_string())
        .await;
    assert_eq!(back.next_of("joined").await["recovered"], true);
    let told = [back.next_of("message").await, back.next_of("message").await];
    assert_eq!(
        (&told[0]["offset"], &told[0]["removed"]),
        (&json!(2), &json!(true))
    );
    assert_eq!(told[1]["offset"], 4);
    author.publish(2, "body 2").await;
    assert_eq!(author.next_of("ack").await["offset"], 2);
}

/// EO-8: while another program keeps the text in the database's files, the answer does not claim it is scrubbed.
#[tokio::test]
async fn a_text_that_stays_in_the_files_for_now_is_said_to() {
    let Guarded { server, .. } = &Guarded::start(&[]).await;
    publish(server, 1).await;
    let reader = Connection::open(server.database()).unwrap();
    reader.execute_batch("BEGIN").unwrap();
    let read = "SELECT count(*) FROM messages";
    reader.query_row(read, [], |_| Ok(())).unwrap();
    let api = Caller::of(server).showing(&moderator());
    for _ in 0..2 {
        assert_eq!(api.remove("lobby", 1).await.status, 202);
        assert_eq!(api.get("/rooms/lobby/messages").await.bodies(), [""]);
    }
    drop(reader);
    assert_eq!(api.remove("lobby", 1).await.status, 204);
    let files = fs::read_dir(server.database().parent().unwrap()).unwrap();
    for file in files.map(|file| file.unwrap().path()) {
        let bytes = fs::read(&file).unwrap_or_default();
        let is_there = bytes.windows(6).any(|bytes| bytes == b"body 1");
        assert!(!is_there, "{}", file.display());
    }
}

/// AC-5, EO-8: only a token with the right to moderate redacts; no other right suffices.
#[tokio::test]
async fn only_moderators_remove() {
    let guarded = Guarded::start(&["--guest-rooms", "*=rw"]).await;
    let server = &guarded.server;
    publish(server, 1).await;
    let own = token_for(
        "ada",
        &json!({"news": ["moderate"], "lobby": ["read", "write"]}),
    );
    let guest = Caller::of(server).remove("lobby", 1).await;
    assert_eq!(guest.problem(), (401, "token_required"));
    let open = TestServer::start(&[]).await;
    let nobody = Caller::of(&open).remove("lobby", 1).await;
    assert_eq!(nobody.problem(), (403, "moderate_denied"));
    for caller in [
        Caller::of(server).showing(&token("ada")),
        Caller::of(server).showing(&own),
    ] {
        let denied = caller.remove("lobby", 1).await;
        assert_eq!(denied.problem(), (403, "moderate_denied"));
    }
    let unknown = Caller::of(server)
        .showing("nonsense")
        .remove("lobby", 1)
        .await;
    assert_eq!(unknown.problem(), (401, "token_invalid"));
    let api = Caller::of(server).showing(&moderator());
    for (path, status, code) in [
        ("/rooms/lobby/messages/2", 404, "not_found"),
        ("/rooms/lobby/messages/0", 404, "not_found"),
        ("/rooms/other/messages/1", 404, "not_found"),
        ("/rooms/lobby/messages/x", 400, "bad_request"),
        ("/rooms/lobby/messages/9007199254740992", 400, "bad_request"),
        ("/rooms/Lobby/messages/1", 400, "bad_room"),
    ] {
        let refused = api.ask(Method::DELETE, path, None).await;
        assert_eq!(refused.problem(), (status, code), "{path}");
    }
    let cross = Caller::of(server)
        .showing(&moderator())
        .with("sec-fetch-site", "cross-site");
    assert_eq!(cross.remove("lobby", 1).await.problem(), (403, "forbidden"));
    assert_eq!(api.get("/rooms/lobby/messages").await.bodies(), ["body 1"]);
    assert_eq!(api.remove("lobby", 1).await.status, 204);
}
