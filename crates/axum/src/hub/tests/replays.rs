//! Pages for readers that are further behind than a room's tail reaches.

use std::sync::Arc;

use protocol::id::RoomName;

use super::{Place, name, offset};
use crate::hub::replay::Replays;
use crate::hub::room::Entry;
use crate::log::Log;

fn offsets(page: &[Entry]) -> Vec<u64> {
    page.iter().map(|entry| entry.offset.get()).collect()
}

fn garden() -> RoomName {
    name("garden")
}

#[tokio::test]
async fn a_full_page_is_read_once() {
    let place = Place::new(100);
    place
        .append("s-ada", "garden", &["one", "two", "three"])
        .await;
    let replays = Replays::new(1 << 20);
    let log: &dyn Log = place.log.as_ref();
    let first = replays
        .page(log, (&garden(), offset(0), 2), 0)
        .await
        .unwrap();
    assert_eq!(offsets(&first), [1, 2]);
    let again = replays
        .page(log, (&garden(), offset(0), 2), 0)
        .await
        .unwrap();
    assert!(Arc::ptr_eq(&first, &again));

    let elsewhere = replays.page(log, (&name("attic"), offset(0), 2), 0).await;
    assert!(elsewhere.unwrap().is_empty());
}

#[tokio::test]
async fn the_end_of_the_log_is_read_anew() {
    let place = Place::new(100);
    let replays = Replays::new(1 << 20);
    let log: &dyn Log = place.log.as_ref();
    place.append("s-ada", "garden", &["one"]).await;
    let end = replays
        .page(log, (&garden(), offset(0), 2), 0)
        .await
        .unwrap();
    assert_eq!(offsets(&end), [1]);
    place.append("s-ada", "garden", &["two"]).await;
    let page = replays
        .page(log, (&garden(), offset(0), 2), 0)
        .await
        .unwrap();
    assert_eq!(offsets(&page), [1, 2]);
}

/// Pages that are not asked for between two sweeps are dropped.
#[tokio::test]
async fn pages_go_when_nobody_comes_back() {
    let place = Place::new(100);
    place.append("s-ada", "garden", &["one", "two"]).await;
    let log: &dyn Log = place.log.as_ref();
    let replays = Replays::new(1 << 20);
    let first = replays.page(log, (&garden(), offset(0), 2), 0).await;
    replays.sweep();
    let again = replays.page(log, (&garden(), offset(0), 2), 0).await;
    assert!(Arc::ptr_eq(&first.unwrap(), again.as_ref().unwrap()));
    replays.sweep();
    replays.sweep();
    let anew = replays.page(log, (&garden(), offset(0), 2), 0).await;
    assert!(!Arc::ptr_eq(&again.unwrap(), &anew.unwrap()));
}

#[tokio::test]
async fn no_more_is_kept_than_may_be() {
    let place = Place::new(100);
    place
        .append("s-ada", "garden", &["one", "two", "three"])
        .await;
    let log: &dyn Log = place.log.as_ref();
    let replays = Replays::new(0);
    let first = replays
        .page(log, (&garden(), offset(0), 2), 0)
        .await
        .unwrap();
    let again = replays
        .page(log, (&garden(), offset(0), 2), 0)
        .await
        .unwrap();
    assert_eq!(offsets(&again), [1, 2]);
    assert!(!Arc::ptr_eq(&first, &again));
}
