//! Tests of the timeline, which is shown as one line of text.

mod log;
mod pages;
mod sent;

use std::collections::BTreeSet;

use protocol::client::{Event, Fate};
use protocol::frame::ErrorCode;
use protocol::id::Seq;
use protocol::outbox::{Entry, Stage};

use super::*;
use crate::fixtures::{entry, joined, message, offset, session, snapshot, welcomed};

/// The rows as text: `*` marks what is on its way, `!` refused, `?` uncertain, `=` held, `|` a gap.
fn shown(timeline: &Timeline) -> String {
    let rows = timeline.rows();
    check_pages(&timeline.pages(0, &Day::utc), &rows);
    let words: Vec<String> = rows
        .iter()
        .map(|row| match row {
            Row::Logged(logged) => logged.message.body.clone(),
            Row::Gap(_) => "|".to_owned(),
            Row::Pending(pending) => {
                let mark = match pending.fate {
                    Fate::Waiting | Fate::Sent => "*",
                    Fate::Durable { .. } => "",
                    Fate::Refused { .. } => "!",
                    Fate::Uncertain => "?",
                    Fate::Held => "=",
                };
                format!("{}{mark}", pending.body)
            }
        })
        .collect();
    words.join(" ")
}

/// The pages are the rows, in their order, and no two pages are the same.
fn check_pages(pages: &[Page], rows: &[Row]) {
    let items = || pages.iter().flat_map(|page| &page.items);
    let paged: Vec<&Row> = items().filter_map(Item::row).collect();
    assert_eq!(paged, rows.iter().collect::<Vec<_>>());
    let keys: BTreeSet<ItemKey> = items().map(Item::key).collect();
    assert_eq!(keys.len(), items().count(), "two items with one key");
    for (index, page) in pages.iter().enumerate() {
        assert!(page.items.iter().any(|item| item.row().is_some()));
        assert!(pages[..index].iter().all(|other| other.key != page.key));
    }
}

fn said(author: &str, number: u64, seq: u64, body: &str) -> Report {
    Report::Event(Event::Message(message(author, number, seq, body)))
}

fn removed(author: &str, number: u64, seq: u64) -> Report {
    Report::Event(Event::Redacted(Message {
        removed: true,
        ..message(author, number, seq, "")
    }))
}

fn queued(id: u64, body: &str) -> Report {
    Report::Event(Event::Queued(entry(id, body, Stage::Unsent)))
}

fn fate(id: u64, seq: u64, fate: Fate) -> Report {
    Report::Event(Event::Fate {
        id: EntryId(id),
        seq: Seq::after(seq - 1),
        fate,
    })
}

fn durable(id: u64, seq: u64, number: u64) -> Report {
    fate(
        id,
        seq,
        Fate::Durable {
            offset: Some(offset(number)),
        },
    )
}

fn history(bodies: &[(u64, &str)], more: bool) -> Report {
    let messages = bodies
        .iter()
        .map(|(number, body)| message("ada", *number, *number, body))
        .collect();
    Report::Event(Event::History {
        room: RoomName::lobby(),
        messages,
        more,
    })
}

fn fed(timeline: Timeline, reports: &[Report]) -> Timeline {
    reports.iter().fold(timeline, |mut timeline, report| {
        timeline.fold(report);
        timeline
    })
}

fn lobby() -> Timeline {
    Timeline::new(RoomName::lobby(), None)
}
