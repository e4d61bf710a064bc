//! The compiled site in the program itself (feature `embed`, see scripts/dist.sh).
//!
//! It is unpacked into the data directory, and served from there as any site is: with compressed files, ranges and
//! conditional requests. The site of another version is removed once no server of that
//! version is left.

use std::path::{Path, PathBuf};
use std::{fs, io};

use everbeat_axum::hex::hex;
use rust_embed::RustEmbed;
use sha2::{Digest, Sha256};
use thiserror::Error;

/// What scripts/dist.sh gathered: `site/` and `hash.txt`.
#[derive(RustEmbed)]
#[folder = "../target/embed"]
struct Embedded;

/// The prefix of the directories' names.
const PREFIX: &str = "site-";

/// The site on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Its files.
    pub root: PathBuf,
    /// The file with the names of hashed files.
    pub hash_file: PathBuf,
}

/// The site could not be unpacked.
#[derive(Debug, Error)]
#[error("cannot lay the site into {directory}: see --data", directory = directory.display())]
pub struct SiteError {
    /// The directory.
    pub directory: PathBuf,
    /// The error.
    pub source: io::Error,
}

/// Unpacks the site into the data directory, unless it is there, and removes those of other versions. Only
/// for the server that holds the log: then no other server is left that serves them.
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
            // An error only leaves files on the disk, and the next start tries again.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// A hash that tells one site from another.
fn digest() -> String {
    let mut hash = Sha256::new();
    for name in Embedded::iter() {
        let file = Embedded::get(&name).map(|file| file.metadata.sha256_hash());
        hash.update(name.as_bytes());
        hash.update(file.unwrap_or_default());
    }
    hex(&hash.finalize()[..8])
}

/// Writes the whole site or nothing, also if the process is killed meanwhile.
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
