//! What leaves a log: texts that are redacted, and messages that are trimmed for age.

use protocol::frame::Message;
use protocol::position::Offset;
use protocol::redactions::REDACTED_MAX;

use super::support::{Subject, append, append_many, fresh, offset, offsets, room};
use crate::log::{Page, Redaction};

conformance!(
    a_removed_text_is_gone_and_its_place_stays,
    what_is_not_there_is_not_removed,
    a_number_whose_text_was_removed_is_acked_again,
    the_newest_removals_are_told_with_the_room,
    a_text_is_removed_in_the_commit_that_stored_it,
    old_messages_are_trimmed_from_the_oldest_on,
    every_room_is_trimmed,
);

fn without_text(message: &Message) -> Message {
    Message {
        body: String::new(),
        removed: true,
        ..message.clone()
    }
}

/// EO-8: the text is gone from every read, and the offset stays.
async fn a_removed_text_is_gone_and_its_place_stays(Subject { log, observer, .. }: Subject) {
    log.open_session(fresh("ada", 1)).await.unwrap();
    append_many(&*log, "ada", "lobby", 3).await;
    let before = log
        .read(room("lobby"), Offset::ZERO, 10)
        .await
        .unwrap()
        .messages;
    let removal = log.redact(room("lobby"), offset(2), 7).await;
    assert_eq!(removal, Ok(Redaction::Done));
    assert_eq!(
        log.redact(room("lobby"), offset(2), 8).await,
        Ok(Redaction::Before)
    );

    let gone = without_text(&before[1]);
    let expected = [before[0].clone(), gone.clone(), before[2].clone()];
    let read = log
        .read(room("lobby"), Offset::ZERO, 10)
        .await
        .unwrap()
        .messages;
    assert_eq!(read, expected);
    let page = log.read_before(room("lobby"), offset(4), 10).await;
    let (messages, more) = (expected.to_vec(), false);
    assert_eq!(page, Ok(Page { messages, more }));
    let held = log.room(room("lobby")).await.unwrap();
    assert_eq!((held.head, held.trimmed), (offset(3), Offset::ZERO));
    assert_eq!(held.redacted, std::slice::from_ref(&gone));
    assert_eq!(observer.seen()[3..], [gone], "notified once");
}

async fn what_is_not_there_is_not_removed(Subject { log, observer, .. }: Subject) {
    log.open_session(fresh("ada", 1)).await.unwrap();
    append_many(&*log, "ada", "lobby", 170).await;
    let trimmed = log.room(room("lobby")).await.unwrap().trimmed;
    assert!(trimmed > Offset::ZERO);
    for (name, at) in [
        ("lobby", Offset::ZERO),
        ("lobby", trimmed),
        ("lobby", offset(171)),
        ("other", offset(1)),
    ] {
        assert_eq!(
            log.redact(room(name), at, 1).await,
            Ok(Redaction::Missing),
            "{name} {at}"
        );
    }
    assert_eq!(observer.seen().len(), 170);
    assert_eq!(log.room(room("lobby")).await.unwrap().redacted, []);
}

/// EO-1, EO-8: a repeated number whose message was redacted gets its first `ack`.
async fn a_number_whose_text_was_removed_is_acked_again(Subject { log, .. }: Subject) {
    log.open_session(fresh("ada", 1)).await.unwrap();
    append_many(&*log, "ada", "lobby", 2).await;
    log.redact(room("lobby"), offset(1), 1).await.unwrap();
    let again = append("ada", 1, "lobby", "body 1");
    assert_eq!(log.append(again).await, Ok(offset(1)));
    assert_eq!(log.room(room("lobby")).await.unwrap().head, offset(2));
}

