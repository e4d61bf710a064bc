//! The Everbeat page: the same code renders it on the server, for the first paint, and in the browser, where it
//! becomes interactive.
//!
//! The browser does not hydrate: it renders the page anew from the same data, and puts it in place of the
//! server's in one step. So nothing depends on how an HTML parser, an extension or a translator left the
//! server's elements. What a user typed meanwhile is kept, and where the page cannot come alive, it is
//! still there, with a form that any browser sends (`boot.js`).
//!
//! What only one side can do comes through the context: the server's [`PlainForm`], the browser's
//! [`AddressBar`] and [`Keeper`]. So do the page's [`Words`]. No other code here depends on the side.

pub mod components;
mod focus;
pub mod hooks;
mod input;
mod keeper;
mod markup;
pub mod pages;
mod place;
mod stamp;
mod visits;
pub mod words;

use everbeat_leptos::provide_everbeat;
pub use everbeat_leptos::{Fault, Inspect, Observer, Options};
use leptos::nonce::use_nonce;
use leptos::prelude::*;

pub use self::keeper::{Keep, Keeper, Shelf};
pub use self::markup::{html, rich, shown, textarea_html};
pub use self::place::{
    AddressBar, Closed, LabUrl, Letter, Nodes, PAGE_ID, Place, PlainForm, Refusal, TokenUrl, Visit,
    path, snapshot_of,
};
pub use self::stamp::{Clock, Form, LATEST_MS};
pub use view::{Day, Snapshot};

use self::components::language_switch::LanguageSwitch;
use self::hooks::{
    FormHandle, mark_session, provide_name, provide_room, use_address, use_visit,
    warn_before_leaving,
};
use self::pages::header::Header;
use self::pages::not_found::NotFoundPage;
use self::pages::room::RoomPage;
use self::words::{Word, Words, use_words};

/// The script within the page: starts the program, or says why it cannot.
const BOOT: &str = include_str!("boot.js");

/// The path of the server's WebSocket.
pub const SOCKET: &str = "/ws";

/// The URL paths of the compiled files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The style sheet.
    pub css: String,
    /// The script that loads the program.
    pub js: String,
    /// The program, as WebAssembly.
    pub wasm: String,
}

/// The whole document, as the server sends it.
pub fn shell(options: LeptosOptions, files: &Files) -> impl IntoView + use<> {
    let Visit { room, snapshot } = expect_context::<Visit>();
    let words = use_words();
    let title = place::title(room.as_str());
    let token_url = use_context::<TokenUrl>().map(|TokenUrl(url)| {
        view! { <meta name=TokenUrl::META content=url.to_string() /> }
    });
    let nodes = use_context::<Nodes>().map(|Nodes(addresses)| {
        view! { <meta name=Nodes::META content=addresses.to_string() /> }
    });
    let lab = use_context::<LabUrl>().map(|LabUrl(url)| {
        view! { <meta name=LabUrl::META content=url.to_string() /> }
    });
    let nonce = use_nonce();
    let scripts = view! {
        {token_url}
        {nodes}
        {lab}
        <link rel="modulepreload" href=files.js.clone() />
        <link
            rel="preload"
            href=files.wasm.clone()
            r#as="fetch"
            r#type="application/wasm"
            crossorigin="anonymous"
        />
        // Before the style sheet, for which scripts wait.
        <script
            nonce=nonce.clone()
            data-js=files.js.clone()
            data-wasm=files.wasm.clone()
            data-words=words.lines()
            inner_html=BOOT
        ></script>
        <AutoReload options />
    };
    let data = snapshot.map(|snapshot| {
        view! {
            <script
                id=place::SNAPSHOT_ID
                r#type="application/json"
                nonce=nonce
                inner_html=place::snapshot_data(&snapshot)
            ></script>
        }
    });
    let body = view! {
        <div id=PAGE_ID>
            <App options=Options::at(SOCKET) />
        </div>
        {data}
    };
    document(files, title, scripts, body, words)
}

/// The document of an address that is no room's. It has no scripts: nothing on it changes.
pub fn not_found_shell(files: &Files, place: Place) -> impl IntoView + use<> {
    let words = use_words();
    let title = place::title(place.heading(words));
    let body = view! {
        <SkipLink to="#room" />
        <StillHeader />
        <NotFoundPage place />
    };
    document(files, title, (), body, words)
}

