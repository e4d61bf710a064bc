//! The reader's clock and calendar: the browser's own.

use app::{Clock, Day, LATEST_MS};
use wasm_bindgen::prelude::wasm_bindgen;

/// The browser's clock and calendar.
pub(crate) const CLOCK: Clock = Clock {
    now_ms: || Some(now() as u64),
    day_of: |at_ms| {
        // `as` makes 0 of what is before 1970.
        let begin = |days| begin(number(at_ms), days) as u64;
        Day {
            from_ms: begin(0),
            until_ms: begin(1),
        }
    },
    text: |at_ms, form| text(number(at_ms), form as u32),
};

fn number(at_ms: u64) -> f64 {
    // Below 2^53, up to which a double holds every whole number.
    at_ms.min(LATEST_MS) as f64
}

#[wasm_bindgen(js_namespace = Date)]
extern "C" {
    fn now() -> f64;
}

/// What the page's script (`app/src/boot.js`) makes of the browser's calendar.
#[wasm_bindgen(js_namespace = everbeatCalendar)]
extern "C" {
    /// When the day begins that is so many days after that of a moment.
    fn begin(at_ms: f64, days: u32) -> f64;
    /// A moment as text, by the place of its `Form`.
    fn text(at_ms: f64, form: u32) -> String;
}
