//! What every log must do, tried on each of them.

pub(super) mod support;

use std::sync::Arc;

use futures_util::future::join_all;
use protocol::codec::encode;
use protocol::frame::{ErrorCode, Refused};
use protocol::id::Name;
use protocol::position::Offset;

use self::support::{
    HISTORY, Recorder, Subject, append, append_many, fresh, id, is_unavailable, key_hash, offset,
    offsets, opened, resume, room, seq,
};
use super::memory::MemoryLog;
use super::{Append, Log, LogError, PAGE_BYTES, Page, REFUSED_MAX};

/// Runs each of these on each log.
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

conformance!(
    sessions_start_at_zero_and_resume_with_their_key,
    a_wrong_key_or_an_unknown_id_gets_the_fresh_session,
    an_id_in_use_is_not_opened_again,
    messages_are_read_as_they_were_appended,
    a_repeated_number_gets_its_first_offset,
    a_repeated_number_with_another_message_is_a_conflict,
    a_number_that_skips_some_is_out_of_order,
    a_repeat_is_found_and_never_appended,
    an_unknown_session_appends_nothing,
    a_refused_number_is_used_up,
    a_resumed_session_is_told_its_newest_refusals,
    refusals_in_a_row_stay_apart,
    one_failure_harms_no_other_call,
    calls_take_effect_in_the_order_in_which_they_were_made,
    the_observer_is_told_in_order_and_before_the_answer,
    reads_are_bounded,
    pages_are_cut_by_bytes,
    old_messages_are_trimmed_and_their_numbers_stay_known,
    sessions_expire_after_their_last_touch,
    many_sessions_expire_at_once,
    sessions_without_a_number_expire_sooner,
    rooms_share_the_epoch_of_their_log,
    a_closed_log_has_finished_and_answers_nothing,
);

/// RS-2, RS-3.
async fn sessions_start_at_zero_and_resume_with_their_key(Subject { log, .. }: Subject) {
    assert_eq!(log.open_session(fresh("ada", 1)).await, opened(false, 0));
    assert_eq!(log.open_session(resume("ada", 2)).await, opened(true, 0));
    append_many(&*log, "ada", "lobby", 3).await;
    assert_eq!(log.open_session(resume("ada", 3)).await, opened(true, 3));
}

/// RS-2: never somebody else's session.
async fn a_wrong_key_or_an_unknown_id_gets_the_fresh_session(Subject { log, .. }: Subject) {
    log.open_session(fresh("ada", 1)).await.unwrap();
    append_many(&*log, "ada", "lobby", 3).await;

    let mut stolen = resume("ada", 2);
    stolen.resume = Some((id("ada"), vec![key_hash("guess")]));
    stolen.fresh = (id("eve"), key_hash("eve"));
    assert_eq!(log.open_session(stolen).await, opened(false, 0));
    assert_eq!(log.open_session(resume("eve", 3)).await, opened(true, 0));
    assert_eq!(log.open_session(resume("ada", 3)).await, opened(true, 3));

    let unknown = resume("nobody", 4);
    assert_eq!(log.open_session(unknown).await, opened(false, 0));
    let instead = resume("instead", 5);
    assert_eq!(log.open_session(instead).await, opened(true, 0));
}

/// RS-2: a fresh session inherits nothing, not even from a forgotten one of the same id.
async fn an_id_in_use_is_not_opened_again(Subject { log, .. }: Subject) {
    log.open_session(fresh("ada", 1)).await.unwrap();
    append_many(&*log, "ada", "lobby", 2).await;
    assert!(is_unavailable(&log.open_session(fresh("ada", 2)).await));
    assert_eq!(log.open_session(resume("ada", 3)).await, opened(true, 2));
    assert_eq!(log.expire(10).await, Ok(1));

    assert_eq!(log.open_session(fresh("ada", 11)).await, opened(false, 0));
    let again = append("ada", 1, "lobby", "body 1");
    assert_eq!(log.append(again).await, Ok(offset(3)));
}

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
    assert_eq!(log.open_session(resume("ada", 2)).await, opened(true, 3));
}

/// EO-1.
async fn a_repeated_number_gets_its_first_offset(Subject { log, observer, .. }: Subject) {
    log.open_session(fresh("ada", 1)).await.unwrap();
    append_many(&*log, "ada", "lobby", 3).await;
    for n in [1, 2, 3, 3, 1] {
        let mut again = append("ada", n, "lobby", &format!("body {n}"));
        // The name and the time belong to the first time.
        again.name = Name::tidy("Ada Lovelace");
        again.at_ms = 5_000;
        assert_eq!(log.append(again).await, Ok(offset(n)));
    }
    assert_eq!(offsets(&observer.seen()), [1, 2, 3]);
    assert_eq!(log.room(room("lobby")).await.unwrap().head, offset(3));
    assert_eq!(observer.seen()[0].name, Name::tidy("Ada"));
}

