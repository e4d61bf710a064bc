//! Origins: the sites whose pages may open sessions (cross-site WebSocket hijacking), and send requests that change
//! something (CSRF).
//!
//! A browser sends us its cookies whichever page opens the connection, and names the page's origin.

use std::str::FromStr;

use axum::http::uri::Authority;
use axum::http::{HeaderName, Method, Request, Version, header};
use protocol::server::{Page, Site};
use thiserror::Error;
use url::Url;

/// The header in which a browser says how the page's site relates to ours (Fetch Metadata Request Headers, section
/// 2.4).
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// An origin, as browsers send it (RFC 6454 section 6.2): scheme, host and port. However it is written, it has
/// one form here: in small letters, without a default port and a dot at the host's end, IPv6 as in RFC 5952,
/// and other letters than those of ASCII as Punycode (URL Standard, section 3.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(String);

/// The text is no origin.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is no origin: it should look like https://example.org or http://example.org:8080")]
pub struct OriginError(String);

impl Origin {
    /// The origin as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The origin of a scheme, and of what follows it in an origin or stands in `Host`. `None` where the text is
    /// neither, also if the URL Standard would accept it silently.
    fn new(scheme: &str, authority: &str) -> Option<Self> {
        let mut schemes = ["http", "https"].into_iter();
        let scheme = schemes.find(|known| scheme.eq_ignore_ascii_case(known))?;
        let is_odd = |c: char| "/\\?#@".contains(c) || c.is_whitespace() || c.is_control();
        if authority.is_empty() || authority.contains(is_odd) {
            return None;
        }
        let url = Url::parse(&format!("{scheme}://{authority}/")).ok()?;
        let host = url.host_str()?;
        let host = host.strip_suffix('.').unwrap_or(host);
        Some(Self(match url.port() {
            Some(port) => format!("{scheme}://{host}:{port}"),
            None => format!("{scheme}://{host}"),
        }))
    }
}

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        let origin = text.split_once("://").and_then(|(scheme, rest)| {
            let authority = rest.strip_suffix('/').unwrap_or(rest);
            Self::new(scheme, authority)
        });
        origin.ok_or_else(|| OriginError(text.chars().take(80).collect()))
    }
}

/// The host that a request names (RFC 9112 section 3.2); `None` where it names none, or more than one.
pub fn host<B>(request: &Request<B>) -> Option<&str> {
    if let Some(authority) = request.uri().authority() {
        return Some(authority.as_str());
    }
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let host = hosts.next()?;
    host.to_str().ok().filter(|_| hosts.next().is_none())
}

/// Whether a request names its host exactly once, as it must (RFC 9112 section 3.2): in `Host`, also if
/// its target names it. Before HTTP/1.1 it need not. The name may be empty.
pub fn names_one_host<B>(request: &Request<B>) -> bool {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let is_one = match hosts.next() {
        Some(host) => host.as_bytes().is_empty() || host.to_str().is_ok_and(is_host),
        None => request.version() < Version::HTTP_11,
    };
    is_one && hosts.next().is_none()
}

fn is_host(host: &str) -> bool {
    !host.contains('@') && host.parse::<Authority>().is_ok()
}

/// Whether the page that a handshake comes from may open a session: the core decides ([`Page::may_connect`]).
pub fn may_connect<B>(request: &Request<B>, allowed: &[Origin], by_tls: bool) -> bool {
    page(request, allowed, by_tls).may_connect()
}

/// Whether a request that changes something comes from a page that may not send it: the core decides
/// ([`Page::may_change`]).
pub fn is_forged<B>(request: &Request<B>, allowed: &[Origin], by_tls: bool) -> bool {
    if [Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method()) {
        return false;
    }
    let site = request.headers().get(SEC_FETCH_SITE);
    let site = match site.map(|site| site.as_bytes()) {
        Some(b"same-origin" | b"none") => Site::Same,
        None | Some(b"") => Site::Unknown,
        Some(_) => Site::Other,
    };
    !page(request, allowed, by_tls).may_change(site)
}

