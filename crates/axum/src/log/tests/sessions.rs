//! Sessions and their numbers: which messages are new, repeated or refused, and when a session is forgotten.

use futures_util::future::join_all;
use protocol::frame::{ErrorCode, Refused};
use protocol::id::{Generation, Name};
use protocol::position::Offset;
use protocol::server::NumberError;

use super::support::{
    Subject, append, append_many, check_opened, fresh, id, is_unavailable, key_hash, offset,
    offsets, refuse, resume, room, seq,
};
use crate::log::{Append, LogError, REFUSED_MAX};

conformance!(
    sessions_start_at_zero_and_resume_with_their_key,
    a_wrong_key_or_an_unknown_id_gets_the_fresh_session,
    a_key_is_recognised_without_an_opening,
    an_id_in_use_is_not_opened_again,
    a_repeated_number_gets_its_first_offset,
    a_repeated_number_with_another_message_is_a_conflict,
    a_number_that_skips_some_is_out_of_order,
    an_unknown_session_appends_nothing,
    an_earlier_opening_is_fenced,
    a_repeat_is_found_and_never_appended,
    a_refused_number_is_used_up,
    a_resumed_session_is_told_its_newest_refusals,
    refusals_in_a_row_stay_apart,
    sessions_expire_after_their_last_touch,
    sessions_without_a_number_expire_sooner,
    many_sessions_expire_at_once,
);

/// RS-2, RS-3: a session is resumed by its key, with its last number.
async fn sessions_start_at_zero_and_resume_with_their_key(Subject { log, .. }: Subject) {
    check_opened(log.open_session(fresh("ada", 1)).await, false, 0);
    check_opened(log.open_session(resume("ada", 2)).await, true, 0);
    append_many(&*log, "ada", "lobby", 3).await;
    check_opened(log.open_session(resume("ada", 3)).await, true, 3);
}

/// RS-2: a wrong key never gets another client's session.
async fn a_wrong_key_or_an_unknown_id_gets_the_fresh_session(Subject { log, .. }: Subject) {
    log.open_session(fresh("ada", 1)).await.unwrap();
    append_many(&*log, "ada", "lobby", 3).await;

    let mut stolen = resume("ada", 2);
    stolen.resume = Some((id("ada"), vec![key_hash("guess")]));
    stolen.fresh = (id("eve"), key_hash("eve"));
    check_opened(log.open_session(stolen).await, false, 0);
    check_opened(log.open_session(resume("eve", 3)).await, true, 0);
    check_opened(log.open_session(resume("ada", 3)).await, true, 3);

    let unknown = resume("nobody", 4);
    check_opened(log.open_session(unknown).await, false, 0);
    let instead = resume("instead", 5);
    check_opened(log.open_session(instead).await, true, 0);
}

/// RS-2, AC-3: by any of the hashes that its owner may show, and only of that session. Its openings do not count on.
async fn a_key_is_recognised_without_an_opening(Subject { log, .. }: Subject) {
    log.open_session(fresh("ada", 1)).await.unwrap();
    log.open_session(fresh("bob", 1)).await.unwrap();
    for (session, keys, is_own) in [
        ("ada", &["ada"][..], true),
        ("ada", &["guess", "ada"], true),
        ("ada", &["bob"], false),
        ("ada", &[], false),
        ("nobody", &["ada"], false),
    ] {
        let shown = keys.iter().map(|key| key_hash(key)).collect();
        assert_eq!(
            log.owns(id(session), shown).await,
            Ok(is_own),
            "{session} {keys:?}"
        );
    }
    let opened = log.open_session(resume("ada", 2)).await.unwrap();
    assert_eq!(opened.generation, Generation(2));
}

/// RS-2: a fresh session inherits nothing, not even from a forgotten one of the same id.
async fn an_id_in_use_is_not_opened_again(Subject { log, .. }: Subject) {
    log.open_session(fresh("ada", 1)).await.unwrap();
    append_many(&*log, "ada", "lobby", 2).await;
    assert!(is_unavailable(&log.open_session(fresh("ada", 2)).await));
    check_opened(log.open_session(resume("ada", 3)).await, true, 2);
    assert_eq!(log.expire(10).await, Ok(1));

    check_opened(log.open_session(fresh("ada", 11)).await, false, 0);
    let again = append("ada", 1, "lobby", "body 1");
    assert_eq!(log.append(again).await, Ok(offset(3)));
}

