//! The bytes that all rooms keep together.

use super::{Place, Reader, message, taken};
use crate::hub::Rooms;
use crate::hub::room::Taken;
use crate::log::Observer;
#[cfg(feature = "metrics")]
use crate::metrics::Now;

const MOST: usize = 1 << 20;

fn place() -> Place {
    Place::over(Rooms::new(100).with_tails(MOST), 100)
}

#[cfg(feature = "metrics")]
fn limited(place: &Place) -> u64 {
    let told = place.hub.metrics().render(Now::default()).unwrap();
    let line = told
        .lines()
        .find_map(|line| line.strip_prefix(r#"everbeat_limited_total{limit="tail_bytes"} "#));
    line.unwrap().parse().unwrap()
}

/// PU-4: whatever the number of rooms, they keep no more than their bound; the rooms that were idle for longest are
/// freed first, and are read from the log.
#[tokio::test]
async fn all_tails_together_are_bounded() {
    let place = place();
    let body = "x".repeat(16 * 1024);
    let mut readers = Vec::new();
    for number in 0..100 {
        let room = format!("room-{number}");
        readers.push(place.reader("ada", &room).await);
        let kept = place.rooms.tails.held();
        place.rooms.committed(&[message(&room, 1, &body)]);
        // A text is stored twice, with some overhead.
        assert!(place.rooms.tails.held() >= kept + 2 * body.len());
        place.rooms.cool();
        assert!(place.rooms.tails.held() <= MOST);
    }
    assert!(place.rooms.tails.held() >= MOST / 2);
    assert!(matches!(readers[0].take(0, 10, 0), Taken::InLog));
    assert_eq!(taken(readers[99].take(0, 10, 0)).1, 1);
    #[cfg(feature = "metrics")]
    assert!(limited(&place) > 0);

    // A room with a new message is not idle; and what was freed is not counted.
    let cold = |reader: &Reader| matches!(reader.take(0, 10, 0), Taken::InLog);
    let oldest = readers.iter().position(|reader| !cold(reader)).unwrap();
    let room = format!("room-{oldest}");
    place.rooms.committed(&[message(&room, 2, &body)]);
    for number in 100..107 {
        let room = format!("room-{number}");
        readers.push(place.reader("ada", &room).await);
        place.rooms.committed(&[message(&room, 1, &body)]);
    }
    place.rooms.cool();
    assert!(cold(&readers[oldest + 1]) && !cold(&readers[oldest]));
    for reader in readers {
        reader.room.forget_tail();
    }
    assert_eq!(place.rooms.tails.held(), 0);
}

/// PU-4: drafts are bounded, too; each room has one for each member.
#[tokio::test]
async fn all_drafts_together_are_bounded() {
    let place = place();
    let body = "\u{1}".repeat(8192);
    let mut readers = Vec::new();
    for number in 0..200 {
        let reader = place.reader("ada", &format!("room-{number}")).await;
        reader.room.draft(&reader.session, body.clone(), 0);
        // As the readers get it: encoded.
        assert_eq!(reader.changes(reader.view.version).len(), 1);
        place.rooms.cool();
        assert!(place.rooms.tails.held() <= MOST);
        readers.push(reader);
    }
    let first = place.reader("bob", "room-0").await.view.drafts.len();
    let last = place.reader("bob", "room-199").await.view.drafts.len();
    // First the frames were freed, then the drafts of the rooms that were idle for longest.
    assert_eq!((first, last), (0, 1));
    let newest = readers[0].changes(readers[0].view.version);
    assert!(
        newest.iter().any(|frame| frame.contains(r#""body":"""#)),
        "{newest:?}"
    );
}

/// A reader takes at most as many bytes at once as a page of the log has, and goes on from there.
#[tokio::test]
async fn a_reader_takes_so_many_bytes_at_once() {
    let place = Place::new(100);
    let ada = place.reader("ada", "lobby").await;
    let body = "\u{1}".repeat(8192);
    for number in 1..=8 {
        place.rooms.committed(&[message("lobby", number, &body)]);
    }
    assert_eq!(taken(ada.take(0, 64, 0)).1, 5);
    assert_eq!(taken(ada.take(5, 64, 0)).1, 8);
    // One message is always taken.
    let place = Place::new(100);
    let ada = place.reader("ada", "lobby").await;
    let large = "\u{1}".repeat(50_000);
    place.rooms.committed(&[message("lobby", 1, &large)]);
    place.rooms.committed(&[message("lobby", 2, "small")]);
    assert_eq!(taken(ada.take(0, 64, 0)).1, 1);
    assert_eq!(taken(ada.take(1, 64, 0)).1, 2);
}
