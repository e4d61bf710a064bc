//! The memory and CPU time of a process, from the kernel.

use std::fs;
use std::time::Duration;

use anyhow::Context;

/// The memory of a process now, and its CPU time so far.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// Its share of the memory that it has in RAM (PSS), in bytes.
    pub pss_bytes: u64,
    /// The time that all of its threads spent on a CPU, in the kernel too. Exact but for rounding to
    /// 10 ms: Linux scales the two figures to the sum that the scheduler counted.
    pub cpu: Duration,
}

impl Usage {
    /// Adds up the usage of processes.
    ///
    /// # Errors
    /// As [`Usage::of`].
    pub fn of_all(pids: &[u32]) -> anyhow::Result<Self> {
        let mut all = Self {
            pss_bytes: 0,
            cpu: Duration::ZERO,
        };
        for &pid in pids {
            let one = Self::of(pid)?;
            all.pss_bytes += one.pss_bytes;
            all.cpu += one.cpu;
        }
        Ok(all)
    }

    /// Reads the usage of a process.
    ///
    /// # Errors
    /// If it has ended, or may not be read.
    pub fn of(pid: u32) -> anyhow::Result<Self> {
        let smaps = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        let pss = smaps
            .lines()
            .find_map(|line| line.strip_prefix("Pss:"))
            .context("no Pss")?;
        let kb: u64 = pss.trim().trim_end_matches(" kB").parse()?;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // Fields 14 and 15 of proc(5), counted after the name in brackets, in ticks of 10 ms.
        let fields = stat.rsplit(')').next().context("no stat")?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let ticks = |index: usize| -> anyhow::Result<u64> {
            Ok(fields.get(index).context("short stat")?.parse()?)
        };
        Ok(Self {
            pss_bytes: kb * 1024,
            cpu: Duration::from_millis((ticks(11)? + ticks(12)?) * 10),
        })
    }
}
