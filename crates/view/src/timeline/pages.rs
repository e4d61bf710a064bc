//! Pages: rows by when they came. The list would move every row that it has if it got many at once in
//! front of them; so they come as one page, and only pages are put in front of others.

use super::{Logged, Row, Timeline};

/// Rows that follow each other, and came together or one after the other at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// What identifies the page.
    pub key: PageKey,
    /// Its rows, oldest first; never none.
    pub rows: Vec<Row>,
}

/// What identifies a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PageKey {
    /// Messages, by the number of their page.
    Messages(u32),
    /// A gap, by its number.
    Gap(u32),
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

    /// The same rows, in pages.
    pub fn pages(&self) -> Vec<Page> {
        let mut pages: Vec<Page> = Vec::new();
        for row in self.rows() {
            let key = self.page_of(&row);
            match pages.last_mut() {
                Some(page) if page.key == key => page.rows.push(row),
                _ => {
                    let rows = vec![row];
                    pages.push(Page { key, rows });
                }
            }
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
