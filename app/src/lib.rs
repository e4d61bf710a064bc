//! The Everbeat page: rendered by the server, hydrated by the browser, the same code in both.
//!
//! What only one of them can do comes through the context: the server's [`Backend`] while rendering,
//! the browser's [`Connector`] after hydration. Neither is named here otherwise.

mod backend;
pub mod components;
#[expect(
    deprecated,
    reason = "leptos-use 0.20 would have one crate for each function; it still re-exports them"
)]
pub mod hooks;
pub mod pages;
pub mod realtime;
mod stamp;
pub mod state;

use leptos::prelude::*;
use leptos_meta::{HashedStylesheet, MetaTags, Title, provide_meta_context};
use leptos_router::SsrMode;
use leptos_router::components::{Route, Router, Routes};
use leptos_router::path;

pub use self::backend::{Backend, BackendHandle, Snapshot, StatusHook};
pub use self::realtime::{Command, Connector, Realtime, Report, Reporter, Stop};

use self::hooks::{provide_hydrated, provide_name, use_network};
use self::pages::header::Header;
use self::pages::not_found::NotFoundPage;
use self::pages::room::{LobbyPage, RoomPage};
use self::realtime::provide_realtime;

/// The whole document, as the server sends it.
pub fn shell(options: LeptosOptions) -> impl IntoView {
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
                <link rel="icon" href="/favicon.svg" type="image/svg+xml" />
                <HashedStylesheet options=options.clone() id="leptos" />
                <AutoReload options=options.clone() />
                <HydrationScripts options />
                <MetaTags />
            </head>
            <body>
                <App />
            </body>
        </html>
    }
}

/// The page itself: the same tree on the server and in the browser.
#[component]
pub fn App() -> impl IntoView {
    provide_meta_context();
    provide_realtime();
    provide_hydrated();
    provide_name();
    use_network();
    view! {
        <Title formatter=|room: String| format!("{room} · Everbeat") />
        <Router>
            <a class="skip" href="#message">
                "Skip to the input box"
            </a>
            <Header />
            <Routes fallback=NotFoundPage>
                <Route path=path!("/") view=LobbyPage ssr=SsrMode::Async />
                <Route path=path!("/r/:room") view=RoomPage ssr=SsrMode::Async />
            </Routes>
        </Router>
    }
}
