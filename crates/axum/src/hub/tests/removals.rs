//! Texts that are redacted while they are read (EO-8).

use super::{Place, Reader, name, offset, text};
use crate::hub::room::Taken;
use crate::log::{Log as _, Redaction};

impl Place {
    async fn remove(&self, room: &str, number: u64) {
        let removed = self.log.redact(name(room), offset(number), 1).await;
        assert_eq!(removed, Ok(Redaction::Done));
    }

    async fn replayed(&self, room: &str, after: u64, limit: u32) -> Vec<String> {
        let page = self.hub.replay(&name(room), offset(after), limit).await;
        page.unwrap()
            .iter()
            .map(|entry| text(&entry.frame))
            .collect()
    }
}

fn tail(reader: &Reader) -> Vec<String> {
    let Taken::Entries { messages, .. } = reader.take(0, 10, reader.view.version) else {
        panic!("nothing in the tail");
    };
    messages.iter().map(|entry| text(&entry.frame)).collect()
}

/// EO-8: readers are woken, and get the same message once more; a reader that comes later finds no text; a page of
/// the tutorial's dialect gets neither.
#[tokio::test]
async fn a_removal_is_told_and_the_text_is_gone() {
    let place = Place::new(100);
    let reader = place.reader("s-ada", "garden").await;
    place
        .append("s-bob", "garden", &["one", "two", "three"])
        .await;
    let (_, version) = reader.room.marks();
    assert_eq!(reader.moved(), ["garden"]);
    place.remove("garden", 2).await;
    assert!(reader.is_woken());
    assert_eq!(reader.moved(), ["garden"]);
    assert!(reader.room.marks().1 > version);

    let told = reader.changes(version);
    assert_eq!(told.len(), 1);
    assert!(told[0].contains(r#""offset":2"#), "{}", told[0]);
    assert!(
        told[0].contains(r#""body":"","removed":true"#),
        "{}",
        told[0]
    );
    let told_already = reader.changes(reader.room.marks().1);
    assert!(told_already.is_empty());

    let tail = tail(&reader);
    assert_eq!(tail[1], told[0]);
    assert!(tail[0].contains("one") && tail[2].contains("three"));
    let Taken::Entries {
        messages, changes, ..
    } = reader.take(0, 10, version)
    else {
        panic!("nothing in the tail");
    };
    assert!(messages[1].text.is_none() && changes[0].text.is_none());
}

/// EO-8: before a reader has everything up to the head, a redaction would look like a gap (EO-3).
#[tokio::test]
async fn a_removal_is_told_behind_all_messages() {
    let place = Place::new(100);
    let reader = place.reader("s-ada", "garden").await;
    place
        .append("s-bob", "garden", &["one", "two", "three"])
        .await;
    place.remove("garden", 3).await;
    for (after, messages, told) in [(0, 2, 0), (1, 2, 1), (3, 0, 1)] {
        let Taken::Entries {
            messages: taken,
            changes,
            ..
        } = reader.take(after, 2, reader.view.version)
        else {
            panic!("nothing in the tail");
        };
        assert_eq!((taken.len(), changes.len()), (messages, told), "{after}");
    }
}

/// EO-8: no page that was read before a redaction is served after it.
#[tokio::test]
async fn a_removed_text_is_in_no_page() {
    let place = Place::new(100);
    place
        .append("s-bob", "garden", &["one", "two", "three"])
        .await;
    assert!(place.replayed("garden", 0, 2).await[1].contains("two"));
    place.remove("garden", 2).await;
    let page = place.replayed("garden", 0, 2).await;
    assert!(page[0].contains("one"));
    assert!(
        page[1].contains(r#""body":"","removed":true"#),
        "{}",
        page[1]
    );
}

/// EO-8: a session that joins gets the redactions from before the room was opened and from after, once each.
#[tokio::test]
async fn who_enters_sees_what_was_removed() {
    let place = Place::new(100);
    place
        .append("s-bob", "garden", &["one", "two", "three"])
        .await;
    place.remove("garden", 3).await;
    let first = place.reader("s-ada", "garden").await;
    place.remove("garden", 1).await;
    let second = place.reader("s-cem", "garden").await;
    // The room is loaded again, as where a reader found messages missing.
    first.room.refresh(place.log.as_ref()).await.unwrap();
    let third = place.reader("s-dan", "garden").await;
    let removed = |reader: &Reader| -> Vec<u64> {
        let removed = reader.view.redacted.iter();
        removed.map(|message| message.offset.get()).collect()
    };
    assert_eq!(removed(&first), [3]);
    assert_eq!(removed(&second), [3, 1]);
    assert_eq!(removed(&third), [3, 1]);
}

/// RS-6: messages that were trimmed for age are not read from memory either, and the gap is reported.
#[tokio::test]
async fn what_is_trimmed_for_age_is_gone_from_the_tail() {
    let place = Place::new(100);
    let reader = place.reader("s-ada", "garden").await;
    place.append("s-bob", "garden", &["one", "two"]).await;
    place.log.trim(u64::MAX).await.unwrap();
    assert!(matches!(reader.take(0, 10, 0), Taken::InLog));
    assert!(place.replayed("garden", 0, 10).await.is_empty());
    let late = place.reader("s-cem", "garden").await;
    assert_eq!((late.view.trimmed, late.view.head), (offset(2), offset(2)));
}
