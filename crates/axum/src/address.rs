//! The address of a request's client, also behind proxies.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use axum::http::HeaderMap;
use ipnet::IpNet;

/// The peer of a TCP connection: a browser, or a proxy. The acceptor adds it to each request.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
    /// Whether it speaks TLS with us.
    pub is_tls: bool,
}

/// The network that limits count by: an IPv4 address, or the /64 that one subscriber of IPv6 has. One word,
/// as each connection holds one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network(u64);

/// The upper half of the word of an IPv4 address: a prefix of multicast (RFC 4291 section 2.7), which is the source
/// of no packet.
const IPV4: u64 = 0xffff_ffff << 32;

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(IPV4 | u64::from(address.to_bits())),
            // The upper half of the 128 bits.
            IpAddr::V6(address) => Self((address.to_bits() >> 64) as u64),
        }
    }
}

/// As an operator reads it: `192.0.2.7`, or `2001:db8::/64`.
impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match u32::try_from(self.0 ^ IPV4) {
            Ok(address) => Ipv4Addr::from_bits(address).fmt(f),
            Err(_) => write!(f, "{}/64", Ipv6Addr::from_bits(u128::from(self.0) << 64)),
        }
    }
}

/// The headers in which a proxy names the client's address. Only those of one kind are read: a proxy
/// that writes one kind passes on what its clients wrote into the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardedBy {
    /// `X-Forwarded-For` and `X-Forwarded-Proto`.
    XForwarded,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// Which proxies are trusted, and which headers they write.
#[derive(Clone, Copy, Debug)]
pub struct Trust<'o> {
    /// The networks of the proxies.
    pub proxies: &'o [IpNet],
    /// Their headers.
    pub by: ForwardedBy,
}

impl Trust<'_> {
    /// Whether this is the address of a trusted proxy.
    pub fn covers(&self, address: IpAddr) -> bool {
        self.proxies
            .iter()
            .any(|network| network.contains(&address))
    }
}

/// The client of a request. The router adds it to each request that is counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// The last address on the request's way that can be trusted.
    address: IpAddr,
    /// False for a program on a trusted address that acts for itself.
    is_counted: bool,
    /// What a trusted proxy wrote instead of the client's address.
    hidden: Option<Arc<str>>,
}

impl Client {
    /// The client: the last address on the request's way that is not a trusted proxy's, or the first of all. What
    /// stands before it in the header was written by the client. Where a trusted proxy writes something that is no
    /// address, the client is the last address that can be read, at worst the proxy's own: so all clients that a
    /// proxy hides count together.
    pub fn of(peer: Peer, headers: &HeaderMap, trust: Trust<'_>) -> Self {
        let mut client = Self {
            address: peer.address.ip().to_canonical(),
            is_counted: true,
            hidden: None,
        };
        if !trust.covers(client.address) {
            return client;
        }
        let nodes = nodes(headers, trust.by);
        client.is_counted = nodes.is_some();
        for node in nodes.into_iter().flatten().rev() {
            let Some(address) = address_of(&node) else {
                let name = node.split(':').next().unwrap_or_default();
                client.hidden = Some(name.trim().into());
                break;
            };
            client.address = address;
            if !trust.covers(address) {
                break;
            }
        }
        client
    }

    /// The network that limits count; `None` for a trusted program that forwards nothing, as it acts for itself.
    pub fn counted(&self) -> Option<Network> {
        self.is_counted.then(|| Network::from(self.address))
    }

    /// A text that tells callers apart who have neither a token nor a cookie. It must never change: stored
    /// idempotency keys were made with it.
    pub fn space(&self) -> String {
        let is_own_program = !self.is_counted && self.address.is_loopback();
        let network = (!is_own_program).then(|| Network::from(self.address));
        match &self.hidden {
            None => format!("{network:?}"),
            Some(hidden) => format!("{network:?} {hidden:?}"),
        }
    }
}

