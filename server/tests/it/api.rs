//! The HTTP API as a whole: its paths, its refusals, its document.

use reqwest::Method;

use crate::caller::Caller;
use crate::http::get_raw;
use crate::test_server::TestServer;

/// Malformed paths and queries reach nothing else of the server; each gets a problem document (RFC 9457).
#[tokio::test]
async fn odd_paths_are_problems() {
    let server = TestServer::start(&[]).await;
    for (path, status, code) in [
        ("/api/rooms/Lobby/messages", 400, "bad_room"),
        ("/api/rooms/../messages", 400, "bad_room"),
        ("/api/rooms/%2e%2e/messages", 400, "bad_room"),
        (
            "/api/rooms/%2e%2e%2f%2e%2e%2fetc%2fpasswd/messages",
            400,
            "bad_room",
        ),
        ("/api/rooms/%00/messages", 400, "bad_room"),
        ("/api/rooms/%ff%fe/messages", 400, "bad_room"),
        ("/api/rooms/%zz/messages", 400, "bad_room"),
        ("/api/rooms/%252e%252e/messages", 400, "bad_room"),
        ("/api/rooms/..%5c..%5csecret.txt/messages", 400, "bad_room"),
        ("/api/rooms/..\\secret.txt/messages", 400, "bad_room"),
        ("/api/rooms/%c0%ae%c0%ae/messages", 400, "bad_room"),
        ("/api/rooms/lobby%00.png/messages", 400, "bad_room"),
        ("/api/rooms/l%d0%bebby/messages", 400, "bad_room"),
        ("/api/rooms/%3Cscript%3E/messages", 400, "bad_room"),
        (
            &format!("/api/rooms/{}/messages", "a".repeat(65)),
            400,
            "bad_room",
        ),
        ("/api/rooms//messages", 400, "bad_room"),
        ("/api/rooms/lobby/../../../etc/passwd", 404, "not_found"),
        ("/api/../../../etc/passwd", 404, "not_found"),
        ("/api/rooms/lobby", 404, "not_found"),
        ("/api/", 404, "not_found"),
        ("/api", 404, "not_found"),
        ("/api/rooms/lobby/messages?after=x", 400, "bad_request"),
        ("/api/rooms/lobby/messages?after=-1", 400, "bad_request"),
        (
            "/api/rooms/lobby/messages?after=9007199254740992",
            400,
            "bad_request",
        ),
        (
            "/api/rooms/lobby/messages?after=1&after=2",
            400,
            "bad_request",
        ),
        ("/api/rooms/lobby/messages?limit=0", 400, "bad_request"),
        (
            "/api/rooms/lobby/messages?limit=4294967296",
            400,
            "bad_request",
        ),
        ("/api/rooms/lobby/messages?before=", 400, "bad_request"),
    ] {
        let answer = get_raw(server.address, path).await;
        assert_eq!(crate::http::status(&answer), status, "{path}: {answer}");
        assert!(!answer.contains("<script>"), "{path}: {answer}");
        assert!(
            answer.contains("application/problem+json"),
            "{path}: {answer}"
        );
        assert!(
            answer.contains(&format!("\"code\":\"{code}\"")),
            "{path}: {answer}"
        );
    }
}

/// Refusals from layers in front of the API (method, rate) are problem documents, too.
#[tokio::test]
async fn what_others_refuse_is_a_problem() {
    let server = TestServer::start(&["--requests-per-address", "1"]).await;
    let api = Caller::of(&server);
    let wrong = api.ask(Method::PUT, "/rooms/lobby/messages", None).await;
    assert_eq!(wrong.problem(), (405, "method_not_allowed"));
    assert!(wrong.header("allow").contains("GET"), "{wrong:?}");
    let elsewhere = api.with("x-forwarded-for", "192.0.2.7");
    let mut statuses = Vec::new();
    for _ in 0..12 {
        let answer = elsewhere.get("/rooms/lobby/messages").await;
        if answer.status == 429 {
            assert_eq!(answer.problem(), (429, "rate_limited"));
            assert_ne!(answer.header("retry-after"), "");
        }
        statuses.push(answer.status);
    }
    assert!(statuses.contains(&429), "{statuses:?}");
}

/// The OpenAPI document lists all operations; each of its paths is served.
#[tokio::test]
async fn the_document_tells_what_there_is() {
    let server = TestServer::start(&[]).await;
    let api = Caller::of(&server);
    let document = api.get("/openapi.json").await;
    assert_eq!(
        (document.status, document.header("content-type")),
        (200, "application/json")
    );
    let document = document.body;
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    assert_eq!(
        document["components"]["securitySchemes"]["token"]["scheme"],
        "bearer"
    );
    let paths = document["paths"].as_object().unwrap();
    let mut operations = Vec::new();
    for (path, item) in paths {
        for method in item.as_object().unwrap().keys() {
            operations.push(format!("{method} {path}"));
            let is_served = path.replace("{room}", "lobby").replace("{offset}", "1");
            if path.ends_with("/events") {
                // This answer does not end; `events.rs` tests it.
                continue;
            }
            let method = method.to_uppercase().parse().unwrap();
            let answer = api
                .ask(method, is_served.strip_prefix("/api").unwrap(), None)
                .await;
            assert_ne!(answer.status, 405, "{path}");
            if answer.status >= 400 {
                assert_ne!(answer.problem().1, "not_found", "{path}");
            }
        }
    }
    operations.sort();
    assert_eq!(
        operations,
        [
            "delete /api/rooms/{room}/messages/{offset}",
            "get /api/rooms/{room}/events",
            "get /api/rooms/{room}/messages",
            "get /api/rooms/{room}/presence",
            "get /api/sessions/{session}/trace",
            "post /api/rooms/{room}/messages",
        ]
    );
}