/// EO-1: a repeated number gets its first answer.
async fn a_repeated_number_gets_its_first_offset(Subject { log, observer, .. }: Subject) {
    log.open_session(fresh("ada", 1)).await.unwrap();
    append_many(&*log, "ada", "lobby", 3).await;
    for n in [1, 2, 3, 3, 1] {
        let mut again = append("ada", n, "lobby", &format!("body {n}"));
        // The name and the time of the first one stay.
        again.name = Name::tidy("Ada Lovelace");
        again.at_ms = 5_000;
        assert_eq!(log.append(again).await, Ok(offset(n)));
    }
    assert_eq!(offsets(&observer.seen()), [1, 2, 3]);
    assert_eq!(log.room(room("lobby")).await.unwrap().head, offset(3));
    assert_eq!(observer.seen()[0].name, Name::tidy("Ada"));
}

/// EO-6: a used number with another room or body is a conflict.
async fn a_repeated_number_with_another_message_is_a_conflict(Subject { log, .. }: Subject) {
    log.open_session(fresh("ada", 1)).await.unwrap();
    append_many(&*log, "ada", "lobby", 2).await;
    let other_body = append("ada", 1, "lobby", "body 2");
    assert_eq!(
        log.append(other_body).await,
        Err(LogError::Number(NumberError::Conflict))
    );
    let other_room = append("ada", 1, "other", "body 1");
    assert_eq!(
        log.append(other_room).await,
        Err(LogError::Number(NumberError::Conflict))
    );
    assert_eq!(log.room(room("other")).await.unwrap().head, Offset::ZERO);
    check_opened(log.open_session(resume("ada", 2)).await, true, 2);
}

/// EO-1: a number beyond the next one is out of order, and changes nothing.
async fn a_number_that_skips_some_is_out_of_order(Subject { log, .. }: Subject) {
    log.open_session(fresh("ada", 1)).await.unwrap();
    let skip = |n| log.append(append("ada", n, "lobby", "x"));
    let skipped = LogError::Number(NumberError::OutOfOrder);
    assert_eq!(skip(2).await, Err(skipped.clone()));
    assert_eq!(skip(900).await, Err(skipped.clone()));
    append_many(&*log, "ada", "lobby", 2).await;
    assert_eq!(skip(4).await, Err(skipped.clone()));
    let refusal = log.refuse(refuse("ada", 4, ErrorCode::BodyEmpty));
    assert_eq!(refusal.await, Err(skipped));
    assert_eq!(log.room(room("lobby")).await.unwrap().head, offset(2));
}

/// EO-1: numbers belong to a session.
async fn an_unknown_session_appends_nothing(Subject { log, .. }: Subject) {
    let message = append("ada", 1, "lobby", "x");
    assert_eq!(
        log.append(message).await,
        Err(LogError::Number(NumberError::UnknownSession))
    );
    let refusal = log.refuse(refuse("ada", 1, ErrorCode::BodyEmpty));
    assert_eq!(
        refusal.await,
        Err(LogError::Number(NumberError::UnknownSession))
    );
    assert_eq!(log.room(room("lobby")).await.unwrap().head, Offset::ZERO);
}

/// RS-4: what an earlier opening of a session still sends is refused, also a repeat; the observer is notified of each
/// opening before it is answered.
async fn an_earlier_opening_is_fenced(Subject { log, observer, .. }: Subject) {
    let first = log.open_session(fresh("ada", 1)).await.unwrap().generation;
    let by = |generation, number| Append {
        generation,
        ..append("ada", number, "lobby", "hello")
    };
    assert_eq!(log.append(by(first, 1)).await, Ok(offset(1)));
    let second = log.open_session(resume("ada", 2)).await.unwrap().generation;
    assert!(second > first);
    let opened = [(id("ada"), first), (id("ada"), second)];
    assert_eq!(observer.opened(), opened);
    let fenced = LogError::Number(NumberError::Fenced);
    for number in [1, 2, 3] {
        let late = log.append(by(first, number)).await;
        assert_eq!(late, Err(fenced.clone()), "{number}");
    }
    let mut late = refuse("ada", 2, ErrorCode::BodyEmpty);
    late.generation = first;
    assert_eq!(log.refuse(late).await, Err(fenced));
    assert_eq!(log.append(by(second, 1)).await, Ok(offset(1)));
    assert_eq!(log.append(by(second, 2)).await, Ok(offset(2)));
}

/// EO-1, AC-5: a repeat, whose right to write was decided the first time, is never appended.
async fn a_repeat_is_found_and_never_appended(Subject { log, .. }: Subject) {
    log.open_session(fresh("ada", 1)).await.unwrap();
    let repeat = |number| Append {
        is_repeat: true,
        ..append("ada", number, "lobby", "hello")
    };
    let free = Err(LogError::Number(NumberError::OutOfOrder));
    assert_eq!(log.append(repeat(1)).await, free);
    assert_eq!(
        log.append(append("ada", 1, "lobby", "hello")).await,
        Ok(offset(1))
    );
    assert_eq!(log.append(repeat(1)).await, Ok(offset(1)));
    let free = Err(LogError::Number(NumberError::OutOfOrder));
    assert_eq!(log.append(repeat(2)).await, free);
}

