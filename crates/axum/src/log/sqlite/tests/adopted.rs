//! A copy of another node in the place of a database.

use super::*;

/// A log with so many messages, and a copy of it in `to`, which is another node's place.
async fn copied(messages: u64, to: &Place) -> (Place, Epoch) {
    let from = Place::new();
    let log = from.open("log.db");
    log.open_session(fresh("ada", 1)).await.unwrap();
    append_many(&log, "ada", "lobby", messages).await;
    let epoch = log.room(room("lobby")).await.unwrap().epoch;
    // Beside the server that uses it.
    backup(&from.path("log.db"), &to.path("log.db.copy")).unwrap();
    drop(log);
    (from, epoch)
}

/// A start of a node that adopted a copy: its log, and the journal's lines.
fn start(place: &Place) -> (SqliteLog, String) {
    let mut log = None;
    let lines = lines_of(|| log = Some(place.open("log.db")));
    (log.unwrap(), lines)
}

fn adopt_in(place: &Place) -> Result<(), CopyError> {
    adopt(&place.path("log.db.copy"), &place.path("log.db"))
}

/// RS-3, RS-6: what a node takes from another one is the same log, with its epoch and its sessions, and no start doubts it.
#[tokio::test]
async fn an_adopted_copy_is_the_same_log() {
    let here = Place::new();
    let (_from, epoch) = copied(7, &here).await;
    adopt_in(&here).unwrap();
    assert!(!here.path("log.db.copy").exists());
    let (log, lines) = start(&here);
    assert_eq!(lines, "");
    let lobby = log.room(room("lobby")).await.unwrap();
    assert_eq!((lobby.epoch, lobby.head), (epoch, offset(7)));
    let resumed = log.open_session(resume("ada", 1)).await.unwrap();
    assert!(resumed.resumed);
    assert_eq!(resumed.last_seq, 7);
}

/// A node that is behind gives up what it has: its database, and all files that belong to that one.
#[tokio::test]
async fn it_takes_the_place_of_an_older_database() {
    let here = Place::new();
    let old = here.open("log.db");
    old.open_session(fresh("bob", 1)).await.unwrap();
    append_many(&old, "bob", "tea", 3).await;
    // As after a kill: commits stand in the write-ahead log alone.
    let wal = fs::read(here.path("log.db-wal")).unwrap();
    drop(old);
    fs::write(here.path("log.db-wal"), wal).unwrap();
    let (_from, epoch) = copied(2, &here).await;
    adopt_in(&here).unwrap();
    for suffix in ["-wal", "-shm", ".before"] {
        assert!(!beside(&here.path("log.db"), suffix).exists(), "{suffix}");
    }
    let (log, lines) = start(&here);
    assert_eq!(lines, "");
    assert_eq!(head(&log, "tea").await, 0);
    let lobby = log.room(room("lobby")).await.unwrap();
    assert_eq!((lobby.epoch, lobby.head), (epoch, offset(2)));
}

/// Half a copy, a damaged one, one of another program and one beside a server that runs: none becomes the database, and the
/// one that is there stays as it was.
#[tokio::test]
async fn what_is_no_whole_copy_is_not_adopted() {
    let here = Place::new();
    let (_from, _) = copied(60, &here).await;
    let whole = fs::read(here.path("log.db.copy")).unwrap();
    let log = here.open("log.db");
    log.open_session(fresh("bob", 1)).await.unwrap();
    append_many(&log, "bob", "tea", 3).await;
    let in_use = adopt_in(&here).unwrap_err();
    assert!(in_use.to_string().contains("in use"), "{in_use}");
    log.close().await.unwrap();
    drop(log);
    let before = fs::read(here.path("log.db")).unwrap();
    let mut torn = whole.clone();
    torn.truncate(whole.len() / 2);
    let mut damaged = whole.clone();
    for page in damaged.chunks_mut(4096).skip(3) {
        page[..64].fill(0xff);
    }
    for (bad, word) in [
        (torn, "damaged"),
        (damaged, "damaged"),
        (b"hello ".repeat(1_000), "not an SQLite database"),
    ] {
        fs::write(here.path("log.db.copy"), bad).unwrap();
        let error = adopt_in(&here).unwrap_err();
        assert!(error.to_string().contains(word), "{error}");
        assert_eq!(fs::read(here.path("log.db")).unwrap(), before);
    }
    let (log, lines) = start(&here);
    assert_eq!((lines.as_str(), head(&log, "tea").await), ("", 3));
    drop(log);

    fs::write(here.path("notes.txt"), "hello").unwrap();
    fs::write(here.path("log.db.copy"), whole).unwrap();
    let error = adopt(&here.path("log.db.copy"), &here.path("notes.txt")).unwrap_err();
    assert!(
        error.to_string().contains("not an SQLite database"),
        "{error}"
    );
    assert_eq!(fs::read(here.path("notes.txt")).unwrap(), b"hello");
}

/// Wherever it is interrupted, a start finds the old log, none, or the new one; never a mixture, and never the new one under
/// another epoch.
#[tokio::test]
async fn it_may_be_interrupted_anywhere() {
    for step in 0..5 {
        let here = Place::new();
        let old = here.open("log.db");
        old.open_session(fresh("bob", 1)).await.unwrap();
        append_many(&old, "bob", "tea", 3).await;
        drop(old);
        let (_from, epoch) = copied(2, &here).await;
        // A directory in the way makes the step fail, as an end of the process would.
        let obstacle = match step {
            0 => ".before",
            1 => "-wal",
            2 => "-shm",
            3 => ".witness",
            _ => "",
        };
        if !obstacle.is_empty() {
            let path = beside(&here.path("log.db"), obstacle);
            let _ = fs::remove_file(&path);
            fs::create_dir(&path).unwrap();
            fs::write(path.join("x"), "").unwrap();
            assert!(adopt_in(&here).is_err(), "{obstacle}");
            fs::remove_dir_all(&path).unwrap();
        } else {
            adopt_in(&here).unwrap();
        }
        let (log, _) = start(&here);
        let (tea, lobby) = (head(&log, "tea").await, head(&log, "lobby").await);
        let now = log.room(room("lobby")).await.unwrap().epoch;
        match step {
            0 => assert_eq!((tea, lobby), (3, 0)),
            4 => assert_eq!((tea, lobby, now), (0, 2, epoch.clone())),
            _ => assert_eq!((tea, lobby), (0, 0), "{obstacle}"),
        }
        drop(log);
        // The next try succeeds.
        if step < 4 {
            adopt_in(&here).unwrap();
            let (log, lines) = start(&here);
            assert_eq!(lines, "", "{obstacle}");
            let lobby = log.room(room("lobby")).await.unwrap();
            assert_eq!((lobby.epoch, lobby.head), (epoch, offset(2)));
        }
    }
}
