//! Session ids and keys: made from the system's randomness, kept only as hashes (RS-2).

use protocol::access::Subject;
use protocol::id::SessionKey;
use sha2::{Digest, Sha256};

use crate::address::Client;
use crate::log::{KeyHash, PostKey};

/// `N` random bytes as hexadecimal digits; `None` where the system has no randomness to give.
pub fn random_hex<const N: usize>() -> Option<String> {
    let mut bytes = [0_u8; N];
    getrandom::fill(&mut bytes).ok()?;
    Some(hex(&bytes))
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
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

/// What tells a post apart: its author and the key that they gave it, so that nobody meets anybody else's.
/// Callers without a subject are identified by their address.
pub fn post_key(author: Option<&Subject>, from: &Client, key: &str) -> PostKey {
    let author = match author {
        Some(author) => format!("subject {author}", author = author.as_str()),
        None => format!("address {}", from.space()),
    };
    // The length first: where the author ends must not be a matter of what they are called.
    let length = (author.len() as u64).to_be_bytes();
    let mut hash = Sha256::new_with_prefix(length);
    hash.update(author);
    hash.update(key);
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::http::HeaderMap;

    use super::*;
    use crate::address::{ForwardedBy, Peer, Trust};

    #[test]
    fn posts_are_told_apart_by_author_and_key() {
        let subject = |name| Subject::new(name).unwrap();
        let from = |address: &str| {
            let address = SocketAddr::new(address.parse().unwrap(), 1);
            let is_tls = false;
            let (proxies, by) = (&[][..], ForwardedBy::XForwarded);
            let peer = Peer { address, is_tls };
            Client::of(peer, &HeaderMap::new(), Trust { proxies, by })
        };
        let here = &from("192.0.2.1");
        let keys = [
            post_key(Some(&subject("ada")), here, "1"),
            post_key(Some(&subject("ada")), here, "2"),
            post_key(Some(&subject("ada1")), here, ""),
            post_key(Some(&subject("bob")), here, "1"),
            post_key(None, here, "1"),
            post_key(None, &from("192.0.2.2"), "1"),
        ];
        for (index, key) in keys.iter().enumerate() {
            assert!(!keys[..index].contains(key), "{index}");
        }
        let elsewhere = post_key(Some(&subject("ada")), &from("192.0.2.2"), "1");
        assert_eq!(elsewhere, keys[0], "somebody known may move");
    }
}
