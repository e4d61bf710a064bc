//! The state of the connection, its round trip and its pulse.

use leptos::prelude::*;
use view::Link;

use crate::hooks::LinkHandle;
use crate::markup::html;
use crate::words::{self, Word, use_words};

/// Shows the connection's state in words and colour. Screen readers announce the words only: the countdown
/// and the figures change too often.
#[component]
pub fn ConnectionIndicator(
    /// The connection.
    handle: LinkHandle,
) -> impl IntoView {
    let LinkHandle {
        link,
        waiting,
        try_now,
    } = handle;
    let words = use_words();
    let state = Signal::derive(move || link.with(words::state).to_owned());
    let status = Signal::derive(move || html(&link.with(|link| words::status(link, words))));
    let countdown = Signal::derive(move || {
        html(
            &link
                .with(|link| words::countdown(link, words))
                .unwrap_or_default(),
        )
    });
    let beats = Memo::new(move |_| link.with(Link::beats));
    let is_even = Signal::derive(move || beats.get() > 0 && beats.get() % 2 == 0);
    let is_odd = Signal::derive(move || beats.get() % 2 == 1);
    let beats = Signal::derive(move || beats.get().to_string());
    let rtt = Signal::derive(move || {
        html(
            &link
                .with(|link| words::round_trip(link, words))
                .unwrap_or_default(),
        )
    });
    let is_idle = Signal::derive(move || waiting.get() == 0);
    let waits = Signal::derive(move || html(&words.count(Word::Waiting, waiting.get())));
    let waiting = Signal::derive(move || waiting.get().to_string());
    let is_well = Signal::derive(move || !link.with(Link::can_try_now));
    view! {
        <div
            class="connection"
            role="status"
            aria-label=words.text(Word::Connection)
            data-state=state
        >
            // Two classes with one animation: changing from one to the other starts it again.
            <span
                class="pulse"
                class:even=is_even
                class:odd=is_odd
                data-beats=beats
                aria-hidden="true"
            ></span>
            <span class="words">
                <span inner_html=status></span>
                <span
                    class="countdown"
                    aria-hidden="true"
                    translate="no"
                    inner_html=countdown
                ></span>
            </span>
            <span class="figures" aria-live="off">
                <span
                    class="rtt"
                    title=words.text(Word::RoundTrip)
                    translate="no"
                    inner_html=rtt
                ></span>
                <span class="outbox" data-waiting=waiting hidden=is_idle inner_html=waits></span>
            </span>
            <button
                type="button"
                class="quiet"
                hidden=is_well
                on:click=move |_| try_now.run(())
            >
                {words.text(Word::TryNow)}
            </button>
        </div>
    }
}
