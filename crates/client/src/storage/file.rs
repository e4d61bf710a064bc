//! A storage in a file (feature `file-store`).

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufWriter, Read, Seek, Write};
use std::path::{Path, PathBuf};

use protocol::client::{Store, Stored};
use protocol::id::Credentials;
use protocol::outbox::{Entry, EntryId};
use serde::{Deserialize, Serialize};

use super::Storage;

/// The file is rewritten when it has grown by so many bytes. More writes less often, and reads longer at a start.
const GROWTH_BYTES: u64 = 1 << 20;

/// A storage in a file, one change a line, so that the next process continues the session.
///
/// What it keeps survives the end of the process at any moment. After a loss of power the last changes may be missing:
/// the server then still recognises a repeated message by its number, for as long as it keeps the session (EO-1).
///
/// The file holds the session's key: on Unix only its owner may read it.
#[derive(Debug)]
pub struct FileStorage {
    path: PathBuf,
    file: File,
    /// The state after all lines of the file.
    stored: Stored,
    /// Bytes since the file was last rewritten.
    grown: u64,
    /// Held as long as this storage exists; the file itself is replaced now and then.
    _lock: File,
}

/// One line of the file.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Session(Option<Credentials>),
    Put(Entry),
    Remove(EntryId),
}

impl FileStorage {
    /// Opens a file, or makes it. Beside it stands another one with the suffix `.lock`.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if another storage has it open, [`io::ErrorKind::InvalidData`] if it holds
    /// something else than a session, and whatever the system says.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref().to_owned();
        let lock =
            private(OpenOptions::new().create(true).append(true)).open(with(&path, ".lock"))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::Error(error) => error,
            TryLockError::WouldBlock => io::ErrorKind::WouldBlock.into(),
        })?;
        let mut options = OpenOptions::new();
        let mut file = private(options.create(true).read(true).append(true)).open(&path)?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let mut storage = Self {
            stored: replay(&text)?,
            path,
            file,
            grown: 0,
            _lock: lock,
        };
        storage.write_anew()?;
        Ok(storage)
    }

    fn append(&mut self, change: &Store) -> io::Result<()> {
        let mut line = line(change)?;
        line.push(b'\n');
        // One write: a process that ends meanwhile leaves the whole line, or a part that is recognised.
        self.file.write_all(&line)?;
        self.grown += line.len() as u64;
        if self.grown > GROWTH_BYTES {
            self.write_anew()?;
        }
        Ok(())
    }

    /// Rewrites the file in one step, without the changes that later ones replaced.
    fn write_anew(&mut self) -> io::Result<()> {
        let fresh = with(&self.path, ".new");
        let mut options = OpenOptions::new();
        let file = private(options.create(true).write(true).truncate(true)).open(&fresh)?;
        let mut writer = BufWriter::new(file);
        let session = Store::Session(self.stored.credentials.clone());
        let outbox = self.stored.outbox.iter().cloned().map(Store::Put);
        for change in std::iter::once(session).chain(outbox) {
            writer.write_all(&line(&change)?)?;
            writer.write_all(b"\n")?;
        }
        let mut file = writer
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        // Otherwise a loss of power could leave the new name with nothing behind it.
        file.sync_data()?;
        std::fs::rename(&fresh, &self.path)?;
        file.seek(io::SeekFrom::End(0))?;
        (self.file, self.grown) = (file, 0);
        Ok(())
    }
}

impl Storage for FileStorage {
    fn load(&mut self) -> io::Result<Stored> {
        Ok(self.stored.clone())
    }

    fn apply(&mut self, change: &Store) -> io::Result<()> {
        self.stored.apply(change.clone());
        self.append(change)
    }

    fn clear(&mut self) {
        self.stored = Stored::default();
        // On a failing disk there is nothing better to do.
        let _ = self.file.set_len(0);
    }
}

/// The state after all lines of a file. A last line without its end was not finished, and never acted upon.
fn replay(text: &str) -> io::Result<Stored> {
    let mut stored = Stored::default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    for line in whole.lines() {
        stored.apply(match serde_json::from_str(line)? {
            Line::Session(credentials) => Store::Session(credentials),
            Line::Put(entry) => Store::Put(entry),
            Line::Remove(id) => Store::Remove(id),
        });
    }
    Ok(stored)
}

