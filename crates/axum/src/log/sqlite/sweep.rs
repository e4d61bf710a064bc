//! The sweep: finds what redacted texts left in the database's pages, and overwrites it (EO-8).
//!
//! `secure_delete` overwrites a text where it stands. But when SQLite makes room on a page it moves rows to
//! another one, and neither what it leaves in the gap between the page's index and its rows is overwritten, nor a
//! page that becomes free. A sweep looks for bytes that no row uses, and overwrites them with zeros.
//!
//! The layout of pages is SQLite's "Database File Format", sections 1.5 and 1.6. Reading and writing pages as such
//! takes a part of SQLite that is built in for this (`SQLITE_ENABLE_DBPAGE_VTAB`).

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension, params};
use sha2::{Digest, Sha256};

/// How many pages are overwritten in one transaction: other operations wait for it.
pub(super) const PAGES_MAX: usize = 256;

/// A page with leftovers: bytes that no row uses and that are not zero.
#[derive(Clone, Debug)]
pub(super) struct Stale {
    page: Page,
    /// The hash of its contents. A page that was written since is clean, or the next sweep finds it.
    hash: [u8; 32],
}

/// A page's number and kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Page {
    number: i64,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    /// A page of a b-tree: rows, or references to further pages.
    Tree,
    /// The rest of a long row, with so many unused bytes at its end.
    Overflow(usize),
    /// A free page that lists further free pages.
    Trunk,
    /// A free page without a list.
    Free,
}

/// Looks through all pages that hold texts or once held them. It reads each of them, so it does not belong on the
/// writer's thread.
pub(super) fn look(connection: &Connection) -> rusqlite::Result<Vec<Stale>> {
    let transaction = connection.unchecked_transaction()?;
    let mut pages: Vec<Page> = transaction
        .prepare("SELECT pageno, pagetype, unused FROM dbstat WHERE name = 'messages'")?
        .query_map([], |row| {
            let kind = match row.get_ref(1)?.as_str()? {
                "overflow" => Kind::Overflow(row.get::<_, u16>(2)?.into()),
                _ => Kind::Tree,
            };
            Ok(Page {
                number: row.get(0)?,
                kind,
            })
        })?
        .collect::<Result<_, _>>()?;
    free_pages(&transaction, &mut pages)?;
    let mut stale = Vec::new();
    for page in pages {
        if let Some(held) = read(&transaction, page.number)?
            && page.cleaned(&held).is_some_and(|cleaned| cleaned != held)
        {
            let hash = Sha256::digest(&held).into();
            stale.push(Stale { page, hash });
        }
    }
    Ok(stale)
}

/// Overwrites the pages that have not changed since, in one transaction.
pub(super) fn overwrite(connection: &Connection, stale: &[Stale]) -> rusqlite::Result<()> {
    let transaction = connection.unchecked_transaction()?;
    // A free page may be in use again, and hold the very text that it held before.
    let mut free = Vec::new();
    free_pages(&transaction, &mut free)?;
    let free: HashSet<Page> = free.into_iter().collect();
    let is_still = |page: &Page| match page.kind {
        Kind::Free | Kind::Trunk => free.contains(page),
        Kind::Tree | Kind::Overflow(_) => true,
    };
    for Stale { page, hash } in stale.iter().filter(|stale| is_still(&stale.page)) {
        let held = read(&transaction, page.number)?;
        let same = held.filter(|held| *hash == <[u8; 32]>::from(Sha256::digest(held)));
        if let Some(cleaned) = same.and_then(|held| page.cleaned(&held)) {
            let write = "UPDATE sqlite_dbpage SET data = ?2 WHERE pgno = ?1";
            transaction
                .prepare_cached(write)?
                .execute(params![page.number, cleaned])?;
        }
    }
    transaction.commit()
}

fn read(connection: &Connection, number: i64) -> rusqlite::Result<Option<Vec<u8>>> {
    let mut read = connection.prepare_cached("SELECT data FROM sqlite_dbpage WHERE pgno = ?1")?;
    read.query_row([number], |row| row.get(0)).optional()
}

