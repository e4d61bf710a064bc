//! The connections of a page: found, sorted, and cut into pages.
//!
//! Only a connection's task knows its session. Where a page shows connections by their age, only those on it are asked;
//! else all are, in slices, and no more reports are kept than the pages can show.

use std::cmp::Ordering;
use std::time::Duration;

use everbeat_axum::address::Network;
use everbeat_axum::hub::Hub;
use everbeat_axum::hub::inspect::Report;
use protocol::id::{ConnectionId, Name};
use tokio::time::Instant;

use super::view::{Column, View};

/// The connections on a page.
pub(super) const ROWS: usize = 50;

/// The most connections on all pages together: what an operator still looks through. A report takes at most about a
/// kilobyte, so this is at most 2 MB.
pub(super) const SHOWN_MAX: usize = 20 * ROWS;

/// How many tasks are asked at a time.
const SLICE: usize = 256;

/// The deadline of all questions of a page. Each slice with a task that is busy takes a while; what is not asked by then is
/// left out, and the page says so.
const PATIENCE: Duration = Duration::from_secs(2);

/// The connections of a page.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Those on the page.
    pub rows: Vec<Report>,
    /// How many match on all pages.
    pub matching: usize,
    /// How many connections there are.
    pub all: usize,
    /// How many of them were asked in time, where all had to be: the newest ones.
    pub asked: usize,
    /// The page that is shown, from 0: the last one, where the one asked for is beyond it.
    pub page: usize,
}

impl Found {
    /// How many pages there are: one at least.
    pub(super) fn pages(&self) -> usize {
        self.matching.min(SHOWN_MAX).div_ceil(ROWS).max(1)
    }

    fn sized(matching: usize, all: usize, page: usize) -> Self {
        let mut found = Self {
            rows: Vec::new(),
            matching,
            all,
            asked: all,
            page: 0,
        };
        found.page = page.min(found.pages() - 1);
        found
    }
}

/// Gathers the connections that a view shows.
pub(super) async fn gather(hub: &Hub, view: &View) -> Found {
    let mut ids = hub.newest();
    let all = ids.len();
    if view.find.is_empty() && view.column == Column::Opened {
        if !view.is_descending {
            ids.reverse();
        }
        let found = Found::sized(all, all, view.page);
        let shown = ids.into_iter().skip(found.page * ROWS).take(ROWS);
        let shown: Vec<ConnectionId> = shown.collect();
        return Found {
            rows: hub.reports(&shown).await,
            ..found
        };
    }
    let wanted = view.find.to_lowercase();
    let (mut kept, mut matching, mut asked) = (Best::new(view), 0, 0);
    let deadline = Instant::now() + PATIENCE;
    for slice in ids.chunks(SLICE) {
        if Instant::now() >= deadline {
            break;
        }
        asked += slice.len();
        for report in hub.reports(slice).await {
            if matches(&report, &wanted) {
                matching += 1;
                kept.add(report);
            }
        }
    }
    let found = Found::sized(matching, all, view.page);
    let rows = kept.finish().into_iter().skip(found.page * ROWS).take(ROWS);
    Found {
        rows: rows.collect(),
        asked,
        ..found
    }
}

/// The first reports in the order of a view, no more than are shown.
struct Best<'v> {
    view: &'v View,
    reports: Vec<Report>,
}

impl<'v> Best<'v> {
    const fn new(view: &'v View) -> Self {
        Self {
            view,
            reports: Vec::new(),
        }
    }

    fn add(&mut self, report: Report) {
        self.reports.push(report);
        if self.reports.len() >= 2 * SHOWN_MAX {
            self.cut();
        }
    }

    fn cut(&mut self) {
        self.reports
            .sort_by(|one, other| order(self.view, one, other));
        self.reports.truncate(SHOWN_MAX);
    }

    fn finish(mut self) -> Vec<Report> {
        self.cut();
        self.reports
    }
}

/// Whether a report has this text, in small letters, in its name, room, address, session or subject.
fn matches(report: &Report, wanted: &str) -> bool {
    if wanted.is_empty() {
        return true;
    }
    let Some(vitals) = &report.vitals else {
        return false;
    };
    let has = |text: &str| text.to_lowercase().contains(wanted);
    vitals.name.as_ref().is_some_and(|name| has(name.as_str()))
        || vitals.rooms.iter().any(|room| has(room.as_str()))
        || vitals
            .network
            .is_some_and(|network| has(&network.to_string()))
        || vitals
            .session
            .as_ref()
            .is_some_and(|session| has(session.as_str()))
        || vitals.subject.as_deref().is_some_and(has)
}

/// The order of two reports in a view. What is unknown comes last; where two are equal, the newer one comes first.
fn order(view: &View, one: &Report, other: &Report) -> Ordering {
    let compared = match (key(view.column, one), key(view.column, other)) {
        (Some(one), Some(other)) if view.is_descending => other.cmp(&one),
        (Some(one), Some(other)) => one.cmp(&other),
        (one, other) => other.is_some().cmp(&one.is_some()),
    };
    compared.then_with(|| other.connection.cmp(&one.connection))
}