/// The page that a request comes from. Our own are those of the host that the request names; if the request came over
/// HTTPS, so must the page.
fn page<B>(request: &Request<B>, allowed: &[Origin], by_tls: bool) -> Page {
    if !request.headers().contains_key(header::ORIGIN) {
        return Page::None;
    }
    let Some(origin) = said(request) else {
        return Page::Other;
    };
    if allowed.contains(&origin) {
        return Page::Allowed;
    }
    let scheme = if origin.as_str().starts_with("https:") {
        "https"
    } else {
        "http"
    };
    let own = host(request).and_then(|host| Origin::new(scheme, host));
    let is_own = own.as_ref() == Some(&origin) && (scheme == "https" || !by_tls);
    if is_own { Page::Own } else { Page::Other }
}

/// The origin that a browser names; `None` for `null` and the like, and for several.
fn said<B>(request: &Request<B>) -> Option<Origin> {
    let mut origins = request.headers().get_all(header::ORIGIN).iter();
    let origin = origins.next()?.to_str().ok()?.parse().ok();
    origin.filter(|_| origins.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(headers: &[(HeaderName, &str)]) -> Request<()> {
        let mut request = Request::post("/");
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        request.body(()).unwrap()
    }

    fn may(host: &str, origin: &str, by_tls: bool) -> bool {
        let request = request(&[(header::HOST, host), (header::ORIGIN, origin)]);
        may_connect(&request, &[], by_tls)
    }

    #[test]
    fn only_our_own_and_allowed_origins_may_connect() {
        let allowed = ["https://app.example.org".parse().unwrap()];
        let check = |origin: &str| {
            let host = (header::HOST, "chat.example.org:8080");
            let request = request(&[host, (header::ORIGIN, origin)]);
            may_connect(&request, &allowed, false)
        };
        assert!(may_connect(&request(&[]), &allowed, false));
        for good in [
            "http://chat.example.org:8080",
            "https://chat.example.org:8080",
            "https://app.example.org",
            "https://app.example.org:443",
        ] {
            assert!(check(good), "{good:?}");
        }
        for bad in [
            "null",
            "",
            "https://evil.example",
            "https://chat.example.org",
            "http://chat.example.org:8080.evil.example",
            "https://evil.example?chat.example.org:8080",
            "http://chat.example.org:8080@evil.example",
            "http://chat.example.org:8080\\@evil.example",
            "http://chat.example.org:8080 http://evil.example",
            "http:chat.example.org:8080",
            "http://app.example.org",
            "https://app.example.org.evil.example",
            "file://",
        ] {
            assert!(!check(bad), "{bad}");
        }
    }

    /// An origin and a host that differ only in form are the same.
    #[test]
    fn what_differs_in_form_only_is_the_same() {
        for (host, origin) in [
            ("example.org:80", "http://example.org"),
            ("example.org:443", "https://example.org"),
            ("example.org", "http://example.org:80"),
            ("example.org", "https://example.org:443"),
            ("EXAMPLE.org", "http://example.org"),
            ("Example.Org:8080", "HTTP://example.org:8080"),
            ("example.org.", "http://example.org"),
            ("example.org", "https://example.org."),
            ("[2001:DB8:0:0::1]:80", "http://[2001:db8::1]"),
            ("[::ffff:7f00:1]", "http://[::ffff:127.0.0.1]"),
            ("xn--mller-kva.example", "http://XN--MLLER-KVA.example"),
            ("localhost:8080", "http://localhost:8080"),
        ] {
            assert!(may(host, origin, false), "{host} {origin}");
        }
        for (host, origin) in [
            ("example.org:443", "http://example.org"),
            ("example.org:80", "https://example.org"),
            ("example.org:8080", "http://example.org"),
            ("example.org..", "http://example.org"),
            ("a.example.org", "http://example.org"),
            ("[2001:db8::2]", "http://[2001:db8::1]"),
            ("evil.example/example.org", "http://evil.example"),
            ("", "http://"),
        ] {
            assert!(!may(host, origin, false), "{host} {origin}");
        }
    }

    #[test]
    fn a_request_names_its_host_once() {
        let of = |version, hosts: &[&str]| {
            let headers: Vec<_> = hosts.iter().map(|host| (header::HOST, *host)).collect();
            let mut request = request(&headers);
            *request.version_mut() = version;
            names_one_host(&request)
        };
        let (old, new) = (Version::HTTP_10, Version::HTTP_11);
        for good in ["a.example", "a_b:8080", "127.0.0.1", "[::1]:80", ""] {
            assert!(of(new, &[good]) && of(old, &[good]), "{good:?}");
        }
        assert!(of(old, &[]) && !of(new, &[]));
        for bad in ["a@b", "a b", "a/b", "a?b", "a:b:c"] {
            assert!(!of(new, &[bad]), "{bad:?}");
        }
        assert!(!of(new, &["a", "a"]) && !of(old, &["a", "b"]));
    }

    /// A host that is named twice, or by the target as well, leaves no choice.
    #[test]
    fn there_is_one_host() {
        let origin = (header::ORIGIN, "http://a.example");
        let (a, b) = ((header::HOST, "a.example"), (header::HOST, "b.example"));
        assert!(may_connect(
            &request(&[a.clone(), origin.clone()]),
            &[],
            false
        ));
        for hosts in [[a.clone(), b.clone()], [b, a.clone()]] {
            let headers = [&hosts[..], std::slice::from_ref(&origin)].concat();
            assert!(!may_connect(&request(&headers), &[], false));
        }
        let mut absolute = request(&[a.clone(), origin.clone()]);
        *absolute.uri_mut() = "http://b.example/ws".parse().unwrap();
        assert_eq!(host(&absolute), Some("b.example"));
        assert!(!may_connect(&absolute, &[], false));
        let two = [a, origin.clone(), origin];
        assert!(!may_connect(&request(&two), &[], false));
    }

    /// A page that an attacker on the way made up came over HTTP.
    #[test]
    fn a_page_by_http_is_not_that_by_https() {
        for (origin, by_tls, is_own) in [
            ("http://example.org", true, false),
            ("https://example.org", true, true),
            ("http://example.org", false, true),
        ] {
            assert_eq!(
                may("example.org", origin, by_tls),
                is_own,
                "{origin} {by_tls}"
            );
        }
    }

    /// `Sec-Fetch-Site` counts; without it, the origin.
    #[test]
    fn pages_of_other_sites_change_nothing() {
        let allowed = ["https://app.example.org".parse().unwrap()];
        let host = (header::HOST, "EXAMPLE.org:80");
        let site = |site| (SEC_FETCH_SITE, site);
        let origin = |origin| (header::ORIGIN, origin);
        for (headers, is_bad) in [
            (&[][..], false),
            (&[site("same-origin")], false),
            (&[site("none")], false),
            (&[site("same-site")], true),
            (&[site("cross-site"), origin("http://example.org")], true),
            (
                &[site("cross-site"), origin("https://app.example.org:443")],
                false,
            ),
            (&[origin("http://example.org")], false),
            (&[origin("https://app.example.org")], false),
            (&[origin("https://evil.example")], true),
            (&[origin("null")], true),
        ] {
            let mut asked = request(&[std::slice::from_ref(&host), headers].concat());
            assert_eq!(is_forged(&asked, &allowed, false), is_bad, "{headers:?}");
            *asked.method_mut() = Method::HEAD;
            assert!(!is_forged(&asked, &allowed, false), "{headers:?}");
        }
    }

    #[test]
    fn an_origin_is_a_scheme_and_a_host() {
        for (text, origin) in [
            ("https://Example.org/", "https://example.org"),
            ("http://localhost:3000", "http://localhost:3000"),
            (
                "https://m\u{fc}ller.example:443",
                "https://xn--mller-kva.example",
            ),
        ] {
            assert_eq!(text.parse::<Origin>().unwrap().as_str(), origin);
        }
        for bad in [
            "",
            "*",
            "null",
            "example.org",
            "https://a.org/path",
            "ftp://a.org",
            "https://u@a.org",
            "https://a.org?x",
            "https:\\\\a.org",
            "https://",
        ] {
            assert!(bad.parse::<Origin>().is_err(), "{bad}");
        }
    }
}
