//! The input box.

use leptos::ev::{KeyboardEvent, SubmitEvent};
use leptos::html::Textarea;
use leptos::prelude::*;

use crate::effect::effect;
use crate::state::Composer;

/// What browsers report for keys that an input method swallows.
const KEY_CODE_COMPOSING: u32 = 229;

const NO_SCRIPT: &str = "<p class=\"no-script\">Without JavaScript this page can be read, \
    but not written to, and it does not update by itself.</p>";

/// The input box, bound both ways: each input is a draft, Enter sends, Shift+Enter breaks the line.
#[component]
pub fn ComposerForm(
    /// What stands in the box.
    composer: ReadSignal<Composer>,
    /// Whether the page is alive.
    ready: ReadSignal<bool>,
    /// The text changed.
    on_write: Callback<String>,
    /// The text is to be sent.
    on_publish: Callback<()>,
) -> impl IntoView {
    let field = NodeRef::<Textarea>::new();
    let is_shut = Signal::derive(move || !ready.get() || composer.with(Composer::is_read_only));
    let placeholder = Signal::derive(move || {
        if !ready.get() {
            return "One moment: the page is starting".to_owned();
        }
        composer.with(|composer| {
            let (wish, room) = if composer.is_read_only() {
                ("You may read, not write, in", composer.room())
            } else {
                ("Write to", composer.room())
            };
            format!("{wish} {room}")
        })
    });
    let text = Signal::derive(move || composer.with(|composer| composer.text().to_owned()));
    let alert = Memo::new(move |_| composer.with(|composer| composer.alert().map(str::to_owned)));
    let go_on = move || {
        if let Some(field) = field.try_get_untracked().flatten() {
            // Without focus there is nothing to go on with.
            let _ = field.focus();
        }
    };
    let publish = move || {
        on_publish.run(());
        go_on();
    };
    let returns = Memo::new(move |_| composer.with(Composer::returns));
    effect(Box::new(move || {
        if returns.get() > 0 {
            go_on();
        }
    }));
    view! {
        <form
            class="composer"
            autocomplete="off"
            on:submit=move |event: SubmitEvent| {
                event.prevent_default();
                publish();
            }
        >
            <noscript inner_html=NO_SCRIPT></noscript>
            {move || alert.get().map(|text| view! { <p class="alert" role="alert">{text}</p> })}
            <label class="visually-hidden" for="message">
                "Message"
            </label>
            <textarea
                id="message"
                node_ref=field
                rows="1"
                dir="auto"
                autocomplete="off"
                enterkeyhint="send"
                placeholder=placeholder
                disabled=is_shut
                prop:value=text
                on:input=move |event| on_write.run(event_target_value(&event))
                on:keydown=move |event: KeyboardEvent| {
                    if sends(&event) {
                        event.prevent_default();
                        publish();
                    }
                }
            ></textarea>
            <button type="submit" disabled=is_shut>
                "Send"
            </button>
        </form>
    }
}

/// Enter sends, but not the Enter that ends an input method's composition.
fn sends(event: &KeyboardEvent) -> bool {
    let composing = event.is_composing() || event.key_code() == KEY_CODE_COMPOSING;
    event.key() == "Enter" && !event.shift_key() && !composing
}
