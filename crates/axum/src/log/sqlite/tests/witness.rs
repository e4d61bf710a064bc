//! A log that is not what its witness saw: damaged, cut off, or another one.

use std::os::unix::fs::FileExt;

use rusqlite::Connection;

use super::*;

/// Copies the files of a log as they are at this moment: what the next server would find after a kill.
fn killed(place: &Place) -> Place {
    let killed = Place::new();
    for name in ["log.db", "log.db-wal", "log.db.witness"] {
        fs::copy(place.path(name), killed.path(name)).unwrap();
    }
    killed
}

/// Opens the log as a start of the server does; returns it with the journal's lines.
fn start(place: &Place) -> (SqliteLog, String) {
    let mut log = None;
    let lines = lines_of(|| log = Some(place.open("log.db")));
    (log.unwrap(), lines)
}

/// Twenty messages, each a commit of its own.
async fn twenty(place: &Place) -> SqliteLog {
    let log = place.open("log.db");
    log.open_session(fresh("ada", 1)).await.unwrap();
    for n in 1..=20 {
        let append = append("ada", n, "lobby", &format!("body {n}"));
        assert_eq!(log.append(append).await, Ok(offset(n)));
    }
    log
}

fn flip(path: &Path, at: u64) {
    let file = fs::File::options().read(true).write(true).open(path);
    let (file, mut byte) = (file.unwrap(), [0]);
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 0x20], at).unwrap();
}

fn cut(path: &Path, bytes: u64) {
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_len(bytes).unwrap();
}

/// RS-6, RS-3, RS-9: what was cut off or can no longer be read had been acknowledged. No client takes the next
/// messages for those that it has seen.
#[tokio::test]
async fn a_log_that_lost_its_tail_is_another_log() {
    let place = Place::new();
    let log = twenty(&place).await;
    let before = log.room(room("lobby")).await.unwrap();
    let length = fs::metadata(place.path("log.db-wal")).unwrap().len();
    for (what, harm) in [
        (
            "a byte in the middle",
            Box::new(|wal: &Path| flip(wal, length / 2)) as Box<dyn Fn(&Path)>,
        ),
        (
            "the last byte",
            Box::new(|wal: &Path| flip(wal, length - 1)),
        ),
        ("its header", Box::new(|wal: &Path| flip(wal, 9))),
        ("half of it", Box::new(|wal: &Path| cut(wal, length / 2))),
        ("the last page", Box::new(|wal: &Path| cut(wal, length - 1))),
        ("all of it", Box::new(|wal: &Path| cut(wal, 0))),
        (
            "the file",
            Box::new(|wal: &Path| fs::remove_file(wal).unwrap()),
        ),
    ] {
        let killed = killed(&place);
        harm(&killed.path("log.db-wal"));
        let log = killed.open("log.db");
        let held = log.room(room("lobby")).await.unwrap();
        assert!(held.head < before.head, "{what}");
        assert_ne!(held.epoch, before.epoch, "{what}");
        let resumed = log.open_session(resume("ada", 2)).await.unwrap();
        assert!(!resumed.resumed, "{what}");
        let next = held.head.next();
        let append = append("instead", 1, "lobby", "another");
        assert_eq!(log.append(append).await, Ok(next), "{what}");
        drop(log);
        // Only once: after that it is a log like any other.
        let again = killed.open("log.db").room(room("lobby")).await.unwrap();
        assert_ne!(again.epoch, before.epoch, "{what}");
        let log = killed.open("log.db");
        let third = log.room(room("lobby")).await.unwrap();
        assert_eq!((third.epoch, third.head), (again.epoch, next), "{what}");
    }
}

/// An older copy of the database, put in place of the newer one.
#[tokio::test]
async fn an_older_database_in_its_place_is_another_log() {
    let place = Place::new();
    let log = place.open("log.db");
    log.open_session(fresh("ada", 1)).await.unwrap();
    append_many(&log, "ada", "lobby", 5).await;
    drop(log);
    fs::copy(place.path("log.db"), place.path("older.db")).unwrap();
    let log = place.open("log.db");
    let epoch = log.room(room("lobby")).await.unwrap().epoch;
    log.append(append("ada", 6, "lobby", "x")).await.unwrap();
    drop(log);
    fs::copy(place.path("older.db"), place.path("log.db")).unwrap();
    let held = place.open("log.db").room(room("lobby")).await.unwrap();
    assert_eq!(held.head, offset(5));
    assert_ne!(held.epoch, epoch);
}

