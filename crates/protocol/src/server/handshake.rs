//! The decisions about a request before there is a machine for it: whether the page that sends it may, and the answer to
//! a connection for which there is no room.

use std::time::Duration;

/// The page that a request comes from, as its `Origin` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// None: it comes from a program that is no browser, or from a browser that names no page.
    None,
    /// A page of this server.
    Own,
    /// A page of an origin that the operator allows.
    Allowed,
    /// Any other page.
    Other,
}

impl Page {
    /// Whether it may open a connection (Handshake, 3): a browser sends this server's cookies with the handshake of any
    /// page.
    pub const fn may_connect(self) -> bool {
        !matches!(self, Self::Other)
    }

    /// Whether it may send a request that changes something, from this site.
    pub const fn may_change(self, site: Site) -> bool {
        match site {
            Site::Same => true,
            Site::Unknown => self.may_connect(),
            Site::Other => matches!(self, Self::Allowed),
        }
    }
}

/// The site that a browser says a request comes from (`Sec-Fetch-Site`, Fetch Metadata Request Headers).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Site {
    /// This server's origin, or the user themselves.
    Same,
    /// Another one.
    Other,
    /// It does not say: older browsers, and programs.
    Unknown,
}

/// Why a connection gets no permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// Its address has as many connections as it may.
    Address,
    /// The server has as many connections as it may, or drains.
    Server,
}

impl Full {
    /// How long to wait before the next try where nothing else says it.
    pub const LATER: Duration = Duration::from_secs(5);

    /// How long the client should wait before it tries again, as `Retry-After` says. Of a server that drains (for so long,
    /// if it does) that is until the next server is there.
    pub fn retry_after(self, drain: Option<Duration>) -> Duration {
        match self {
            Self::Address => Self::LATER,
            Self::Server => drain.unwrap_or(Self::LATER),
        }
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    /// A page of another site neither connects nor changes anything; an allowed one may do both.
    #[test]
    fn pages_of_other_sites_are_kept_out() {
        let pages = [Page::None, Page::Own, Page::Allowed, Page::Other];
        let by = |may: fn(Page) -> bool| pages.map(may);
        assert_eq!(by(Page::may_connect), [true, true, true, false]);
        assert_eq!(by(|page| page.may_change(Site::Same)), [true; 4]);
        assert_eq!(
            by(|page| page.may_change(Site::Unknown)),
            [true, true, true, false]
        );
        assert_eq!(
            by(|page| page.may_change(Site::Other)),
            [false, false, true, false]
        );
    }

    /// After a drain there is the next server.
    #[test]
    fn a_drain_says_how_long_it_is() {
        let drain = Some(Duration::from_secs(2));
        assert_eq!(Full::Server.retry_after(drain), Duration::from_secs(2));
        assert_eq!(Full::Server.retry_after(None), Duration::from_secs(5));
        assert_eq!(Full::Address.retry_after(drain), Duration::from_secs(5));
    }
}
