//! Addresses of nodes: the URLs under which the nodes of one server take connections (RC-8).

use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use thiserror::Error;

/// The URL of a node's WebSocket: `wss://host[:port][/path]`, or `ws://…`. However it is written, it has one form here:
/// scheme and host in small letters, without the scheme's own port. So equal addresses have equal texts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(Arc<str>);

/// A text that is no address, or addresses that do not belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AddressError {
    /// Not the URL of a WebSocket, or one with a user, a query or a fragment, or of more than 255 bytes.
    #[error("not an address of a WebSocket, as wss://chat.example.org/ws is one")]
    Malformed,
    /// One is `wss://` and another one `ws://`.
    #[error("addresses of one server are all wss://, or all ws://")]
    Mixed,
}

impl Address {
    /// The most bytes of an address: a host's name has at most 253 (RFC 1035 section 2.3.4), and few come near it.
    pub const BYTES_MAX: usize = 255;

    /// Checks a text, and brings it into the form of an address.
    ///
    /// # Errors
    /// [`AddressError::Malformed`].
    pub fn new(text: &str) -> Result<Self, AddressError> {
        Self::parse(text).ok_or(AddressError::Malformed)
    }

    fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let mut host = host.to_ascii_lowercase();
        let (scheme, port) = if scheme.eq_ignore_ascii_case("wss") {
            ("wss", ":443")
        } else if scheme.eq_ignore_ascii_case("ws") {
            ("ws", ":80")
        } else {
            return None;
        };
        if let Some(bare) = host.strip_suffix(port) {
            host.truncate(bare.len());
        }
        let is_host = |c: u8| c.is_ascii_alphanumeric() || b".-_:[]".contains(&c);
        let is_path = |c: u8| is_host(c) || b"/~%+=".contains(&c);
        let fits = text.len() <= Self::BYTES_MAX
            && host.bytes().all(is_host)
            && path.bytes().all(is_path)
            && !host.is_empty()
            && !host.starts_with(':');
        fits.then(|| Self([scheme, "://", &host, path].concat().into()))
    }

    /// The address as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether connections to it are encrypted.
    pub fn is_secure(&self) -> bool {
        self.0.starts_with("wss:")
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The addresses that a client was configured with, the only ones to which it connects (RC-8): its own first, and all
/// `wss://` or all `ws://`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses(Vec<Address>);

impl Addresses {
    /// A client's own address, which it tries first, and further ones. One that occurs twice counts once.
    ///
    /// # Errors
    /// [`AddressError::Mixed`]: a client of encrypted connections is not to be led to others, nor the other way round.
    pub fn new(
        own: Address,
        further: impl IntoIterator<Item = Address>,
    ) -> Result<Self, AddressError> {
        let is_secure = own.is_secure();
        let mut addresses = vec![own];
        for address in further {
            if address.is_secure() != is_secure {
                return Err(AddressError::Mixed);
            }
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        Ok(Self(addresses))
    }

    /// The addresses, the client's own first.
    pub fn as_slice(&self) -> &[Address] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    /// RC-8: addresses that differ in form only are equal.
    #[test]
    fn an_address_has_one_form() {
        for (text, form) in [
            ("wss://a.example/ws", "wss://a.example/ws"),
            ("WSS://A.Example:443/ws", "wss://a.example/ws"),
            ("ws://127.0.0.1:8081/ws", "ws://127.0.0.1:8081/ws"),
            ("ws://localhost:80", "ws://localhost"),
            ("ws://localhost:443/WS", "ws://localhost:443/WS"),
            ("wss://[::1]:9/a/b", "wss://[::1]:9/a/b"),
        ] {
            assert_eq!(Address::new(text).unwrap().as_str(), form);
        }
    }

    /// RC-8: what is no address of a WebSocket is none here.
    #[test]
    fn other_texts_are_no_addresses() {
        let long = format!("wss://{}", "a".repeat(250));
        for text in [
            "",
            "/ws",
            "a.example",
            "https://a.example/ws",
            "javascript://a",
            "wss://",
            "wss:///ws",
            "wss://:443",
            "wss://user@a.example/ws",
            "wss://a.example\\@b.example",
            "wss://a.example/ws?to=b",
            "wss://a.example/#b",
            "wss://a.example/ ws",
            "wss://a.example;b/ws",
            "wss://ä.example/ws",
            "wss://a.example/\u{0}",
            &long,
        ] {
            assert_eq!(Address::new(text), Err(AddressError::Malformed), "{text:?}");
        }
    }

    /// RC-8: no client goes from encrypted connections to others.
    #[test]
    fn addresses_are_of_one_kind() {
        let address = |text| Address::new(text).unwrap();
        let [a, b] = ["wss://a/ws", "wss://b/ws"].map(address);
        let both = Addresses::new(a.clone(), [b.clone(), a.clone(), b.clone()]).unwrap();
        assert_eq!(both.as_slice(), [a.clone(), b]);
        let plain = address("ws://b/ws");
        for (own, other) in [(a.clone(), plain.clone()), (plain, a)] {
            assert_eq!(Addresses::new(own, [other]), Err(AddressError::Mixed));
        }
    }
}