/// A history as long, but another: the older copy went on by itself.
#[tokio::test]
async fn another_history_of_one_length_is_another_log() {
    let place = Place::new();
    drop(twenty(&place).await);
    let fork = Place::new();
    for name in ["log.db", "log.db.witness"] {
        fs::copy(place.path(name), fork.path(name)).unwrap();
    }
    for (place, body) in [(&place, "here"), (&fork, "there there")] {
        let log = place.open("log.db");
        let mut append = append("ada", 21, "lobby", body);
        append.at_ms += body.len() as u64;
        assert_eq!(log.append(append).await, Ok(offset(21)));
    }
    let epoch = place
        .open("log.db")
        .room(room("lobby"))
        .await
        .unwrap()
        .epoch;
    fs::copy(fork.path("log.db"), place.path("log.db")).unwrap();
    let held = place.open("log.db").room(room("lobby")).await.unwrap();
    assert_eq!(held.head, offset(21));
    assert_ne!(held.epoch, epoch);
}

/// The witness is written after the commit, without a sync: a power cut may leave any older one of its epoch.
#[tokio::test]
async fn an_older_witness_raises_no_alarm() {
    let place = Place::new();
    let log = place.open("log.db");
    log.open_session(fresh("ada", 1)).await.unwrap();
    let first = fs::read(place.path("log.db.witness")).unwrap();
    append_many(&log, "ada", "lobby", 20).await;
    let before = log.room(room("lobby")).await.unwrap();
    assert_ne!(first, fs::read(place.path("log.db.witness")).unwrap());
    let killed = killed(&place);
    fs::write(killed.path("log.db.witness"), first).unwrap();
    let (log, lines) = start(&killed);
    assert_eq!(lines, "");
    assert_eq!(log.room(room("lobby")).await.unwrap(), before);
    assert_eq!(
        log.open_session(resume("ada", 2)).await.unwrap().last_seq,
        20
    );
}

/// A database that came from elsewhere, beside the witness of the one before it.
#[tokio::test]
async fn the_witness_of_another_database_means_a_new_epoch() {
    let (place, other) = (Place::new(), Place::new());
    drop(twenty(&place).await);
    let log = other.open("log.db");
    log.open_session(fresh("bob", 1)).await.unwrap();
    append_many(&log, "bob", "lobby", 3).await;
    let before = log.room(room("lobby")).await.unwrap();
    drop(log);
    fs::copy(other.path("log.db"), place.path("log.db")).unwrap();
    let (log, lines) = start(&place);
    assert!(lines.contains("ANOTHER ONE"), "{lines}");
    let held = log.room(room("lobby")).await.unwrap();
    assert_eq!(held.head, before.head);
    assert_ne!(held.epoch, before.epoch);
    // Beside its own witness the database is the one that it was.
    let moved = Place::new();
    for name in ["log.db", "log.db.witness"] {
        fs::copy(other.path(name), moved.path(name)).unwrap();
    }
    let (log, lines) = start(&moved);
    assert_eq!(lines, "");
    assert_eq!(log.room(room("lobby")).await.unwrap(), before);
}

/// RS-6: a database without a witness may be an older copy, whose offsets mean other texts by now.
#[tokio::test]
async fn a_database_without_its_witness_is_another_log() {
    for witness in [None, Some("something else")] {
        let place = Place::new();
        let log = twenty(&place).await;
        let before = log.room(room("lobby")).await.unwrap();
        drop(log);
        fs::remove_file(place.path("log.db.witness")).unwrap();
        if let Some(witness) = witness {
            fs::write(place.path("log.db.witness"), witness).unwrap();
        }
        let (log, lines) = start(&place);
        assert!(lines.contains("NO WITNESS"), "{lines}");
        let held = log.room(room("lobby")).await.unwrap();
        assert_eq!(held.head, before.head);
        assert_ne!(held.epoch, before.epoch);
        let resumed = log.open_session(resume("ada", 2)).await.unwrap();
        assert!(!resumed.resumed, "it may lack acknowledged messages");
        drop(log);
        // Only once: it has a witness now.
        let (log, lines) = start(&place);
        assert_eq!(lines, "");
        assert_eq!(log.room(room("lobby")).await.unwrap().epoch, held.epoch);
    }
}

