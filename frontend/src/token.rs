//! Newer tokens, from the address that the page was told (AC-6).

use protocol::client::NoToken;
use protocol::id::Token;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{RequestCache, RequestCredentials, RequestInit, Response, Window};

/// How the server tells the page the address.
const META: &str = "meta[name=everbeat-token-url]";

/// Who gives tokens to the person in front of the page. The browser shows its cookies there.
#[derive(Clone, Debug)]
pub struct TokenSource {
    url: String,
}

impl TokenSource {
    /// The address in the page; none where there is none.
    pub fn of(window: &Window) -> Option<Self> {
        let meta = window.document()?.query_selector(META).ok()??;
        let url = meta.get_attribute("content")?;
        Some(Self { url })
    }

    /// Asks for a token.
    ///
    /// # Errors
    /// [`NoToken::Denied`] where the answer is that the person has to sign in, otherwise
    /// [`NoToken::Unavailable`].
    pub async fn fetch(&self, window: &Window) -> Result<Token, NoToken> {
        let (status, text) = self.ask(window).await.map_err(|_| NoToken::Unavailable)?;
        match status {
            200 => Token::new(text.trim()).map_err(|_| NoToken::Unavailable),
            401 | 403 => Err(NoToken::Denied),
            _ => Err(NoToken::Unavailable),
        }
    }

    async fn ask(&self, window: &Window) -> Result<(u16, String), JsValue> {
        let init = RequestInit::new();
        // A token that is kept is an old one.
        init.set_cache(RequestCache::NoStore);
        // The address may be another site's, which knows the person by its own cookies.
        init.set_credentials(RequestCredentials::Include);
        let answer = window.fetch_with_str_and_init(&self.url, &init);
        let answer: Response = JsFuture::from(answer).await?.dyn_into()?;
        let text = JsFuture::from(answer.text()?).await?;
        Ok((answer.status(), text.as_string().unwrap_or_default()))
    }
}