fn line(change: &Store) -> io::Result<Vec<u8>> {
    Ok(serde_json::to_vec(&match change.clone() {
        Store::Session(credentials) => Line::Session(credentials),
        Store::Put(entry) => Line::Put(entry),
        Store::Remove(id) => Line::Remove(id),
    })?)
}

fn with(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// A file that only its owner may read.
fn private(options: &mut OpenOptions) -> &OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

#[cfg(test)]
mod tests {
    use protocol::id::{RoomName, Seq, SessionId, SessionKey};
    use protocol::outbox::Stage;

    use super::*;

    fn credentials() -> Credentials {
        Credentials {
            id: SessionId::new("s1").unwrap(),
            key: SessionKey::new("k1").unwrap(),
        }
    }

    fn entry(id: u64, body: &str) -> Entry {
        Entry {
            id: EntryId(id),
            seq: Seq::after(id),
            room: RoomName::lobby(),
            body: body.to_owned(),
            stage: Stage::Unsent,
        }
    }

    fn bodies(stored: &Stored) -> Vec<&str> {
        stored.outbox.iter().map(|entry| &*entry.body).collect()
    }

    /// EO-4: the next process finds what the one before kept, and nothing else.
    #[test]
    fn it_outlives_its_process() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("session");
        let mut storage = FileStorage::open(&path).unwrap();
        for change in [
            Store::Session(Some(credentials())),
            Store::Put(entry(0, "gone")),
            Store::Put(entry(1, "two\nlines \u{1f44b}")),
            Store::Put(entry(2, "early")),
            Store::Put(entry(2, "late")),
            Store::Remove(EntryId(0)),
        ] {
            storage.apply(&change).unwrap();
        }
        drop(storage);
        // The process ended within a write.
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(br#"{"put":{"id":3"#).unwrap();
        let mut storage = FileStorage::open(&path).unwrap();
        let stored = storage.load().unwrap();
        assert_eq!(stored.credentials, Some(credentials()));
        assert_eq!(bodies(&stored), ["two\nlines \u{1f44b}", "late"]);
        // The unfinished line is not part of the next one.
        storage.apply(&Store::Put(entry(3, "more"))).unwrap();
        drop(storage);
        let stored = FileStorage::open(&path).unwrap().load().unwrap();
        assert_eq!(bodies(&stored)[2..], ["more"]);
    }

    /// RS-4: a session has one owner.
    #[test]
    fn it_is_opened_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("session");
        let first = FileStorage::open(&path).unwrap();
        let second = FileStorage::open(&path).unwrap_err();
        assert_eq!(second.kind(), io::ErrorKind::WouldBlock);
        drop(first);
        FileStorage::open(&path).unwrap();
    }

    #[test]
    fn it_does_not_grow_with_what_is_settled() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("session");
        let mut storage = FileStorage::open(&path).unwrap();
        let body = "x".repeat(1 << 16);
        for id in 0..100 {
            storage.apply(&Store::Put(entry(id, &body))).unwrap();
            storage.apply(&Store::Remove(EntryId(id))).unwrap();
        }
        let bytes = std::fs::metadata(&path).unwrap().len();
        assert!(bytes <= GROWTH_BYTES + 2 * (1 << 16), "{bytes}");
        storage.apply(&Store::Put(entry(100, "last"))).unwrap();
        drop(storage);
        let stored = FileStorage::open(&path).unwrap().load().unwrap();
        assert_eq!(bodies(&stored), ["last"]);
    }

    #[test]
    fn something_else_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("session");
        std::fs::write(&path, "a letter\n").unwrap();
        let error = FileStorage::open(&path).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert_eq!(std::fs::read(&path).unwrap(), b"a letter\n");
    }

    #[cfg(unix)]
    #[test]
    fn only_its_owner_may_read_it() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("session");
        let mut storage = FileStorage::open(&path).unwrap();
        let session = Store::Session(Some(credentials()));
        storage.apply(&session).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0);
        storage.clear();
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 0);
    }
}
