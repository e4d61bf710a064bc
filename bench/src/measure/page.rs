//! A workload: the page's weight and speed in a browser, measured by `end2end/bench`.

use std::path::Path;
use std::process::Stdio;

use anyhow::Context;
use serde::Deserialize;
use tokio::process::Command;

use super::results::{Column, Order};
use super::{About, Subject, Traffic};
use crate::peer::{Peer, Programs};

/// The description of the workload.
pub const ABOUT: About = About {
    text: "Chromium opens the page of a release build. Its bytes are those of a first visit; its first key takes effect \
           when the page has sent what was typed, on a CPU made 4 times slower, 15 first visits with an empty cache. \
           Then 250 keys are typed at a person's pace, and a second browser paints them. Last, a reader loads older \
           messages until the page holds as many as it may (5,000), and scrolls through them.",
    columns: &[
        Column::new(
            "wasm, JS, CSS and fonts with brotli, kB",
            1,
            Order::LessIsBetter,
        ),
        Column::new("of that wasm, kB", 1, Order::LessIsBetter),
        Column::new("first key takes effect p50, ms", 0, Order::LessIsBetter),
        Column::new(
            "first key takes effect, slowest, ms",
            0,
            Order::LessIsBetter,
        ),
        Column::new("tasks over 50 ms in a long room", 0, Order::LessIsBetter),
        Column::new("longest of them, ms", 0, Order::LessIsBetter),
        Column::new("key to paint p50, ms", 1, Order::LessIsBetter),
        Column::new("key to paint p95, ms", 1, Order::LessIsBetter),
        Column::new("key to paint p99, ms", 1, Order::LessIsBetter),
    ],
    cast: &[(Peer::Everbeat, Traffic::Messages)],
    growing: &[],
    unit: "messages in the long room",
    main: 10_000,
    others: &[],
    seconds: 0,
};

/// The JSON that `npm run bench` prints.
#[derive(Debug, Deserialize)]
struct Measured {
    bytes: Bytes,
    interactive_ms: Interactive,
    scroll: Scroll,
    typing_ms: Typing,
}

#[derive(Debug, Deserialize)]
struct Bytes {
    wasm: f64,
    total: f64,
}

#[derive(Debug, Deserialize)]
struct Interactive {
    p50: f64,
    max: f64,
}

#[derive(Debug, Deserialize)]
struct Scroll {
    long_tasks_over_50ms: f64,
    longest_ms: f64,
}

#[derive(Debug, Deserialize)]
struct Typing {
    p50: f64,
    p95: f64,
    p99: f64,
}

impl Measured {
    /// The figures in the order of the columns.
    fn figures(&self) -> Vec<f64> {
        vec![
            self.bytes.total / 1000.0,
            self.bytes.wasm / 1000.0,
            self.interactive_ms.p50,
            self.interactive_ms.max,
            self.scroll.long_tasks_over_50ms,
            self.scroll.longest_ms,
            self.typing_ms.p50,
            self.typing_ms.p95,
            self.typing_ms.p99,
        ]
    }
}

pub(super) async fn run(subject: Subject, programs: &Programs) -> anyhow::Result<Vec<f64>> {
    let server = std::path::absolute(&programs.server)?;
    let target = server.ancestors().nth(2).context("no build directory")?;
    let text = measure(&programs.end2end, target, subject.size).await?;
    let measured: Measured = serde_json::from_str(&text)
        .with_context(|| format!("npm run bench printed something else: {text}"))?;
    Ok(measured.figures())
}

/// Runs the measurement; returns its output. Its errors go to this program's stderr.
async fn measure(end2end: &Path, target: &Path, messages: usize) -> anyhow::Result<String> {
    let output = Command::new("npm")
        .args(["run", "--silent", "bench"])
        .current_dir(end2end)
        .env("END2END_TARGET", target)
        .env("MESSAGES", messages.to_string())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .output()
        .await
        .context("npm does not start")?;
    anyhow::ensure!(output.status.success(), "npm run bench: {}", output.status);
    Ok(String::from_utf8(output.stdout)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_has_a_figure() {
        let text = r#"{
            "bytes": { "wasm": 187906, "js": 5690, "css": 2783, "fonts": 0, "total": 196379 },
            "interactive_ms": { "p50": 818.1, "max": 870.1, "loads": 15 },
            "scroll": { "messages": 10000, "shown": 5000, "long_tasks_over_50ms": 0, "longest_ms": 0 },
            "typing_ms": { "p50": 6.9, "p95": 17.5, "p99": 26.6, "keys": 250 }
        }"#;
        let figures = serde_json::from_str::<Measured>(text).unwrap().figures();
        assert_eq!(figures.len(), ABOUT.columns.len());
        assert_eq!(figures[..3], [196.379, 187.906, 818.1]);
    }
}
