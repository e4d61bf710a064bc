//! The conformance tests of a log, run on each of them.

pub(super) mod support;

use std::sync::Arc;

use futures_util::future::join_all;
use protocol::codec::encode;
use protocol::frame::ErrorCode;
use protocol::position::Offset;
use protocol::server::NumberError;

use self::support::{
    HISTORY, Recorder, Subject, append, append_many, check_opened, fresh, id, is_unavailable,
    offset, offsets, refuse, resume, room,
};
use super::memory::MemoryLog;
use super::{Log, LogError, PAGE_BYTES, Page};

/// Makes a test of each of these for each log.
macro_rules! conformance {
    ($($name:ident),* $(,)?) => {
        mod memory {
            $(#[tokio::test] async fn $name() { super::$name(super::Subject::memory()).await; })*
        }
        mod sqlite {
            $(#[tokio::test] async fn $name() { super::$name(super::Subject::sqlite()).await; })*
        }
    };
}

mod moderation;
mod posts;
mod sessions;

conformance!(
    messages_are_read_as_they_were_appended,
    one_failure_harms_no_other_call,
    calls_take_effect_in_the_order_in_which_they_were_made,
    the_observer_is_told_in_order_and_before_the_answer,
    reads_are_bounded,
    pages_are_cut_by_bytes,
    old_messages_are_trimmed_and_their_numbers_stay_known,
    rooms_share_the_epoch_of_their_log,
    a_closed_log_has_finished_and_answers_nothing,
);

/// EO-2: message, last number and head move together.
async fn messages_are_read_as_they_were_appended(Subject { log, .. }: Subject) {
    log.open_session(fresh("ada", 1)).await.unwrap();
    log.open_session(fresh("bob", 1)).await.unwrap();
    let appends = [
        append("ada", 1, "lobby", "one"),
        append("bob", 1, "lobby", "zwei \u{0} \u{1f600} ' \" \\"),
        append("ada", 2, "other", "three"),
        append("ada", 3, "lobby", "four"),
    ];
    let mut expected = Vec::new();
    for (append, at) in appends.into_iter().zip([1, 2, 1, 3]) {
        assert_eq!(log.append(append.clone()).await, Ok(offset(at)));
        let held = log.room(append.room.clone()).await.unwrap();
        assert_eq!(held.head, offset(at));
        assert_eq!(held.trimmed, Offset::ZERO);
        expected.push(append.at(offset(at)));
    }
    let other = expected.remove(2);
    let lobby = log.read(room("lobby"), Offset::ZERO, 10).await;
    assert_eq!(lobby.unwrap().messages, expected);
    let read = log.read(room("other"), Offset::ZERO, 10).await;
    assert_eq!(read.unwrap().messages, [other]);
    check_opened(log.open_session(resume("ada", 2)).await, true, 3);
}

/// EO-2: within one commit each operation succeeds or fails by itself, as the rules say.
async fn one_failure_harms_no_other_call(Subject { log, .. }: Subject) {
    log.open_session(fresh("ada", 1)).await.unwrap();
    log.open_session(fresh("bob", 1)).await.unwrap();
    let appends = [
        ("ada", 1, "one"),
        ("bob", 5, "too early"),
        ("eve", 1, "unknown"),
        ("ada", 1, "another one"),
        ("ada", 2, "two"),
        ("bob", 1, "three"),
    ];
    let taken = log.open_session(fresh("ada", 1));
    let calls = appends.map(|(session, n, body)| log.append(append(session, n, "lobby", body)));
    let answers = join_all(calls).await;
    assert_eq!(
        answers,
        [
            Ok(offset(1)),
            Err(LogError::Number(NumberError::OutOfOrder)),
            Err(LogError::Number(NumberError::UnknownSession)),
            Err(LogError::Number(NumberError::Conflict)),
            Ok(offset(2)),
            Ok(offset(3)),
        ]
    );
    assert!(is_unavailable(&taken.await));
}

/// EO-1, RS-3: an older connection's appends count before the newer one's resume.
async fn calls_take_effect_in_the_order_in_which_they_were_made(Subject { log, .. }: Subject) {
    let opening = log.open_session(fresh("ada", 1));
    let first = log.append(append("ada", 1, "lobby", "one"));
    let refusal = log.refuse(refuse("ada", 2, ErrorCode::BodyEmpty));
    let third = log.append(append("ada", 3, "lobby", "three"));
    let resuming = log.open_session(resume("ada", 2));
    let other_opening = log.open_session(fresh("bob", 9));
    let other_first = log.append(append("bob", 1, "lobby", "one"));
    let expiring = log.expire(9);
    let fourth = log.append(append("ada", 4, "lobby", "four"));
    let other_second = log.append(append("bob", 2, "lobby", "two"));

    assert_eq!(other_second.await, Ok(offset(4)));
    assert_eq!(
        fourth.await,
        Err(LogError::Number(NumberError::UnknownSession))
    );
    assert_eq!(expiring.await, Ok(1));
    assert_eq!(other_first.await, Ok(offset(3)));
    check_opened(other_opening.await, false, 0);
    let resumed = resuming.await.unwrap();
    assert_eq!((resumed.resumed, resumed.last_seq), (true, 3));
    assert_eq!(resumed.refused.len(), 1);
    assert_eq!(third.await, Ok(offset(2)));
    assert!(refusal.await.is_ok());
    assert_eq!(first.await, Ok(offset(1)));
    check_opened(opening.await, false, 0);
}

/// EO-2: a message is durable before it is seen, and seen in the order of the log.
async fn the_observer_is_told_in_order_and_before_the_answer(subject: Subject) {
    let Subject { log, observer, .. } = &subject;
    let people = ["ada", "bob", "cyd"];
    for person in people {
        log.open_session(fresh(person, 1)).await.unwrap();
    }
    let chat = |person| async move {
        for n in 1..=20 {
            let in_room = if n % 3 == 0 { "other" } else { "lobby" };
            let append = append(person, n, in_room, "x");
            let at = log.append(append.clone()).await.unwrap();
            assert!(observer.seen().contains(&append.at(at)));
        }
    };
    join_all(people.map(chat)).await;
    for name in ["lobby", "other"] {
        let mut seen = observer.seen();
        seen.retain(|m| m.room == room(name));
        let read = log
            .read(room(name), Offset::ZERO, 1_000)
            .await
            .unwrap()
            .messages;
        assert_eq!(seen, read);
        assert_eq!(offsets(&seen), (1..=seen.len() as u64).collect::<Vec<_>>());
    }
}

/// RS-5: a read begins at any position, and is in order.
async fn reads_are_bounded(Subject { log, .. }: Subject) {
    log.open_session(fresh("ada", 1)).await.unwrap();
    append_many(&*log, "ada", "lobby", 9).await;
    for (after, limit, expected) in [
        (0, 3, vec![1, 2, 3]),
        (7, 10, vec![8, 9]),
        (9, 10, vec![]),
        (12, 10, vec![]),
        (0, 0, vec![]),
    ] {
        let read = log.read(room("lobby"), offset(after), limit).await;
        assert_eq!(
            offsets(&read.unwrap().messages),
            expected,
            "{after} {limit}"
        );
    }
    for (before, limit, expected, more) in [
        (10, 4, vec![6, 7, 8, 9], true),
        (5, 4, vec![1, 2, 3, 4], false),
        (5, u32::MAX, vec![1, 2, 3, 4], false),
        (900, 2, vec![8, 9], true),
        (1, 4, vec![], false),
        (0, 4, vec![], false),
        (5, 0, vec![], true),
    ] {
        let page = log.read_before(room("lobby"), offset(before), limit).await;
        let page = page.unwrap();
        assert_eq!(offsets(&page.messages), expected, "{before} {limit}");
        assert_eq!(page.more, more, "{before} {limit}");
    }
    let nowhere = log.read(room("nowhere"), Offset::ZERO, 10).await;
    assert_eq!(nowhere, Ok(Page::default()));
    let nowhere = log.read_before(room("nowhere"), offset(9), 10).await;
    assert_eq!(nowhere, Ok(Page::default()));
}

/// A page is bounded by the bytes of its messages in frames, in either direction, and has at least one message.
async fn pages_are_cut_by_bytes(Subject { log, .. }: Subject) {
    log.open_session(fresh("ada", 1)).await.unwrap();
    // Each takes six bytes for a character: five of them are over 240 KiB.
    let bodies = (1..=12).map(|_| "\u{1}".repeat(8192));
    // One is larger than a page.
    let bodies = bodies.chain(["x".repeat(PAGE_BYTES as usize + 1), "last".to_owned()]);
    for (n, body) in (1..).zip(bodies) {
        log.append(append("ada", n, "lobby", &body)).await.unwrap();
    }
    for (after, expected, more) in [
        (0, vec![1, 2, 3, 4, 5], true),
        (8, vec![9, 10, 11, 12], true),
        (12, vec![13], true),
        (13, vec![14], false),
    ] {
        let page = log.read(room("lobby"), offset(after), 200).await.unwrap();
        assert_eq!((offsets(&page.messages), page.more), (expected, more));
        let sent: usize = page.messages.iter().map(|m| encode(m).len()).sum();
        assert!(
            sent <= PAGE_BYTES as usize || page.messages.len() == 1,
            "{sent}"
        );
    }
    for (before, expected, more) in [
        (15, vec![14], true),
        (14, vec![13], true),
        (13, vec![8, 9, 10, 11, 12], true),
        (4, vec![1, 2, 3], false),
    ] {
        let page = log
            .read_before(room("lobby"), offset(before), 200)
            .await
            .unwrap();
        assert_eq!((offsets(&page.messages), page.more), (expected, more));
    }
}

/// RS-6: what was trimmed is reported. EO-1, EO-6: its numbers are answered as before.
async fn old_messages_are_trimmed_and_their_numbers_stay_known(Subject { log, .. }: Subject) {
    log.open_session(fresh("ada", 1)).await.unwrap();
    append_many(&*log, "ada", "lobby", 250).await;
    // One at a time, so that grouped commits do not change how much is left.
    for n in 251..=450 {
        let append = append("ada", n, "lobby", &format!("body {n}"));
        assert_eq!(log.append(append).await, Ok(offset(n)));
    }
    let held = log.room(room("lobby")).await.unwrap();
    assert_eq!(held.head, offset(450));
    let left = held.head.get() - held.trimmed.get();
    assert!((HISTORY..=HISTORY + 64).contains(&left), "{left} are left");

    let read = log
        .read(room("lobby"), Offset::ZERO, 1_000)
        .await
        .unwrap()
        .messages;
    let kept: Vec<u64> = (held.trimmed.get() + 1..=450).collect();
    assert_eq!(offsets(&read), kept);
    let oldest = log.read_before(room("lobby"), offset(450), 1_000).await;
    assert!(!oldest.unwrap().more);

    let again = |body| log.append(append("ada", 7, "lobby", body));
    assert_eq!(again("body 7").await, Ok(offset(7)));
    assert_eq!(
        again("body 8").await,
        Err(LogError::Number(NumberError::Conflict))
    );
    let elsewhere = log.append(append("ada", 7, "other", "body 7")).await;
    assert_eq!(elsewhere, Err(LogError::Number(NumberError::Conflict)));
    let refusal = log.refuse(refuse("ada", 7, ErrorCode::BodyEmpty)).await;
    assert_eq!(refusal, Err(LogError::Number(NumberError::Conflict)));
}

/// RS-6: the positions of another log are not valid in this one.
async fn rooms_share_the_epoch_of_their_log(Subject { log, .. }: Subject) {
    let lobby = log.room(room("lobby")).await.unwrap();
    assert_eq!(lobby.epoch, log.room(room("other")).await.unwrap().epoch);
    assert!(lobby.epoch.as_str().len() >= 16);
    for other in [Subject::memory(), Subject::sqlite()] {
        let epoch = other.log.room(room("lobby")).await.unwrap().epoch;
        assert_ne!(epoch, lobby.epoch);
    }
}

/// EO-2: a closed log has finished the calls before.
async fn a_closed_log_has_finished_and_answers_nothing(Subject { log, observer, .. }: Subject) {
    log.open_session(fresh("ada", 1)).await.unwrap();
    let append_one = |n| log.append(append("ada", n, "lobby", "x"));
    let pending: Vec<_> = (1..=50).map(append_one).collect();
    let closing = log.close();
    let late = append_one(51);
    // It takes no more calls, also before it has finished.
    assert!(is_unavailable(&log.room(room("lobby")).await));
    assert_eq!(closing.await, Ok(()));
    assert_eq!(observer.seen().len(), 50);
    for (answer, n) in join_all(pending).await.into_iter().zip(1..) {
        assert_eq!(answer, Ok(offset(n)));
    }
    assert!(is_unavailable(&late.await));
    all_unavailable(&*log).await;
}

async fn all_unavailable(log: &dyn Log) {
    let lobby = || room("lobby");
    let refusal = log.refuse(refuse("ada", 1, ErrorCode::BodyEmpty));
    let append = log.append(append("ada", 1, "lobby", "x"));
    assert!(is_unavailable(&log.open_session(fresh("bob", 1)).await));
    assert!(is_unavailable(&append.await));
    assert!(is_unavailable(&refusal.await));
    assert!(is_unavailable(&log.room(lobby()).await));
    assert!(is_unavailable(&log.read(lobby(), Offset::ZERO, 1).await));
    let page = log.read_before(lobby(), offset(9), 1);
    assert!(is_unavailable(&page.await));
    assert!(is_unavailable(&log.touch(vec![id("ada")], 1).await));
    assert!(is_unavailable(&log.expire(1).await));
    assert!(is_unavailable(&log.close().await));
}

/// EO-7: the switch of the log in memory makes writes fail; reads go on.
#[tokio::test]
async fn the_log_in_memory_fails_when_told_to() {
    let log = MemoryLog::new(HISTORY, Arc::<Recorder>::default());
    log.open_session(fresh("ada", 1)).await.unwrap();
    append_many(&log, "ada", "lobby", 1).await;
    log.fail_with(Some("disk full"));
    let failed = log.append(append("ada", 2, "lobby", "x")).await;
    assert_eq!(failed, Err(LogError::Unavailable("disk full".into())));
    assert!(is_unavailable(&log.expire(1).await));
    assert_eq!(log.room(room("lobby")).await.unwrap().head, offset(1));
    log.fail_with(None);
    let stored = log.append(append("ada", 2, "lobby", "x")).await;
    assert_eq!(stored, Ok(offset(2)));
}
