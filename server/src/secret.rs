//! Session ids and keys: made from the system's randomness, kept only as hashes (RS-2).

use sha2::{Digest, Sha256};

use crate::log::KeyHash;

/// `N` random bytes as hexadecimal digits; `None` where the system has no randomness to give.
pub fn random_hex<const N: usize>() -> Option<String> {
    let mut bytes = [0_u8; N];
    getrandom::fill(&mut bytes).ok()?;
    Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The hash under which a key is kept. A key has 256 random bits: no salt and no slow hash is needed.
pub fn hash(key: &str) -> KeyHash {
    Sha256::digest(key.as_bytes()).into()
}
