//! Three nodes as processes on three NATS servers: what one takes the others show, and a session outlives its node.
//!
//! The server's binary is the one that Cargo built beside this test. `cargo test -p server -p bench` builds both; for this
//! test alone run `cargo build -p server` first.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use bench::cluster::{Cluster, Settings};
use bench::disk::Disk;
use bench::http;
use bench::server::Server;
use everbeat_client::{Client, Event, Fate, MemoryStorage, Options};
use fastrand::Rng;
use protocol::id::RoomName;
use tokio::time::{sleep, timeout};

use self::common::server;

/// The deadline of each step; an election of the NATS servers takes up to 9 s.
const SOON: Duration = Duration::from_secs(30);

/// The deadline of one request over HTTP.
const ANSWER: Duration = Duration::from_secs(5);

/// A client of one node, in the lobby, whose session is in this storage.
fn client(address: SocketAddr, seed: u64, storage: MemoryStorage) -> Client {
    let url = format!("ws://{address}/ws");
    let mut client = everbeat_client::connect(&url, Options::new(seed).storage(storage)).unwrap();
    client.join(RoomName::lobby(), None);
    client
}

/// Publishes texts, and waits until all of them are durable.
async fn publish(client: &mut Client, texts: impl Iterator<Item = u64>) {
    let mut waiting = BTreeSet::new();
    for number in texts {
        let id = client.publish(RoomName::lobby(), number.to_string());
        waiting.insert(id.unwrap());
    }
    let settling = async {
        while !waiting.is_empty() {
            let event = client.next().await.unwrap();
            if let Event::Fate { id, fate, .. } = event {
                assert!(
                    !matches!(fate, Fate::Refused { .. } | Fate::Uncertain),
                    "{fate:?}"
                );
                if matches!(fate, Fate::Durable { .. }) {
                    waiting.remove(&id);
                }
            }
        }
    };
    timeout(SOON, settling).await.unwrap();
}

/// Reads until so many messages came; they are 1, 2, 3, …
async fn hears(client: &mut Client, heard: &mut u64, last: u64) {
    let hearing = async {
        while *heard < last {
            if let Some(Event::Message(message)) = client.next().await {
                *heard += 1;
                assert_eq!(message.body, heard.to_string());
                assert_eq!(message.offset.get(), *heard);
            }
        }
    };
    timeout(SOON, hearing).await.unwrap();
}

