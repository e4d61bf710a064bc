//! The input box.

use everbeat_leptos::effect;
use leptos::ev::{Event, InputEvent, KeyboardEvent, SubmitEvent};
use leptos::html::Textarea;
use leptos::prelude::*;
use leptos::wasm_bindgen::JsCast;
use view::{Composer, Trouble};

use crate::hooks::FormHandle;
use crate::markup::html;
use crate::place::PlainForm;
use crate::words::{self, Word, Words, use_words};

/// The `keyCode` of a key that an input method handles.
const KEY_CODE_COMPOSING: u32 = 229;

/// The input box: each input is a draft, Enter sends, Shift+Enter breaks the line. Before the program runs,
/// and where it cannot run, it is a form that any browser sends.
#[component]
pub fn ComposerForm(
    /// The box's content.
    composer: ReadSignal<Composer>,
    /// The plain form, for a browser that sends the text itself.
    form: FormHandle,
    /// The text changed; and whether an input method goes on composing it.
    on_write: Callback<(String, bool)>,
    /// The text is to be sent.
    on_publish: Callback<()>,
) -> impl IntoView {
    let words = use_words();
    let field = NodeRef::<Textarea>::new();
    let is_ended = Signal::derive(move || composer.with(Composer::is_ended));
    let is_inert = Signal::derive(move || is_ended.get() || composer.with(Composer::is_read_only));
    let ended = Signal::derive(move || {
        let text = is_ended
            .get()
            .then(|| words::trouble(Trouble::Ended, words));
        html(&text.unwrap_or_default())
    });
    let alert = Memo::new(move |_| {
        composer.with(|composer| {
            composer
                .alert()
                .map(|alert| html(&words::alert(alert, words)))
        })
    });
    let go_on = move || {
        if let Some(field) = field.try_get_untracked().flatten() {
            // A failed focus changes nothing else.
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
            id=FormHandle::ID
            class="composer"
            method="post"
            action=form.action
            autocomplete="off"
            on:submit=move |event: SubmitEvent| {
                event.prevent_default();
                publish();
            }
        >
            {form.plain.map(plain_fields)}
            {move || {
                alert
                    .get()
                    .map(|alert| view! { <p class="alert" role="alert" inner_html=alert></p> })
            }}
            <p id="ended" class="ended" inner_html=ended></p>
            <label class="visually-hidden" for="message">
                {words.text(Word::Message)}
            </label>
            <TextBox composer field on_write publish=Callback::new(move |()| publish()) />
            <button type="submit" disabled=is_inert>
                {words.text(Word::Send)}
            </button>
        </form>
    }
}

/// The element in which the text is written.
#[component]
fn TextBox(
    /// Its content.
    composer: ReadSignal<Composer>,
    /// The element.
    field: NodeRef<Textarea>,
    /// The text changed; and whether an input method goes on composing it.
    on_write: Callback<(String, bool)>,
    /// The text is to be sent.
    publish: Callback<()>,
) -> impl IntoView {
    let words = use_words();
    let is_shut = Signal::derive(move || composer.with(Composer::is_read_only));
    let is_ended = Signal::derive(move || composer.with(Composer::is_ended));
    let placeholder =
        Signal::derive(move || composer.with(|composer| placeholder(composer, words)));
    let text = Signal::derive(move || composer.with(|composer| composer.text().to_owned()));
    view! {
        <textarea
            id="message"
            name="body"
            node_ref=field
            rows="1"
            dir="auto"
            autocomplete="off"
            enterkeyhint="send"
            placeholder=placeholder
            disabled=is_shut
            readonly=is_ended
            aria-describedby="ended"
            prop:value=text
            on:input=move |event| on_write.run((event_target_value(&event), composes(&event)))
            // Its last `input` may come before it, and counts as one of the composition then.
            on:compositionend=move |event| on_write.run((event_target_value(&event), false))
            on:keydown=move |event: KeyboardEvent| {
                if sends(&event) {
                    event.prevent_default();
                    publish.run(());
                }
            }
        ></textarea>
    }
}

/// The fields of the plain form beside the text.
fn plain_fields(PlainForm { key, no_script, .. }: PlainForm) -> impl IntoView {
    let key = key.to_string();
    view! {
        <noscript inner_html=no_script.to_string()></noscript>
        <input type="hidden" name="key" value=key />
    }
}

fn placeholder(composer: &Composer, words: Words) -> String {
    let word = if composer.is_read_only() {
        Word::ReadOnly
    } else {
        Word::WriteTo
    };
    words.fill(word, &[("room", composer.room().as_str())])
}

/// Whether an input method composes the text: more of it is to come, or another text in its place.
fn composes(event: &Event) -> bool {
    // The script within the page makes events of another kind.
    let event = event.dyn_ref::<InputEvent>();
    event.is_some_and(InputEvent::is_composing)
}

/// Enter sends, but not the Enter that ends an input method's composition.
fn sends(event: &KeyboardEvent) -> bool {
    let composing = event.is_composing() || event.key_code() == KEY_CODE_COMPOSING;
    event.key() == "Enter" && !event.shift_key() && !composing
}