/// EO-6.
async fn a_repeated_number_with_another_message_is_a_conflict(Subject { log, .. }: Subject) {
    log.open_session(fresh("ada", 1)).await.unwrap();
    append_many(&*log, "ada", "lobby", 2).await;
    let other_body = append("ada", 1, "lobby", "body 2");
    assert_eq!(log.append(other_body).await, Err(LogError::Conflict));
    let other_room = append("ada", 1, "other", "body 1");
    assert_eq!(log.append(other_room).await, Err(LogError::Conflict));
    assert_eq!(log.room(room("other")).await.unwrap().head, Offset::ZERO);
    assert_eq!(log.open_session(resume("ada", 2)).await, opened(true, 2));
}

/// EO-1.
async fn a_number_that_skips_some_is_out_of_order(Subject { log, .. }: Subject) {
    log.open_session(fresh("ada", 1)).await.unwrap();
    let skip = |n, last_seq| {
        (
            append("ada", n, "lobby", "x"),
            LogError::OutOfOrder { last_seq },
        )
    };
    for (append, error) in [skip(2, 0), skip(900, 0)] {
        assert_eq!(log.append(append).await, Err(error));
    }
    append_many(&*log, "ada", "lobby", 2).await;
    let (append, error) = skip(4, 2);
    assert_eq!(log.append(append).await, Err(error.clone()));
    let refusal = log.refuse(id("ada"), seq(4), ErrorCode::BodyEmpty);
    assert_eq!(refusal.await, Err(error));
    assert_eq!(log.room(room("lobby")).await.unwrap().head, offset(2));
}

/// EO-1: numbers belong to a session.
async fn an_unknown_session_appends_nothing(Subject { log, .. }: Subject) {
    let message = append("ada", 1, "lobby", "x");
    assert_eq!(log.append(message).await, Err(LogError::UnknownSession));
    let refusal = log.refuse(id("ada"), seq(1), ErrorCode::BodyEmpty);
    assert_eq!(refusal.await, Err(LogError::UnknownSession));
    assert_eq!(log.room(room("lobby")).await.unwrap().head, Offset::ZERO);
}

/// EO-1, AC-5: what was judged once is not appended under another judgement.
async fn a_repeat_is_found_and_never_appended(Subject { log, .. }: Subject) {
    log.open_session(fresh("ada", 1)).await.unwrap();
    let repeat = |number| Append {
        is_repeat: true,
        ..append("ada", number, "lobby", "hello")
    };
    let free = Err(LogError::OutOfOrder { last_seq: 0 });
    assert_eq!(log.append(repeat(1)).await, free);
    assert_eq!(
        log.append(append("ada", 1, "lobby", "hello")).await,
        Ok(offset(1))
    );
    assert_eq!(log.append(repeat(1)).await, Ok(offset(1)));
    let free = Err(LogError::OutOfOrder { last_seq: 1 });
    assert_eq!(log.append(repeat(2)).await, free);
}

/// EO-7: a refusal for good uses its number up, and only its first code counts.
async fn a_refused_number_is_used_up(Subject { log, .. }: Subject) {
    log.open_session(fresh("ada", 1)).await.unwrap();
    append_many(&*log, "ada", "lobby", 1).await;
    let refuse = |number, code| log.refuse(id("ada"), seq(number), code);
    assert_eq!(refuse(2, ErrorCode::BodyTooLarge).await, Ok(()));
    assert_eq!(refuse(2, ErrorCode::BodyTooLarge).await, Ok(()));
    assert_eq!(refuse(2, ErrorCode::NotJoined).await, Ok(()));
    let conflict = refuse(1, ErrorCode::NotJoined).await;
    assert_eq!(conflict, Err(LogError::Conflict));

    let late = log.append(append("ada", 2, "lobby", "x")).await;
    assert_eq!(late, Err(LogError::Refused(ErrorCode::BodyTooLarge)));
    let next = log.append(append("ada", 3, "lobby", "y")).await;
    assert_eq!(next, Ok(offset(2)));
}

/// EO-7, RS-3: a lost `error` hides no refusal.
async fn a_resumed_session_is_told_its_newest_refusals(Subject { log, .. }: Subject) {
    log.open_session(fresh("ada", 1)).await.unwrap();
    append_many(&*log, "ada", "lobby", 1).await;
    let last = REFUSED_MAX as u64 + 3;
    let refusals = (2..=last).map(|n| log.refuse(id("ada"), seq(n), ErrorCode::RateLimited));
    for answer in join_all(refusals).await {
        answer.unwrap();
    }
    let opened = log.open_session(resume("ada", 2)).await.unwrap();
    assert_eq!(opened.last_seq, last);
    let newest: Vec<Refused> = (4..=last)
        .map(|n| Refused {
            seq: seq(n),
            code: ErrorCode::RateLimited,
        })
        .collect();
    assert_eq!(newest.len(), REFUSED_MAX);
    assert_eq!(opened.refused, newest);
}

