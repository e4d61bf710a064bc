//! The state of the connection, its round trip and its pulse.

use leptos::prelude::*;

use crate::hooks::LinkHandle;
use crate::state::Link;

/// Says in words and colour how the connection is. Only the words are announced: the countdown is for
/// the eye, and the figures change too often.
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
    let words = Memo::new(move |_| link.with(Link::words));
    let beats = Memo::new(move |_| link.with(Link::beats));
    let rtt = move || {
        link.with(Link::rtt_ms)
            .map(|ms| format!("{ms} ms"))
            .unwrap_or_default()
    };
    view! {
        <div
            class="connection"
            role="status"
            aria-label="Connection"
            data-state=move || link.with(Link::state)
        >
            // Two classes with one animation: changing from one to the other starts it again.
            <span
                class="pulse"
                class:even=move || { beats.get() > 0 && beats.get() % 2 == 0 }
                class:odd=move || beats.get() % 2 == 1
                data-beats=move || beats.get().to_string()
                aria-hidden="true"
            ></span>
            <span class="words">
                <span>{words}</span>
                <span class="countdown" aria-hidden="true">
                    {move || link.with(Link::countdown).unwrap_or_default()}
                </span>
            </span>
            <span class="figures" aria-live="off">
                <span class="rtt" title="The last round trip">
                    {rtt}
                </span>
                <span
                    class="outbox"
                    data-waiting=move || waiting.get().to_string()
                    hidden=move || waiting.get() == 0
                >
                    {move || format!("{} waiting", waiting.get())}
                </span>
            </span>
            <button
                type="button"
                class="quiet"
                hidden=move || !link.with(Link::can_try_now)
                on:click=move |_| try_now.run(())
            >
                "Try now"
            </button>
        </div>
    }
}
