//! The secret that the nodes of one server share, and proofs of it (HMAC-SHA256, RFC 2104).

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use everbeat_axum::hex::hex;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use thiserror::Error;

/// The fewest bytes of the secret: as many as the hash has (RFC 2104 section 3).
const BYTES_MIN: usize = 32;

/// The most bytes of its file: a mistaken path does not fill the memory.
const BYTES_MAX: u64 = 64 * 1024;

/// Why the secret cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SecretError {
    /// No file is named.
    #[error("name the file with the secret of all nodes: --peer-secret-file")]
    Missing,
    /// Its file cannot be read.
    #[error("cannot read {}, the secret of --peer-secret-file: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It can be guessed, or it is no secret at all.
    #[error(
        "{} should hold a secret of {BYTES_MIN} bytes or more, and of 64 KiB at most: openssl rand -hex 32 makes one. It is \
         the same on all nodes",
        path.display()
    )]
    Size {
        /// Which file.
        path: PathBuf,
    },
    /// Other users of the machine can read it.
    #[error("{} can be read by other users of this machine: chmod 600 it", path.display())]
    Open {
        /// Which file.
        path: PathBuf,
    },
}

/// The secret. Its `Debug` does not show it.
pub struct PeerSecret(Vec<u8>);

impl PeerSecret {
    /// Reads the secret from a file. White space at its end does not belong to it, unless it is needed: the file may hold
    /// any 32 bytes.
    ///
    /// # Errors
    /// [`SecretError`]: it names the file and says what to do.
    pub fn read(path: &Path) -> Result<Self, SecretError> {
        let failed = |source| SecretError::File {
            path: path.to_owned(),
            source,
        };
        let metadata = fs::metadata(path).map_err(failed)?;
        let path_of = || path.to_owned();
        if metadata.permissions().mode() & 0o077 != 0 {
            return Err(SecretError::Open { path: path_of() });
        }
        if metadata.len() > BYTES_MAX {
            return Err(SecretError::Size { path: path_of() });
        }
        let bytes = fs::read(path).map_err(failed)?;
        let secret = Self::new(bytes.trim_ascii_end()).or_else(|| Self::new(&bytes));
        secret.ok_or_else(|| SecretError::Size { path: path_of() })
    }

    /// The same from the file of an option, which has to be given.
    ///
    /// # Errors
    /// As [`PeerSecret::read`].
    pub fn of_option(path: Option<&Path>) -> Result<Self, SecretError> {
        Self::read(path.ok_or(SecretError::Missing)?)
    }

    /// A secret of these bytes; `None` for fewer than 32.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        (bytes.len() >= BYTES_MIN).then(|| Self(bytes.to_owned()))
    }

    /// The proof that these parts were written by a node that knows the secret, as hexadecimal digits.
    pub(super) fn prove(&self, parts: &[&[u8]]) -> String {
        hex(&self.mac(parts).finalize().into_bytes())
    }

    /// Whether this is that proof. It takes as long for any wrong one.
    pub(super) fn is_proof(&self, parts: &[&[u8]], proof: &str) -> bool {
        let Some(proof) = unhex(proof) else {
            return false;
        };
        self.mac(parts).verify_slice(&proof).is_ok()
    }

    fn mac(&self, parts: &[&[u8]]) -> Hmac<Sha256> {
        // A key of HMAC may have any length (RFC 2104 section 2).
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).unwrap_or_else(|_| unreachable!());
        for part in parts {
            // The length first, so that no part can be taken for two.
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac
    }
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    if digits.len() != 64 || !digits.is_ascii() {
        return None;
    }
    let pairs = (0..digits.len()).step_by(2);
    pairs
        .map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok())
        .collect()
}

impl fmt::Debug for PeerSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PeerSecret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(byte: u8) -> PeerSecret {
        PeerSecret::new(&[byte; 32]).unwrap()
    }

    #[test]
    fn a_proof_is_of_one_secret_and_of_these_parts() {
        let parts: [&[u8]; 2] = [b"ab", b"c"];
        let proof = secret(1).prove(&parts);
        assert_eq!(proof.len(), 64);
        assert!(secret(1).is_proof(&parts, &proof));
        assert!(secret(1).is_proof(&parts, &proof.to_ascii_uppercase()));
        assert!(!secret(2).is_proof(&parts, &proof));
        let others: [&[&[u8]]; 4] = [&[b"a", b"bc"], &[b"abc"], &[b"ab", b"c", b""], &[b"ab"]];
        for other in others {
            assert!(!secret(1).is_proof(other, &proof), "{other:?}");
        }
        let longer = format!("{proof}00");
        let odd = "é".repeat(32);
        for other in [
            "",
            &proof[1..],
            &proof[2..],
            &longer,
            &odd,
            &"zz".repeat(32),
        ] {
            assert!(!secret(1).is_proof(&parts, other), "{other}");
        }
    }

    /// Nodes of different versions ask each other. The value was computed by another implementation.
    #[test]
    fn a_proof_stays_the_same_over_versions() {
        let proof = secret(7).prove(&[b"everbeat", b"peers"]);
        let expected = "3f7de6ea16f71d83b2357dc46872f77afe02a465034e0251046d12fc7e0758ea";
        assert_eq!(proof, expected);
    }

    #[test]
    fn a_secret_is_read_from_a_file_of_ones_own() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        let write = |text: &str, mode| {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            PeerSecret::read(&path)
        };
        let told = |read: Result<PeerSecret, SecretError>| read.unwrap_err().to_string();
        assert!(told(PeerSecret::read(&path)).contains("cannot read"));
        let good = "0123456789abcdef".repeat(2);
        let plain = write(&good, 0o600).unwrap();
        let ended = write(&format!("{good}\r\n"), 0o400).unwrap();
        assert_eq!(plain.prove(&[]), ended.prove(&[]));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(write(&format!("{}\n", &good[1..]), 0o600).is_ok());
        assert!(told(write(&good[1..], 0o600)).contains("32 bytes or more"));
        assert!(told(write(&good, 0o640)).contains("chmod 600"));
        assert_eq!(format!("{plain:?}"), "PeerSecret(..)");
    }
}