/// RS-6: a second loss, of whatever kind, does not bring back an epoch that was replaced.
#[tokio::test]
async fn an_epoch_never_comes_back() {
    let place = Place::new();
    let log = place.open("log.db");
    log.open_session(fresh("ada", 1)).await.unwrap();
    append_many(&log, "ada", "lobby", 5).await;
    drop(log);
    fs::copy(place.path("log.db"), place.path("older.db")).unwrap();
    let log = place.open("log.db");
    log.open_session(fresh("bob", 1)).await.unwrap();
    append_many(&log, "bob", "lobby", 45).await;
    let first = log.room(room("lobby")).await.unwrap().epoch;
    let damage = |how: &str, place: &Place, older: &Path| {
        let wal = place.path("log.db-wal");
        match how {
            "no write-ahead log" => fs::remove_file(wal).unwrap(),
            "an empty one" => cut(&wal, 0),
            "a byte of its first frame" => flip(&wal, 40),
            "an older copy" => {
                fs::remove_file(wal).unwrap();
                fs::copy(older, place.path("log.db")).map(drop).unwrap();
            }
            _ => {
                fs::remove_file(wal).unwrap();
                fs::remove_file(place.path("log.db.witness")).unwrap();
                fs::copy(older, place.path("log.db")).map(drop).unwrap();
            }
        }
    };
    for how in [
        "no write-ahead log",
        "an empty one",
        "a byte of its first frame",
        "an older copy",
        "an older copy and no witness",
    ] {
        let mut epochs = vec![first.clone()];
        let mut now = killed(&place);
        for loss in 1..=3 {
            damage(how, &now, &place.path("older.db"));
            let (log, lines) = start(&now);
            assert!(lines.contains("new epoch"), "{how} {loss}: {lines}");
            let epoch = log.room(room("lobby")).await.unwrap().epoch;
            assert!(!epochs.contains(&epoch), "{how}: {loss}");
            epochs.push(epoch);
            log.open_session(fresh("eve", 1)).await.unwrap();
            append_many(&log, "eve", "lobby", 1).await;
            now = killed(&now);
        }
    }
}

/// A new epoch does not depend on the write-ahead log, which may be damaged next.
#[tokio::test]
async fn a_new_epoch_stands_in_the_database_itself() {
    let place = Place::new();
    let killed = {
        let _log = twenty(&place).await;
        killed(&place)
    };
    fs::remove_file(killed.path("log.db-wal")).unwrap();
    let log = killed.open("log.db");
    let epoch = log.room(room("lobby")).await.unwrap().epoch;
    fs::copy(killed.path("log.db"), place.path("alone.db")).unwrap();
    let alone = Connection::open(place.path("alone.db")).unwrap();
    let sql = "SELECT value FROM meta WHERE key = 'epoch'";
    let stored: String = alone.query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(stored, epoch.as_str());
}

/// A start after an orderly end, or after a kill that lost nothing, reports nothing.
#[tokio::test]
async fn nothing_lost_raises_no_alarm() {
    let place = Place::new();
    drop(twenty(&place).await);
    let (log, lines) = start(&place);
    assert_eq!(lines, "");
    let before = log.room(room("lobby")).await.unwrap();
    let killed = killed(&place);
    let (log, lines) = start(&killed);
    assert_eq!(lines, "");
    assert_eq!(log.room(room("lobby")).await.unwrap(), before);
}

/// A witness without its database is reported once, and does no harm.
#[tokio::test]
async fn a_new_database_beside_an_old_witness_is_new() {
    let place = Place::new();
    let log = twenty(&place).await;
    let before = log.room(room("lobby")).await.unwrap().epoch;
    drop(log);
    fs::remove_file(place.path("log.db")).unwrap();
    let (log, lines) = start(&place);
    assert!(lines.contains("NOT HERE"), "{lines}");
    let epoch = log.room(room("lobby")).await.unwrap().epoch;
    assert_ne!(epoch, before);
    drop(log);
    let (log, lines) = start(&place);
    assert_eq!(lines, "");
    assert_eq!(log.room(room("lobby")).await.unwrap().epoch, epoch);
}

/// `everbeat restore` gives the copy a new epoch and a witness, which the next start accepts. A copy that was put
/// in place by hand has none.
#[tokio::test]
async fn a_restored_log_raises_no_alarm() {
    let place = Place::new();
    let log = twenty(&place).await;
    let before = log.room(room("lobby")).await.unwrap();
    backup(&place.path("log.db"), &place.path("copy.db")).unwrap();
    drop(log);
    let (restored, by_hand) = (Place::new(), Place::new());
    restore(&place.path("copy.db"), &restored.path("log.db")).unwrap();
    fs::copy(place.path("copy.db"), by_hand.path("log.db")).unwrap();
    let (log, lines) = start(&restored);
    assert_eq!(lines, "");
    let held = log.room(room("lobby")).await.unwrap();
    assert_eq!(held.head, before.head);
    assert_ne!(held.epoch, before.epoch);
    let (log, lines) = start(&by_hand);
    assert!(lines.contains("NO WITNESS"), "{lines}");
    assert_ne!(log.room(room("lobby")).await.unwrap().epoch, before.epoch);
}

