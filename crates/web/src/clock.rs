//! The browser's clock and its timers.

use std::time::Duration;

use futures_channel::oneshot;
use protocol::time::Timestamp;
use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;
use web_sys::{Performance, Window};

/// Monotonic time since the page began to load (PU-1, HB-9); where the browser has no such clock, the
/// time of day, which the machines never take back.
#[derive(Clone, Debug)]
pub struct Clock(Option<Performance>);

impl Clock {
    /// The window's clock.
    pub fn of(window: &Window) -> Self {
        Self(window.performance())
    }

    /// The time now. Browsers never turn it back, and may round it.
    pub fn now(&self) -> Timestamp {
        let now_ms = self
            .0
            .as_ref()
            .map_or_else(js_sys::Date::now, Performance::now);
        let elapsed = Duration::try_from_secs_f64(now_ms / 1000.0);
        Timestamp::from_origin(elapsed.unwrap_or_default())
    }
}

/// Unix time in milliseconds, as far as the browser knows it: only for what lasts days, or is compared between
/// pages.
pub fn unix_ms() -> u64 {
    js_sys::Date::now() as u64
}

/// A timer that rings once, unless it is dropped before.
#[derive(Debug)]
pub struct Timer {
    window: Window,
    handle: i32,
    _ring: Closure<dyn FnMut()>,
}

impl Timer {
    /// The longest time that a browser can wait: it counts milliseconds in 31 bits, and takes
    /// anything longer for zero.
    pub const LONGEST: Duration = Duration::from_millis(i32::MAX as u64);

    /// Calls `ring` after this long, at most [`Timer::LONGEST`]. `None` if the window is closed.
    ///
    /// A hidden or sleeping page's timers ring late; the caller has to ask the clock.
    pub fn after(window: &Window, delay: Duration, ring: impl FnOnce() + 'static) -> Option<Self> {
        let ring = Closure::once(ring);
        let handle = window
            .set_timeout_with_callback_and_timeout_and_arguments_0(
                ring.as_ref().unchecked_ref(),
                whole_millis(delay),
            )
            .ok()?;
        Some(Self {
            window: window.clone(),
            handle,
            _ring: ring,
        })
    }

    /// Waits this long.
    pub async fn sleep(window: &Window, delay: Duration) {
        let (ring, rung) = oneshot::channel();
        let timer = Self::after(window, delay, move || {
            // Fails if the wait was cancelled.
            let _ = ring.send(());
        });
        // Ends at once if there is no timer, which dropped `ring`.
        let _ = rung.await;
        drop(timer);
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.window.clear_timeout_with_handle(self.handle);
    }
}

/// Rounded up: a timer that rings just before its time would have to be set twice.
fn whole_millis(delay: Duration) -> i32 {
    let delay = delay.min(Timer::LONGEST);
    let begun = u64::from(delay.subsec_nanos().div_ceil(1_000_000));
    i32::try_from(delay.as_secs() * 1000 + begun).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_are_rounded_up_and_clamped() {
        fn check(delay: Duration, expected: i32) {
            assert_eq!(whole_millis(delay), expected);
        }
        check(Duration::ZERO, 0);
        check(Duration::from_micros(1), 1);
        check(Duration::from_millis(250), 250);
        check(Duration::from_micros(250_001), 251);
        check(Timer::LONGEST, i32::MAX);
        check(Duration::MAX, i32::MAX);
    }
}
