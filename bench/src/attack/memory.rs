//! The server's memory, sampled.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// The interval of the samples.
const EVERY: Duration = Duration::from_millis(50);

/// The memory that a process has in RAM (`VmRSS` of proc(5)), in bytes.
///
/// # Errors
/// If the process has ended.
pub(super) fn resident(pid: u32) -> anyhow::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kb = line.context("no VmRSS: the process has ended")?;
    let kb: u64 = kb.trim().trim_end_matches(" kB").parse()?;
    Ok(kb * 1024)
}

/// A running measurement of a process's largest size.
pub(super) struct Watch {
    stop: watch::Sender<bool>,
    watching: JoinHandle<u64>,
}

impl Watch {
    /// Begins to sample.
    pub(super) fn start(pid: u32) -> Self {
        let (stop, stopped) = watch::channel(false);
        let watching = tokio::spawn(async move {
            let mut peak = 0;
            while !*stopped.borrow() {
                peak = peak.max(resident(pid).unwrap_or_default());
                sleep(EVERY).await;
            }
            peak
        });
        Self { stop, watching }
    }

    /// Ends it; returns the largest size, in bytes.
    pub(super) async fn end(self) -> u64 {
        self.stop.send_replace(true);
        self.watching.await.unwrap_or_default()
    }
}

/// The memory of a process once it has given enough back, or at the deadline.
pub(super) struct GivenBack {
    /// In bytes.
    pub(super) bytes: u64,
    /// How long that took.
    pub(super) took: Duration,
}

/// Waits until a process has at most `bytes`, for `patience` at most.
pub(super) async fn falls(pid: u32, bytes: u64, patience: Duration) -> GivenBack {
    let begun = Instant::now();
    loop {
        let now = resident(pid).unwrap_or_default();
        let took = begun.elapsed();
        if now <= bytes || took >= patience {
            return GivenBack { bytes: now, took };
        }
        sleep(EVERY).await;
    }
}