/// EO-7, RS-3: whatever came between them, and whyever they were refused, each refused number is known as what
/// it is.
async fn refusals_in_a_row_stay_apart(Subject { log, .. }: Subject) {
    use ErrorCode::{BodyEmpty, BodyTooLarge};

    log.open_session(fresh("ada", 1)).await.unwrap();
    log.open_session(fresh("bob", 1)).await.unwrap();
    let codes = [
        Some(BodyEmpty),
        Some(BodyEmpty),
        Some(BodyTooLarge),
        None,
        Some(BodyTooLarge),
        Some(BodyTooLarge),
        Some(BodyEmpty),
        None,
    ];
    for (n, code) in (1..).zip(codes) {
        match code {
            Some(code) => log.refuse(id("ada"), seq(n), code).await.unwrap(),
            None => drop(log.append(append("ada", n, "lobby", "text")).await.unwrap()),
        }
        log.refuse(id("bob"), seq(n), BodyEmpty).await.unwrap();
    }
    for (n, code) in (1..).zip(codes) {
        let again = log.append(append("ada", n, "lobby", "text")).await;
        assert_eq!(again.err(), code.map(LogError::Refused), "{n}");
        let refused = log.refuse(id("ada"), seq(n), BodyEmpty).await;
        let expected = code.map(drop).ok_or(LogError::Conflict);
        assert_eq!(refused, expected, "{n}");
    }
    let refused = |codes: &[Option<ErrorCode>]| -> Vec<Refused> {
        let numbered = (1..).zip(codes);
        let refused = numbered.filter_map(|(n, code)| {
            let (seq, code) = (seq(n), (*code)?);
            Some(Refused { seq, code })
        });
        refused.collect()
    };
    let ada = log.open_session(resume("ada", 2)).await.unwrap();
    assert_eq!((ada.last_seq, ada.refused), (8, refused(&codes)));
    let bob = log.open_session(resume("bob", 2)).await.unwrap();
    assert_eq!(bob.refused, refused(&[Some(BodyEmpty); 8]));
}

/// EO-2: what is committed in one group stands or falls by itself, as far as the rules go.
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
            Err(LogError::OutOfOrder { last_seq: 0 }),
            Err(LogError::UnknownSession),
            Err(LogError::Conflict),
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
    let refusal = log.refuse(id("ada"), seq(2), ErrorCode::BodyEmpty);
    let third = log.append(append("ada", 3, "lobby", "three"));
    let resuming = log.open_session(resume("ada", 2));
    let other_opening = log.open_session(fresh("bob", 9));
    let other_first = log.append(append("bob", 1, "lobby", "one"));
    let expiring = log.expire(9);
    let fourth = log.append(append("ada", 4, "lobby", "four"));
    let other_second = log.append(append("bob", 2, "lobby", "two"));

    assert_eq!(other_second.await, Ok(offset(4)));
    assert_eq!(fourth.await, Err(LogError::UnknownSession));
    assert_eq!(expiring.await, Ok(1));
    assert_eq!(other_first.await, Ok(offset(3)));
    assert_eq!(other_opening.await, opened(false, 0));
    let resumed = resuming.await.unwrap();
    assert_eq!((resumed.resumed, resumed.last_seq), (true, 3));
    assert_eq!(resumed.refused.len(), 1);
    assert_eq!(third.await, Ok(offset(2)));
    assert_eq!(refusal.await, Ok(()));
    assert_eq!(first.await, Ok(offset(1)));
    assert_eq!(opening.await, opened(false, 0));
}

/// EO-2: durable before anyone sees it, and in the order of the log.
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

/// RS-5: from any position on, in order.
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

