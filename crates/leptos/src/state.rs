//! Signals that the app reads and only this crate writes.

use leptos::prelude::*;

/// One part of the state.
pub(crate) struct State<T: 'static> {
    pub(crate) read: ReadSignal<T>,
    write: WriteSignal<T>,
}

/// Once its owner is dropped, a state can neither be read nor written.
impl<T: Send + Sync + 'static> State<T> {
    pub(crate) fn new(value: T) -> Self {
        let (read, write) = signal(value);
        Self { read, write }
    }

    /// Notifies only if `change` says that something changed.
    pub(crate) fn maybe_update(&self, change: impl FnOnce(&mut T) -> bool) {
        self.write.try_maybe_update(|value| (change(value), ()));
    }

    pub(crate) fn update(&self, change: impl FnOnce(&mut T)) {
        self.write.try_update(change);
    }

    pub(crate) fn with<U>(&self, look: impl FnOnce(&T) -> U) -> Option<U> {
        self.read.try_with_untracked(look)
    }
}

// Derived ones would require `T: Clone` and `T: Copy`.
impl<T> Clone for State<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for State<T> {}
