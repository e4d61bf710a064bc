//! The room's messages.

use everbeat_leptos::effect;
use leptos::html::Div;
use leptos::prelude::*;
use protocol::id::RoomName;
use view::{Item, Page, PageKey, Timeline};

use super::message_row::ListItem;
use crate::focus::hold_focus;
use crate::hooks::ListHandle;
use crate::markup::html;
use crate::words::{self, Word};

/// The distance from the bottom, in pixels, that still counts as the bottom.
const BOTTOM_PX: i32 = 48;

/// The list of the room's messages. Its style reverses the column, so its scroll position is 0 at the
/// bottom: it starts there without a script, and does not move when older messages are put in
/// front.
#[component]
pub fn MessageList(
    /// The messages.
    list: ListHandle,
) -> impl IntoView {
    let ListHandle {
        timeline, words, ..
    } = list;
    let scroller = NodeRef::<Div>::new();
    let whole = NodeRef::<Div>::new();
    let height = StoredValue::new(None::<i32>);
    // Every change of the height begins with one of these two memos.
    let pages = Memo::new(move |_| {
        note_height(scroller, height);
        hold_focus(whole, scroller);
        let clock = list.clock;
        timeline
            .with(|timeline| timeline.pages((clock.now_ms)().unwrap_or_default(), &clock.day_of))
    });
    let shows_older = Memo::new(move |_| {
        note_height(scroller, height);
        hold_focus(whole, scroller);
        timeline.with(|list| list.has_older() && list.last_gap().is_none())
    });
    let rows = Signal::derive(move || pages.with(|pages| count(pages)).to_string());
    let is_busy = RwSignal::new(false);
    let at_bottom = RwSignal::new(true);
    effect(Box::new(move || {
        list.attend.run(at_bottom.get() && list.is_visible.get());
    }));
    keep_in_view(timeline, scroller, height, at_bottom, is_busy);
    let on_scroll = move |_| {
        let Some(element) = scroller.try_get_untracked().flatten() else {
            return;
        };
        let is_at_bottom = element.scroll_top().abs() < BOTTOM_PX;
        if is_at_bottom != at_bottom.get_untracked() {
            hold_focus(whole, scroller);
            at_bottom.set(is_at_bottom);
            list.follow.run(is_at_bottom);
        }
    };
    view! {
        // The number of rows, by which the page's script checks that all are shown.
        <div class="messages" data-rows=rows node_ref=whole>
            <div class="scroller" node_ref=scroller tabindex="0" on:scroll=on_scroll>
                <div class="pages">
                    {move || shows_older.get().then(|| view! { <OlderButton list /> })}
                    <div
                        role="log"
                        aria-label=words.text(Word::Messages)
                        aria-live="polite"
                        aria-busy=move || is_busy.get().to_string()
                    >
                        <For
                            each=move || pages.with(|pages| keys(pages))
                            key=PageKey::clone
                            let:page
                        >
                            <PageOfMessages pages page list />
                        </For>
                    </div>
                </div>
            </div>
            <UnseenButton list scroller at_bottom />
        </div>
    }
}

/// The number of messages below what is shown, and the way there.
#[component]
fn UnseenButton(
    /// The whole list.
    list: ListHandle,
    /// The element that scrolls.
    scroller: NodeRef<Div>,
    /// Whether it shows the newest message.
    at_bottom: RwSignal<bool>,
) -> impl IntoView {
    let ListHandle {
        timeline, words, ..
    } = list;
    let unread = Memo::new(move |_| timeline.with(Timeline::unread));
    let has_unread = Memo::new(move |_| !at_bottom.get() && unread.get() > 0);
    let to_bottom = move |_| {
        if let Some(scroller) = scroller.try_get_untracked().flatten() {
            scroller.set_scroll_top(0);
        }
    };
    move || {
        has_unread.get().then(|| {
            let text = move || html(&words::new_messages(unread.get(), words));
            view! {
                <button type="button" class="unseen" on:click=to_bottom inner_html=text></button>
            }
        })
    }
}

fn keys(pages: &[Page]) -> Vec<PageKey> {
    pages.iter().map(|page| page.key).collect()
}

fn count(pages: &[Page]) -> usize {
    let items = pages.iter().flat_map(|page| &page.items);
    items.filter(|item| item.row().is_some()).count()
}

/// Rows that were added together: a list of their own, whose layout the browser can skip while it is far
/// from the screen.
#[component]
fn PageOfMessages(
    /// All pages.
    pages: Memo<Vec<Page>>,
    /// The key of this one.
    page: PageKey,
    /// The whole list.
    list: ListHandle,
) -> impl IntoView {
    let items = Memo::new(move |_| pages.with(|pages| items(pages, page)));
    view! {
        <ol role="list">
            <For each=move || items.get() key=Item::key let:item>
                <ListItem item items list />
            </For>
        </ol>
    }
}

/// The items of a page of the list; none if it was removed.
fn items(pages: &[Page], key: PageKey) -> Vec<Item> {
    let page = pages.iter().find(|page| page.key == key);
    page.map_or_else(Vec::new, |page| page.items.clone())
}

/// The button that loads older messages. It is not disabled while they come: a disabled button would lose the focus.
#[component]
pub fn OlderButton(
    /// The list.
    list: ListHandle,
) -> impl IntoView {
    let waits = move || list.timeline.with(Timeline::is_loading) || !list.is_live.get();
    view! {
        <button
            type="button"
            class="older quiet"
            aria-disabled=move || waits().to_string()
            on:click=move |_| {
                if list.is_live.get_untracked() {
                    list.older.run(())
                }
            }
        >
            {list.words.text(Word::OlderMessages)}
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
///
/// Sets `is_busy` until older messages are there: screen readers do not announce them.
fn keep_in_view(
    timeline: ReadSignal<Timeline>,
    scroller: NodeRef<Div>,
    height: StoredValue<Option<i32>>,
    at_bottom: RwSignal<bool>,
    is_busy: RwSignal<bool>,
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
            let is_loading = timeline.try_with_untracked(Timeline::is_loading);
            if is_loading != is_busy.try_get_untracked() {
                is_busy.try_set(is_loading == Some(true));
            }
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
