//! The links to the page in its other languages.

use leptos::prelude::*;

use crate::words::{Language, Word, use_words};

/// The languages in which the page is not shown, by their own names. A link loads the room that is shown in the other
/// language, which the browser then keeps.
#[component]
pub fn LanguageSwitch() -> impl IntoView {
    let words = use_words();
    let [one, other] = words.language().others();
    view! {
        <nav class="languages" aria-label=words.text(Word::Language)>
            {link(one)}
            {link(other)}
        </nav>
    }
}

/// The browser resolves the address when the link is used: it leads to the room that is shown then.
fn link(language: Language) -> impl IntoView {
    let tag = language.tag();
    view! {
        <a href=format!("?lang={tag}") lang=tag hreflang=tag>
            {language.name()}
        </a>
    }
}
