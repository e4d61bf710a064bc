//! The room's messages.

use leptos::html::Div;
use leptos::prelude::*;
use protocol::id::RoomName;

use super::message_row::MessageRow;
use crate::effect::effect;
use crate::hooks::ListActions;
use crate::state::{Row, Timeline};

/// How far from the bottom still counts as the bottom, in pixels.
const BOTTOM_PX: i32 = 48;

/// The room's messages. The box scrolls backwards (its style reverses the column): its zero is the
/// bottom, so that it starts there without a script, and does not move when older messages are put in
/// front.
#[component]
pub fn MessageList(
    /// The messages.
    timeline: ReadSignal<Timeline>,
    /// Whether older ones can be asked for now.
    is_live: Memo<bool>,
    /// What can be done.
    actions: ListActions,
) -> impl IntoView {
    let scroller = NodeRef::<Div>::new();
    let at_bottom = RwSignal::new(true);
    let received = Memo::new(move |_| timeline.with(Timeline::received));
    let seen = RwSignal::new(0);
    let has_unseen = Memo::new(move |_| !at_bottom.get() && received.get() != seen.get());
    let height = StoredValue::new(0);
    let to_bottom = move |_| {
        if let Some(scroller) = scroller.try_get_untracked().flatten() {
            scroller.set_scroll_top(0);
        }
    };
    keep_in_view(timeline, scroller, height, at_bottom);
    let on_scroll = move |_| {
        let Some(scroller) = scroller.try_get_untracked().flatten() else {
            return;
        };
        height.set_value(scroller.scroll_height());
        let is_at_bottom = scroller.scroll_top().abs() < BOTTOM_PX;
        if is_at_bottom != at_bottom.get_untracked() {
            seen.set(received.get_untracked());
            at_bottom.set(is_at_bottom);
            actions.follow.run(is_at_bottom);
        }
    };
    let shows_older =
        Memo::new(move |_| timeline.with(|list| list.has_older() && list.last_gap().is_none()));
    view! {
        <div class="messages">
            <div class="scroller" node_ref=scroller tabindex="0" on:scroll=on_scroll>
                <div class="pages">
                    {move || {
                        shows_older
                            .get()
                            .then(|| view! { <OlderButton timeline is_live on_press=actions.older /> })
                    }}
                    <div role="log" aria-label="Messages" aria-live="polite">
                        <ol role="list">
                            <For each=move || timeline.with(Timeline::rows) key=Row::key let:row>
                                <MessageRow row timeline is_live actions />
                            </For>
                        </ol>
                    </div>
                </div>
            </div>
            {move || {
                has_unseen
                    .get()
                    .then(|| {
                        view! {
                            <button type="button" class="unseen" on:click=to_bottom>
                                "New messages"
                            </button>
                        }
                    })
            }}
        </div>
    }
}

/// Asks for older messages.
#[component]
pub fn OlderButton(
    /// The messages.
    timeline: ReadSignal<Timeline>,
    /// Whether they can be asked for now.
    is_live: Memo<bool>,
    /// Ask.
    on_press: Callback<()>,
) -> impl IntoView {
    let is_disabled = Signal::derive(move || timeline.with(Timeline::is_loading) || !is_live.get());
    view! {
        <button
            type="button"
            class="older quiet"
            disabled=is_disabled
            on:click=move |_| on_press.run(())
        >
            "Older messages"
        </button>
    }
}

/// Keeps a reader at the bottom there, brings everybody there who sends something, and holds the view
/// of everybody else. Browsers would do the last, but those that do get it wrong where older messages
/// are put in front of a column in reverse: their own way is switched off in the style.
fn keep_in_view(
    timeline: ReadSignal<Timeline>,
    scroller: NodeRef<Div>,
    height: StoredValue<i32>,
    at_bottom: RwSignal<bool>,
) {
    let mut before = None::<(RoomName, u32, u32)>;
    effect(Box::new(move || {
        let now = timeline.with(|list| (list.room().clone(), list.queued(), list.loads()));
        let (room, queued, loads) = before.as_ref().unwrap_or(&now);
        let has_sent = *queued != now.1 || *room != now.0;
        let has_loaded = *loads != now.2;
        // By then the rows are there, and nobody has seen them yet.
        request_animation_frame(move || {
            let Some(scroller) = scroller.try_get_untracked().flatten() else {
                return;
            };
            let before = height.try_get_value().unwrap_or_default();
            let grown = scroller.scroll_height() - before;
            height.try_set_value(before + grown);
            if has_sent || at_bottom.try_get_untracked() == Some(true) {
                scroller.set_scroll_top(0);
            } else if !has_loaded && grown != 0 {
                // The top is counted from the bottom, and the bottom moved away.
                scroller.set_scroll_top(scroller.scroll_top() - grown);
            }
        });
        before = Some(now);
    }));
}
