//! Figures without the feature `metrics`: totals are counted, and nothing is distinguished.

use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A count.
#[derive(Clone, Debug, Default)]
pub(super) struct Counter(Arc<AtomicU64>);

impl Counter {
    pub(super) fn inc(&self) {
        self.inc_by(1);
    }

    pub(super) fn inc_by(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counts for each value of a label: all of them one.
#[derive(Debug)]
pub(super) struct Family<L, M>(M, PhantomData<fn(L)>);

impl<L, M: Default> Default for Family<L, M> {
    fn default() -> Self {
        Self(M::default(), PhantomData)
    }
}

impl<L, M: Clone> Family<L, M> {
    pub(super) fn get_or_create(&self, _: &L) -> &M {
        &self.0
    }

    pub(super) fn get_or_create_owned(&self, _: &L) -> M {
        self.0.clone()
    }
}