/// EO-7: a refusal for good uses its number up, and only its first code counts.
async fn a_refused_number_is_used_up(Subject { log, .. }: Subject) {
    log.open_session(fresh("ada", 1)).await.unwrap();
    append_many(&*log, "ada", "lobby", 1).await;
    let refuse = |number, code| log.refuse(refuse("ada", number, code));
    let first = Ok(ErrorCode::BodyTooLarge);
    assert_eq!(refuse(2, ErrorCode::BodyTooLarge).await, first);
    assert_eq!(refuse(2, ErrorCode::BodyTooLarge).await, first);
    assert_eq!(refuse(2, ErrorCode::NotJoined).await, first);
    let conflict = refuse(1, ErrorCode::NotJoined).await;
    assert_eq!(conflict, Err(LogError::Number(NumberError::Conflict)));

    let late = log.append(append("ada", 2, "lobby", "x")).await;
    assert_eq!(
        late,
        Err(LogError::Number(NumberError::Refused(
            ErrorCode::BodyTooLarge
        )))
    );
    let next = log.append(append("ada", 3, "lobby", "y")).await;
    assert_eq!(next, Ok(offset(2)));
}

/// EO-7, RS-3: a lost `error` hides no refusal.
async fn a_resumed_session_is_told_its_newest_refusals(Subject { log, .. }: Subject) {
    log.open_session(fresh("ada", 1)).await.unwrap();
    append_many(&*log, "ada", "lobby", 1).await;
    let last = REFUSED_MAX as u64 + 3;
    let refusals = (2..=last).map(|n| log.refuse(refuse("ada", n, ErrorCode::RateLimited)));
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

/// EO-7, RS-3: each refused number keeps its own reason, whatever came between them.
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
            Some(code) => drop(log.refuse(refuse("ada", n, code)).await.unwrap()),
            None => drop(log.append(append("ada", n, "lobby", "text")).await.unwrap()),
        }
        log.refuse(refuse("bob", n, BodyEmpty)).await.unwrap();
    }
    let refused_before = |code| LogError::Number(NumberError::Refused(code));
    for (n, code) in (1..).zip(codes) {
        let again = log.append(append("ada", n, "lobby", "text")).await;
        assert_eq!(again.err(), code.map(refused_before), "{n}");
        let refused = log.refuse(refuse("ada", n, BodyEmpty)).await;
        let expected = code.ok_or(LogError::Number(NumberError::Conflict));
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

/// RS-9: the last connection counts; messages outlive their session.
async fn sessions_expire_after_their_last_touch(Subject { log, .. }: Subject) {
    for (person, at_ms) in [("ada", 10), ("bob", 10), ("cyd", 10), ("dan", 30)] {
        log.open_session(fresh(person, at_ms)).await.unwrap();
    }
    append_many(&*log, "ada", "lobby", 2).await;
    let refusal = log.refuse(refuse("ada", 3, ErrorCode::BodyEmpty));
    refusal.await.unwrap();
    log.touch(vec![id("bob"), id("nobody")], 20).await.unwrap();
    log.open_session(resume("cyd", 20)).await.unwrap();
    // A clock that is set back shortens no session's life.
    log.touch(vec![id("dan")], 5).await.unwrap();

    assert_eq!(log.expire(10).await, Ok(0));
    assert_eq!(log.expire(20).await, Ok(1));
    let gone = log.append(append("ada", 4, "lobby", "x")).await;
    assert_eq!(gone, Err(LogError::Number(NumberError::UnknownSession)));
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

/// RS-9: a session with messages or refusals is worth keeping; an unused one is made again in no time.
async fn sessions_without_a_number_expire_sooner(Subject { log, .. }: Subject) {
    for session in ["ada", "bob", "cy", "dan", "eve"] {
        log.open_session(fresh(session, 10)).await.unwrap();
    }
    append_many(&*log, "ada", "lobby", 1).await;
    let refused = log.refuse(refuse("bob", 1, ErrorCode::BodyEmpty)).await;
    refused.unwrap();
    log.touch(vec![id("cy")], 30).await.unwrap();
    assert_eq!(log.expire_unused(10).await, Ok(0));
    // A session that uses its first number just before is not unused.
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

/// RS-9: more sessions expire than fit into one operation.
async fn many_sessions_expire_at_once(Subject { log, .. }: Subject) {
    let openings = (0..1_300).map(|n| log.open_session(fresh(&format!("s{n}"), n)));
    for answer in join_all(openings).await {
        answer.unwrap();
    }
    assert_eq!(log.expire(1_200).await, Ok(1_200));
    let resumed = log.open_session(resume("s1200", 2_000)).await.unwrap();
    assert!(resumed.resumed);
}
