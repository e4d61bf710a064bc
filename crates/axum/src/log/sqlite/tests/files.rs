//! Files that are removed or replaced under a running server.

use super::*;

/// EO-2: what would be stored in a file without a name is not acknowledged.
#[tokio::test]
async fn a_database_that_is_gone_takes_nothing() {
    for name in ["log.db", "log.db-wal", "log.db-shm"] {
        let place = Place::new();
        let log = place.open("log.db");
        log.open_session(fresh("ada", 1)).await.unwrap();
        append_many(&log, "ada", "lobby", 3).await;
        fs::rename(place.path(name), place.path("away")).unwrap();
        let refused = log.append(append("ada", 4, "lobby", "x")).await;
        assert!(is_unavailable(&refused), "{name}: {refused:?}");
        // A new file at the same path is not the database.
        fs::write(place.path(name), "").unwrap();
        assert!(log.probe().await.is_err(), "{name}");

        fs::rename(place.path("away"), place.path(name)).unwrap();
        let taken = log.append(append("ada", 4, "lobby", "x")).await;
        assert_eq!(taken, Ok(offset(4)), "{name}");
    }
}

/// EO-2, EO-1: the files are moved while a batch is under way. What was committed to them is neither acknowledged nor
/// shown until they are back; then it is both, and no reader misses it.
#[tokio::test]
async fn what_was_committed_to_files_that_were_taken_away_waits_until_they_are_back() {
    for name in ["log.db", "log.db-wal", "log.db-shm"] {
        let place = Place::new();
        let observer = Arc::<Recorder>::default();
        let log = place.open_with(config(), observer.clone());
        log.open_session(fresh("ada", 1)).await.unwrap();
        append_many(&log, "ada", "lobby", 3).await;
        let held = hold(&log);
        let appended = log.append(append("ada", 4, "lobby", "body 4"));
        fs::rename(place.path(name), place.path("away")).unwrap();
        drop(held);
        let refused = appended.await;
        assert!(is_unavailable(&refused), "{name}: {refused:?}");
        let further = log.append(append("ada", 5, "lobby", "body 5")).await;
        assert!(is_unavailable(&further), "{name}: {further:?}");
        assert_eq!(offsets(&observer.seen()), [1, 2, 3], "{name}");

        fs::rename(place.path("away"), place.path(name)).unwrap();
        append_many(&log, "ada", "lobby", 5).await;
        assert_eq!(offsets(&observer.seen()), [1, 2, 3, 4, 5], "{name}");
        assert_eq!(head(&log, "lobby").await, 5, "{name}");
    }
}

/// EO-2: two servers on one database would number the same offsets twice.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_lock_stays_when_its_file_is_removed() {
    let place = Place::new();
    let log = place.open("log.db");
    log.open_session(fresh("ada", 1)).await.unwrap();
    fs::remove_file(place.path("log.db.lock")).unwrap();
    let error = place.try_open("log.db").unwrap_err();
    assert!(matches!(error, OpenError::InUse { .. }), "{error}");
    append_many(&log, "ada", "lobby", 1).await;
    drop(log);
    assert_eq!(head(&place.open("log.db"), "lobby").await, 1);
}

/// A witness that was removed is written anew.
#[tokio::test]
async fn a_witness_that_is_gone_comes_back() {
    let place = Place::new();
    let log = place.open("log.db");
    fs::remove_file(place.path("log.db.witness")).unwrap();
    log.probe().await.unwrap();
    assert!(place.path("log.db.witness").exists());
}