/// Whether a request came over HTTPS: to us, or to the first proxy on its way, as a trusted proxy says. A client that
/// writes the header itself can only make its own page's rules stricter, or break its own cookie.
pub fn came_by_tls(peer: Peer, headers: &HeaderMap, trust: Trust<'_>) -> bool {
    if peer.is_tls || !trust.covers(peer.address.ip().to_canonical()) {
        return peer.is_tls;
    }
    let scheme = match trust.by {
        ForwardedBy::XForwarded => listed(headers, "x-forwarded-proto", |line| {
            line.split(',').map(str::to_owned).collect()
        })
        .and_then(|schemes| schemes.into_iter().next()),
        ForwardedBy::Forwarded => listed(headers, "forwarded", elements)
            .into_iter()
            .flatten()
            .find_map(|element| parameter(&element, "proto")),
    };
    // Some proxies name the scheme of a WebSocket (RFC 6455 section 3).
    let is_secure = |scheme: String| ["https", "wss"].contains(&&*scheme.to_ascii_lowercase());
    scheme.is_some_and(|scheme| is_secure(scheme.trim_matches(FRILLS).to_owned()))
}

/// Characters that may stand around an element of a list and mean nothing.
const FRILLS: [char; 4] = ['"', ';', ' ', '\t'];

/// The hops that the proxies name, the first one's first; `None` where there is no such
/// header.
fn nodes(headers: &HeaderMap, by: ForwardedBy) -> Option<Vec<String>> {
    match by {
        ForwardedBy::XForwarded => listed(headers, "x-forwarded-for", |line| {
            line.split(',').map(str::to_owned).collect()
        }),
        ForwardedBy::Forwarded => {
            let elements = listed(headers, "forwarded", elements)?;
            let node = |element: String| parameter(&element, "for").unwrap_or_default();
            Some(elements.into_iter().map(node).collect())
        }
    }
}

/// The elements of a list over all lines of a header (RFC 9110 section 5.6.1): empty ones do not count.
fn listed(
    headers: &HeaderMap,
    name: &str,
    split: impl Fn(&str) -> Vec<String>,
) -> Option<Vec<String>> {
    let mut lines = headers.get_all(name).iter().peekable();
    lines.peek()?;
    let elements = lines.flat_map(|line| split(&String::from_utf8_lossy(line.as_bytes())));
    Some(
        elements
            .filter(|element| !element.trim_matches(FRILLS).is_empty())
            .collect(),
    )
}

/// The elements of a line of `Forwarded` (RFC 7239 section 4). A quote that does not end was written by a
/// client: it must not hide what follows.
fn elements(line: &str) -> Vec<String> {
    let quotes = line.matches('"').count() - line.matches("\\\"").count();
    let elements: Vec<&str> = if quotes.is_multiple_of(2) {
        unquoted(line, ',').collect()
    } else {
        line.split(',').collect()
    };
    elements.into_iter().map(str::to_owned).collect()
}

/// The value of a parameter of such an element, without its quotes.
fn parameter(element: &str, name: &str) -> Option<String> {
    unquoted(element, ';').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        let value = value.trim().trim_matches('"').replace('\\', "");
        key.trim().eq_ignore_ascii_case(name).then_some(value)
    })
}

/// The parts of a text between separators that do not stand within quotes (RFC 9110 section 5.6.4).
fn unquoted(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    text.split(move |character| {
        if is_escaped {
            is_escaped = false;
            return false;
        }
        match character {
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            other => return other == separator && !is_quoted,
        }
        false
    })
}

/// The address of a hop as gateways write it: with a port or without, IPv6 in brackets or bare and with a zone
/// (RFC 7239 section 6, RFC 4007 section 11). `None` for `unknown`, and for a name that hides the address on purpose.
fn address_of(node: &str) -> Option<IpAddr> {
    let node = node.trim_matches(FRILLS).split(';').next()?.trim();
    let is_port = |port: &str| {
        let is_number = port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit());
        is_number || port.starts_with('_')
    };
    let bare = |address: &str| {
        let without_zone = address.split('%').next()?;
        let found = if without_zone.len() < address.len() {
            without_zone.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
        } else {
            address.parse::<IpAddr>().ok()
        };
        found.map(|address| address.to_canonical())
    };
    if let Some(rest) = node.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        let is_whole = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        return bare(address).filter(|_| is_whole);
    }
    bare(node).or_else(|| {
        let (address, port) = node.rsplit_once(':')?;
        bare(address).filter(|_| is_port(port))
    })
}

#[cfg(test)]
mod tests;
