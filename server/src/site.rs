//! The compiled site inside the program itself (feature `embed`, see scripts/dist.sh).
//!
//! It is laid into the data directory, and served from there like any other: with what was compressed
//! before, for ranges, for those who have it already. What belongs to another version goes as soon as no
//! server of that version is left.

use std::path::{Path, PathBuf};
use std::{fs, io};

use rust_embed::RustEmbed;
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::hex::hex;

/// What scripts/dist.sh gathered: `site/` and `hash.txt`.
#[derive(RustEmbed)]
#[folder = "../target/embed"]
struct Embedded;

/// How the directories are called.
const PREFIX: &str = "site-";

/// The site on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Its files.
    pub root: PathBuf,
    /// The names of the hashed ones among them.
    pub hash_file: PathBuf,
}

/// The site could not be laid down.
#[derive(Debug, Error)]
#[error("cannot lay the site into {directory}: see --data", directory = directory.display())]
pub struct SiteError {
    /// Where.
    pub directory: PathBuf,
    /// Why.
    pub source: io::Error,
}

/// Lays the site into the data directory, unless it is there, and removes those of other versions. Only
/// for the server that holds the log: no other is left to serve them then.
///
/// # Errors
/// If that directory cannot be written.
pub fn unpack(data: &Path) -> Result<Site, SiteError> {
    let unpack = || {
        let data = std::path::absolute(data)?;
        let directory = data.join(format!("{PREFIX}{}", digest()));
        clear_others(&data, &directory);
        if !directory.is_dir() {
            lay(&directory)?;
        }
        Ok(Site {
            root: directory.join("site"),
            hash_file: directory.join("hash.txt"),
        })
    };
    unpack().map_err(|source| SiteError {
        directory: data.to_owned(),
        source,
    })
}

fn clear_others(data: &Path, own: &Path) {
    for entry in fs::read_dir(data).into_iter().flatten().flatten() {
        let is_site = entry.file_name().to_string_lossy().starts_with(PREFIX);
        if is_site && entry.path() != own {
            // Whatever hinders: it is only room on the disk, and the next start tries again.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// What tells one site from another.
fn digest() -> String {
    let mut hash = Sha256::new();
    for name in Embedded::iter() {
        let file = Embedded::get(&name).map(|file| file.metadata.sha256_hash());
        hash.update(name.as_bytes());
        hash.update(file.unwrap_or_default());
    }
    hex(&hash.finalize()[..8])
}

/// All of it or nothing, also if we are killed meanwhile.
fn lay(directory: &Path) -> io::Result<()> {
    let part = directory.with_extension("part");
    for name in Embedded::iter() {
        let Some(file) = Embedded::get(&name) else {
            continue;
        };
        let path = part.join(&*name);
        fs::create_dir_all(path.parent().unwrap_or(&part))?;
        fs::write(path, file.data)?;
    }
    fs::rename(part, directory)
}