/// Adds the free pages: a list of trunks, each with leaves.
fn free_pages(connection: &Connection, pages: &mut Vec<Page>) -> rusqlite::Result<()> {
    let count: i64 = connection.pragma_query_value(None, "freelist_count", |row| row.get(0))?;
    let end = usize::try_from(count).unwrap_or(usize::MAX);
    let end = pages.len().saturating_add(end);
    let header = read(connection, 1)?.unwrap_or_default();
    let mut next = long(&header, 32).unwrap_or(0);
    // The count is a bound, should the list be a circle.
    while next != 0 && pages.len() < end {
        let Some(trunk) = read(connection, next)? else {
            break;
        };
        pages.push(Page {
            number: next,
            kind: Kind::Trunk,
        });
        let leaves = long(&trunk, 4).and_then(|leaves| usize::try_from(leaves).ok());
        for leaf in (0..leaves.unwrap_or(0)).map_while(|leaf| long(&trunk, 8 + 4 * leaf)) {
            pages.push(Page {
                number: leaf,
                kind: Kind::Free,
            });
        }
        next = long(&trunk, 0).unwrap_or(0);
    }
    Ok(())
}

impl Page {
    /// The page's contents with zeros where no row is; `None` if it is no valid page of its kind.
    fn cleaned(self, held: &[u8]) -> Option<Vec<u8>> {
        let mut bytes = held.to_vec();
        let end = bytes.len();
        match self.kind {
            Kind::Free => bytes.fill(0),
            Kind::Overflow(spare) => bytes.get_mut(end.checked_sub(spare)?..)?.fill(0),
            Kind::Trunk => {
                let leaves = usize::try_from(long(held, 4)?).ok()?;
                bytes.get_mut(8 + 4 * leaves..)?.fill(0);
            }
            Kind::Tree => clean_tree(&mut bytes)?,
        }
        Some(bytes)
    }
}

/// Cleans a page between the index of its rows and the first row, and in the gaps between rows.
fn clean_tree(page: &mut [u8]) -> Option<()> {
    let header = match page.first()? {
        // An inner page has one more reference in its header.
        2 | 5 => 12,
        10 | 13 => 8,
        _ => return None,
    };
    let index_end = header + 2 * short(page, 3)?;
    let first_row = match short(page, 5)? {
        0 => 65_536,
        at => at,
    };
    page.get_mut(index_end..first_row)?.fill(0);
    let mut gap = short(page, 1)?;
    while gap != 0 {
        let (next, size) = (short(page, gap)?, short(page, gap + 2)?);
        page.get_mut(gap + 4..gap + size)?.fill(0);
        // The gaps are in ascending order.
        if next != 0 && next <= gap {
            return None;
        }
        gap = next;
    }
    Some(())
}

fn short(page: &[u8], at: usize) -> Option<usize> {
    let bytes = page.get(at..at + 2)?.try_into().ok()?;
    Some(u16::from_be_bytes(bytes).into())
}

fn long(page: &[u8], at: usize) -> Option<i64> {
    let bytes = page.get(at..at + 4)?.try_into().ok()?;
    Some(u32::from_be_bytes(bytes).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A page that is not valid for its kind is left alone.
    #[test]
    fn what_is_no_such_page_is_left_alone() {
        let cleaned = |kind, held: &[u8]| Page { number: 2, kind }.cleaned(held);
        assert_eq!(cleaned(Kind::Tree, &[]), None);
        assert_eq!(cleaned(Kind::Tree, &[7; 512]), None);
        // More rows than a page can have, or a list of gaps that leads back.
        assert_eq!(cleaned(Kind::Tree, &[10; 512]), None);
        let mut page = [0; 512];
        page[..8].copy_from_slice(&[10, 1, 0, 0, 0, 1, 0, 0]);
        page[256..260].copy_from_slice(&[1, 0, 0, 8]);
        assert_eq!(cleaned(Kind::Tree, &page), None);
        assert_eq!(cleaned(Kind::Overflow(513), &page), None);
        assert_eq!(cleaned(Kind::Trunk, &[255; 512]), None);
    }

    #[test]
    fn only_what_no_row_uses_is_overwritten() {
        let mut page = [9; 512];
        // Two rows: the index ends at 12, the first row begins at 400; a gap of 8 bytes at 450.
        page[..12].copy_from_slice(&[10, 1, 194, 0, 2, 1, 144, 0, 1, 144, 1, 244]);
        page[450..454].copy_from_slice(&[0, 0, 0, 8]);
        let kind = Kind::Tree;
        let cleaned = Page { number: 2, kind }.cleaned(&page).unwrap();
        let mut expected = page;
        expected[12..400].fill(0);
        expected[454..458].fill(0);
        assert_eq!(cleaned, expected);
        let kind = Kind::Overflow(100);
        let cleaned = Page { number: 2, kind }.cleaned(&page).unwrap();
        assert_eq!(cleaned[..412], page[..412]);
        assert_eq!(cleaned[412..], [0; 100]);
    }
}
