//! Databases that must not be opened: each is refused with what was found and what to do, and
//! is left unchanged.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::*;

/// Opening must fail with these words in the error's text, and change no file but the lock.
fn check_refused(place: &Place, name: &str, expected: &[&str]) -> OpenError {
    let before = files(place);
    let error = place.try_open(name).unwrap_err();
    let mut after = files(place);
    after.retain(|path, _| {
        let is_lock = path.extension().is_some_and(|e| e == "lock");
        let is_shared_memory = path.to_string_lossy().ends_with("-shm");
        before.contains_key(path) || !(is_lock || is_shared_memory)
    });
    assert_eq!(after, before, "{error}");
    let text = error.to_string();
    for part in expected.iter().chain([&name]) {
        assert!(text.contains(part), "{part} is missing in: {text}");
    }
    error
}

fn files(place: &Place) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = fs::read_dir(place.directory.path()).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let files = paths.filter(|path| path.is_file());
    files
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect()
}

/// EO-2: two servers on one database would number the same offsets twice.
#[tokio::test]
async fn a_database_in_use_is_refused() {
    let place = Place::new();
    let log = place.open("log.db");
    let error = check_refused(
        &place,
        "log.db",
        &["in use by another server", "log.db.lock"],
    );
    assert!(matches!(error, OpenError::InUse { .. }));
    // The server that uses it is not disturbed.
    log.open_session(fresh("ada", 1)).await.unwrap();
    append_many(&log, "ada", "lobby", 1).await;
    drop(log);
    assert_eq!(head(&place.open("log.db"), "lobby").await, 1);
}

#[tokio::test]
async fn another_versions_database_is_refused() {
    let place = Place::new();
    drop(place.open("log.db"));
    let connection = Connection::open(place.path("log.db")).unwrap();
    connection.pragma_update(None, "user_version", 7).unwrap();
    connection.close().unwrap();
    let error = check_refused(&place, "log.db", &["format 7", "formats up to 5 only"]);
    assert!(matches!(error, OpenError::OtherVersion { found: 7, .. }));
}

/// The format may stand in the write-ahead log alone, if the server that wrote it was killed.
#[tokio::test]
async fn another_version_in_the_write_ahead_log_is_refused() {
    let place = Place::new();
    drop(place.open("log.db"));
    let (here, there) = (place.path("log.db"), place.path("killed.db"));
    let connection = Connection::open(&here).unwrap();
    connection.pragma_update(None, "user_version", 7).unwrap();
    fs::copy(&here, &there).unwrap();
    fs::copy(beside(&here, "-wal"), beside(&there, "-wal")).unwrap();
    connection.close().unwrap();
    let error = check_refused(&place, "killed.db", &["format 7"]);
    assert!(matches!(error, OpenError::OtherVersion { found: 7, .. }));
}

#[tokio::test]
async fn another_applications_database_is_refused() {
    let place = Place::new();
    let connection = Connection::open(place.path("notes.db")).unwrap();
    connection
        .execute_batch("PRAGMA application_id = 0x1234; CREATE TABLE notes (text TEXT)")
        .unwrap();
    connection.close().unwrap();
    let error = check_refused(&place, "notes.db", &["another application", "0x1234"]);
    let found = 0x1234;
    assert!(matches!(error, OpenError::OtherApplication { found: f, .. } if f == found));

    let connection = Connection::open(place.path("plain.db")).unwrap();
    connection.execute_batch("CREATE TABLE t (x)").unwrap();
    connection.close().unwrap();
    check_refused(&place, "plain.db", &["another application"]);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    let place = Place::new();
    fs::write(place.path("short.txt"), "hello").unwrap();
    fs::write(place.path("long.txt"), "hello ".repeat(1_000)).unwrap();
    for name in ["short.txt", "long.txt"] {
        let error = check_refused(&place, name, &["not an SQLite database"]);
        assert!(matches!(error, OpenError::NotADatabase { .. }));
    }
}

#[tokio::test]
async fn a_place_where_nothing_can_be_written_is_refused() {
    let place = Place::new();
    fs::write(place.path("file"), "").unwrap();
    for name in ["missing/log.db", "file/log.db"] {
        let error = check_refused(
            &place,
            name,
            &["cannot write in the directory", "create it"],
        );
        assert!(matches!(error, OpenError::Directory { .. }));
    }
    fs::create_dir(place.path("directory")).unwrap();
    std::os::unix::fs::symlink("circle", place.path("circle")).unwrap();
    for name in ["directory", "circle"] {
        let error = check_refused(&place, name, &["cannot read the database"]);
        assert!(matches!(error, OpenError::Unreadable { .. }));
    }
}

#[tokio::test]
async fn a_database_locked_by_another_program_is_refused() {
    let place = Place::new();
    drop(place.open("log.db"));
    let other = Connection::open(place.path("log.db")).unwrap();
    other
        .execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE")
        .unwrap();
    let error = place.try_open("log.db").unwrap_err();
    assert!(matches!(error, OpenError::Locked { .. }));
    assert!(error.to_string().contains("locked by another program"));
    drop(other);
    place.open("log.db");
}

/// An empty file counts as no database.
#[tokio::test]
async fn an_empty_file_becomes_a_database() {
    let place = Place::new();
    fs::write(place.path("log.db"), "").unwrap();
    let log = place.open("log.db");
    log.open_session(fresh("ada", 1)).await.unwrap();
}
