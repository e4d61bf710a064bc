//! Pages of other sites: they can neither use nor read anything of the user in whose browser they run.

use reqwest::Method;

use crate::caller::{Answer, Caller, moderator, publish, said};
use crate::guarded::Guarded;
use crate::raw::{Raw, refused};
use crate::test_server::TestServer;

/// The headers that browsers add to requests of other sites' pages.
const FOREIGN: [(&str, &str); 4] = [
    ("sec-fetch-site", "cross-site"),
    ("sec-fetch-site", "same-site"),
    ("origin", "https://evil.example"),
    // A page in a file, or in a sandboxed frame.
    ("origin", "null"),
];

/// Another site's page can neither publish nor redact as the user of its browser.
#[tokio::test]
async fn another_sites_page_changes_nothing() {
    let options = ["--allowed-origins", "https://app.example.org"];
    let Guarded { server, .. } = &Guarded::start(&options).await;
    publish(server, 1).await;
    let with = |name, value: &str| {
        let caller = Caller::of(server).showing(&moderator());
        caller.with(name, value)
    };
    for (name, value) in FOREIGN {
        let caller = with(name, value);
        let refused = caller.post("lobby", "k", &said("x")).await;
        assert_eq!(refused.problem(), (403, "forbidden"), "{name}: {value}");
        let refused = caller.remove("lobby", 1).await;
        assert_eq!(refused.problem(), (403, "forbidden"), "{name}: {value}");
    }
    let read = with("x", "y").get("/rooms/lobby/messages").await;
    assert_eq!(read.bodies(), ["body 1"]);

    // Our own pages, pages of allowed origins, and programs that are no browser may.
    let own = format!("http://{}", server.address);
    for (offset, (name, value)) in (2..).zip([
        ("origin", &*own),
        ("sec-fetch-site", "same-origin"),
        ("origin", "https://app.example.org"),
        ("x", "y"),
    ]) {
        let caller = with(name, value);
        let posted = caller.post("lobby", value, &said("x")).await;
        assert_eq!(posted.status, 201, "{name}: {value}");
        assert_eq!(posted.body["offset"], offset);
        assert_eq!(caller.remove("lobby", offset).await.status, 204);
    }
}

/// A read is answered, but without CORS headers: a browser does not let the other site's page read it.
#[tokio::test]
async fn another_sites_page_reads_nothing() {
    let options = ["--allowed-origins", "https://app.example.org"];
    let server = TestServer::start(&options).await;
    let unread = |answer: &Answer| {
        let mut names = answer.headers.keys().map(|name| name.as_str());
        assert!(names.all(|name| !name.starts_with("access-control-")));
        assert_eq!(answer.header("cross-origin-resource-policy"), "same-origin");
    };
    for (name, value) in FOREIGN {
        let caller = Caller::of(&server).with(name, value);
        for path in ["/rooms/lobby/messages", "/rooms/lobby/presence"] {
            let answer = caller.get(path).await;
            assert_eq!(answer.status, 200, "{name}: {value}");
            unread(&answer);
        }
        // A browser's preflight (Fetch, section 3.3.2).
        let caller = caller.with("access-control-request-method", "DELETE");
        let path = "/rooms/lobby/messages/1";
        let answer = caller.ask(Method::OPTIONS, path, None).await;
        assert_eq!(answer.problem(), (405, "method_not_allowed"));
        unread(&answer);
    }
}

/// The page's address takes WebSockets, too: our dialect checks the origin there as well.
#[tokio::test]
async fn another_sites_page_gets_no_session_at_the_pages_address() {
    let server = TestServer::start(&[]).await;
    let ours = Some("everbeat.v1");
    for path in ["/", "/ws"] {
        for origin in ["https://evil.example", "null"] {
            let headers = [("origin", origin)];
            let opened = Raw::open_with(server.address, path, ours, &headers).await;
            assert_eq!(refused(opened), 403, "{path} {origin}");
        }
        assert_eq!(server.hub.connections(), 0);
        let own = format!("http://{}", server.address);
        for headers in [&[("origin", &*own)][..], &[]] {
            let opened = Raw::open_with(server.address, path, ours, headers).await;
            assert_eq!(opened.unwrap().hello().await["resumed"], false);
        }
        while server.hub.connections() > 0 {
            tokio::task::yield_now().await;
        }
    }
}
