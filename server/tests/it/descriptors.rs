//! No file can be opened any more: the server says so rather than nothing.

use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::http::{get_raw, status};
use crate::process::Process;

/// How many files the server may have open.
const FILES: u32 = 80;

/// `/readyz` answers 503 in time where there is no descriptor left, other requests are told
/// to come later, and it is ready again once there are some.
#[tokio::test]
async fn a_server_without_descriptors_says_that_it_is_not_ready() {
    let mut process = Process::start_with_files(FILES, &["--header-timeout", "120s"]).await;
    assert_eq!(status(&get_raw(process.address, "/readyz").await), 200);
    let mut crowd = Vec::new();
    for _ in 0..FILES {
        crowd.push(TcpStream::connect(process.address).await.unwrap());
    }
    process.says("cannot accept connections now").await;
    // A part of the crowd waits before us: what is silent gives way.
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

/// The same while silent connections go on coming, more of them than could be waited for one by one; and both
/// listeners say the same.
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
