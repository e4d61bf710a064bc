//! Limits and origins: what is refused, with which answer; other clients are not affected.

use crate::http::{HEADERS, OURS, ask, ask_raw, status};
use crate::raw::Raw;
use crate::test_server::TestServer;

/// The status of a request for a WebSocket with these headers beside the usual ones.
async fn asked(server: &TestServer, more: &[&str]) -> String {
    let head = ask(
        server.address,
        "GET /ws HTTP/1.1",
        &[&HEADERS[..], more].concat(),
    )
    .await;
    head.split(' ').nth(1).unwrap().to_owned()
}

/// Cross-site WebSocket hijacking: a browser sends its cookies whichever page opens the socket.
#[tokio::test]
async fn pages_of_other_sites_get_no_session() {
    let options = [
        "--allowed-origins",
        "https://app.example.org,http://other.example",
    ];
    let server = TestServer::start(&options).await;
    for (origin, status) in [
        ("Origin: http://localhost", "101"),
        ("Origin: https://app.example.org", "101"),
        ("X: Y", "101"),
        ("Origin: https://evil.example", "403"),
        ("Origin: null", "403"),
        ("Origin: http://localhost.evil.example", "403"),
        ("Origin: http://app.example.org", "403"),
    ] {
        assert_eq!(asked(&server, &[OURS, origin]).await, status, "{origin}");
    }
    // The tutorial's page may have any origin, also a file's: it is a guest of the tutorial's dialect alone.
    for origin in ["Origin: null", "Origin: https://evil.example"] {
        assert_eq!(asked(&server, &[origin]).await, "101", "{origin}");
    }
}

/// Two spellings of one origin and host are equal. In a proxy's list of schemes the first one counts.
#[tokio::test]
async fn forms_of_one_origin_are_one() {
    let server = TestServer::start(&[]).await;
    let asked = async |line: &str, headers: &[&str]| {
        let head = ask(server.address, line, headers).await;
        head.split(' ').nth(1).unwrap().to_owned()
    };
    let upgrade = &HEADERS[1..];
    for (host, origin, socket, form) in [
        (
            "Host: Localhost:80",
            "Origin: http://localhost",
            "101",
            "405",
        ),
        (
            "Host: localhost:443",
            "Origin: https://localhost",
            "101",
            "405",
        ),
        ("Host: localhost.", "Origin: http://localhost", "101", "405"),
        (
            "Host: localhost:81",
            "Origin: http://localhost",
            "403",
            "403",
        ),
    ] {
        let headers = [upgrade, &[OURS, host, origin]].concat();
        assert_eq!(asked("GET /ws HTTP/1.1", &headers).await, socket, "{host}");
        let headers = [host, origin, "Content-Length: 0"];
        assert_eq!(asked("POST / HTTP/1.1", &headers).await, form, "{host}");
    }
    for (said, is_secure) in [
        (&["X-Forwarded-Proto: https, http"][..], true),
        (
            &["X-Forwarded-Proto: https", "X-Forwarded-Proto: http"],
            true,
        ),
        (&["X-Forwarded-Proto: http, https"], false),
    ] {
        let headers = [&["Host: localhost"], said].concat();
        let head = ask(server.address, "GET / HTTP/1.1", &headers).await;
        let cookie = head.lines().find(|line| line.starts_with("set-cookie:"));
        assert_eq!(cookie.unwrap().contains("; secure"), is_secure, "{said:?}");
    }
}

#[tokio::test]
async fn other_sites_send_no_forms() {
    let server = TestServer::start(&[]).await;
    let post = async |more: &[&str]| {
        let headers = [&["Host: localhost", "Content-Length: 0"], more].concat();
        let head = ask(server.address, "POST / HTTP/1.1", &headers).await;
        head.split(' ').nth(1).unwrap().to_owned()
    };
    assert_eq!(
        post(&["Sec-Fetch-Site: cross-site", "Origin: https://evil.example"]).await,
        "403"
    );
    assert_eq!(post(&["Origin: https://evil.example"]).await, "403");
    assert_eq!(post(&["Origin: null"]).await, "403");
    for allowed in ["Sec-Fetch-Site: same-origin", "X: Y"] {
        assert_eq!(post(&[allowed]).await, "405", "{allowed}");
    }
}

