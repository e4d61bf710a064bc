//! The opening handshake of a WebSocket: which requests are upgraded, and the status of the others.

use std::io::Write;

use flate2::Compression;
use flate2::write::DeflateEncoder;

use crate::http::{HEADERS, OURS, ask, begin, code_after, masked};
use crate::raw::{Raw, refused};
use crate::test_server::TestServer;

/// RFC 6455 section 4.2.2, with the example of its section 1.3.
#[tokio::test]
async fn a_browsers_request_is_accepted() {
    let server = TestServer::start(&[]).await;
    for line in ["GET /ws HTTP/1.1", "GET /?room=garden HTTP/1.1"] {
        let head = ask(server.address, line, &HEADERS).await;
        assert!(head.starts_with("http/1.1 101 "), "{head}");
        assert!(
            head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="),
            "{head}"
        );
        assert!(!head.contains("sec-websocket-protocol"), "{head}");
        assert!(!head.contains("sec-websocket-extensions"), "{head}");
    }
}

/// RFC 6455 section 4.2.1: an incomplete handshake is refused, with the status that says what is missing.
#[tokio::test]
async fn what_is_no_request_for_a_websocket_is_refused() {
    let server = TestServer::start(&[]).await;
    for (gone, instead) in [
        (1, "Connection: close"),
        (2, "Upgrade: h2c"),
        (3, "Sec-WebSocket-Version: 8"),
        (4, "X: Y"),
    ] {
        let mut headers = HEADERS;
        headers[gone] = instead;
        let head = ask(server.address, "GET /ws HTTP/1.1", &headers).await;
        assert!(head.starts_with("http/1.1 426 "), "{instead}: {head}");
        assert!(head.contains("upgrade: websocket"), "{head}");
        assert!(head.contains("sec-websocket-version: 13"), "{head}");
    }
    let head = ask(server.address, "POST /ws HTTP/1.1", &HEADERS).await;
    assert!(head.starts_with("http/1.1 405 "), "{head}");
    let head = ask(server.address, "GET /ws?room=NO HTTP/1.1", &HEADERS).await;
    assert!(head.starts_with("http/1.1 400 "), "{head}");
}

/// `everbeat.v1` is chosen among several subprotocols, in one header or in many.
#[tokio::test]
async fn one_of_several_subprotocols_is_chosen() {
    let server = TestServer::start(&[]).await;
    for offered in [
        "Sec-WebSocket-Protocol: everbeat.v2, everbeat.v1",
        "Sec-WebSocket-Protocol: everbeat.v2\r\nSec-WebSocket-Protocol: everbeat.v1,graphql-ws",
    ] {
        let mut headers = HEADERS.to_vec();
        headers.push(offered);
        let head = ask(server.address, "GET /ws HTTP/1.1", &headers).await;
        assert!(head.starts_with("http/1.1 101 "), "{head}");
        assert!(
            head.contains("sec-websocket-protocol: everbeat.v1\r\n"),
            "{head}"
        );
    }
}

#[tokio::test]
async fn a_subprotocol_that_nobody_speaks_is_refused() {
    let server = TestServer::start(&[]).await;
    let opened = Raw::open(server.address, "/ws", Some("everbeat.v9")).await;
    assert_eq!(refused(opened), 400);
    assert_eq!(server.hub.connections(), 0);
}

/// The header that offers compression (RFC 7692 section 7.1).
const DEFLATE: &str = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits";

/// RFC 6455 section 9.1: the answer accepts no extension, so none is used.
#[tokio::test]
async fn compression_is_not_taken_up() {
    let server = TestServer::start(&[]).await;
    for more in [&[OURS, DEFLATE][..], &[DEFLATE]] {
        let headers = [&HEADERS[..], more].concat();
        let head = ask(server.address, "GET /ws HTTP/1.1", &headers).await;
        assert!(head.starts_with("http/1.1 101 "), "{head}");
        assert!(!head.contains("sec-websocket-extensions"), "{head}");
    }
}

/// A compressed frame is a protocol error (RFC 6455 section 5.2, RSV1): it is not inflated, and the
/// connection ends.
#[tokio::test]
async fn a_compressed_bomb_ends_its_own_connection() {
    let server = TestServer::start(&[]).await;
    let mut bystander = server.joined().await;
    let mut bomb = DeflateEncoder::new(Vec::new(), Compression::best());
    bomb.write_all(&vec![0; 1_000_000]).unwrap();
    let bomb = bomb.finish().unwrap();
    assert!(bomb.len() < 2_000, "{} bytes", bomb.len());
    for more in [&[OURS, DEFLATE][..], &[DEFLATE]] {
        let headers = [&HEADERS[..], more].concat();
        let (_, stream) = begin(server.address, "GET /ws HTTP/1.1", &headers).await;
        let code = code_after(stream, &masked(0xc1, &bomb)).await;
        assert_eq!(code, Some(1002), "{more:?}");
    }
    bystander.is_served().await;
}
