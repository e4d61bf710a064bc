//! The rooms in use: their members, how far their log is, and how fast it grows.

use std::collections::HashMap;
use std::time::Duration;

use everbeat_axum::hub::inspect::RoomReport;
use leptos::prelude::*;
use parking_lot::Mutex;
use protocol::id::RoomName;
use tokio::time::Instant;

use super::view::View;
use crate::admin::words::{Word, Words};

/// The rooms that are listed: those with the most members.
const LISTED: usize = 50;

/// The rooms whose heads are remembered, for their rates: at most about 150 kB, twice.
const REMEMBERED: usize = 1_000;

/// Over how long a rate is counted, at least.
const OVER: Duration = Duration::from_secs(10);

/// The shortest time over which a rate is counted, where nothing older is known.
const OVER_AT_LEAST: Duration = Duration::from_secs(1);

/// The rooms of a page.
#[derive(Debug, Default)]
pub(super) struct Listed {
    /// The first of them, with messages per second; `None` where that is not known yet.
    pub rooms: Vec<(RoomReport, Option<f64>)>,
    /// How many there are beside them.
    pub more: usize,
}

/// The heads of rooms at earlier looks. They are remembered only while pages are open.
#[derive(Debug, Default)]
pub(super) struct Heads(Mutex<Remembered>);

#[derive(Debug, Default)]
struct Remembered {
    newer: Option<At>,
    older: Option<At>,
}

/// The heads at one time.
#[derive(Debug)]
struct At {
    at: Instant,
    heads: HashMap<RoomName, u64>,
}

impl Heads {
    /// Sorts the rooms, those with the most members first, and counts their rates.
    pub(super) fn list(&self, now: Instant, mut rooms: Vec<RoomReport>) -> Listed {
        rooms.sort_unstable_by(|one, other| {
            let by_members = other.members.cmp(&one.members);
            by_members.then_with(|| one.name.cmp(&other.name))
        });
        let mut remembered = self.0.lock();
        let is_due = |newer: &At| now - newer.at >= OVER;
        if remembered.newer.as_ref().is_none_or(is_due) {
            let heads = rooms.iter().take(REMEMBERED);
            let heads = heads.map(|room| (room.name.clone(), room.head.get()));
            let heads = heads.collect();
            remembered.older = remembered.newer.replace(At { at: now, heads });
        }
        let before = remembered.older.as_ref().or(remembered.newer.as_ref());
        let before = before.filter(|before| now - before.at >= OVER_AT_LEAST);
        let rate = |room: &RoomReport| {
            let before = before?;
            let since = room
                .head
                .get()
                .saturating_sub(*before.heads.get(&room.name)?);
            #[expect(clippy::cast_precision_loss, reason = "for eyes")]
            let since = since as f64;
            Some(since / (now - before.at).as_secs_f64())
        };
        let more = rooms.len().saturating_sub(LISTED);
        rooms.truncate(LISTED);
        let rooms = rooms.into_iter().map(|room| {
            let rate = rate(&room);
            (room, rate)
        });
        Listed {
            rooms: rooms.collect(),
            more,
        }
    }
}

/// The rooms.
pub(super) fn view(words: Words, view: &View, listed: &Listed) -> AnyView {
    let text = move |word| words.text(word);
    let rows = listed.rooms.iter().map(|(room, rate)| {
        let link = format!("{}#connections", view.finding(room.name.as_str()).link());
        let rate = rate.map_or_else(|| "–".to_owned(), |rate| format!("{rate:.1}"));
        view! {
            <tr id=format!("room-{}", room.name)>
                <th scope="row">
                    <a href=link>{room.name.to_string()}</a>
                </th>
                <td>{room.members}</td>
                <td>{room.head.get()}</td>
                <td>{rate}</td>
            </tr>
        }
    });
    let rows = rows.collect_view();
    let heads = [Word::Room, Word::Members, Word::Head, Word::Rate];
    let heads = heads.map(|word| view! { <th scope="col">{text(word)}</th> });
    let note = match (listed.rooms.is_empty(), listed.more) {
        (true, _) => Some(text(Word::NoRooms).to_owned()),
        (_, 0) => None,
        (_, more) => Some(words.count(Word::MoreRoomsInUse, more)),
    };
    view! {
        <section id="rooms">
            <h2 id="rooms-title">{text(Word::RoomsTitle)}</h2>
            <p>{note}</p>
            <div class="scrolled low" tabindex="0" role="region" aria-labelledby="rooms-title">
                <table>
                    <thead>
                        <tr>{heads.collect_view()}</tr>
                    </thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
        </section>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use protocol::position::Offset;

    use super::*;

    fn room(name: &str, members: u32, head: u64) -> RoomReport {
        RoomReport {
            name: RoomName::new(name).unwrap(),
            members,
            head: Offset::new(head).unwrap(),
        }
    }

    /// A rate is counted over the last 10 to 20 s, or over less at first.
    #[test]
    fn rates_are_counted_between_looks() {
        let heads = Heads::default();
        let start = Instant::now();
        let look = |s: u64, head| {
            let at = start + Duration::from_secs(s);
            let listed = heads.list(at, vec![room("a", 1, head), room("b", 2, 5)]);
            assert_eq!(listed.rooms[0].0.name.as_str(), "b");
            listed.rooms[1].1
        };
        assert_eq!(look(0, 100), None);
        assert_eq!(look(2, 120), Some(10.0));
        assert_eq!(look(10, 150), Some(5.0));
        assert_eq!(look(12, 150), Some(50.0 / 12.0));
        assert_eq!(look(20, 150), Some(0.0));
    }

    #[test]
    fn very_many_rooms_are_cut() {
        let heads = Heads::default();
        let many = (0..5_000).map(|n| room(&format!("r{n}"), n, 0)).collect();
        let listed = heads.list(Instant::now(), many);
        assert_eq!((listed.rooms.len(), listed.more), (LISTED, 4_950));
        assert_eq!(listed.rooms[0].0.members, 4_999);
        let remembered = heads.0.lock();
        assert_eq!(remembered.newer.as_ref().unwrap().heads.len(), REMEMBERED);
    }
}
