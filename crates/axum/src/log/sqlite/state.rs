//! The log's state as a whole, in one row: the history of commits, and whether a scrub is due.

use rusqlite::{Connection, params};
use sha2::{Digest, Sha256};

use super::{integer, row};
use crate::log::Message;

/// How many bytes of a hash stand for a history.
pub(super) const HASH_BYTES: usize = 16;

/// A history of commits: how many there were, and a hash over what each of them stored. Two histories of the same
/// length that were written apart have different hashes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Chain {
    /// How many commits there were.
    pub(super) commits: u64,
    /// The hash of the newest commit, which covers the hash before it.
    pub(super) hash: [u8; HASH_BYTES],
}

impl Chain {
    /// The history with one more commit, of these messages and redactions. Texts do not go into the hash: the
    /// offset, number and time of each message are enough to tell histories apart.
    pub(super) fn after(&self, messages: &[Message], removed: &[Message]) -> Self {
        let commits = self.commits + 1;
        let mut hash = Sha256::new_with_prefix(self.hash);
        hash.update(commits.to_be_bytes());
        for message in messages.iter().chain(removed) {
            hash.update(message.room.as_str());
            // No room's name contains a zero byte.
            hash.update([0]);
            hash.update(message.session.as_str());
            hash.update([0]);
            for number in [message.offset.get(), message.seq.get(), message.at_ms] {
                hash.update(number.to_be_bytes());
            }
        }
        let hash: [u8; 32] = hash.finalize().into();
        Self {
            commits,
            hash: std::array::from_fn(|at| hash[at]),
        }
    }
}

/// The contents of the row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    /// The history of all commits so far.
    pub(super) chain: Chain,
    /// Whether a redacted text may still stand in the files (EO-8). It is set in the commit that redacts, so that it
    /// outlives the process; the next commit after the files are clean clears it.
    pub(super) must_scrub: bool,
}

/// Reads the row.
pub(super) fn load(connection: &Connection) -> rusqlite::Result<State> {
    let sql = "SELECT commits, hash, must_scrub FROM state";
    connection.query_row(sql, [], |row| {
        let (commits, hash) = (row::number(row, 0)?, row.get(1)?);
        Ok(State {
            chain: Chain { commits, hash },
            must_scrub: row.get(2)?,
        })
    })
}

/// Writes the row, as a part of the transaction that is under way.
pub(super) fn store(connection: &Connection, state: &State) -> rusqlite::Result<()> {
    let sql = "UPDATE state SET commits = ?1, hash = ?2, must_scrub = ?3";
    let State { chain, must_scrub } = state;
    let row = params![integer(chain.commits), chain.hash, must_scrub];
    connection.prepare_cached(sql)?.execute(row).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::tests::support::append;
    use crate::log::tests::support::offset;

    #[test]
    fn histories_of_one_length_are_told_apart() {
        let message = |session, at| append(session, 1, "lobby", "x").at(offset(at));
        let none = Chain::default();
        let one = none.after(&[message("ada", 1)], &[]);
        assert_eq!(one.commits, 1);
        assert_eq!(one, none.after(&[message("ada", 1)], &[]));
        for other in [
            none.after(&[], &[]),
            none.after(&[message("bob", 1)], &[]),
            none.after(&[message("ada", 2)], &[]),
        ] {
            assert_eq!(other.commits, 1);
            assert_ne!(other.hash, one.hash);
        }
        let (here, there) = (one.after(&[], &[]), none.after(&[], &[]).after(&[], &[]));
        assert_eq!(here.commits, there.commits);
        assert_ne!(here.hash, there.hash, "earlier commits count");
    }
}