/// By what reports are sorted.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Key<'r> {
    Connection(ConnectionId),
    Name(&'r Name),
    Network(Network),
    Time(Duration),
}

/// The key of a report in a column; `None` where it is unknown.
fn key(column: Column, report: &Report) -> Option<Key<'_>> {
    let vitals = report.vitals.as_ref();
    match column {
        Column::Opened => Some(Key::Connection(report.connection)),
        Column::Name => {
            let name = vitals?.name.as_ref();
            name.filter(|name| !name.is_empty()).map(Key::Name)
        }
        Column::Address => vitals?.network.map(Key::Network),
        Column::RoundTrip => vitals?.round_trip.map(Key::Time),
        Column::Quiet => vitals?.quiet.map(Key::Time),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use everbeat_axum::clock::Clock;
    use everbeat_axum::hub::Rooms;
    use everbeat_axum::hub::inspect::{Kind, Vitals};
    use everbeat_axum::log::memory::MemoryLog;
    use protocol::id::{RoomName, SessionId};

    use super::*;

    fn report(id: u64, name: &str, round_trip_ms: Option<u64>) -> Report {
        Report {
            connection: ConnectionId::new(id),
            vitals: Some(Vitals {
                session: SessionId::new(&format!("s{id}")).ok(),
                name: Some(Name::tidy(name)),
                subject: None,
                rooms: vec![RoomName::new("kitchen").unwrap()],
                round_trip: round_trip_ms.map(Duration::from_millis),
                quiet: None,
                kind: Kind::Session,
                network: None,
                open: Duration::ZERO,
            }),
        }
    }

    fn sorted(column: Column, is_descending: bool, reports: &[Report]) -> Vec<u64> {
        let view = View {
            column,
            is_descending,
            ..View::default()
        };
        let mut best = Best::new(&view);
        for report in reports {
            best.add(report.clone());
        }
        let sorted = best.finish().into_iter();
        sorted.map(|report| report.connection.get()).collect()
    }

    /// What is unknown stands last in both directions, and equals stand by their age.
    #[test]
    fn reports_are_sorted() {
        let busy = Report {
            connection: ConnectionId::new(9),
            vitals: None,
        };
        let all = [
            report(1, "Bob", Some(5)),
            busy,
            report(2, "Ada", None),
            report(3, "Ada", Some(90)),
        ];
        assert_eq!(sorted(Column::Opened, true, &all), [9, 3, 2, 1]);
        assert_eq!(sorted(Column::Opened, false, &all), [1, 2, 3, 9]);
        assert_eq!(sorted(Column::Name, false, &all), [3, 2, 1, 9]);
        assert_eq!(sorted(Column::Name, true, &all), [1, 3, 2, 9]);
        assert_eq!(sorted(Column::RoundTrip, true, &all), [3, 1, 9, 2]);
        assert_eq!(sorted(Column::RoundTrip, false, &all), [1, 3, 9, 2]);
    }

    /// Of very many, the first in the order are kept, whatever the order in which they come.
    #[test]
    fn the_first_of_very_many_are_kept() {
        let many: Vec<Report> = (0..5_000)
            .map(|index| report(index, "x", Some(index * 7_919 % 5_000)))
            .collect();
        let kept = sorted(Column::RoundTrip, false, &many);
        let trips: Vec<u64> = kept.iter().map(|id| id * 7_919 % 5_000).collect();
        let expected: Vec<u64> = (0..SHOWN_MAX as u64).collect();
        assert_eq!(trips, expected);
    }

    /// Tasks that are busy do not hold up a page: what was not asked in time is left out.
    #[tokio::test(start_paused = true)]
    async fn busy_tasks_are_not_awaited_for_ever() {
        let rooms = Arc::new(Rooms::new(1));
        let log = Arc::new(MemoryLog::new(1, rooms.clone()));
        let hub = Hub::new(rooms, log, 0, Clock::start());
        let busy: Vec<_> = (0..10 * SLICE).map(|_| hub.connect(usize::MAX)).collect();
        let view = View {
            column: Column::Name,
            ..View::default()
        };
        let begun = Instant::now();
        let found = gather(&hub, &view).await;
        assert!(begun.elapsed() < PATIENCE + Duration::from_secs(1));
        assert_eq!((found.all, found.rows.len()), (busy.len(), ROWS));
        assert!(
            (SLICE..busy.len()).contains(&found.asked),
            "{}",
            found.asked
        );
        // By age only those on the page are asked.
        assert_eq!(gather(&hub, &View::default()).await.asked, busy.len());
    }

    #[test]
    fn what_is_looked_for_is_a_part_of_any_text() {
        let ada = report(7, "Ada Lovelace", None);
        for wanted in ["", "lovelace", "kitch", "s7"] {
            assert!(matches(&ada, wanted), "{wanted}");
        }
        assert!(!matches(&ada, "bob"));
    }

    #[test]
    fn a_page_beyond_the_last_is_the_last() {
        let found = Found::sized(51, 60, 9);
        assert_eq!((found.page, found.pages()), (1, 2));
        let none = Found::sized(0, 0, 3);
        assert_eq!((none.page, none.pages()), (0, 1));
        assert_eq!(Found::sized(99_999, 99_999, 0).pages(), 20);
    }
}