/// What all nodes say of themselves once they have folded the same packs.
async fn agreed(cluster: &Cluster) -> String {
    let agreeing = async {
        loop {
            let mut standings = Vec::new();
            for node in &cluster.nodes {
                standings.push(node.standing().await.unwrap());
            }
            if standings
                .iter()
                .all(|one| one.applied == standings[0].applied)
            {
                let digests: BTreeSet<_> = standings.into_iter().map(|one| one.digest).collect();
                assert_eq!(digests.len(), 1, "{digests:?}");
                return digests.into_iter().next().unwrap();
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(SOON, agreeing).await.unwrap()
}

/// RS-3, EO-3: what is published on one node is read on the others, each message once and in order; a session whose node
/// is killed resumes on another one; a post to one node is in a page of another at once; the killed node comes back to
/// the same log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_outlives_its_node() {
    let (binary, mut rng) = (server(), Rng::with_seed(18));
    let settings = Settings {
        binary: &binary,
        options: &[],
        parted: None,
    };
    let mut cluster = Cluster::start(settings, &mut rng).await.unwrap();
    let [a, b, c] = cluster.addresses()[..] else {
        panic!("three nodes");
    };
    let session = MemoryStorage::default();
    let mut ada = client(a, 1, session.clone());
    let mut readers = [
        client(b, 2, MemoryStorage::default()),
        client(c, 3, MemoryStorage::default()),
    ];
    let mut heard = [0; 2];
    publish(&mut ada, 1..=20).await;
    for (reader, heard) in readers.iter_mut().zip(&mut heard) {
        hears(reader, heard, 20).await;
    }

    cluster.nodes[0].server.kill().await.unwrap();
    // What waits in the outbox moves with the session.
    ada.publish(RoomName::lobby(), "21").unwrap();
    drop(ada);
    let mut ada = client(b, 4, session.clone());
    publish(&mut ada, 22..=40).await;
    for (reader, heard) in readers.iter_mut().zip(&mut heard) {
        hears(reader, heard, 40).await;
    }

    // A post to one node is in what another one answers afterwards.
    for number in 41..=50_u64 {
        let head = format!("POST /api/rooms/lobby/messages\nIdempotency-Key: post-{number}");
        let content = format!(r#"{{"body":"{number}"}}"#);
        let posted = http::request(b, &head, &content, ANSWER).await.unwrap();
        assert_eq!(posted.status, 201, "{}", posted.body);
        let path = format!("/api/rooms/lobby/messages?after={}", number - 1);
        let page = http::get(c, &path, ANSWER).await.unwrap();
        assert!(
            page.body.contains(&format!(r#""body":"{number}""#)),
            "{}",
            page.body
        );
        // The same key, to another node: it is the same message.
        let again = http::request(c, &head, &content, ANSWER).await.unwrap();
        assert_eq!(again.status, 200, "{}", again.body);
    }

    cluster.nodes[0].server.start().await.unwrap();
    cluster.nodes[0].ready().await.unwrap();
    agreed(&cluster).await;
    let mut late = client(a, 5, MemoryStorage::default());
    hears(&mut late, &mut 0, 50).await;
    is_fenced(&mut cluster, &mut rng).await;
}

/// Another process takes the name of a node: the node stops with a code and with words for its operator, and the other
/// one goes on.
async fn is_fenced(cluster: &mut Cluster, rng: &mut Rng) {
    let disk = Disk::plain().unwrap();
    let key = disk.data().join("shared.key");
    std::fs::write(&key, [7; 32]).unwrap();
    let engine = cluster.nats.urls();
    let options = [
        "--engine",
        &engine,
        "--node",
        "c",
        "--guest-key-file",
        key.to_str().unwrap(),
    ];
    let mut second = Server::new(&server(), &disk, &options, rng).unwrap();
    second.start().await.unwrap();
    let node = &mut cluster.nodes[2].server;
    let stopping = async {
        loop {
            match node.check() {
                Ok(()) => sleep(Duration::from_millis(50)).await,
                Err(ended) => return format!("{ended:#}"),
            }
        }
    };
    let ended = timeout(SOON, stopping).await.unwrap();
    assert!(ended.contains("exit status: 78"), "{ended}");
    assert!(
        ended.contains("another process began with the name of this node"),
        "{ended}"
    );
    second.check().unwrap();
}

/// A node that was away for longer than the stream keeps takes a copy of another node's log by itself, and then what the
/// stream still has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_too_far_behind_takes_a_copy() {
    // The smallest stream, and texts that fill it soon.
    const STREAM: usize = 64 << 20;
    const TEXT: usize = 400_000;
    let (binary, mut rng) = (server(), Rng::with_seed(81));
    let sizes = [STREAM, TEXT, 6 * TEXT + 1024].map(|bytes| bytes.to_string());
    let settings = Settings {
        binary: &binary,
        options: &[
            "--engine-bytes",
            &sizes[0],
            "--body-bytes",
            &sizes[1],
            "--frame-bytes",
            &sizes[2],
        ],
        parted: None,
    };
    let mut cluster = Cluster::start(settings, &mut rng).await.unwrap();
    let [a, b, _] = cluster.addresses()[..] else {
        panic!("three nodes");
    };
    cluster.nodes[0].server.kill().await.unwrap();
    let content = format!(r#"{{"body":"{}"}}"#, "x".repeat(TEXT));
    let posts = STREAM / TEXT + 10;
    for number in 0..posts {
        let head = format!("POST /api/rooms/lobby/messages\nIdempotency-Key: post-{number}");
        let posted = http::request(b, &head, &content, ANSWER).await.unwrap();
        assert_eq!(posted.status, 201, "{}", posted.body);
    }
    cluster.nodes[0].server.start().await.unwrap();
    cluster.nodes[0].ready().await.unwrap();
    agreed(&cluster).await;
    let path = "/api/rooms/lobby/messages?after=0&limit=1";
    let page = http::get(a, path, ANSWER).await.unwrap().body;
    assert!(
        page.contains(r#""offset":1,"#),
        "the copy has what the stream lost"
    );
    assert!(
        page.contains(&format!(r#""head":{posts},"#)),
        "and all of the rest"
    );
    let said = cluster.nodes[0]
        .server
        .times_said("give the node a copy of another node's log");
    assert_eq!(said, 1, "the stream did not have what the node needed");
}
