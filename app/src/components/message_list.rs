//! The room's messages.

use leptos::html::Div;
use leptos::prelude::*;

use super::message_row::MessageRow;
use crate::hooks::ListActions;
use crate::state::{Row, Timeline};

/// How far from the bottom still counts as the bottom, in pixels.
const BOTTOM_PX: i32 = 48;

/// The room's messages. The box scrolls backwards (its style reverses the column): its zero is the
/// bottom, so that it starts there without a script, stays there as messages come, and does not move
/// when older ones are put in front.
#[component]
pub fn MessageList(
    /// The messages.
    timeline: ReadSignal<Timeline>,
    /// Whether older ones can be asked for now.
    is_live: Signal<bool>,
    /// What can be done.
    actions: ListActions,
) -> impl IntoView {
    let scroller = NodeRef::<Div>::new();
    let at_bottom = RwSignal::new(true);
    let received = Memo::new(move |_| timeline.with(Timeline::received));
    let seen = RwSignal::new(0);
    let has_unseen = Memo::new(move |_| !at_bottom.get() && received.get() != seen.get());
    let to_bottom = move || {
        if let Some(scroller) = scroller.get_untracked() {
            scroller.set_scroll_top(0);
        }
    };
    follow(timeline, at_bottom, to_bottom);
    let on_scroll = move |_| {
        let Some(scroller) = scroller.get_untracked() else {
            return;
        };
        let is_at_bottom = scroller.scroll_top().abs() < BOTTOM_PX;
        if is_at_bottom != at_bottom.get_untracked() {
            seen.set(received.get_untracked());
            at_bottom.set(is_at_bottom);
            if is_at_bottom {
                actions.settle.run(());
            }
        }
    };
    let shows_older = move || timeline.with(|list| list.has_older() && list.last_gap().is_none());
    view! {
        <div class="messages">
            <div class="scroller" node_ref=scroller tabindex="0" on:scroll=on_scroll>
                <div class="pages">
                    <Show when=shows_older>
                        <OlderButton timeline is_live on_press=actions.older />
                    </Show>
                    <div role="log" aria-label="Messages" aria-live="polite">
                        <ol role="list">
                            <For each=move || timeline.with(Timeline::rows) key=Row::key let:row>
                                <MessageRow row timeline is_live actions />
                            </For>
                        </ol>
                    </div>
                </div>
            </div>
            <Show when=move || has_unseen.get()>
                <button type="button" class="unseen" on:click=move |_| to_bottom()>
                    "New messages"
                </button>
            </Show>
        </div>
    }
}

/// Asks for older messages.
#[component]
pub fn OlderButton(
    /// The messages.
    timeline: ReadSignal<Timeline>,
    /// Whether they can be asked for now.
    is_live: Signal<bool>,
    /// Ask.
    on_press: Callback<()>,
) -> impl IntoView {
    let is_loading = move || timeline.with(Timeline::is_loading);
    view! {
        <button
            type="button"
            class="older quiet"
            disabled=move || is_loading() || !is_live.get()
            on:click=move |_| on_press.run(())
        >
            "Older messages"
        </button>
    }
}

/// Keeps a reader at the bottom there, and brings everybody there who sends something.
fn follow(
    timeline: ReadSignal<Timeline>,
    at_bottom: RwSignal<bool>,
    to_bottom: impl Fn() + Copy + 'static,
) {
    let queued = Memo::new(move |_| timeline.with(Timeline::queued));
    Effect::new(move |before: Option<u32>| {
        timeline.track();
        let queued = queued.get();
        let has_sent = before.is_some_and(|before| before != queued);
        if has_sent || at_bottom.get_untracked() {
            request_animation_frame(to_bottom);
        }
        queued
    });
}
