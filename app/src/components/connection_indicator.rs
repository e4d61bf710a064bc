//! The state of the connection, why it is as it is, its round trip and its heartbeats.

use leptos::html::Div;
use leptos::prelude::*;
use view::Link;

use crate::focus::hold_focus;
use crate::hooks::LinkHandle;
use crate::markup::html;
use crate::words::{self, Word, Words, use_words};

/// Shows the connection's state in words and colour. What a screen reader announces stands apart: an outage when it
/// begins and when it is over, and none of what changes in between.
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
    let said = move |say: fn(&Link, Words) -> String| {
        Signal::derive(move || html(&link.with(|link| say(link, words))))
    };
    let state = Signal::derive(move || link.with(words::state).to_owned());
    let beats = Memo::new(move |_| link.with(Link::beats));
    let is_even = Signal::derive(move || beats.get() > 0 && beats.get() % 2 == 0);
    let is_odd = Signal::derive(move || beats.get() % 2 == 1);
    let beats = Signal::derive(move || beats.get().to_string());
    let is_checking = Signal::derive(move || link.with(Link::is_checking));
    let is_idle = Signal::derive(move || waiting.get() == 0);
    let waits = Signal::derive(move || html(&words.count(Word::Waiting, waiting.get())));
    let waiting = Signal::derive(move || waiting.get().to_string());
    let whole = NodeRef::<Div>::new();
    let is_well = Memo::new(move |_| {
        hold_focus(whole, whole);
        !link.with(Link::can_try_now)
    });
    // Only another text is another announcement.
    let notice = Memo::new(move |_| html(&link.with(|link| words::notice(link, words))));
    let brings = Signal::derive(move || link.with(|link| link.recovery().is_some()));
    view! {
        <div
            class="connection"
            class:checking=is_checking
            role="group"
            aria-label=words.text(Word::Connection)
            data-state=state
            node_ref=whole
            tabindex="-1"
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
                <span inner_html=said(words::status)></span>
                <span class="countdown" translate="no" inner_html=said(words::countdown)></span>
            </span>
            <span class="why" class:brought=brings inner_html=said(words::why)></span>
            <span class="figures">
                <span
                    class="rtt"
                    title=words.text(Word::RoundTrip)
                    translate="no"
                    inner_html=said(words::round_trip)
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
            <span class="visually-hidden" role="status" inner_html=notice></span>
        </div>
    }
}
