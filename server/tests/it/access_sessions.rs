//! The owner of a session, and the owner's name.

use serde_json::{Value, json};

use crate::guarded::{Guarded, join, page, token};
use crate::raw::Raw;
use crate::test_server::TestServer;

/// AC-3, RS-2: only the owner resumes a session, and only with its key: not another subject with the key,
/// not the owner without it, and not a guest.
#[tokio::test]
async fn a_stolen_session_opens_nothing() {
    let guarded = Guarded::start(&[]).await;
    let (ada, bob) = (token("ada"), token("bob"));
    let (mut raw, welcome) = guarded.hello(&ada, &Value::Null).await;
    let session = welcome["session"].clone();
    raw.publish(1, "private").await;
    raw.next_of("ack").await;
    // While the owner is connected, another subject does not take the session over (RS-4).
    let (_, welcome) = guarded.hello(&bob, &session).await;
    assert_eq!(welcome["resumed"], false);
    assert_ne!(welcome["session"]["id"], session["id"]);
    raw.publish(2, "still here").await;
    assert_eq!(raw.next_of("ack").await["offset"], 2);
    raw.send(r#"{"type":"ping"}"#).await;
    raw.next_of("pong").await;
    drop(raw);
    let without_key = json!({"id": session["id"], "key": "0123456789abcdef"});
    for (token, session) in [(&bob, &session), (&ada, &without_key)] {
        let (_, welcome) = guarded.hello(token, session).await;
        assert_eq!(welcome["resumed"], false);
        assert_ne!(welcome["session"]["id"], session["id"]);
        assert_eq!(welcome["last_seq"], 0);
    }
    let mut guest = guarded.server.raw().await;
    guest
        .send(&json!({"type": "hello", "session": session}).to_string())
        .await;
    assert_eq!(guest.next_of("welcome").await["resumed"], false);
    let (_, welcome) = guarded.hello(&ada, &session).await;
    assert_eq!(
        (&welcome["resumed"], &welcome["last_seq"]),
        (&json!(true), &json!(2))
    );
}

/// RS-2: a session's id without its key, or the reverse, is a bad frame.
#[tokio::test]
async fn a_session_without_its_key_is_no_frame() {
    let server = TestServer::start(&[]).await;
    let mut owner = server.raw().await;
    let session = owner.hello().await["session"].clone();
    let (id, key) = (&session["id"], &session["key"]);
    for half in [
        json!({"id": id}),
        json!({"key": key}),
        json!({"id": id, "key": null}),
        json!({"id": id, "key": 7}),
        json!({}),
        id.clone(),
    ] {
        let mut raw = server.raw().await;
        raw.send(&json!({"type": "hello", "session": half}).to_string())
            .await;
        let end = (Some(4101), vec!["bad_frame".to_owned()]);
        assert_eq!(raw.end().await, end, "{half}");
    }
    // An id or a key out of bounds counts as a wrong one: a fresh session, no error.
    for wrong in [
        json!({"id": id, "key": ""}),
        json!({"id": id, "key": "x".repeat(65)}),
        json!({"id": "with blanks", "key": key}),
    ] {
        let mut raw = server.raw().await;
        raw.send(&json!({"type": "hello", "session": wrong}).to_string())
            .await;
        let welcome = raw.next_of("welcome").await;
        assert_eq!(welcome["resumed"], false, "{wrong}");
        assert_ne!(welcome["session"]["id"], *id, "{wrong}");
    }
    owner.send(r#"{"type":"ping"}"#).await;
    owner.next_of("pong").await;
}

/// AC-4: a name in `hello` or `rename` changes nothing where a token vouches for one; a guest's name is
/// marked, whatever characters it has.
#[tokio::test]
async fn names_cannot_be_forged() {
    let guarded = Guarded::start(&[]).await;
    let (mut ada, _) = guarded.hello(&token("Ada"), &Value::Null).await;
    ada.send(r#"{"type":"rename","name":"Root"}"#).await;
    assert_eq!(join(&mut ada, "lobby").await["members"][0]["name"], "Ada");
    for name in [
        "Ada",
        "\u{410}da",
        "Ada\u{202e}",
        "\u{200b}Ada",
        "<b>Ada</b>",
    ] {
        let mut guest = guarded.server.raw().await;
        guest
            .send(&json!({"type": "hello", "name": name}).to_string())
            .await;
        guest.next_of("welcome").await;
        let joined = join(&mut guest, "lobby").await;
        let names: Vec<&str> = joined["members"]
            .as_array()
            .unwrap()
            .iter()
            .map(|member| member["name"].as_str().unwrap())
            .collect();
        let guests = names.iter().filter(|name| name.ends_with(" (guest)"));
        assert_eq!(guests.count() + 1, names.len(), "{names:?}");
        assert!(
            names
                .iter()
                .all(|name| !name.contains(['\u{202e}', '\u{200b}']))
        );
        guest.send(r#"{"type":"leave","room":"lobby"}"#).await;
    }
}

/// AC-3: the page sets a guest's cookie. A guest's session is resumed by its key alone: with another cookie,
/// a broken one, or none.
#[tokio::test]
async fn a_guest_is_somebody_over_all_connections() {
    let server = TestServer::start(&[]).await;
    let (status, _, cookie) = page(&server, "/", "").await;
    let cookie = cookie.unwrap();
    assert_eq!(status, 200);
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"),
        "{cookie}"
    );
    let cookie = cookie.split(';').next().unwrap().to_owned();
    assert_eq!(page(&server, "/", &cookie).await.2, None);
    let hello = async |cookie: &str, session: &Value| {
        let headers = [("cookie", cookie)];
        let ours = Some("everbeat.v1");
        let mut raw = Raw::open_with(server.address, "/ws", ours, &headers)
            .await
            .unwrap();
        raw.send(&json!({"type": "hello", "session": session}).to_string())
            .await;
        raw.next_of("welcome").await
    };
    let first = hello(&cookie, &Value::Null).await;
    let again = hello(&cookie, &first["session"]).await;
    assert_eq!(again["resumed"], true);
    let other = page(&server, "/", "").await.2.unwrap();
    let other = other.split(';').next().unwrap().to_owned();
    for cookie in [&*other, "everbeat-guest=x.y.z", "a=b", &cookie] {
        let welcome = hello(cookie, &first["session"]).await;
        assert_eq!(welcome["resumed"], true, "{cookie}");
        let without_key = json!({"id": first["session"]["id"], "key": "0123456789abcdef"});
        assert_eq!(hello(cookie, &without_key).await["resumed"], false);
    }
    // A session that began without a cookie is resumed with one.
    let begun = hello("a=b", &Value::Null).await;
    assert_eq!(hello(&cookie, &begun["session"]).await["resumed"], true);
}

/// AC-3: a subject does not resume a guest's session: who signs in gets a fresh one.
#[tokio::test]
async fn a_guests_session_does_not_become_a_subjects() {
    let guarded = Guarded::start(&[]).await;
    let mut guest = guarded.server.raw().await;
    let session = guest.hello().await["session"].clone();
    guest.publish(1, "as a guest").await;
    guest.next_of("ack").await;
    drop(guest);
    let (_, welcome) = guarded.hello(&token("ada"), &session).await;
    assert_eq!(welcome["resumed"], false);
    assert_ne!(welcome["session"]["id"], session["id"]);
}
