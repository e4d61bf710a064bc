//! The document around the regions: header, languages, and what the script needs.

use std::time::SystemTime;

use app::words::Language;
use leptos::prelude::*;

use super::desk::{Look, Scope};
use super::regions;
use crate::admin::words::{Word, Words};

/// Renders a page, whole.
pub(super) fn render(words: Words, scope: &Scope, look: &Look) -> String {
    let regions = regions::render(words, scope, look);
    let regions: String = regions.into_iter().map(|region| region.html).collect();
    let title = match scope {
        Scope::All(_) => words.text(Word::Title).to_owned(),
        Scope::Session(session) => {
            let session = session.as_str();
            words.fill(Word::SessionTitle, &[("session", session)])
        }
        Scope::Connection(id) => words.count(Word::Connection, id),
    };
    let tag = words.0.tag();
    let page = move || {
        view! {
            <!DOCTYPE html>
            <html lang=tag>
                <head>
                    <meta charset="utf-8" />
                    <meta name="viewport" content="width=device-width, initial-scale=1" />
                    <meta name="color-scheme" content="light dark" />
                    <title>{title}</title>
                    <link rel="icon" href="/favicon.svg" type="image/svg+xml" />
                    <link rel="stylesheet" href="/status.css" />
                    <script src="/status.js" defer="defer"></script>
                </head>
                <body data-updates=scope.updates(tag)>
                    {header(words, scope)} <main inner_html=regions></main>
                </body>
            </html>
        }
        .to_html()
    };
    Owner::new().with(page)
}

fn header(words: Words, scope: &Scope) -> impl IntoView + use<> {
    let text = move |word| words.text(word);
    let time = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let path = scope.path();
    let languages = Language::ALL.map(|language| {
        let joint = if path.contains('?') { '&' } else { '?' };
        let tag = language.tag();
        view! {
            <a
                href=format!("{path}{joint}lang={tag}")
                lang=tag
                hreflang=tag
                aria-current=(language == words.0).then_some("true")
            >
                {language.name()}
            </a>
        }
    });
    view! {
        <header>
            <h1>
                <a href="/status">"Everbeat"</a>
            </h1>
            <p
                id="freshness"
                data-fresh=text(Word::AsOfAgo)
                data-paused=text(Word::Paused)
                data-stale=text(Word::Stale)
                data-again=text(Word::FreshAgain)
            >
                {words.fill(Word::AsOf, &[("time", &time)])}
            </p>
            <button id="pause" type="button" aria-pressed="false" hidden=true>
                {text(Word::Pause)}
            </button>
            <nav aria-label=text(Word::Language)>{languages.collect_view()}</nav>
            <p id="stale" role="status"></p>
            <p id="by-hand">{text(Word::ReloadByHand)}</p>
        </header>
    }
}