/// Each address has a limit of connections. A trusted proxy's header names the address; other peers' headers
/// are ignored.
#[tokio::test]
async fn an_address_holds_only_so_many_connections() {
    let server = TestServer::start(&["--connections-per-address", "2"]).await;
    let open = async |from: &str| {
        let headers = [("x-forwarded-for", from)];
        Raw::open_with(server.address, "/ws", Some("everbeat.v1"), &headers).await
    };
    let mut held = Vec::new();
    for from in ["1.1.1.1", "9.9.9.9, 1.1.1.1", "2001:db8::1", "2001:db8::2"] {
        held.push(open(from).await.unwrap());
    }
    for from in ["1.1.1.1", "2001:db8::3"] {
        assert!(open(from).await.is_err(), "{from}");
    }
    let from = "X-Forwarded-For: 1.1.1.1";
    let head = ask(
        server.address,
        "GET /ws HTTP/1.1",
        &[&HEADERS[..], &[from]].concat(),
    )
    .await;
    assert!(
        head.starts_with("http/1.1 503 ") && head.contains("retry-after: 5"),
        "{head}"
    );
    assert_eq!(server.limited("connections_per_address").await, 3.0);
    // Other addresses are served, and so is this one after it closed a connection.
    assert!(open("2.2.2.2").await.is_ok());
    held[0].hello().await;
    drop(held.remove(0));
    while open("1.1.1.1").await.is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_address_asks_only_so_often() {
    let server = TestServer::start(&["--requests-per-address", "1"]).await;
    let asks = async |path: &str, from: &str| {
        let headers = ["Host: localhost", from];
        ask(server.address, &format!("GET {path} HTTP/1.1"), &headers).await
    };
    let mut refused = 0;
    for _ in 0..20 {
        let head = asks("/favicon.svg", "X-Forwarded-For: 1.1.1.1").await;
        if head.starts_with("http/1.1 429 ") {
            assert!(head.contains("retry-after: 1"), "{head}");
            refused += 1;
        }
    }
    assert!((5..=10).contains(&refused), "{refused}");
    let counted = server.limited("requests_per_address").await;
    assert_eq!(counted, f64::from(refused));
    for (path, from) in [
        ("/healthz", "X-Forwarded-For: 1.1.1.1"),
        ("/healthz", "X: Y"),
        ("/favicon.svg", "X-Forwarded-For: 2.2.2.2"),
        ("/favicon.svg", "X: Y"),
    ] {
        let head = asks(path, from).await;
        assert!(!head.starts_with("http/1.1 429 "), "{path} {from}: {head}");
    }
}

/// All spellings of a gateway's headers are read; requests for which it names no address have a limit, too.
#[tokio::test]
async fn no_address_is_without_a_limit() {
    let server = TestServer::start(&["--requests-per-address", "1"]).await;
    let refused = async |said: &[&str]| {
        let mut refused = 0;
        for number in 0..20 {
            let said = said[number % said.len()];
            let headers = ["Host: localhost", said];
            let head = ask(server.address, "GET /favicon.svg HTTP/1.1", &headers).await;
            refused += i32::from(head.starts_with("http/1.1 429 "));
        }
        refused
    };
    for said in [
        &[
            "X-Forwarded-For: 203.0.113.9:4711",
            "X-Forwarded-For: 203.0.113.9:4712",
            "X-Forwarded-For: \"203.0.113.9\";",
        ][..],
        &[
            "X-Forwarded-For: [2001:db8::1]:1",
            "X-Forwarded-For: 2001:db8::2%eth0,",
        ],
        &[
            "X-Forwarded-For: unknown",
            "X-Forwarded-For: 6.6.6.6, _hidden",
            "X-Forwarded-For: ,",
        ],
    ] {
        let refused = refused(said).await;
        assert!((5..=10).contains(&refused), "{said:?}: {refused}");
    }
    // A program on this machine that requests for itself, without such a header, is not limited.
    assert_eq!(refused(&["X: Y"]).await, 0);
}

/// RC-7: hellos are admitted in order, at a rate; one that would wait too long gets the time of its next try.
#[tokio::test]
async fn a_crowd_is_let_in_one_after_the_other() {
    let server = TestServer::start(&["--hellos", "4", "--hello-queue", "300ms"]).await;
    let mut crowd = Vec::new();
    for _ in 0..4 {
        crowd.push(server.raw().await);
    }
    for raw in &mut crowd {
        raw.send(r#"{"type":"hello"}"#).await;
    }
    let mut outcomes = Vec::new();
    for raw in &mut crowd {
        let frame = raw.next_frame().await;
        let slot = frame["retry_after_ms"].as_u64();
        outcomes.push((frame["type"].as_str().unwrap().to_owned(), slot));
        if slot.is_some() {
            assert_eq!(frame["code"], "busy");
            assert_eq!(raw.end().await.0, Some(1013));
        }
    }
    let welcomed = outcomes
        .iter()
        .filter(|(kind, _)| kind == "welcome")
        .count();
    let mut slots: Vec<u64> = outcomes.iter().filter_map(|(_, slot)| *slot).collect();
    slots.sort_unstable();
    assert_eq!((welcomed, slots.len()), (2, 2), "{outcomes:?}");
    assert!(slots[0] > 300 && slots[1] > slots[0] + 200, "{slots:?}");
    assert_eq!(server.limited("hellos").await, 2.0);
}

/// EO-7: a user's sessions share one rate; messages over it are refused for now, and none is lost.
#[tokio::test]
async fn a_person_publishes_only_so_fast_over_all_sessions() {
    let server = TestServer::start(&["--publishes-per-person", "1"]).await;
    let page = reqwest::get(format!("http://{}/", server.address))
        .await
        .unwrap();
    let cookie = page.headers()["set-cookie"].to_str().unwrap().to_owned();
    let cookie = cookie.split(';').next().unwrap();
    let headers = [("cookie", cookie)];
    let mut held = 0;
    for _ in 0..3 {
        let ours = Some("everbeat.v1");
        let mut raw = Raw::open_with(server.address, "/ws", ours, &headers)
            .await
            .unwrap();
        raw.hello().await;
        for seq in 1..=3 {
            raw.publish(seq, "hello").await;
            let frame = raw.next_frame().await;
            if frame["type"] == "error" {
                assert_eq!(frame["code"], "rate_limited");
                assert!(
                    frame["retry_after_ms"].as_u64().unwrap() <= 1_001,
                    "{frame}"
                );
                held += 1;
                break;
            }
            assert_eq!(frame["type"], "ack");
        }
    }
    assert!(held >= 1, "no message was held back");
    let counted = server.limited("publishes_per_person").await;
    assert_eq!(counted, f64::from(held));
    // Another user is not affected.
    let mut other = server.raw().await;
    other.hello().await;
    other.publish(1, "hello").await;
    other.next_of("ack").await;
}

/// The page's security headers: scripts of this server alone, no sniffing, no framing.
#[tokio::test]
async fn browsers_are_told_what_to_refuse() {
    let server = TestServer::start(&["--token-url", "https://id.example.org/token"]).await;
    let nonce = async || {
        let page = reqwest::get(format!("http://{}/", server.address))
            .await
            .unwrap();
        let policy = page.headers()["content-security-policy"]
            .to_str()
            .unwrap()
            .to_owned();
        let body = page.text().await.unwrap();
        assert!(
            policy.contains("connect-src 'self' https://id.example.org"),
            "{policy}"
        );
        assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe-inline"));
        let nonce = policy
            .split("'nonce-")
            .nth(1)
            .unwrap()
            .split('\'')
            .next()
            .unwrap();
        for script in body.split("<script").skip(1) {
            assert!(
                script.contains(&format!("nonce=\"{nonce}\"")),
                "{script:.200}"
            );
        }
        nonce.to_owned()
    };
    assert_ne!(nonce().await, nonce().await);
    for path in ["/", "/healthz", "/nowhere", "/favicon.svg"] {
        let answer = reqwest::get(format!("http://{}{path}", server.address))
            .await
            .unwrap();
        let headers = answer.headers();
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(headers["x-frame-options"], "DENY", "{path}");
        assert!(headers.contains_key("content-security-policy"), "{path}");
        assert!(!headers.contains_key("server"), "{path}");
    }
}

/// Request smuggling (RFC 9112 sections 3.2 and 6.1): a request whose host or length a proxy may read in
/// another way is refused, or is the last one on its connection.
#[tokio::test]
async fn ambiguous_requests_are_refused_or_the_last() {
    let server = TestServer::start(&[]).await;
    for address in [server.address, server.admin] {
        for hosts in [
            &[][..],
            &["Host: localhost", "Host: localhost"],
            &["Host: a b"],
        ] {
            let answer = ask(address, "GET /healthz HTTP/1.1", hosts).await;
            assert_eq!(status(&answer), 400, "{hosts:?}: {answer}");
        }
    }
    let old = ask(server.address, "GET /healthz HTTP/1.0", &["Accept: */*"]).await;
    assert_eq!(status(&old), 200, "{old}");
    let chunked = "Transfer-Encoding: chunked\r\n";
    for lengths in [
        format!("Content-Length: 5\r\n{chunked}"),
        format!("{chunked}Content-Length: 5\r\n"),
    ] {
        let next = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
        let request = format!(
            "POST /api/rooms/lobby/messages HTTP/1.1\r\nHost: localhost\r\n{lengths}\r\n0\r\n\r\n{next}"
        );
        // The request has an answer, and the connection ends after it.
        let answers = ask_raw(server.address, &request).await;
        assert_eq!(answers.matches("HTTP/1.1").count(), 1, "{answers}");
        assert!(
            answers.to_lowercase().contains("connection: close"),
            "{answers}"
        );
    }
}
