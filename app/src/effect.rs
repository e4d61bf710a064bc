//! Effects of which the page has many.

use leptos::prelude::Effect;

/// An effect: `run` runs after hydration, never on the server, and again when what it has read
/// changes. Its type is gone in the box, so that the machinery around it is the same code for all.
pub(crate) fn effect(mut run: Box<dyn FnMut()>) {
    Effect::new(move |_| run());
}
