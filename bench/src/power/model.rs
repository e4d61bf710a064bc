//! A model of a disk: what it holds, and what it may hold after a power cut. Pure: the seed decides.
//!
//! The model, which is that of a journaling file system that keeps its promises, and no more:
//!
//! - What was written is visible to all programs at once, and is *durable* after fsync(2) or fdatasync(2) of its file.
//! - Before that, a cut keeps of a file's writes: none; all; each of them or not; or, sector by sector (512 bytes),
//!   any of the states that the sector went through, in no order, so that a page is torn in the middle. Its
//!   length is any that it had. A sector is written whole or not at all.
//! - Names (create, rename, unlink) are durable after fsync(2) of the directory, and not before, whatever is done
//!   to the file. A cut keeps the first of the changes that were not synced, any number of them, as a journal does. A
//!   rename is one change.
//! - A file lives as long as a name leads to it, the durable one or that of now.
//! - The kernel may write anything back by itself at any time: the oldest of very many writes are durable.
//!
//! A disk that *lies* acknowledges a sync and does nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};

use fastrand::Rng;

/// The size of a sector, in bytes, which a disk writes whole or not at all.
const SECTOR: usize = 512;

/// The most unsynced writes of one file; older ones become durable.
const WAITING_MAX: usize = 4096;

/// The number of a file.
pub(super) type Number = u64;

/// A directory of files: as it is now, and what of it is durable.
#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    files: BTreeMap<Number, File>,
    names: Names,
    last: Number,
    /// Whether syncs are acknowledged and ignored.
    lies: bool,
}

#[derive(Clone, Debug, Default)]
struct Names {
    now: BTreeMap<OsString, Number>,
    durable: BTreeMap<OsString, Number>,
    /// Changes since the last sync. Each may change two names.
    waiting: Vec<Vec<(OsString, Option<Number>)>>,
}

#[derive(Clone, Debug, Default)]
struct File {
    now: Vec<u8>,
    durable: Vec<u8>,
    waiting: Vec<Change>,
    mode: u32,
}

#[derive(Clone, Debug)]
enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Length(usize),
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write { at, bytes } => {
                let end = at + bytes.len();
                if content.len() < end {
                    content.resize(end, 0);
                }
                content[*at..end].copy_from_slice(bytes);
            }
            Self::Length(length) => content.resize(*length, 0),
        }
    }

    /// The length after this change of a file that had this length.
    fn length_after(&self, length: usize) -> usize {
        match self {
            Self::Write { at, bytes } => length.max(at + bytes.len()),
            Self::Length(length) => *length,
        }
    }
}

impl Model {
    /// An empty directory. One that `lies` acknowledges syncs and ignores them.
    pub(super) fn new(lies: bool) -> Self {
        Self {
            lies,
            ..Self::default()
        }
    }

    /// The file with this name.
    pub(super) fn find(&self, name: &OsStr) -> Option<Number> {
        self.names.now.get(name).copied()
    }

    /// All names.
    pub(super) fn list(&self) -> impl Iterator<Item = (&OsStr, Number)> {
        let names = self.names.now.iter();
        names.map(|(name, number)| (name.as_os_str(), *number))
    }

    /// Creates a file; returns the one that already has the name, if there is one.
    pub(super) fn create(&mut self, name: &OsStr, mode: u32) -> Number {
        if let Some(number) = self.find(name) {
            return number;
        }
        self.last += 1;
        let file = File {
            mode,
            ..File::default()
        };
        self.files.insert(self.last, file);
        self.change_names(vec![(name.to_owned(), Some(self.last))]);
        self.last
    }

    /// Removes a name; returns `false` if there is none.
    pub(super) fn unlink(&mut self, name: &OsStr) -> bool {
        let is_there = self.find(name).is_some();
        if is_there {
            self.change_names(vec![(name.to_owned(), None)]);
        }
        is_there
    }

    /// Renames a file, in place of the one with the new name; returns `false` if there is no file `from`.
    pub(super) fn rename(&mut self, from: &OsStr, to: &OsStr) -> bool {
        let found = self.find(from);
        if let Some(number) = found {
            self.change_names(vec![(from.to_owned(), None), (to.to_owned(), Some(number))]);
        }
        found.is_some()
    }

    /// The content of a file now; `None` if there is no such file.
    pub(super) fn content(&self, number: Number) -> Option<&[u8]> {
        self.files.get(&number).map(|file| file.now.as_slice())
    }

    /// The file's permission bits.
    pub(super) fn mode(&self, number: Number) -> u32 {
        self.files.get(&number).map_or(0, |file| file.mode)
    }

    /// Writes bytes into a file.
    pub(super) fn write(&mut self, number: Number, at: usize, bytes: &[u8]) {
        let bytes = bytes.to_vec();
        self.change(number, Change::Write { at, bytes });
    }

