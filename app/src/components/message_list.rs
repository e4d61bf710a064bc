//! The room's messages.

use everbeat_leptos::effect;
use leptos::html::Div;
use leptos::prelude::*;
use protocol::id::RoomName;
use view::{Page, PageKey, Row, Timeline};

use super::message_row::MessageRow;
use crate::hooks::ListActions;
use crate::words::{Word, Words, use_words};

/// The distance from the bottom, in pixels, that still counts as the bottom.
const BOTTOM_PX: i32 = 48;

/// The list of the room's messages. Its style reverses the column, so its scroll position is 0 at the
/// bottom: it starts there without a script, and does not move when older messages are put in
/// front.
#[component]
pub fn MessageList(
    /// The messages.
    timeline: ReadSignal<Timeline>,
    /// Whether older messages can be loaded now.
    is_live: Memo<bool>,
    /// The actions of the list.
    actions: ListActions,
) -> impl IntoView {
    let words = use_words();
    let scroller = NodeRef::<Div>::new();
    let height = StoredValue::new(None::<i32>);
    // Every change of the height begins with one of these two memos.
    let pages = Memo::new(move |_| {
        note_height(scroller, height);
        timeline.with(Timeline::pages)
    });
    let shows_older = Memo::new(move |_| {
        note_height(scroller, height);
        timeline.with(|list| list.has_older() && list.last_gap().is_none())
    });
    let rows = Signal::derive(move || pages.with(|pages| count(pages)).to_string());
    let at_bottom = RwSignal::new(true);
    let received = Memo::new(move |_| timeline.with(Timeline::received));
    let seen = RwSignal::new(0);
    let has_unseen = Memo::new(move |_| !at_bottom.get() && received.get() != seen.get());
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
        let is_at_bottom = scroller.scroll_top().abs() < BOTTOM_PX;
        if is_at_bottom != at_bottom.get_untracked() {
            seen.set(received.get_untracked());
            at_bottom.set(is_at_bottom);
            actions.follow.run(is_at_bottom);
        }
    };
    view! {
        // The number of rows, by which the page's script checks that all are shown.
        <div class="messages" data-rows=rows>
            <div class="scroller" node_ref=scroller tabindex="0" on:scroll=on_scroll>
                <div class="pages">
                    {move || {
                        shows_older
                            .get()
                            .then(|| view! { <OlderButton timeline is_live on_press=actions.older words /> })
                    }}
                    <div role="log" aria-label=words.text(Word::Messages) aria-live="polite">
                        <For
                            each=move || pages.with(|pages| keys(pages))
                            key=PageKey::clone
                            let:page
                        >
                            <PageOfMessages pages page timeline is_live actions words />
                        </For>
                    </div>
                </div>
            </div>
            {move || {
                has_unseen
                    .get()
                    .then(|| {
                        view! {
                            <button type="button" class="unseen" on:click=to_bottom>
                                {words.text(Word::NewMessages)}
                            </button>
                        }
                    })
            }}
        </div>
    }
}

fn keys(pages: &[Page]) -> Vec<PageKey> {
    pages.iter().map(|page| page.key).collect()
}

fn count(pages: &[Page]) -> usize {
    pages.iter().map(|page| page.rows.len()).sum()
}

/// Rows that were added together: a list of their own, whose layout the browser can skip while it is far
/// from the screen.
#[component]
fn PageOfMessages(
    /// All pages.
    pages: Memo<Vec<Page>>,
    /// The key of this one.
    page: PageKey,
    /// The messages.
    timeline: ReadSignal<Timeline>,
    /// Whether older messages can be loaded now.
    is_live: Memo<bool>,
    /// The actions of the list.
    actions: ListActions,
    /// The page's words.
    words: Words,
) -> impl IntoView {
    let rows = Memo::new(move |_| pages.with(|pages| rows(pages, page)));
    view! {
        <ol role="list">
            <For each=move || rows.get() key=Row::key let:row>
                <MessageRow row timeline is_live actions words />
            </For>
        </ol>
    }
}

/// The rows of a page of the list; none if it was removed.
fn rows(pages: &[Page], key: PageKey) -> Vec<Row> {
    let page = pages.iter().find(|page| page.key == key);
    page.map_or_else(Vec::new, |page| page.rows.clone())
}

/// The button that loads older messages.
#[component]
pub fn OlderButton(
    /// The messages.
    timeline: ReadSignal<Timeline>,
    /// Whether they can be loaded now.
    is_live: Memo<bool>,
    /// Load them.
    on_press: Callback<()>,
    /// The page's words.
    words: Words,
) -> impl IntoView {
    let is_disabled = Signal::derive(move || timeline.with(Timeline::is_loading) || !is_live.get());
    view! {
        <button
            type="button"
            class="older quiet"
            disabled=is_disabled
            on:click=move |_| on_press.run(())
        >
            {words.text(Word::OlderMessages)}
        </button>
    }
}

/// Notes the list's height before rows change, for [`keep_in_view`]. An older height would be wrong: rows
/// that were not on the screen yet have an estimated one.
fn note_height(scroller: NodeRef<Div>, height: StoredValue<Option<i32>>) {
    if let Some(scroller) = scroller.try_get_untracked().flatten() {
        height.update_value(|height| {
            height.get_or_insert_with(|| scroller.scroll_height());
        });
    }
}

/// Keeps a user at the bottom there, scrolls there when the user sends a message, and else holds the view
/// where it is. Some browsers do the last (scroll anchoring), but wrongly where older messages
/// are put in front of a reversed column; so the style turns it off.
fn keep_in_view(
    timeline: ReadSignal<Timeline>,
    scroller: NodeRef<Div>,
    height: StoredValue<Option<i32>>,
    at_bottom: RwSignal<bool>,
) {
    let mut before = None::<(RoomName, u32, u32)>;
    effect(Box::new(move || {
        let now = timeline.with(|list| (list.room().clone(), list.queued(), list.loads()));
        let (room, queued, loads) = before.as_ref().unwrap_or(&now);
        let has_sent = *queued != now.1 || *room != now.0;
        let has_loaded = *loads != now.2;
        // At the next frame the rows exist, but are not yet painted.
        request_animation_frame(move || {
            let Some(scroller) = scroller.try_get_untracked().flatten() else {
                return;
            };
            let now = scroller.scroll_height();
            let noted = height.try_update_value(Option::take).flatten();
            let grown = noted.map_or(0, |noted| now - noted);
            if has_sent || at_bottom.try_get_untracked() == Some(true) {
                scroller.set_scroll_top(0);
            } else if !has_loaded && grown != 0 {
                // `scrollTop` counts from the bottom, and the bottom moved down.
                scroller.set_scroll_top(scroller.scroll_top() - grown);
            }
        });
        before = Some(now);
    }));
}
