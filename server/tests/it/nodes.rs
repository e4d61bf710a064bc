//! Native clients between real servers, as between nodes: where each goes when one of them ends.

use std::time::Duration;

use everbeat_client::{Client, Options, Status, connect};
use protocol::address::Address;
use protocol::server::OtherNode;
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::http::get_raw;
use crate::test_server::TestServer;

/// Runs a client until it is live at this address.
async fn live_at(client: &mut Client, url: &str) {
    let search = async {
        while client.status() != Status::Live || client.address().unwrap().as_str() != url {
            client.next().await.unwrap();
        }
    };
    timeout(Duration::from_secs(20), search).await.expect(url);
}

/// RC-3, RC-8: a server that drains names another one, to which its clients go within the drain; the slot at the server itself
/// comes after it.
#[tokio::test]
async fn clients_of_a_draining_node_go_to_the_other_one() {
    let (here, there) = tokio::join!(TestServer::start(&[]), TestServer::start(&[]));
    let mut client = connect(&here.url(), Options::new(1).addresses([there.url()])).unwrap();
    live_at(&mut client, &here.url()).await;
    let mut raw = here.raw().await;
    raw.hello().await;
    let others = [OtherNode {
        address: Address::new(&there.url()).unwrap(),
        clients: 0,
        free: 2,
    }];
    here.hub.go_away(Duration::from_secs(2), &others);
    let told = raw.next_of("go_away").await;
    assert_eq!(told["elsewhere"]["address"], there.url());
    assert!(told["elsewhere"]["after_ms"].as_u64().unwrap() < 2_000);
    assert!(told["reconnect_after_ms"].as_u64().unwrap() > 2_000);
    // The first one is served all the while: the client leaves by itself.
    live_at(&mut client, &there.url()).await;
}

/// RC-8: a client whose first address is dead finds the other one.
#[tokio::test]
async fn a_dead_address_is_passed_over() {
    let unused = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dead = format!("ws://{}/ws", unused.local_addr().unwrap());
    drop(unused);
    let there = TestServer::start(&[]).await;
    let mut client = connect(&dead, Options::new(1).addresses([there.url()])).unwrap();
    live_at(&mut client, &there.url()).await;
}

/// RC-8: the page knows the addresses of all nodes, and its policy allows the browser to open them, and no other one.
#[tokio::test]
async fn the_page_knows_all_addresses() {
    let addresses = "https://a.example.org,https://b.example.org:8443";
    let server = TestServer::start(&["--addresses", addresses]).await;
    let page = get_raw(server.address, "/").await;
    let sockets = "wss://a.example.org/ws wss://b.example.org:8443/ws";
    let meta = format!(r#"<meta name="everbeat-nodes" content="{sockets}""#);
    assert!(page.contains(&meta), "{page}");
    let policy = "connect-src 'self' wss://a.example.org wss://b.example.org:8443\r\n";
    assert!(page.contains(policy), "{page}");

    let alone = TestServer::start(&[]).await;
    let page = get_raw(alone.address, "/").await;
    assert!(!page.contains("everbeat-nodes"), "{page}");
    assert!(page.contains("connect-src 'self'\r\n"), "{page}");
}
