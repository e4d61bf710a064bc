//! Spans, for traces.

/// Under which target spans are made. They are of the level of traces, so that a journal that shows less knows
/// nothing of them, and without a subscriber for this target none is made.
pub const SPANS: &str = "everbeat::spans";
