//! What watches the nodes in `make chaos ARGS=cluster`.
//!
//! The server's binary is the one that Cargo built beside this test. `cargo test -p server -p bench` builds both; for this
//! test alone run `cargo build -p server` first.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::PathBuf;
use std::time::Duration;

use bench::chaos::cluster::Fault;
use bench::chaos::cluster::agreement::same_presence;
use bench::chaos::cluster::bounds::{Bounds, Measured};
use bench::chaos::cluster::poster::Posters;
use bench::chaos::cluster::reader::Readers;
use bench::chaos::crowd::{Crowd, Habits};
use bench::chaos::log;
use bench::chaos::verdict::Verdict;
use bench::disk::Disk;
use bench::server::Server;
use fastrand::Rng;

/// The server's binary in the folder that this test was built into.
fn server() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().unwrap().parent().unwrap();
    let server = profile.join("everbeat");
    assert!(
        server.exists(),
        "run `cargo build -p server` first: there is no {}",
        server.display()
    );
    server
}

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
