//! Short versions of some scenarios of `make chaos`: the server's binary, killed, cut off, on disks that fail.
//!
//! The binary is the one that Cargo built beside this test. `cargo test -p server -p bench` builds both; for this test
//! alone run `cargo build -p server` first.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use bench::chaos::scenario::Scenario;
use bench::chaos::{self, Options};

use self::common::server;

async fn nothing_is_lost(scenario: Scenario) {
    let options = Options::quick(server());
    let outcome = chaos::play(scenario, &options).await.unwrap();
    assert!(outcome.verdict.is_good(), "\n{outcome}");
    assert!(outcome.verdict.published > 50, "\n{outcome}");
}

/// RS-3, RS-5, EO-3: cuts in the middle of frames.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_connections_lose_nothing() {
    nothing_is_lost(Scenario::Drops).await;
}

/// EO-2, EO-4, RS-4: kills, and pages that are reloaded meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_and_reloads_lose_nothing() {
    nothing_is_lost(Scenario::Kill).await;
}

/// EO-2: acked messages are on stable storage.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cuts_of_the_power_lose_nothing() {
    nothing_is_lost(Scenario::Power).await;
}

/// The verdict works: a disk that loses acknowledged writes loses messages, and the verdict finds them.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_lies_is_found_out() {
    let options = Options {
        lying_disk: true,
        ..Options::quick(server())
    };
    let outcome = chaos::play(Scenario::Power, &options).await.unwrap();
    assert!(!outcome.verdict.is_good(), "\n{outcome}");
}

/// EO-7: a full disk; a real file system where one can be mounted, a limit on file sizes elsewhere.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_for_now_and_goes_on_reading() {
    nothing_is_lost(Scenario::FullDisk).await;
}

/// EO-7: the same for a disk that the kernel turned read-only.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_only_disk_refuses_for_now_and_goes_on_reading() {
    nothing_is_lost(Scenario::ReadOnly).await;
}

/// RC-3, RS-5, EO-1: ten restarts under load, behind common gateways. No client is without the server for
/// longer than a restart takes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_restarts_behind_nginx_lose_nothing() {
    nothing_is_lost(Scenario::Nginx).await;
}

/// A socket that all servers inherit, some of them while the one before still runs: no connection is refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_restarts_over_one_socket_refuse_nobody() {
    nothing_is_lost(Scenario::HandOver).await;
}

/// Two servers on one port, of which one waits for the log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_restarts_over_one_port_lose_nothing() {
    nothing_is_lost(Scenario::ReusePort).await;
}

/// The same behind HAProxy, which also looks at `/readyz`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_restarts_behind_haproxy_lose_nothing() {
    nothing_is_lost(Scenario::Haproxy).await;
}
