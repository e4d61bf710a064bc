//! Posts: messages that come without a session.

use futures_util::future::join_all;
use protocol::id::Name;
use protocol::position::Offset;
use protocol::server::NumberError;

use super::support::{
    Subject, append, append_many, fresh, id, is_unavailable, offset, offsets, room,
};
use crate::log::{LogError, Post, Posted};

conformance!(
    a_post_is_a_message_like_any_other,
    a_repeated_key_gets_its_first_offset,
    a_repeated_key_with_another_message_is_a_conflict,
    a_post_is_answered_with_the_epoch_of_its_room,
    posts_that_come_at_once_are_told_apart_by_their_keys,
    keys_are_forgotten_after_their_time,
    a_closed_log_takes_no_post,
);

fn post(key: u8, session: &str, in_room: &str, body: &str) -> Post {
    Post {
        key: [key; 32],
        session: id(session),
        room: room(in_room),
        name: Name::tidy("Bot"),
        body: body.to_owned(),
        at_ms: 1_000 + u64::from(key),
        erased: None,
    }
}

/// The offset of a post, and whether it is a repeat.
fn place(posted: Result<Posted, LogError>) -> Result<(u64, bool), LogError> {
    posted.map(|posted| (posted.offset.get(), posted.is_repeat))
}

fn posted(number: u64, is_repeat: bool) -> Result<(u64, bool), LogError> {
    Ok((number, is_repeat))
}

/// EO-2: a post has the next offset of its room, and the observer gets it in order with the others.
async fn a_post_is_a_message_like_any_other(Subject { log, observer, .. }: Subject) {
    log.open_session(fresh("ada", 1)).await.unwrap();
    append_many(&*log, "ada", "lobby", 2).await;
    assert_eq!(
        place(log.post(post(1, "bot", "lobby", "hello")).await),
        posted(3, false)
    );
    let last = append("ada", 3, "lobby", "after");
    assert_eq!(log.append(last).await, Ok(offset(4)));
    let read = log
        .read(room("lobby"), Offset::ZERO, 10)
        .await
        .unwrap()
        .messages;
    assert_eq!(observer.seen(), read);
    assert_eq!(offsets(&read), [1, 2, 3, 4]);
    let message = &read[2];
    assert_eq!((&message.session, message.seq.get()), (&id("bot"), 1));
    assert_eq!((&*message.body, message.at_ms), ("hello", 1_001));
    assert_eq!(log.room(room("lobby")).await.unwrap().head, offset(4));
}

/// EO-1: the key alone counts; name and time of a repeat do not.
async fn a_repeated_key_gets_its_first_offset(Subject { log, observer, .. }: Subject) {
    assert_eq!(
        place(log.post(post(1, "one", "lobby", "x")).await),
        posted(1, false)
    );
    assert_eq!(
        place(log.post(post(2, "two", "lobby", "x")).await),
        posted(2, false)
    );
    let again = Post {
        name: Name::tidy("Another"),
        at_ms: 9_000,
        ..post(1, "three", "lobby", "x")
    };
    assert_eq!(place(log.post(again).await), posted(1, true));
    assert_eq!(offsets(&observer.seen()), [1, 2]);
}

/// EO-6: a used key with another room or body is a conflict.
async fn a_repeated_key_with_another_message_is_a_conflict(Subject { log, .. }: Subject) {
    assert_eq!(
        place(log.post(post(1, "one", "lobby", "x")).await),
        posted(1, false)
    );
    for other in [post(1, "two", "lobby", "y"), post(1, "two", "other", "x")] {
        assert_eq!(
            log.post(other).await,
            Err(LogError::Number(NumberError::Conflict))
        );
    }
    assert_eq!(log.room(room("other")).await.unwrap().head, Offset::ZERO);
    assert_eq!(
        place(log.post(post(1, "one", "lobby", "x")).await),
        posted(1, true)
    );
}

/// RS-6: an offset means nothing without its epoch.
async fn a_post_is_answered_with_the_epoch_of_its_room(Subject { log, .. }: Subject) {
    let epoch = log.room(room("lobby")).await.unwrap().epoch;
    for is_repeat in [false, true] {
        let posted = log.post(post(1, "bot", "lobby", "x")).await.unwrap();
        assert_eq!((&posted.epoch, posted.is_repeat), (&epoch, is_repeat));
    }
}

/// EO-1: that holds within one commit, too.
async fn posts_that_come_at_once_are_told_apart_by_their_keys(Subject { log, .. }: Subject) {
    let posts =
        (0..40).map(|n| log.post(post(n % 10, "bot", "lobby", &format!("body {}", n % 10))));
    let results = join_all(posts).await;
    for (n, result) in (0_u64..).zip(results) {
        assert_eq!(place(result), posted(n % 10 + 1, n >= 10), "{n}");
    }
    assert_eq!(log.room(room("lobby")).await.unwrap().head, offset(10));
}

async fn keys_are_forgotten_after_their_time(Subject { log, .. }: Subject) {
    for key in 1..=3 {
        log.post(post(key, "bot", "lobby", "x")).await.unwrap();
    }
    assert_eq!(log.forget_posts(1_003).await, Ok(2));
    assert_eq!(log.forget_posts(1_003).await, Ok(0));
    assert_eq!(
        place(log.post(post(3, "bot", "lobby", "x")).await),
        posted(3, true)
    );
    assert_eq!(
        place(log.post(post(1, "bot", "lobby", "x")).await),
        posted(4, false)
    );
}

async fn a_closed_log_takes_no_post(Subject { log, .. }: Subject) {
    log.close().await.unwrap();
    assert!(is_unavailable(
        &log.post(post(1, "bot", "lobby", "x")).await
    ));
    assert!(is_unavailable(&log.forget_posts(1).await));
    assert!(is_unavailable(
        &log.redact(room("lobby"), offset(1), 1).await
    ));
    assert!(is_unavailable(&log.trim(1).await));
}
