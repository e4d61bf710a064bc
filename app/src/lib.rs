//! The Everbeat page: rendered by the server, hydrated by the browser, the same code in both.
//!
//! What only one of them can do comes through the context: the server's [`Visit`] while rendering,
//! the browser's [`Connector`], [`AddressBar`] and [`Keeper`] after hydration. Neither is named here otherwise.

pub mod components;
mod effect;
pub mod hooks;
mod keeper;
pub mod pages;
mod place;
pub mod realtime;
mod stamp;
pub mod state;

use leptos::either::Either;
use leptos::prelude::*;
use leptos_meta::HashedStylesheet;

pub use self::keeper::{Keep, Keeper, Shelf};
pub use self::place::{AddressBar, Closed, Place, Snapshot, TokenUrl, Visit};
pub use self::realtime::{Command, Connector, Realtime, Report, Reporter, Stop};

use self::hooks::{
    provide_hydrated, provide_name, use_address, use_network, use_visit, warn_before_leaving,
};
use self::pages::header::Header;
use self::pages::nowhere::NowherePage;
use self::pages::room::RoomPage;
use self::realtime::provide_realtime;

/// The whole document, as the server sends it.
pub fn shell(options: LeptosOptions) -> impl IntoView {
    let title = place::title(expect_context::<Visit>().place.heading());
    let token_url = use_context::<TokenUrl>().map(|TokenUrl(url)| {
        view! { <meta name="everbeat-token-url" content=url.to_string() /> }
    });
    let scripts = view! {
        {token_url}
        <AutoReload options=options.clone() />
        <HydrationScripts options=options.clone() />
    };
    document(options, title, scripts, view! { <App /> })
}

/// The document for somebody who may not see a room: nothing in it comes to life.
pub fn closed_shell(options: LeptosOptions, why: Closed) -> impl IntoView {
    let body = view! {
        <header class="top">
            <a class="brand" href="/">
                "Everbeat"
            </a>
        </header>
        <main class="nowhere">
            <h1>{why.heading()}</h1>
            <p>{why.text()}</p>
        </main>
    };
    document(options, place::title(why.heading()), (), body)
}

fn document(
    options: LeptosOptions,
    title: String,
    scripts: impl IntoView,
    body: impl IntoView,
) -> impl IntoView {
    view! {
        <!DOCTYPE html>
        <html lang="en">
            <head>
                <meta charset="utf-8" />
                <meta name="viewport" content="width=device-width, initial-scale=1" />
                <meta name="color-scheme" content="light dark" />
                <meta name="theme-color" media="(prefers-color-scheme: light)" content="#f7f4ef" />
                <meta name="theme-color" media="(prefers-color-scheme: dark)" content="#171417" />
                <meta
                    name="description"
                    content="Rooms where what one person types appears at once for the others."
                />
                <title>{title}</title>
                <link rel="icon" href="/favicon.svg" type="image/svg+xml" />
                <HashedStylesheet options id="leptos" />
                {scripts}
            </head>
            <body>{body}</body>
        </html>
    }
}

/// The page itself: the same tree on the server and in the browser. Whether it is a room's is decided
/// once; which room, changes without building anything anew.
#[component]
pub fn App() -> impl IntoView {
    let Visit { place, snapshot } = use_visit();
    provide_realtime(&place, snapshot.as_ref());
    provide_hydrated();
    provide_name();
    use_network();
    warn_before_leaving();
    use_address(&place);
    let page = if place.room().is_some() {
        Either::Left(view! { <RoomPage /> })
    } else {
        Either::Right(view! { <NowherePage place /> })
    };
    view! {
        <a class="skip" href="#message">
            "Skip to the input box"
        </a>
        <Header />
        {page}
    }
}
