//! HTTP headers: what browsers refuse for us, and what requests must contain.

use std::fmt::Write as _;

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use everbeat_axum::origin::names_one_host;
use url::Url;

/// The headers of every answer.
const FIXED: [(HeaderName, HeaderValue); 6] = [
    (
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    ),
    (
        header::REFERRER_POLICY,
        HeaderValue::from_static("same-origin"),
    ),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static("camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    ),
];

/// The policy of an answer that is no page: it loads nothing.
const NOTHING: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");

/// Adds the headers of every answer.
pub async fn guard(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in FIXED {
        headers.insert(name, value);
    }
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(NOTHING);
    response
}

/// Refuses a request without exactly one `Host` (RFC 9112 section 3.2): a proxy in front may have read another one.
/// After a request with `Transfer-Encoding` nothing more is read from its connection: it may have had a
/// `Content-Length`, too, of which nothing is left here (section 6.1).
pub async fn unambiguous(request: Request, next: Next) -> Response {
    let is_chunked = request.headers().contains_key(header::TRANSFER_ENCODING);
    let mut response = if names_one_host(&request) {
        next.run(request).await
    } else {
        let text = "A request names its host once, in Host.\n";
        (StatusCode::BAD_REQUEST, text).into_response()
    };
    if is_chunked {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    response
}

/// The content security policy of a page (Level 3): it loads and runs what is ours, scripts in
/// the page only with this nonce, and cannot be put into a frame. `elsewhere` are other URLs to which it connects: that
/// of tokens, those of other nodes, and that of the lab. While it is developed (`is_watched`) it also connects to the watcher.
pub fn page_policy<'a>(
    nonce: &str,
    elsewhere: impl Iterator<Item = &'a str>,
    is_watched: bool,
) -> Option<HeaderValue> {
    let mut policy = format!(
        "default-src 'none'; script-src 'self' 'nonce-{nonce}' 'wasm-unsafe-eval'; style-src 'self'; \
         img-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; connect-src 'self'"
    );
    for origin in elsewhere.filter_map(origin) {
        let _ = write!(policy, " {origin}");
    }
    if is_watched {
        policy += " ws:";
    }
    HeaderValue::try_from(policy).ok()
}

/// The origin of an absolute URL, as browsers parse it.
fn origin(url: &str) -> Option<String> {
    let origin = Url::parse(url).ok()?.origin();
    origin.is_tuple().then(|| origin.ascii_serialization())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_fetches_from_here_and_where_tokens_are() {
        let policy = |fetches: Option<&str>| {
            let value = page_policy("abc", fetches.into_iter(), false).unwrap();
            value.to_str().unwrap().to_owned()
        };
        assert!(policy(None).ends_with("connect-src 'self'"));
        assert!(policy(None).contains("'nonce-abc'"));
        assert!(policy(Some("/token")).ends_with("connect-src 'self'"));
        let elsewhere = policy(Some("https://id.example.org:8443/token?x=y"));
        assert!(elsewhere.ends_with("connect-src 'self' https://id.example.org:8443"));
        let odd = policy(Some(
            "https://id.example.org:443@evil.example/;script-src *",
        ));
        assert!(odd.ends_with("connect-src 'self' https://evil.example"));
        let nodes = ["wss://b.example.org/ws", "wss://c.example.org:8443/ws"];
        let policies = page_policy("abc", nodes.into_iter(), false).unwrap();
        let text = policies.to_str().unwrap();
        assert!(text.ends_with("connect-src 'self' wss://b.example.org wss://c.example.org:8443"));
        for policy in [policy(None), elsewhere, odd] {
            assert!(!policy.contains("unsafe-inline"));
        }
    }
}
