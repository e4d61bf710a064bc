//! Files that are taken away under a running server.

use super::*;

/// EO-2: what would be stored in a file without a name is not acknowledged.
#[tokio::test]
async fn a_database_that_is_gone_takes_nothing() {
    for name in ["log.db", "log.db-wal", "log.db-shm"] {
        let place = Place::new();
        let log = place.open("log.db");
        log.open_session(fresh("ada", 1)).await.unwrap();
        append_many(&log, "ada", "lobby", 3).await;
        log.probe().await.unwrap();
        fs::rename(place.path(name), place.path("away")).unwrap();
        assert!(log.probe().await.is_err(), "{name}");
        let refused = log.append(append("ada", 4, "lobby", "x")).await;
        assert!(is_unavailable(&refused), "{name}: {refused:?}");
        // Another file is not the one that was there.
        fs::write(place.path(name), "").unwrap();
        assert!(log.probe().await.is_err(), "{name}");
        assert_eq!(head(&log, "lobby").await, 3, "{name}");

        fs::rename(place.path("away"), place.path(name)).unwrap();
        log.probe().await.unwrap();
        let taken = log.append(append("ada", 4, "lobby", "x")).await;
        assert_eq!(taken, Ok(offset(4)), "{name}");
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

/// A witness that is taken away is written anew.
#[tokio::test]
async fn a_witness_that_is_gone_comes_back() {
    let place = Place::new();
    let log = place.open("log.db");
    fs::remove_file(place.path("log.db.witness")).unwrap();
    log.probe().await.unwrap();
    assert!(place.path("log.db.witness").exists());
}
