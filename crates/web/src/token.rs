//! Token sources: newer tokens from a URL or from the page itself (AC-6).

use std::fmt;
use std::pin::Pin;
use std::rc::Rc;

use protocol::client::NoToken;
use protocol::id::Token;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{RequestCache, RequestCredentials, RequestInit, Response, Window};

/// A fetch of a token that is under way.
pub type Fetch = Pin<Box<dyn Future<Output = Result<Token, NoToken>>>>;

/// A source of tokens for the page's user.
#[derive(Clone)]
pub struct TokenSource(Rc<dyn Fn() -> Fetch>);

impl TokenSource {
    /// Takes tokens from a function of the page. [`NoToken::Denied`] says that the user has to sign in.
    pub fn new(fetch: impl Fn() -> Fetch + 'static) -> Self {
        Self(Rc::new(fetch))
    }

    /// Fetches tokens from a URL, with the cookies that the browser has for it. The answer is 200 with the token as its
    /// text, or 401 or 403 where the user has to sign in; after any other the client asks again.
    pub fn at(url: String) -> Self {
        Self::new(move || Box::pin(fetch(url.clone())))
    }

    pub(crate) fn fetch(&self) -> Fetch {
        (self.0)()
    }
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSource(..)")
    }
}

async fn fetch(url: String) -> Result<Token, NoToken> {
    let window = web_sys::window().ok_or(NoToken::Unavailable)?;
    let (status, text) = ask(&window, &url).await.map_err(|_| NoToken::Unavailable)?;
    match status {
        200 => Token::new(text.trim()).map_err(|_| NoToken::Unavailable),
        401 | 403 => Err(NoToken::Denied),
        _ => Err(NoToken::Unavailable),
    }
}

async fn ask(window: &Window, url: &str) -> Result<(u16, String), JsValue> {
    let init = RequestInit::new();
    // A cached token would be an old one.
    init.set_cache(RequestCache::NoStore);
    // The URL may be another site's, which authenticates the user by its own cookies.
    init.set_credentials(RequestCredentials::Include);
    let answer = window.fetch_with_str_and_init(url, &init);
    let answer: Response = JsFuture::from(answer).await?.dyn_into()?;
    let text = JsFuture::from(answer.text()?).await?;
    Ok((answer.status(), text.as_string().unwrap_or_default()))
}