/// RS-6, EO-1: after the restore of an older copy no session goes on, as the numbers of messages that its client has acks
/// for, and the copy lacks, would be taken for other texts.
#[tokio::test]
async fn a_restored_log_resumes_no_session() {
    let place = Place::new();
    let log = twenty(&place).await;
    log.refuse(refuse("ada", 21, ErrorCode::BodyEmpty))
        .await
        .unwrap();
    backup(&place.path("log.db"), &place.path("copy.db")).unwrap();
    let later = append("ada", 22, "lobby", "acked after the copy");
    assert_eq!(log.append(later).await, Ok(offset(21)));
    drop(log);
    let restored = Place::new();
    restore(&place.path("copy.db"), &restored.path("log.db")).unwrap();
    let (log, _) = start(&restored);
    let resumed = log.open_session(resume("ada", 2)).await.unwrap();
    assert_eq!((resumed.resumed, resumed.last_seq), (false, 0));
    assert_eq!(resumed.refused, []);
    let other = append("ada", 22, "lobby", "another text");
    assert_eq!(
        log.append(other).await,
        Err(NumberError::UnknownSession.into())
    );
    let held = log.room(room("lobby")).await.unwrap();
    assert_eq!(held.head, offset(20), "the messages of the copy stay");
}

/// SQLite may mix pages of different commits. What is left is dense, and takes new messages.
#[tokio::test]
async fn a_log_that_contradicts_itself_is_mended() {
    let place = Place::new();
    let log = twenty(&place).await;
    let posted = Post {
        key: [1; 32],
        session: id("post"),
        room: room("lobby"),
        name: protocol::id::Name::tidy("Ada"),
        body: "posted".to_owned(),
        at_ms: 1,
        erased: None,
    };
    log.post(posted.clone()).await.unwrap();
    append_many(&log, "ada", "other", 0).await;
    drop(log);
    let connection = Connection::open(place.path("log.db")).unwrap();
    connection
        .execute_batch(
            "DELETE FROM messages WHERE offset IN (3, 12, 21);
             INSERT INTO rooms (id, name, head, trimmed) VALUES (7, 'empty', 9, 2);
             INSERT INTO messages SELECT 99, offset, session, seq, name, at_ms, body, NULL, NULL
                 FROM messages WHERE offset = 1;
             UPDATE rooms SET head = 15 WHERE name = 'lobby';
             UPDATE state SET commits = commits - 1;",
        )
        .unwrap();
    drop(connection);
    let log = place.open("log.db");
    let held = log.room(room("lobby")).await.unwrap();
    assert_eq!((held.head, held.trimmed), (offset(20), offset(12)));
    let read = log.read(room("lobby"), Offset::ZERO, 100).await.unwrap();
    assert_eq!(offsets(&read.messages), (13..=20).collect::<Vec<_>>());
    let empty = log.room(room("empty")).await.unwrap();
    assert_eq!((empty.head, empty.trimmed), (offset(9), offset(9)));
    log.open_session(fresh("ada", 1)).await.unwrap();
    for (name, at) in [("lobby", 21), ("empty", 10), ("new", 1)] {
        let seq = [21, 10, 1].iter().position(|n| *n == at).unwrap() as u64 + 1;
        let append = append("ada", seq, name, "x");
        assert_eq!(log.append(append).await, Ok(offset(at)), "{name}");
    }
    // Its message was lost, so the post is appended anew.
    let again = log.post(posted).await.unwrap();
    assert_eq!((again.offset, again.is_repeat), (offset(22), false));
}

/// A database whose pages contradict each other is not served after a kill, and stays as it is.
#[tokio::test]
async fn a_damaged_database_is_refused() {
    let place = Place::new();
    let log = place.open("log.db");
    log.open_session(fresh("ada", 1)).await.unwrap();
    append_many(&log, "ada", "lobby", 90).await;
    drop(log);
    let log = place.open("log.db");
    let killed = Place::new();
    for name in ["log.db", "log.db-wal", "log.db.witness"] {
        fs::copy(place.path(name), killed.path(name)).unwrap();
    }
    drop(log);
    let connection = Connection::open(place.path("log.db")).unwrap();
    let page: i64 = connection
        .query_row(
            "SELECT pageno FROM dbstat WHERE name = 'messages' AND pagetype = 'leaf' LIMIT 1",
            [],
            |row| row.get(0),
        )
        .unwrap();
    drop(connection);
    // The place in the page that holds the number of its cells.
    flip(
        &killed.path("log.db"),
        (u64::try_from(page).unwrap() - 1) * 4096 + 4,
    );
    let error = killed.try_open("log.db").unwrap_err();
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("everbeat restore"), "{error}");
}
