//! How the person wants to be called.

use leptos::prelude::*;
use leptos_use::use_debounce_fn_with_arg;
use protocol::id::Name;

use crate::hooks::NameHandle;

/// How long the person must pause before a half-typed name goes out, in milliseconds.
const PAUSE_MS: f64 = 600.0;

/// The person's name: taken after a pause in typing, or at once when the field is left.
#[component]
pub fn NameField(
    /// The name.
    handle: NameHandle,
    /// Whether the page is alive.
    ready: ReadSignal<bool>,
) -> impl IntoView {
    let NameHandle {
        name,
        is_vouched,
        rename,
    } = handle;
    let rename_soon = use_debounce_fn_with_arg(move |text: String| rename.run(text), PAUSE_MS);
    let is_shut = Signal::derive(move || !ready.get() || is_vouched.get());
    view! {
        <div class="field">
            <label for="name">"Your name"</label>
            <input
                id="name"
                type="text"
                dir="auto"
                autocomplete="nickname"
                maxlength=Name::CHARS_MAX.to_string()
                placeholder="guest"
                disabled=is_shut
                prop:value=name
                on:input=move |event| {
                    rename_soon(event_target_value(&event));
                }
                on:change=move |event| rename.run(event_target_value(&event))
            />
        </div>
    }
}
