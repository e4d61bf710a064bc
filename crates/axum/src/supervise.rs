//! Supervision of the server's tasks: a task that panics is restarted.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::sleep;

/// The pause before a restart. A task that panics again and again must not fill the journal.
const AGAIN: Duration = Duration::from_secs(1);

/// Runs a task to its end. A panic is logged as an error, and the task is restarted: that is better
/// for the connected clients than an end of the server, which would cost each of them its
/// connection.
pub async fn supervised<F: Future<Output = ()>>(task: &'static str, mut begin: impl FnMut() -> F) {
    loop {
        let run = AssertUnwindSafe(async { begin().await }).catch_unwind();
        let Err(panic) = run.await else { return };
        let panic = reason(panic.as_ref());
        tracing::error!(
            task,
            panic,
            "a task of the server panicked: this is a bug; it begins anew"
        );
        sleep(AGAIN).await;
    }
}

/// The message of a panic.
pub fn reason(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("it does not say why")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A task that panics is restarted until it ends by itself.
    #[tokio::test(start_paused = true)]
    async fn a_task_that_panics_is_begun_anew() {
        let mut begun = 0;
        supervised("test", || {
            begun += 1;
            let run = begun;
            async move {
                tokio::task::yield_now().await;
                assert!(run >= 3, "run {run} panics for a test");
            }
        })
        .await;
        assert_eq!(begun, 3);
    }
}
