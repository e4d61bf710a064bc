//! EO-8: an erased text is in no file of a stream, on no server.

use std::path::Path;
use std::time::Duration;

use everbeat_axum::log::engine::{Engine, Source};
use fastrand::Rng;
use tokio::time::{Instant, sleep, timeout};

use crate::kit::{Bytes, Cluster, DEADLINE, RECOVERY, fetch, files_with, store};

const FIRST: &[u8] = b"the first secret, which is to go";
const SECOND: &[u8] = b"the second secret, which goes later";

/// A pack with both secrets, or what is left of them.
fn pack(first: &[u8], second: &[u8]) -> Bytes {
    [b"before ".as_slice(), first, b" and ", second, b" after"]
        .concat()
        .into()
}

/// Whether a file belongs to a stream, and not to the log of its Raft group.
fn is_of_a_stream(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "streams")
}

/// Waits until no stream of any server holds these bytes: servers apply what was committed one after the other.
async fn gone(cluster: &Cluster, bytes: &[u8]) {
    let begun = Instant::now();
    loop {
        let files = files_with(cluster.dir.path(), bytes);
        if !files.iter().any(|path| is_of_a_stream(path)) {
            eprintln!(
                "gone from the streams after {:?}; still in {} files of Raft",
                begun.elapsed(),
                files.len()
            );
            return;
        }
        assert!(begun.elapsed() < RECOVERY, "still in {files:?}");
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn erased_texts_are_in_no_stream() {
    let steps = async {
        let cluster = Cluster::start().await;
        let engine = cluster.engine().await;
        let other = store(&engine, &Bytes::from_static(b"another pack")).await;
        let sequence = store(&engine, &pack(FIRST, SECOND)).await;
        let last = store(&engine, &Bytes::from_static(b"the last pack")).await;
        assert!(!files_with(cluster.dir.path(), FIRST).is_empty());
        assert_eq!(engine.replacement(sequence).await, Ok(None));

        let (whole, half) = (pack(FIRST, SECOND), pack(b"-", SECOND));
        let erased = engine.erase(sequence, whole.clone(), half.clone());
        erased.await.unwrap();
        gone(&cluster, FIRST).await;
        assert_eq!(engine.replacement(sequence).await, Ok(Some(half.clone())));
        assert_eq!(fetch(&engine, sequence).await, None);
        assert_eq!(engine.fetch(sequence, Source::Any).await, Ok(None));

        // A node that saw the pack before that would bring the first text back.
        let late = engine.erase(sequence, whole, pack(FIRST, b"-")).await;
        late.unwrap_err();
        assert_eq!(engine.replacement(sequence).await, Ok(Some(half.clone())));
        assert!(files_with(cluster.dir.path(), b"secret, which is to go and -").is_empty());

        // A second text of the same pack: what replaced it first has that text, too. A repeat is harmless.
        let none = pack(b"-", b"-");
        for _ in 0..2 {
            let erased = engine.erase(sequence, half.clone(), none.clone());
            erased.await.unwrap();
        }
        gone(&cluster, SECOND).await;
        assert_eq!(engine.replacement(sequence).await, Ok(Some(none)));

        // The packs around it are as they were, and the hole is one for all.
        assert_eq!(fetch(&engine, other).await.unwrap(), "another pack");
        assert_eq!(fetch(&engine, last).await.unwrap(), "the last pack");
        let bounds = engine.bounds().await.unwrap();
        assert_eq!((bounds.first, bounds.last), (other, last));
    };
    timeout(DEADLINE, steps).await.unwrap();
}

/// How long an erased text stays in the logs of Raft: not promised, so it is measured, not tested.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement of minutes: how long erased texts stay in the logs of Raft"]
async fn erased_texts_leave_the_logs_of_raft() {
    let cluster = Cluster::start().await;
    let engine = cluster.engine().await;
    let sequence = store(&engine, &pack(FIRST, b"-")).await;
    let erased = engine.erase(sequence, pack(FIRST, b"-"), pack(b"-", b"-"));
    erased.await.unwrap();
    gone(&cluster, FIRST).await;
    let begun = Instant::now();
    // Random, as servers compress what they keep.
    let mut rng = Rng::with_seed(18);
    let mut filler = vec![0; 64 * 1024];
    let mut traffic = 0;
    let is_quiet = std::env::var_os("QUIET").is_some();
    loop {
        let files = files_with(cluster.dir.path(), FIRST);
        if files.is_empty() || begun.elapsed() > Duration::from_secs(400) {
            eprintln!(
                "{} files after {:?} and {traffic} bytes",
                files.len(),
                begun.elapsed()
            );
            return;
        }
        if is_quiet {
            sleep(Duration::from_secs(2)).await;
        } else {
            for _ in 0..16 {
                rng.fill(&mut filler);
                store(&engine, &Bytes::from(filler.clone())).await;
                traffic += filler.len();
            }
        }
    }
}
