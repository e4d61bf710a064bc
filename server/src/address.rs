//! Where a request comes from, also through proxies.

use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;
use ipnet::IpNet;

/// Who is at the other end of the TCP connection: a browser, or a proxy. Noted at each request by the
/// accept loop.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
    /// It speaks TLS with us.
    pub is_tls: bool,
}

/// Whom limits count together: an IPv4 address, or the /64 that one subscriber of IPv6 has. In one word,
/// as each connection has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network(u64);

/// Before an IPv4 address: a prefix of multicast (RFC 4291 section 2.7), from which nobody sends.
const IPV4: u64 = 0xffff_ffff << 32;

/// Where a request comes from, as far as that is known. Noted at each request that is counted.
#[derive(Clone, Copy, Debug)]
pub struct Client(pub Option<Network>);

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(IPV4 | u64::from(address.to_bits())),
            // The upper half of 128 bits.
            IpAddr::V6(address) => Self((address.to_bits() >> 64) as u64),
        }
    }
}

/// Where a request comes from: the last address of which no proxy that is trusted says that it is only
/// passing on. What stands before that in the header was written by whoever wanted to. None where a
/// trusted proxy does not say for whom it asks.
pub fn client(peer: Peer, headers: &HeaderMap, trusted: &[IpNet]) -> Option<IpAddr> {
    let said: Vec<&[u8]> = headers
        .get_all("x-forwarded-for")
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .collect();
    let mut client = peer.address.ip().to_canonical();
    for said in said.into_iter().rev() {
        if !is_trusted(client, trusted) {
            break;
        }
        let said = std::str::from_utf8(said).ok()?;
        client = said.trim().parse::<IpAddr>().ok()?.to_canonical();
    }
    (!is_trusted(client, trusted)).then_some(client)
}

/// Whether a request came by HTTPS: to us, or to a trusted proxy, which says so.
pub fn came_by_tls(peer: Peer, headers: &HeaderMap, trusted: &[IpNet]) -> bool {
    let said = headers.get("x-forwarded-proto");
    let is_said = said.is_some_and(|scheme| scheme.as_bytes().eq_ignore_ascii_case(b"https"));
    peer.is_tls || (is_said && is_trusted(peer.address.ip().to_canonical(), trusted))
}

/// Whether somebody is a proxy that is trusted.
pub fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|network| network.contains(&address))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    /// Somebody at this address.
    fn from(address: &str) -> Peer {
        Peer {
            address: SocketAddr::new(address.parse().unwrap(), 1),
            is_tls: false,
        }
    }

    fn check(peer: &str, said: &[&'static str], trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in said {
            headers.append("x-forwarded-for", HeaderValue::from_static(line));
        }
        let trusted: Vec<IpNet> = trusted
            .iter()
            .map(|network| network.parse().unwrap())
            .collect();
        client(from(peer), &headers, &trusted)
            .map_or_else(|| "nobody".to_owned(), |client| client.to_string())
    }

    #[test]
    fn proxies_are_believed_as_far_as_they_are_trusted() {
        let local = &["127.0.0.0/8", "10.0.0.0/8"];
        assert_eq!(check("9.9.9.9", &["1.1.1.1"], local), "9.9.9.9");
        assert_eq!(check("127.0.0.1", &["1.1.1.1"], local), "1.1.1.1");
        assert_eq!(check("::ffff:127.0.0.1", &["1.1.1.1"], local), "1.1.1.1");
        assert_eq!(
            check("127.0.0.1", &["6.6.6.6, 1.1.1.1, 10.0.0.7"], local),
            "1.1.1.1"
        );
        assert_eq!(
            check("127.0.0.1", &["6.6.6.6", "1.1.1.1"], local),
            "1.1.1.1"
        );
        assert_eq!(check("127.0.0.1", &["6.6.6.6, unknown"], local), "nobody");
        assert_eq!(check("127.0.0.1", &["10.0.0.1"], local), "nobody");
        assert_eq!(check("127.0.0.1", &["2001:db8::1"], local), "2001:db8::1");
        assert_eq!(check("127.0.0.1", &[], local), "nobody");
        assert_eq!(check("127.0.0.1", &["1.1.1.1"], &[]), "127.0.0.1");
    }

    /// Whoever puts odd bytes into the header hides nothing of what the proxy adds to it.
    #[test]
    fn odd_bytes_hide_nobody() {
        let mut headers = HeaderMap::new();
        let odd = HeaderValue::from_bytes(b"\x80\xff, 1.1.1.1").unwrap();
        headers.insert("x-forwarded-for", odd);
        let trusted = ["127.0.0.0/8".parse().unwrap()];
        let client = client(from("127.0.0.1"), &headers, &trusted);
        assert_eq!(client, Some("1.1.1.1".parse().unwrap()));
    }

    #[test]
    fn a_subscriber_of_ipv6_counts_once() {
        let network = |address: &str| Network::from(address.parse::<IpAddr>().unwrap());
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:1"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
    }

    #[test]
    fn only_trusted_proxies_speak_about_tls() {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-proto", HeaderValue::from_static("HTTPS"));
        let trusted: Vec<IpNet> = vec!["127.0.0.0/8".parse().unwrap()];
        assert!(came_by_tls(from("127.0.0.1"), &headers, &trusted));
        assert!(!came_by_tls(from("9.9.9.9"), &headers, &trusted));
        assert!(!came_by_tls(from("127.0.0.1"), &HeaderMap::new(), &trusted));
        let here = Peer {
            is_tls: true,
            ..from("9.9.9.9")
        };
        assert!(came_by_tls(here, &HeaderMap::new(), &trusted));
    }
}