/// The document for a client that may not read a room. It has no scripts.
pub fn closed_shell(files: &Files, why: Closed) -> impl IntoView + use<> {
    let words = use_words();
    let heading = words.text(why.heading());
    let body = view! {
        <StillHeader />
        <main class="not-found">
            <h1>{heading}</h1>
            <p>{words.text(why.text())}</p>
        </main>
    };
    document(files, place::title(heading), (), body, words)
}

/// The document for a client whose plain form was refused: it keeps the text, and has no scripts.
pub fn refused_shell(files: &Files, refusal: Refusal) -> impl IntoView + use<> {
    let Refusal { room, why, letter } = refusal;
    let Letter { key, name, body } = letter;
    let words = use_words();
    let (heading, why) = match why.map(|why| words.text(why)) {
        Some(why) => (Word::NotSent, words.because(Word::NotSentWhy, why)),
        None => (Word::OneMoment, words.text(Word::PerhapsSent).to_owned()),
    };
    let heading = words.text(heading);
    let body = view! {
        // Without other languages: a link would lose the text.
        <header class="top">
            <Brand />
        </header>
        <main class="not-found">
            <h1>{heading}</h1>
            <p class="alert" role="alert" inner_html=html(&why)></p>
            <form id=FormHandle::ID method="post" action=path(&room) autocomplete="off">
                <input type="hidden" name="key" value=key />
                <input type="hidden" name="name" value=name />
                <label for="message">{words.text(Word::YourMessage)}</label>
                <textarea
                    id="message"
                    name="body"
                    rows="6"
                    dir="auto"
                    inner_html=textarea_html(&body)
                ></textarea>
                <button type="submit">{words.text(Word::Send)}</button>
            </form>
            <p>
                <a href=path(&room)>{words.text(Word::BackToRoom)}</a>
            </p>
        </main>
    };
    document(files, place::title(heading), (), body, words)
}

#[component]
fn Brand() -> impl IntoView {
    view! {
        <a class="brand" href="/">
            "Everbeat"
        </a>
    }
}

/// The header of a page without a program.
#[component]
fn StillHeader() -> impl IntoView {
    view! {
        <header class="top">
            <Brand />
            <LanguageSwitch />
        </header>
    }
}

fn document<S: IntoView, B: IntoView>(
    files: &Files,
    title: String,
    scripts: S,
    body: B,
    words: Words,
) -> impl IntoView + use<S, B> {
    view! {
        <!DOCTYPE html>
        <html lang=words.language().tag()>
            <head>
                <meta charset="utf-8" />
                // The keyboard of a phone makes the page lower: the header and the input box stay above it.
                <meta
                    name="viewport"
                    content="width=device-width, initial-scale=1, interactive-widget=resizes-content"
                />
                <meta name="color-scheme" content="light dark" />
                <meta name="theme-color" media="(prefers-color-scheme: light)" content="#f7f4ef" />
                <meta name="theme-color" media="(prefers-color-scheme: dark)" content="#171417" />
                <meta name="description" content=words.text(Word::Description) />
                <title inner_html=html(&title)></title>
                <link rel="icon" href="/favicon.svg" type="image/svg+xml" />
                {scripts}
                <link rel="stylesheet" href=files.css.clone() />
            </head>
            <body>
                {body}
                // Visible only without the style sheet.
                <p class="unstyled">{words.text(Word::Unstyled)}</p>
            </body>
        </html>
    }
}

/// A room's page itself: the same tree on the server and in the browser. A change of the room builds nothing anew.
#[component]
pub fn App(
    /// How the session is driven.
    options: Options,
) -> impl IntoView {
    let Visit { room, snapshot } = use_visit();
    provide_everbeat(options);
    mark_session();
    provide_name();
    warn_before_leaving();
    provide_room(room, snapshot.as_ref());
    use_address();
    view! {
        <SkipLink to="#message" />
        <Header />
        <RoomPage />
    }
}

/// The link to the page's input box: the first that the keyboard reaches.
#[component]
fn SkipLink(
    /// The input box.
    to: &'static str,
) -> impl IntoView {
    view! {
        <a class="skip" href=to>
            {use_words().text(Word::SkipToInput)}
        </a>
    }
}