/// EO-8: a room's log has its newest redactions, as long as their messages are not trimmed.
async fn the_newest_removals_are_told_with_the_room(Subject { log, .. }: Subject) {
    log.open_session(fresh("ada", 1)).await.unwrap();
    append_many(&*log, "ada", "lobby", 60).await;
    for (at_ms, number) in [(1, 50), (2, 10), (3, 55)] {
        log.redact(room("lobby"), offset(number), at_ms)
            .await
            .unwrap();
    }
    let removed = log.room(room("lobby")).await.unwrap().redacted;
    assert_eq!(offsets(&removed), [50, 10, 55]);
    assert!(removed.len() < REDACTED_MAX);
    assert_eq!(log.room(room("other")).await.unwrap().redacted, []);
    for number in 61..=170 {
        log.append(append("ada", number, "lobby", "x"))
            .await
            .unwrap();
    }
    let held = log.room(room("lobby")).await.unwrap();
    assert!(held.trimmed >= offset(55));
    assert_eq!(held.redacted, []);
}

/// EO-8: the observer is notified of the message first, then of its redaction.
async fn a_text_is_removed_in_the_commit_that_stored_it(Subject { log, observer, .. }: Subject) {
    log.open_session(fresh("ada", 1)).await.unwrap();
    let appended = log.append(append("ada", 1, "lobby", "x"));
    let removed = log.redact(room("lobby"), offset(1), 1);
    assert_eq!(appended.await, Ok(offset(1)));
    assert_eq!(removed.await, Ok(Redaction::Done));
    let told: Vec<bool> = observer.seen().iter().map(|m| m.removed).collect();
    assert_eq!(told, [false, true]);
}

/// RS-6: offsets and the head stay; an old message behind a newer one is not trimmed before that.
async fn old_messages_are_trimmed_from_the_oldest_on(Subject { log, observer, .. }: Subject) {
    log.open_session(fresh("ada", 1)).await.unwrap();
    for (n, at_ms) in [(1, 10), (2, 20), (3, 50), (4, 30), (5, 60)] {
        let mut append = append("ada", n, "lobby", "x");
        append.at_ms = at_ms;
        log.append(append).await.unwrap();
    }
    log.redact(room("lobby"), offset(1), 1).await.unwrap();
    assert_eq!(log.trim(10).await, Ok(0));
    assert_eq!(log.trim(40).await, Ok(2));
    let held = log.room(room("lobby")).await.unwrap();
    assert_eq!((held.head, held.trimmed), (offset(5), offset(2)));
    assert_eq!(held.redacted, []);
    let read = log
        .read(room("lobby"), Offset::ZERO, 10)
        .await
        .unwrap()
        .messages;
    assert_eq!(offsets(&read), [3, 4, 5]);
    assert_eq!(log.trim(1_000).await, Ok(3));
    let held = log.room(room("lobby")).await.unwrap();
    assert_eq!((held.head, held.trimmed), (offset(5), offset(5)));
    assert_eq!(
        observer.trimmed(),
        [(room("lobby"), offset(2)), (room("lobby"), offset(5))]
    );
    // The next message has the next offset, and old numbers are still known.
    assert_eq!(
        log.append(append("ada", 6, "lobby", "x")).await,
        Ok(offset(6))
    );
    assert_eq!(
        log.append(append("ada", 1, "lobby", "x")).await,
        Ok(offset(1))
    );
    let read = log
        .read(room("lobby"), offset(5), 10)
        .await
        .unwrap()
        .messages;
    assert_eq!(offsets(&read), [6]);
}

async fn every_room_is_trimmed(Subject { log, .. }: Subject) {
    log.open_session(fresh("ada", 1)).await.unwrap();
    for n in 1..=600 {
        let append = append("ada", n, &format!("room-{}", n % 300), "x");
        log.append(append).await.unwrap();
    }
    assert_eq!(log.trim(1_000 + 301).await, Ok(300));
    assert_eq!(log.trim(1_000 + 301).await, Ok(0));
    assert_eq!(log.trim(u64::MAX).await, Ok(300));
    for n in [0, 1, 299] {
        let held = log.room(room(&format!("room-{n}"))).await.unwrap();
        assert_eq!((held.head, held.trimmed), (offset(2), offset(2)));
    }
}
