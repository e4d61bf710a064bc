//! Short versions of some faults of `make chaos ARGS=cluster`: three nodes on three NATS servers, one of which is killed.
//!
//! The nodes' binary is the one that Cargo built beside this test. `cargo test -p server -p bench` builds both; for this
//! test alone run `cargo build -p server` first. `scripts/nats.sh` installs `nats-server`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::time::Duration;

use bench::chaos::cluster::agreement::same_presence;
use bench::chaos::cluster::bounds::{Bounds, Measured};
use bench::chaos::cluster::poster::Posters;
use bench::chaos::cluster::reader::Readers;
use bench::chaos::cluster::{self, Fault};
use bench::chaos::crowd::{Crowd, Habits};
use bench::chaos::verdict::Verdict;
use bench::chaos::{Options, log};
use bench::disk::Disk;
use bench::server::Server;
use fastrand::Rng;
use tokio::sync::Mutex;

use self::common::server;

static ALONE: Mutex<()> = Mutex::const_new(());

/// What watches the nodes finds nothing wrong with one server, where nothing is: posts at both of its "nodes", pages of
/// the log, and the members of rooms.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn posts_pages_and_members_of_one_server() {
    let (disk, mut rng) = (Disk::plain().unwrap(), Rng::with_seed(2026));
    let mut server = Server::new(&server(), &disk, &[], &mut rng).unwrap();
    server.start().await.unwrap();
    let habits = Habits {
        pace: Duration::from_millis(100),
        backoff_cap: Duration::from_secs(1),
        reload: None,
    };
    let mut crowd = Crowd::gather(&[server.address.into()], 4, habits, &mut rng)
        .await
        .unwrap();
    let twice = [server.address; 2];
    let rooms = crowd.rooms().to_vec();
    let readers = Readers::start(&twice, &rooms[0]).await.unwrap();
    let posters = Posters::start(&twice, &rooms, 4, habits.pace, &mut rng);
    tokio::time::sleep(Duration::from_secs(2)).await;
    crowd.settle().await.unwrap();
    let posted = posters.end().await.unwrap();
    let reading = readers.end().await.unwrap();
    same_presence(&twice, &crowd).await.unwrap();
    let logs = log::read(server.address, &rooms).await.unwrap();
    let mut accounts = crowd.collect(Some(log::heads(&logs))).await.unwrap();
    let posts: usize = posted.iter().map(|account| account.published.len()).sum();
    accounts.extend(posted);
    let verdict = Verdict::of(&logs, &accounts);
    assert!(verdict.is_good(), "{:?}", verdict.complaints);
    assert!(posts > 20, "{posts} posts");
    let measured = Measured::of(&accounts, reading);
    let verdict = Bounds::of(Fault::Follower).check(&measured, verdict);
    assert!(verdict.is_good(), "{:?}", verdict.complaints);
}

async fn nothing_is_lost(fault: Fault) {
    // One cluster at a time: the bounds are times.
    let _alone = ALONE.lock().await;
    let options = Options::quick(server());
    let outcome = cluster::play(fault, &options).await.unwrap();
    assert!(outcome.verdict.is_good(), "\n{outcome}");
    assert!(outcome.verdict.published > 50, "\n{outcome}");
}

/// RS-3, RS-5, EO-1, PR-1: its sessions go on at the other nodes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_killed_loses_nothing() {
    nothing_is_lost(Fault::Node).await;
}

/// EO-2, EO-7: acked messages outlive the leader of the stream, and reading never stops.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_killed_loses_nothing() {
    nothing_is_lost(Fault::Leader).await;
}
