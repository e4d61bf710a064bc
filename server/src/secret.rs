//! Session ids and keys: made from the system's randomness, kept only as hashes (RS-2).

use protocol::access::Subject;
use protocol::id::SessionKey;
use sha2::{Digest, Sha256};

use crate::log::KeyHash;

/// `N` random bytes as hexadecimal digits; `None` where the system has no randomness to give.
pub fn random_hex<const N: usize>() -> Option<String> {
    let mut bytes = [0_u8; N];
    getrandom::fill(&mut bytes).ok()?;
    Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The hash under which a session's key is kept, together with its owner: so nobody else can show it
/// (AC-3). A key has 256 random bits: no salt and no slow hash is needed.
pub fn hash(key: &SessionKey, owner: Option<&Subject>) -> KeyHash {
    let mut hash = Sha256::new_with_prefix(key.expose());
    if let Some(owner) = owner {
        // No key holds this byte: what follows it cannot be taken for a part of the key.
        hash.update([0]);
        hash.update(owner.as_str());
    }
    hash.finalize().into()
}
