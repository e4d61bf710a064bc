//! Refused opening handshakes, and what the native client makes of them.

use std::time::Duration;

use everbeat_client::{Cause, Client, Event, Options, Status, connect};
use tokio::time::timeout;

use crate::http::{HEADERS, OURS, ask};
use crate::raw::PATIENCE;
use crate::test_server::TestServer;

/// The client's status once it neither connects nor is connected.
async fn settled(client: &mut Client) -> Status {
    let settled = async {
        while let Some(event) = client.next().await {
            if let Event::Status(status @ (Status::Waiting { .. } | Status::Stopped { .. })) = event
            {
                return status;
            }
        }
        client.status()
    };
    timeout(PATIENCE, settled).await.expect("an answer")
}

/// RC-1: a refused origin stays refused: the client stops, and its user sees the status.
#[tokio::test]
async fn a_refused_origin_stops_the_client() {
    let server = TestServer::start(&[]).await;
    let options = Options::new(1).header("Origin", "https://elsewhere.example");
    let mut client = connect(&server.url(), options).unwrap();
    let cause = Cause::Refused { status: 403 };
    assert_eq!(settled(&mut client).await, Status::Stopped { cause });
    assert_eq!(client.next().await, None);
    assert_eq!(client.counts().connections, 1);
}

/// RC-1, RC-3: a draining server refuses new connections for the length of its drain; a client that comes meanwhile
/// reconnects when the next server is there.
#[tokio::test]
async fn a_drain_says_how_long_it_is() {
    let mut server = TestServer::start(&["--drain", "7s"]).await;
    let mut held = server.joined().await;
    server.terminate();
    held.next_of("go_away").await;
    let headers = [&HEADERS[..], &[OURS]].concat();
    let head = ask(server.address, "GET /ws HTTP/1.1", &headers).await;
    assert!(
        head.starts_with("http/1.1 503 ") && head.contains("retry-after: 7\r\n"),
        "{head}"
    );
    let mut client = connect(&server.url(), Options::new(1)).unwrap();
    let Status::Waiting { until, cause, .. } = settled(&mut client).await else {
        panic!("{:?}", client.status());
    };
    assert_eq!(cause, Cause::Refused { status: 503 });
    // Its clock begins with it.
    let wait = until.since_origin();
    assert!(wait >= Duration::from_secs(7), "{wait:?}");
    drop(held);
    server.ended().await;
}
