//! The witness: a small file beside the database that says how far the log had come.
//!
//! It is written after each commit, without a sync of its own. A commit is on stable storage before the
//! witness tells of it: so the witness may be older than the log, and is never newer. A log that is older than its
//! witness has lost commits that were acknowledged. A byte flipped in the write-ahead log does that: SQLite then
//! drops all that follows, without an error.
//!
//! The witness is made, on stable storage, before an epoch is served, and lies within one sector. So a crash leaves a
//! witness that can be read, of the epoch that was served. A database with another epoch, or without a witness, was
//! brought here from elsewhere, and may be older than what clients have seen.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use protocol::position::Epoch;
use sha2::{Digest, Sha256};

use super::files::{Inode, OWN, sync_directory};
use super::state::{Chain, HASH_BYTES};
use crate::hex::hex;

/// The first word of the file: the witness's format.
const FORM: &str = "everbeat-witness-1";

/// The most bytes of a witness: one sector of a disk, which is written whole or not at all. A witness is far
/// shorter: epochs have 32 characters.
const BYTES_MAX: usize = 512;

/// The contents of a witness.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Testimony {
    /// The epoch of the log that it is of.
    pub(super) epoch: Epoch,
    /// The history of that log, or the beginning of it.
    pub(super) chain: Chain,
    /// Whether its server ended in order.
    pub(super) is_orderly: bool,
}

impl Testimony {
    /// The contents as one line, which holds a hash of itself: a torn line is no witness.
    fn line(&self) -> String {
        let Self {
            epoch,
            chain: Chain { commits, hash },
            is_orderly,
        } = self;
        let mut line = String::with_capacity(160);
        // Writing to a string cannot fail.
        let _ = write!(line, "{FORM} {} {commits:020} ", epoch.as_str());
        line += &hex(hash);
        line += if *is_orderly { " ended " } else { " open  " };
        let check = check(&line);
        line += &check;
        line.push('\n');
        line
    }

    fn parse(line: &str) -> Option<Self> {
        let line = line.strip_suffix('\n')?;
        let (said, checked) = line.split_at_checked(line.len().checked_sub(2 * HASH_BYTES)?)?;
        if check(said) != checked {
            return None;
        }
        let mut words = said.split_ascii_whitespace();
        if words.next()? != FORM {
            return None;
        }
        let epoch = Epoch::new(words.next()?);
        let commits = words.next()?.parse().ok()?;
        let hash = bytes(words.next()?)?;
        let is_orderly = words.next()? == "ended";
        let chain = Chain { commits, hash };
        Some(Self {
            epoch,
            chain,
            is_orderly,
        })
    }
}

fn check(said: &str) -> String {
    let hash: [u8; 32] = Sha256::digest(said).into();
    hex(&hash[..HASH_BYTES])
}

fn bytes(digits: &str) -> Option<[u8; HASH_BYTES]> {
    let mut bytes = [0; HASH_BYTES];
    if digits.len() != 2 * HASH_BYTES || !digits.is_ascii() {
        return None;
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(bytes)
}

/// What stands for a log's epoch in its witness, where the log may have none yet.
pub(super) fn word_for(epoch: Option<&Epoch>) -> Epoch {
    epoch.cloned().unwrap_or_else(|| Epoch::new("none"))
}

/// The path of a database's witness.
pub(super) fn path_of(database: &Path) -> PathBuf {
    let mut name = OsString::from(database);
    name.push(".witness");
    PathBuf::from(name)
}

/// Reads the witness of a database; `None` where there is none, or none that can be read.
pub(super) fn read(database: &Path) -> Option<Testimony> {
    let path = path_of(database);
    let said = match fs::read(&path) {
        Ok(said) => said,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "the witness cannot be read");
            return None;
        }
    };
    let testimony = std::str::from_utf8(&said).ok().and_then(Testimony::parse);
    if testimony.is_none() {
        tracing::warn!(path = %path.display(), "the witness is damaged");
    }
    testimony
}

/// The witness's file, kept open and up to date.
pub(super) struct Witness {
    path: PathBuf,
    file: File,
    inode: Option<Inode>,
    epoch: Epoch,
    is_failing: bool,
}

impl Witness {
    /// Creates the witness, or takes over the file of an older one; the file and its name are on stable storage.
    pub(super) fn create(database: &Path, epoch: Epoch, chain: Chain) -> io::Result<Self> {
        let path = path_of(database);
        let mut options = OpenOptions::new();
        let options = options.write(true).create(true).truncate(false).mode(OWN);
        let file = options.open(&path)?;
        let witness = Self {
            inode: Inode::of(&path),
            path,
            file,
            epoch,
            is_failing: false,
        };
        witness.write(chain, false)?;
        witness
            .file
            .set_len(witness.testimony(chain, false).line().len() as u64)?;
        witness.file.sync_all()?;
        sync_directory(&witness.path)?;
        Ok(witness)
    }

    /// Notes how far the log has come. If that fails the witness is an older one: no commit fails for it.
    pub(super) fn note(&mut self, chain: Chain, is_orderly: bool) {
        let written = self.write(chain, is_orderly);
        let was_failing = std::mem::replace(&mut self.is_failing, written.is_err());
        if let Err(error) = written
            && !was_failing
        {
            tracing::warn!(path = %self.path.display(), %error, "the witness cannot be written");
        }
    }

    /// Notes that the log has an epoch now.
    pub(super) fn found(&mut self, epoch: Epoch) {
        self.epoch = epoch;
    }

    /// Creates the witness anew if its file was removed or replaced.
    pub(super) fn look(&mut self, database: &Path, chain: Chain) {
        if Inode::of(&self.path) != self.inode
            && let Ok(anew) = Self::create(database, self.epoch.clone(), chain)
        {
            tracing::warn!(path = %self.path.display(), "the witness was removed under the running server; it was written anew");
            *self = anew;
        }
    }

    fn testimony(&self, chain: Chain, is_orderly: bool) -> Testimony {
        Testimony {
            epoch: self.epoch.clone(),
            chain,
            is_orderly,
        }
    }

    fn write(&self, chain: Chain, is_orderly: bool) -> io::Result<()> {
        let line = self.testimony(chain, is_orderly).line();
        // An epoch that is too long is no server's: then there is no witness, rather than a torn one.
        if line.len() > BYTES_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        self.file.write_all_at(line.as_bytes(), 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn testimony() -> Testimony {
        let chain = Chain {
            commits: 12_345,
            hash: [0xab; HASH_BYTES],
        };
        Testimony {
            epoch: Epoch::new("0123456789abcdef0123456789abcdef"),
            chain,
            is_orderly: false,
        }
    }

    /// All lines of one log have the same length: a newer one leaves nothing of the older one behind.
    #[test]
    fn a_witness_is_read_as_it_was_written() {
        let open = testimony();
        let mut ended = testimony();
        ended.is_orderly = true;
        ended.chain.commits = u64::MAX;
        assert_eq!(open.line().len(), ended.line().len());
        assert!(open.line().len() <= BYTES_MAX);
        for said in [open, ended] {
            assert_eq!(Testimony::parse(&said.line()), Some(said));
        }
    }

    /// A witness that was torn or changed is not read.
    #[test]
    fn a_damaged_witness_is_none() {
        let line = testimony().line();
        for end in 0..line.len() {
            assert_eq!(Testimony::parse(&line[..end]), None, "{end}");
        }
        for at in 0..line.len() {
            let mut bytes = line.clone().into_bytes();
            bytes[at] ^= 1;
            let said = String::from_utf8(bytes).unwrap();
            assert_eq!(Testimony::parse(&said), None, "{at}");
        }
    }
}
