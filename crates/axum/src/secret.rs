//! Session ids and keys: made of the system's random bytes; of keys only hashes are kept (RS-2).

use protocol::access::{Identity, Subject};
use protocol::id::SessionKey;
use sha2::{Digest, Sha256};

use crate::address::Client;
use crate::hex::hex;
use crate::log::{KeyHash, PostKey};

/// `N` random bytes as hexadecimal digits; `None` where the system gives none.
pub fn random_hex<const N: usize>() -> Option<String> {
    let mut bytes = [0_u8; N];
    getrandom::fill(&mut bytes).ok()?;
    Some(hex(&bytes))
}

/// The hash of a session's key, together with the subject that owns the session: so no other subject can resume it
/// (AC-3). A guest's session has no owner: its hash is of the key alone. A key has 256 random bits, so no salt and
/// no slow hash is needed.
pub fn hash(key: &SessionKey, owner: &Identity) -> KeyHash {
    match owner {
        Identity::Guest(_) => hashed(key, None),
        Identity::Subject(subject) => hashed(key, Some(subject)),
    }
}

/// The hashes under which a session may be stored. Older servers stored a guest's
/// with the subject of the guest's cookie.
pub fn hashes(key: &SessionKey, owner: &Identity) -> Vec<KeyHash> {
    let mut hashes = vec![hash(key, owner)];
    if let Identity::Guest(Some(guest)) = owner {
        hashes.push(hashed(key, Some(guest)));
    }
    hashes
}

fn hashed(key: &SessionKey, subject: Option<&Subject>) -> KeyHash {
    let mut hash = Sha256::new_with_prefix(key.expose());
    if let Some(subject) = subject {
        // No key holds this byte, so what follows cannot be taken for a part of the key.
        hash.update([0]);
        hash.update(subject.as_str());
    }
    hash.finalize().into()
}

/// The key of a post: a hash of its author and of the author's idempotency key, so that no two authors share one.
/// Callers without a subject are identified by their address.
pub fn post_key(author: Option<&Subject>, from: &Client, key: &str) -> PostKey {
    let author = match author {
        Some(author) => format!("subject {author}", author = author.as_str()),
        None => format!("address {}", from.space()),
    };
    // The length first, so that the author's end does not depend on the author's name.
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

    /// AC-3: and guests keep their sessions with a newer server.
    #[test]
    fn a_guests_key_is_good_with_any_cookie() {
        let key = SessionKey::new("0123456789abcdef").unwrap();
        let subject = |name| Subject::new(name).unwrap();
        let guests = [
            Identity::Guest(None),
            Identity::Guest(Some(subject("guest-1"))),
        ];
        let ada = Identity::Subject(subject("ada"));
        let kept = hash(&key, &guests[0]);
        assert_eq!(hash(&key, &guests[1]), kept);
        assert!(
            guests
                .iter()
                .all(|guest| hashes(&key, guest).contains(&kept))
        );
        assert!(!hashes(&key, &ada).contains(&kept));
        let owned = hash(&key, &ada);
        assert_eq!(hashes(&key, &ada), [owned]);
        assert!(
            guests
                .iter()
                .all(|guest| !hashes(&key, guest).contains(&owned))
        );
        let before = hashed(&key, Some(&subject("guest-1")));
        assert!(hashes(&key, &guests[1]).contains(&before));
        assert!(!hashes(&key, &guests[0]).contains(&before));
    }

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
        assert_eq!(elsewhere, keys[0], "a known user may move");
    }
}
