//! Runs of seeds, and their results.

use std::cell::RefCell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

use crate::run::{Run, Summary};

/// A run in which a check failed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Its seed: it fails again, in exactly the same way.
    pub seed: u64,
    /// The check that failed, and its place.
    pub message: String,
    /// What happened up to then.
    pub trace: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {}: {}", self.seed, self.message)
    }
}

/// The seeds that once failed.
pub fn known() -> Vec<u64> {
    let lines = include_str!("../seeds.txt").lines();
    let seeds = lines.filter_map(|line| line.split_whitespace().next());
    seeds.filter_map(|seed| seed.parse().ok()).collect()
}

/// Runs a seed.
///
/// # Errors
/// [`Failure`] if a check failed.
pub fn attempt(seed: u64) -> Result<Summary, Box<Failure>> {
    silence_panics();
    let mut run = Run::new(seed);
    CAUGHT.with_borrow_mut(|caught| *caught = Some(String::new()));
    let result = catch_unwind(AssertUnwindSafe(|| run.run()));
    let message = CAUGHT.with_borrow_mut(Option::take);
    result.map_err(|_| {
        Box::new(Failure {
            seed,
            message: message.unwrap_or_default(),
            trace: run.trace(),
        })
    })
}

/// The trace of a seed, whether it fails or not.
pub fn trace(seed: u64) -> String {
    match attempt(seed) {
        Err(failure) => failure.trace,
        Ok(_) => {
            let mut run = Run::new(seed);
            run.run();
            run.trace()
        }
    }
}

thread_local! {
    /// The message of a panic in this thread's attempt; `None` while it attempts nothing.
    static CAUGHT: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Silences panics: a failed check is part of an attempt's result.
fn silence_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let print = take_hook();
        set_hook(Box::new(move |info| {
            let is_caught = CAUGHT.with_borrow_mut(|caught| {
                caught
                    .as_mut()
                    .map(|text| *text = info.to_string())
                    .is_some()
            });
            if !is_caught {
                print(info);
            }
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// PU-1, PU-2: a seed determines everything.
    #[test]
    fn a_seed_runs_again_exactly() {
        for seed in [3, 10, 43, 77] {
            assert_eq!(trace(seed), trace(seed));
        }
    }

    #[test]
    fn seeds_differ() {
        assert_ne!(trace(1), trace(2));
    }
}