    /// Truncates a file, or extends it with zeros.
    pub(super) fn set_length(&mut self, number: Number, length: usize) {
        self.change(number, Change::Length(length));
    }

    /// Makes what was written into a file durable.
    pub(super) fn sync(&mut self, number: Number) {
        if self.lies {
            return;
        }
        if let Some(file) = self.files.get_mut(&number) {
            for change in std::mem::take(&mut file.waiting) {
                change.apply(&mut file.durable);
            }
        }
    }

    /// Makes names durable.
    pub(super) fn sync_names(&mut self) {
        if self.lies {
            return;
        }
        self.names.waiting.clear();
        self.names.durable = self.names.now.clone();
    }

    /// The disk after a power cut at this moment.
    pub(super) fn cut(&self, rng: &mut Rng) -> Self {
        let kept = rng.usize(..=self.names.waiting.len());
        let mut names = self.names.durable.clone();
        for change in &self.names.waiting[..kept] {
            apply(change, &mut names);
        }
        let files = names.values().filter_map(|number| {
            let file = self.files.get(number)?;
            let content = file.cut(rng);
            let left = File {
                now: content.clone(),
                durable: content,
                waiting: Vec::new(),
                mode: file.mode,
            };
            Some((*number, left))
        });
        Self {
            files: files.collect(),
            names: Names {
                now: names.clone(),
                durable: names,
                waiting: Vec::new(),
            },
            last: self.last,
            lies: self.lies,
        }
    }

    fn change(&mut self, number: Number, change: Change) {
        if let Some(file) = self.files.get_mut(&number) {
            change.apply(&mut file.now);
            file.waiting.push(change);
            if file.waiting.len() > WAITING_MAX && !self.lies {
                let oldest = file.waiting.drain(..WAITING_MAX / 2);
                for change in oldest {
                    change.apply(&mut file.durable);
                }
            }
        }
    }

    fn change_names(&mut self, change: Vec<(OsString, Option<Number>)>) {
        apply(&change, &mut self.names.now);
        self.names.waiting.push(change);
        // A file without a name, now and after a cut at any moment, is removed once no program has it open; programs
        // under test do not live long enough for that to matter.
    }
}

fn apply(change: &[(OsString, Option<Number>)], names: &mut BTreeMap<OsString, Number>) {
    for (name, number) in change {
        match number {
            Some(number) => names.insert(name.clone(), *number),
            None => names.remove(name),
        };
    }
}

impl File {
    fn cut(&self, rng: &mut Rng) -> Vec<u8> {
        match rng.u8(..4) {
            0 => self.durable.clone(),
            1 => self.now.clone(),
            2 => self.cut_by_writes(rng),
            _ => self.cut_by_sectors(rng),
        }
    }

    /// The content after a cut that keeps each write whole or not at all.
    fn cut_by_writes(&self, rng: &mut Rng) -> Vec<u8> {
        let mut content = self.durable.clone();
        for change in self.waiting.iter().filter(|_| rng.bool()) {
            change.apply(&mut content);
        }
        content
    }

    /// The content after a cut that keeps each sector as of some moment, and the length as of some other.
    fn cut_by_sectors(&self, rng: &mut Rng) -> Vec<u8> {
        let mut lengths = vec![self.durable.len()];
        let mut touched: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
        for (index, change) in self.waiting.iter().enumerate() {
            let before = lengths[index];
            let (from, until) = match change {
                Change::Write { at, bytes } => (*at, at + bytes.len()),
                Change::Length(length) => (*length, before.max(*length)),
            };
            for sector in from / SECTOR..until.div_ceil(SECTOR) {
                touched.entry(sector).or_default().insert(index);
            }
            lengths.push(change.length_after(before));
        }
        let longest = lengths.iter().copied().max().unwrap_or_default();
        let mut content = self.durable.clone();
        content.resize(longest, 0);
        for (sector, changes) in touched {
            let kept = rng.usize(..=changes.len());
            let (from, until) = (sector * SECTOR, longest.min((sector + 1) * SECTOR));
            for index in changes.into_iter().take(kept) {
                self.waiting[index].apply_within(&mut content, from, until);
            }
        }
        content.truncate(lengths[rng.usize(..lengths.len())]);
        content
    }
}

