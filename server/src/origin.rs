//! Which sites' pages may open sessions (cross-site WebSocket hijacking).
//!
//! A browser shows its cookies to us whichever page opens the connection, and tells which one it was.

use std::str::FromStr;

use axum::http::{HeaderMap, Uri, header};
use thiserror::Error;

/// A site, as browsers name it (RFC 6454 section 6.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(String);

/// What is no site.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is no origin: it should look like https://example.org or http://example.org:8080")]
pub struct OriginError(String);

impl Origin {
    /// The origin as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        let uri: Option<Uri> = text.parse().ok();
        let is_origin = uri.is_some_and(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https"))
                && uri.authority().is_some_and(|a| !a.as_str().contains('@'))
                && uri.path_and_query().is_none_or(|path| path == "/")
        });
        if is_origin {
            Ok(Self(text.trim_end_matches('/').to_ascii_lowercase()))
        } else {
            Err(OriginError(text.chars().take(80).collect()))
        }
    }
}

/// Whether a page of this origin may open a session: our own, one of those allowed, or none at all, as
/// programs other than browsers have it. Our own is what the request calls us by; where it came by
/// HTTPS, so did the page.
pub fn may_connect(headers: &HeaderMap, allowed: &[Origin], by_tls: bool) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return true;
    };
    let Ok(origin) = origin.to_str() else {
        return false;
    };
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let is_own = match origin.split_once("://") {
        Some((scheme, authority)) => {
            Some(authority) == host && (scheme == "https" || (scheme == "http" && !by_tls))
        }
        None => false,
    };
    is_own || allowed.iter().any(|allowed| allowed.0 == origin)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn only_our_own_and_allowed_origins_may_connect() {
        let allowed = ["https://app.example.org".parse().unwrap()];
        let check = |origin: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.insert(
                header::HOST,
                HeaderValue::from_static("chat.example.org:8080"),
            );
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
            }
            may_connect(&headers, &allowed, false)
        };
        for good in [
            None,
            Some("http://chat.example.org:8080"),
            Some("https://chat.example.org:8080"),
            Some("https://app.example.org"),
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
            "http://app.example.org",
            "https://app.example.org.evil.example",
            "file://",
        ] {
            assert!(!check(Some(bad)), "{bad}");
        }
    }

    /// A page that somebody on the way made up came by HTTP.
    #[test]
    fn a_page_by_http_is_not_that_by_https() {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("example.org"));
        for (origin, by_tls, may) in [
            ("http://example.org", true, false),
            ("https://example.org", true, true),
            ("http://example.org", false, true),
        ] {
            headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
            assert_eq!(may_connect(&headers, &[], by_tls), may, "{origin} {by_tls}");
        }
    }

    #[test]
    fn an_origin_is_a_scheme_and_a_host() {
        for (text, origin) in [
            ("https://Example.org/", "https://example.org"),
            ("http://localhost:3000", "http://localhost:3000"),
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
        ] {
            assert!(bad.parse::<Origin>().is_err(), "{bad}");
        }
    }
}
