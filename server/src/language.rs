//! The language of a page: the one in its address (`?lang`), else the one that the browser keeps in a cookie, else the
//! one that the browser asks for.

use app::words::{Language, Words};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::middleware::Next;
use axum::response::Response;
use everbeat_axum::access::cookies;
use everbeat_axum::everbeat::Everbeat;
use everbeat_axum::http::came_by_tls;

/// The cookie in which a browser keeps the language that its user chose.
const COOKIE: &str = "everbeat-lang";

/// How long it keeps it, in seconds: a year.
const KEEP_S: u32 = 365 * 24 * 60 * 60;

/// What the answer depends on, for caches (RFC 9110 section 12.5.5).
const VARY: HeaderValue = HeaderValue::from_static("accept-language, cookie");

/// The header by which a browser says which site a request comes from (Fetch Metadata Request Headers).
const FETCH_SITE: &str = "sec-fetch-site";

/// Gives each request the [`Words`] of its language, as an extension, and completes the pages in it.
pub(crate) async fn choose(
    State(everbeat): State<Everbeat>,
    mut request: Request,
    next: Next,
) -> Response {
    let choice = Choice::of(request.uri(), request.headers());
    let by_tls = came_by_tls(&request, everbeat.http().trust());
    request.extensions_mut().insert(Words::of(choice.language));
    let mut response = next.run(request).await;
    let kind = response.headers().get(header::CONTENT_TYPE);
    if kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/html")) {
        choice.tell(&mut response, by_tls);
    }
    response
}

/// The language that a request chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Choice {
    language: Language,
    /// Whether the browser is to keep it.
    is_new: bool,
}

impl Choice {
    /// The choice of a request.
    fn of(uri: &Uri, headers: &HeaderMap) -> Self {
        let kept = cookies(headers, COOKIE).find_map(Language::of_tag);
        if let Some(language) = uri.query().and_then(addressed) {
            // A link on another site shows the page in a language, and leaves the choice to the user.
            let site = headers.get(FETCH_SITE).map(HeaderValue::as_bytes);
            let is_own = matches!(site, None | Some(b"same-origin" | b"none"));
            return Self {
                language,
                is_new: is_own && kept != Some(language),
            };
        }
        let mut asked = headers.get_all(header::ACCEPT_LANGUAGE).iter();
        let mut asked = asked.find_map(|asked| Language::preferred(asked.to_str().ok()?));
        Self {
            language: kept.or_else(|| asked.take()).unwrap_or_default(),
            is_new: false,
        }
    }

    /// Completes a page: what it depends on, and the cookie where the user chose another language.
    fn tell(self, page: &mut Response, by_tls: bool) {
        let headers = page.headers_mut();
        headers.append(header::VARY, VARY);
        let tag = self.language.tag();
        let secure = if by_tls { "; Secure" } else { "" };
        let cookie =
            format!("{COOKIE}={tag}; Path=/; Max-Age={KEEP_S}; HttpOnly; SameSite=Lax{secure}");
        if self.is_new
            && let Ok(cookie) = HeaderValue::try_from(cookie)
        {
            headers.append(header::SET_COOKIE, cookie);
        }
    }
}

/// The language in a query, `lang=…`.
fn addressed(query: &str) -> Option<Language> {
    let mut fields = query.split('&');
    fields.find_map(|field| Language::wished(field.strip_prefix("lang=")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(uri: &str, headers: &[(&str, &str)]) -> (Language, bool) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name: axum::http::HeaderName = name.parse().unwrap();
            map.append(name, HeaderValue::from_str(value).unwrap());
        }
        let choice = Choice::of(&uri.parse().unwrap(), &map);
        (choice.language, choice.is_new)
    }

    #[test]
    fn the_address_comes_before_the_cookie_and_that_before_the_browser() {
        use Language::{En, ZhHans, ZhHant};
        let cookie = ("cookie", "a=b; everbeat-lang=zh-Hans");
        let asks = ("accept-language", "zh-TW,en;q=0.5");
        assert_eq!(choice("/", &[]), (En, false));
        assert_eq!(choice("/", &[asks]), (ZhHant, false));
        assert_eq!(choice("/", &[asks, cookie]), (ZhHans, false));
        assert_eq!(choice("/r/tea?lang=en", &[asks, cookie]), (En, true));
        assert_eq!(choice("/?x=1&lang=zh-hant", &[cookie]), (ZhHant, true));
        assert_eq!(choice("/?lang=zh-Hans", &[cookie]), (ZhHans, false));
        // What is no language changes nothing.
        assert_eq!(choice("/?lang=fr", &[asks, cookie]), (ZhHans, false));
        assert_eq!(choice("/?slang=en&lang", &[asks]), (ZhHant, false));
        let odd = ("cookie", "everbeat-lang=<script>");
        assert_eq!(choice("/", &[asks, odd]), (ZhHant, false));
        let several = [("accept-language", "fr"), asks];
        assert_eq!(choice("/", &several), (ZhHant, false));
    }

    #[test]
    fn only_the_users_own_choice_is_kept() {
        for (site, is_kept) in [
            ("same-origin", true),
            ("none", true),
            ("cross-site", false),
            ("same-site", false),
        ] {
            let (language, is_new) = choice("/?lang=zh-TW", &[(FETCH_SITE, site)]);
            assert_eq!((language, is_new), (Language::ZhHant, is_kept), "{site}");
        }
    }

    #[test]
    fn an_answer_says_what_it_depends_on() {
        let told = |is_new, by_tls| {
            let language = Language::ZhHant;
            let mut response = Response::new(axum::body::Body::empty());
            Choice { language, is_new }.tell(&mut response, by_tls);
            let header = |name| response.headers().get(name).cloned();
            assert_eq!(header(header::VARY), Some(VARY));
            header(header::SET_COOKIE).map(|cookie| cookie.to_str().unwrap().to_owned())
        };
        assert_eq!(told(false, true), None);
        let plain = "everbeat-lang=zh-Hant; Path=/; Max-Age=31536000; HttpOnly; SameSite=Lax";
        assert_eq!(told(true, false).as_deref(), Some(plain));
        assert_eq!(told(true, true).unwrap(), format!("{plain}; Secure"));
    }
}
