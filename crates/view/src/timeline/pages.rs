//! Pages: rows by when they came, with what stands between them. The list would move every row that it has if it got
//! many at once in front of them; so they come as one page, and only pages are put in front of others.

use std::sync::Arc;

use protocol::frame::Message;

use super::unread::Unread;
use super::{Day, Logged, Row, RowKey, Timeline};

/// How long after the first message of its author another one still belongs to it: short enough that one time says
/// when all of them were said.
const GROUP_MS: u64 = 5 * 60 * 1000;

/// Rows that follow each other, and came together or one after the other at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// What identifies the page.
    pub key: PageKey,
    /// Its rows, oldest first, and what stands between them; never none.
    pub items: Vec<Item>,
}

/// What identifies a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PageKey {
    /// Messages, by the number of their page.
    Messages(u32),
    /// A gap, by its number.
    Gap(u32),
}

/// A row, or a line between rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A day begins.
    Day {
        /// The day.
        day: Day,
        /// The row below.
        before: RowKey,
    },
    /// Messages begin that the reader did not see come.
    Unread {
        /// How many.
        count: u32,
    },
    /// A row.
    Row {
        /// The row.
        row: Row,
        /// Whether it continues the row above: the same author, at about the same time, and nothing between.
        follows: bool,
    },
}

/// What identifies an item while it moves and changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ItemKey {
    /// A day, and the row below.
    Day(Day, RowKey),
    /// The line above messages that the reader did not see come, of which there is one.
    Unread,
    /// A row, and whether it follows the one above. A message of this page has one key throughout (EO-5).
    Row(RowKey, bool),
}

/// The first row of a group.
struct Head {
    /// Its message, if another session sent it.
    message: Option<Arc<Message>>,
    at_ms: u64,
}

impl Item {
    /// What identifies this item.
    pub fn key(&self) -> ItemKey {
        match self {
            Self::Day { day, before } => ItemKey::Day(*day, *before),
            Self::Unread { .. } => ItemKey::Unread,
            Self::Row { row, follows } => {
                let key = row.key();
                ItemKey::Row(key, *follows && !matches!(key, RowKey::Entry(_)))
            }
        }
    }

    /// The row, if it is one.
    pub const fn row(&self) -> Option<&Row> {
        if let Self::Row { row, .. } = self {
            Some(row)
        } else {
            None
        }
    }
}

impl Head {
    /// The group that the row begins or belongs to. None for what is said at no certain time.
    fn of(row: &Row, now_ms: u64) -> Option<Self> {
        let (message, at_ms) = match row {
            Row::Logged(Logged { message, own, .. }) => {
                (Some(message).filter(|_| !own).cloned(), message.at_ms)
            }
            // It will be in the log in a moment.
            Row::Pending(pending) if !pending.is_aside() => (None, now_ms),
            Row::Pending(_) | Row::Gap(_) => return None,
        };
        Some(Self { message, at_ms })
    }

    /// Whether the row of `next` belongs to this group. Names alone prove nothing.
    fn leads(&self, next: &Self) -> bool {
        let is_same = match (&self.message, &next.message) {
            (None, None) => true,
            (Some(one), Some(other)) => one.session == other.session && one.name == other.name,
            _ => false,
        };
        is_same && self.at_ms.abs_diff(next.at_ms) <= GROUP_MS
    }
}

impl Timeline {
    /// All rows in the order in which they are shown: the log, then the messages on their way.
    pub fn rows(&self) -> Vec<Row> {
        let here = self
            .pending
            .iter()
            .filter(|pending| pending.room == self.room);
        self.rows
            .iter()
            .cloned()
            .chain(here.cloned().map(Row::Pending))
            .collect()
    }

    /// The same rows, in pages and with what stands between them. `now_ms` is the reader's time in Unix milliseconds, and
    /// `day_of` gives the day of such a time in the reader's calendar; it is called where the day may change.
    pub fn pages(&self, now_ms: u64, day_of: &dyn Fn(u64) -> Day) -> Vec<Page> {
        let mut pages: Vec<Page> = Vec::new();
        let mut day = None::<Day>;
        let mut head = None::<Head>;
        let mut unread = self.unread;
        for row in self.rows() {
            let key = self.page_of(&row);
            if pages.last().is_none_or(|page| page.key != key) {
                let items = Vec::new();
                pages.push(Page { key, items });
                // Older messages change no row below them: it would move under the reader's eyes.
                head = None;
            }
            let Some(Page { items, .. }) = pages.last_mut() else {
                break;
            };
            let next = Head::of(&row, now_ms);
            let moment = next.as_ref().map(|next| next.at_ms);
            if let Some(at_ms) = moment.filter(|at_ms| day.is_none_or(|day| !day.contains(*at_ms)))
            {
                let begun = day_of(at_ms);
                day = Some(begun);
                head = None;
                let before = row.key();
                items.push(Item::Day { day: begun, before });
            }
            let is_first = |logged: &Logged| unread.is_some_and(|unread| unread.includes(logged));
            if row.logged().is_some_and(is_first) {
                head = None;
                let count = unread.take().map_or(0, Unread::count);
                items.push(Item::Unread { count });
            }
            let follows = head
                .as_ref()
                .zip(next.as_ref())
                .is_some_and(|(head, next)| head.leads(next));
            if !follows {
                head = next;
            }
            items.push(Item::Row { row, follows });
        }
        pages
    }

    const fn page_of(&self, row: &Row) -> PageKey {
        match row {
            Row::Logged(Logged { page, .. }) => PageKey::Messages(*page),
            Row::Gap(number) => PageKey::Gap(*number),
            Row::Pending(_) => PageKey::Messages(self.newest_page),
        }
    }

    /// Begins a page for the newest messages.
    pub(super) const fn begin_page(&mut self) {
        self.newest_page = self.next_page();
    }

    /// The number of a new page.
    pub(super) const fn next_page(&mut self) -> u32 {
        self.pages += 1;
        self.pages
    }
}
