//! The page's effects, with one type for all.

use leptos::prelude::Effect;

/// An effect: `run` runs in the browser, never on the server, and again when a signal that it has read
/// changes. The box erases its type, so that the program has leptos's code for effects only once.
pub(crate) fn effect(mut run: Box<dyn FnMut()>) {
    Effect::new(move |_| run());
}
