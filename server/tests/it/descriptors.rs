//! A server out of file descriptors: `/readyz` says so instead of giving no answer.

use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::http::{get_raw, status};
use crate::process::Process;

/// The limit of the server's open files.
const FILES: u32 = 80;

/// Without a free descriptor `/readyz` answers 503 in time, other requests get a `Retry-After`;
/// with free ones again the server is ready.
#[tokio::test]
async fn a_server_without_descriptors_says_that_it_is_not_ready() {
    let mut process = Process::start_with_files(FILES, &["--header-timeout", "120s"]).await;
    assert_eq!(status(&get_raw(process.address, "/readyz").await), 200);
    let mut crowd = Vec::new();
    for _ in 0..FILES {
        crowd.push(TcpStream::connect(process.address).await.unwrap());
    }
    process.says("cannot accept connections now").await;
    // A part of the crowd is queued before this request: silent connections give way.
    for _ in 0..3 {
        for address in [process.address, process.admin] {
            let asked = Instant::now();
            let answer = get_raw(address, "/readyz").await;
            assert_eq!(status(&answer), 503, "{answer}");
            assert!(asked.elapsed() < Duration::from_secs(1));
            assert_eq!(status(&get_raw(address, "/healthz").await), 200);
        }
    }
    let page = get_raw(process.address, "/r/tea").await;
    assert_eq!(status(&page), 503);
    assert!(page.to_lowercase().contains("retry-after"), "{page}");

    crowd.clear();
    let healed = async {
        while status(&get_raw(process.address, "/readyz").await) != 200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(Duration::from_secs(20), healed).await.unwrap();
}

/// The same while more silent connections keep arriving than the server could wait for one by one; both
/// listeners give the same answer.
#[tokio::test]
async fn silent_connections_do_not_hide_how_the_server_is() {
    let mut process = Process::start_with_files(FILES, &["--header-timeout", "120s"]).await;
    let mut crowd = Vec::new();
    for _ in 0..FILES {
        crowd.push(TcpStream::connect(process.address).await.unwrap());
    }
    process.says("cannot accept connections now").await;
    let address = process.address;
    let coming = tokio::spawn(async move {
        loop {
            for _ in 0..20 {
                crowd.extend(TcpStream::connect(address).await);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    for _ in 0..10 {
        for address in [process.address, process.admin] {
            let asked = Instant::now();
            let answer = get_raw(address, "/readyz").await;
            assert_eq!(status(&answer), 503, "{answer}");
            assert!(asked.elapsed() < Duration::from_secs(1));
        }
    }
    coming.abort();
}