/// A page has at most so many bytes as they are sent, in either direction, and always one message.
async fn pages_are_cut_by_bytes(Subject { log, .. }: Subject) {
    log.open_session(fresh("ada", 1)).await.unwrap();
    // Each takes six bytes for a character: five of them are over 240 KiB.
    let bodies = (1..=12).map(|_| "\u{1}".repeat(8192));
    // And one that is larger than a page.
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

/// RS-6: what is gone is told. EO-1, EO-6: its numbers are answered as before.
async fn old_messages_are_trimmed_and_their_numbers_stay_known(Subject { log, .. }: Subject) {
    log.open_session(fresh("ada", 1)).await.unwrap();
    append_many(&*log, "ada", "lobby", 250).await;
    // One at a time, so that groups of commits do not matter to how much is left.
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
    assert_eq!(again("body 8").await, Err(LogError::Conflict));
    let elsewhere = log.append(append("ada", 7, "other", "body 7")).await;
    assert_eq!(elsewhere, Err(LogError::Conflict));
    let refusal = log.refuse(id("ada"), seq(7), ErrorCode::BodyEmpty).await;
    assert_eq!(refusal, Err(LogError::Conflict));
}

/// RS-9: the last connection counts; messages outlive their session.
async fn sessions_expire_after_their_last_touch(Subject { log, .. }: Subject) {
    for (person, at_ms) in [("ada", 10), ("bob", 10), ("cyd", 10), ("dan", 30)] {
        log.open_session(fresh(person, at_ms)).await.unwrap();
    }
    append_many(&*log, "ada", "lobby", 2).await;
    let refusal = log.refuse(id("ada"), seq(3), ErrorCode::BodyEmpty);
    refusal.await.unwrap();
    log.touch(vec![id("bob"), id("nobody")], 20).await.unwrap();
    log.open_session(resume("cyd", 20)).await.unwrap();
    // A clock that is set back shortens nobody's life.
    log.touch(vec![id("dan")], 5).await.unwrap();

    assert_eq!(log.expire(10).await, Ok(0));
    assert_eq!(log.expire(20).await, Ok(1));
    let gone = log.append(append("ada", 4, "lobby", "x")).await;
    assert_eq!(gone, Err(LogError::UnknownSession));
    for person in ["bob", "cyd", "dan"] {
        let resumed = log.open_session(resume(person, 20)).await.unwrap();
        assert!(resumed.resumed, "{person}");
    }
    assert_eq!(log.room(room("lobby")).await.unwrap().head, offset(2));
    let read = log
        .read(room("lobby"), Offset::ZERO, 10)
        .await
        .unwrap()
        .messages;
    assert_eq!(read[0].session, id("ada"));
    assert_eq!(log.expire(21).await, Ok(2));
    assert_eq!(log.expire(u64::MAX).await, Ok(1));
}

/// RS-9: what somebody said or was refused is worth keeping the session; a session alone is made in no time.
async fn sessions_without_a_number_expire_sooner(Subject { log, .. }: Subject) {
    for session in ["ada", "bob", "cy", "dan", "eve"] {
        log.open_session(fresh(session, 10)).await.unwrap();
    }
    append_many(&*log, "ada", "lobby", 1).await;
    let refused = log.refuse(id("bob"), seq(1), ErrorCode::BodyEmpty).await;
    refused.unwrap();
    log.touch(vec![id("cy")], 30).await.unwrap();
    assert_eq!(log.expire_unused(10).await, Ok(0));
    // One that uses its first number at this very moment is not one of them.
    let appended = log.append(append("dan", 1, "lobby", "just in time"));
    let expired = log.expire_unused(20);
    assert_eq!(appended.await, Ok(offset(2)));
    assert_eq!(expired.await, Ok(1));
    for (session, last_seq) in [("ada", 1), ("bob", 1), ("cy", 0), ("dan", 1)] {
        let opened = log.open_session(resume(session, 40)).await.unwrap();
        assert!(opened.resumed && opened.last_seq == last_seq, "{session}");
    }
    let gone = log.open_session(resume("eve", 40)).await.unwrap();
    assert!(!gone.resumed);
}

/// RS-9.
async fn many_sessions_expire_at_once(Subject { log, .. }: Subject) {
    let openings = (0..1_300).map(|n| log.open_session(fresh(&format!("s{n}"), n)));
    for answer in join_all(openings).await {
        answer.unwrap();
    }
    assert_eq!(log.expire(1_200).await, Ok(1_200));
    let resumed = log.open_session(resume("s1200", 2_000)).await.unwrap();
    assert!(resumed.resumed);
}

/// RS-6: another log's positions are never taken for this one's.
async fn rooms_share_the_epoch_of_their_log(Subject { log, .. }: Subject) {
    let lobby = log.room(room("lobby")).await.unwrap();
    assert_eq!(lobby.epoch, log.room(room("other")).await.unwrap().epoch);
    assert!(lobby.epoch.as_str().len() >= 16);
    for other in [Subject::memory(), Subject::sqlite()] {
        let epoch = other.log.room(room("lobby")).await.unwrap().epoch;
        assert_ne!(epoch, lobby.epoch);
    }
}

/// EO-2: what was begun is finished.
async fn a_closed_log_has_finished_and_answers_nothing(Subject { log, observer, .. }: Subject) {
    log.open_session(fresh("ada", 1)).await.unwrap();
    let append_one = |n| log.append(append("ada", n, "lobby", "x"));
    let pending: Vec<_> = (1..=50).map(append_one).collect();
    let closing = log.close();
    let late = append_one(51);
    // Closed is closed, also before it is known to be finished.
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
    let refusal = log.refuse(id("ada"), seq(1), ErrorCode::BodyEmpty);
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

/// EO-7: the switch of the log in memory makes writes fail, and reads go on.
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