impl Change {
    /// Applies the part of the change that is within these bytes.
    fn apply_within(&self, content: &mut [u8], from: usize, until: usize) {
        match self {
            Self::Write { at, bytes } => {
                let (first, last) = (from.max(*at), until.min(at + bytes.len()));
                if first < last {
                    content[first..last].copy_from_slice(&bytes[first - at..last - at]);
                }
            }
            Self::Length(length) => {
                let first = from.max(*length);
                if first < until {
                    content[first..until].fill(0);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "log";

    fn name(text: &str) -> &OsStr {
        OsStr::new(text)
    }

    /// What the file may hold after a cut, over many seeds.
    fn outcomes(model: &Model) -> BTreeSet<Option<Vec<u8>>> {
        let cut = |seed| {
            let left = model.cut(&mut Rng::with_seed(seed));
            let number = left.find(name(NAME))?;
            left.content(number).map(<[u8]>::to_vec)
        };
        (0..2_000).map(cut).collect()
    }

    /// A file with a durable name and durable content.
    fn durable(content: &[u8]) -> (Model, Number) {
        let mut model = Model::default();
        let number = model.create(name(NAME), 0o600);
        model.write(number, 0, content);
        model.sync(number);
        model.sync_names();
        (model, number)
    }

    #[test]
    fn what_was_synced_stays() {
        let (mut model, number) = durable(b"hello");
        assert_eq!(outcomes(&model), BTreeSet::from([Some(b"hello".to_vec())]));
        model.write(number, 5, b" again");
        model.sync(number);
        assert_eq!(
            outcomes(&model),
            BTreeSet::from([Some(b"hello again".to_vec())])
        );
    }

    #[test]
    fn what_was_not_synced_may_go_in_any_order() {
        let (mut model, number) = durable(b"aa");
        model.write(number, 0, b"b");
        model.write(number, 1, b"b");
        let texts = ["aa", "ba", "ab", "bb"].map(|text| Some(text.as_bytes().to_vec()));
        assert_eq!(outcomes(&model), BTreeSet::from(texts));
    }

    #[test]
    fn a_write_is_torn_at_its_sectors_only() {
        let (mut model, number) = durable(&[0; 1024]);
        model.write(number, 0, &[1; 1024]);
        let seen = outcomes(&model);
        let half = |first, second| Some([[first; 512], [second; 512]].concat());
        let expected = [half(0, 0), half(0, 1), half(1, 0), half(1, 1)];
        assert_eq!(seen, BTreeSet::from(expected));
    }

    #[test]
    fn a_length_is_one_that_the_file_had() {
        let (mut model, number) = durable(b"123456");
        model.set_length(number, 2);
        model.write(number, 2, b"xy");
        let seen = outcomes(&model);
        assert!(seen.contains(&Some(b"123456".to_vec())));
        assert!(seen.contains(&Some(b"12xy".to_vec())));
        assert!(seen.contains(&Some(b"12".to_vec())));
        // The length of before and the bytes of after.
        assert!(seen.contains(&Some(b"12xy\0\0".to_vec())));
        let lengths: BTreeSet<usize> = seen.iter().flatten().map(Vec::len).collect();
        assert_eq!(lengths, BTreeSet::from([2, 4, 6]));
    }

    #[test]
    fn a_name_is_durable_with_its_directory() {
        let mut model = Model::default();
        let number = model.create(name(NAME), 0o600);
        model.write(number, 0, b"x");
        model.sync(number);
        let both = BTreeSet::from([None, Some(b"x".to_vec())]);
        assert_eq!(outcomes(&model), both);
        model.sync_names();
        assert_eq!(outcomes(&model), BTreeSet::from([Some(b"x".to_vec())]));
        assert!(model.unlink(name(NAME)));
        assert_eq!(model.find(name(NAME)), None);
        assert_eq!(outcomes(&model), both);
    }

    /// A rename over another file: after a cut the one or the other exists, never none.
    #[test]
    fn a_rename_is_one_change() {
        let (mut model, _) = durable(b"old");
        let newer = model.create(name("new"), 0o600);
        model.write(newer, 0, b"new");
        model.sync(newer);
        assert!(model.rename(name("new"), name(NAME)));
        let texts = ["old", "new"].map(|text| Some(text.as_bytes().to_vec()));
        assert_eq!(outcomes(&model), BTreeSet::from(texts));
    }

    #[test]
    fn a_disk_that_lies_forgets_what_it_acknowledged() {
        let (mut model, number) = durable(b"old");
        model.lies = true;
        model.write(number, 0, b"new");
        model.sync(number);
        let texts = ["old", "new"].map(|text| Some(text.as_bytes().to_vec()));
        assert_eq!(outcomes(&model), BTreeSet::from(texts));
    }

    #[test]
    fn one_seed_is_one_outcome() {
        let (mut model, number) = durable(&[0; 4096]);
        for at in 0..8 {
            model.write(number, at * 500, &[7; 600]);
        }
        let cut = |seed| {
            let left = model.cut(&mut Rng::with_seed(seed));
            left.content(number).map(<[u8]>::to_vec)
        };
        assert_eq!(cut(3), cut(3));
    }
}
