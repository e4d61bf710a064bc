//! Runs seeds: first those that once failed, then as many new ones as asked for.

#![expect(clippy::print_stdout, reason = "a report is printed")]

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;

use clap::Parser;
use simulation::run::Summary;
use simulation::seeds::{self, Failure};

/// Everbeat's machines under faults, on a virtual clock
#[derive(Parser)]
struct Options {
    /// How many new seeds to run
    #[arg(long, default_value_t = 2_000)]
    seeds: u64,
    /// The first of them
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Run this seed alone, and print everything that happened
    #[arg(long)]
    seed: Option<u64>,
    /// How many lines of a failed run to print
    #[arg(long, default_value_t = 120)]
    lines: usize,
}

fn main() -> ExitCode {
    let options = Options::parse();
    if let Some(seed) = options.seed {
        println!("{}", seeds::trace(seed));
        return report(seeds::attempt(seed).err().as_deref(), 0);
    }
    let from = options.from;
    let known = seeds::known();
    let all: Vec<u64> = known
        .iter()
        .copied()
        .chain(from..from + options.seeds)
        .collect();
    println!(
        "{} seeds that once failed, then {from} to {}",
        known.len(),
        from + options.seeds
    );
    let (total, failure) = run_all(&all);
    println!("{total}");
    report(failure.as_deref(), options.lines)
}

/// The sum of all runs.
#[derive(Default)]
struct Total {
    runs: u64,
    seconds: f64,
    sum: Summary,
}

/// Runs them on all cores, up to the first failure.
fn run_all(all: &[u64]) -> (Total, Option<Box<Failure>>) {
    let next = AtomicUsize::new(0);
    let failed: Mutex<Option<Box<Failure>>> = Mutex::new(None);
    let runs = AtomicU64::new(0);
    let sum = Mutex::new(Summary::default());
    #[expect(clippy::disallowed_methods, reason = "how fast it is is measured")]
    let begin = std::time::Instant::now();
    let work = || {
        let mut mine = Summary::default();
        while let Some(seed) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
            match seeds::attempt(*seed) {
                Ok(summary) => mine.add(&summary),
                Err(failure) => {
                    // The others stop at their next look.
                    next.store(all.len(), Ordering::Relaxed);
                    if let Ok(mut failed) = failed.lock() {
                        failed.get_or_insert(failure);
                    }
                }
            }
            runs.fetch_add(1, Ordering::Relaxed);
        }
        if let Ok(mut sum) = sum.lock() {
            sum.add(&mine);
        }
    };
    thread::scope(|scope| {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        for _ in 0..cores {
            scope.spawn(work);
        }
    });
    let total = Total {
        runs: runs.into_inner(),
        seconds: begin.elapsed().as_secs_f64(),
        sum: sum.into_inner().unwrap_or_default(),
    };
    (total, failed.into_inner().unwrap_or_default())
}

impl std::fmt::Display for Total {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sum = &self.sum;
        let rate = self.runs as f64 / self.seconds.max(0.001);
        let hours = sum.time.as_secs() / 3600;
        writeln!(
            f,
            "{} runs in {:.1} s, {rate:.0} a second; {hours} hours of virtual time",
            self.runs, self.seconds
        )?;
        writeln!(
            f,
            "messages: {} published, {} durable, {} shown; {} gaps told",
            sum.published, sum.durable, sum.shown, sum.gaps
        )?;
        writeln!(
            f,
            "connections: {}; dead ends noticed in time: {}",
            sum.connections, sum.noticed
        )?;
        let http = &sum.over_http;
        writeln!(
            f,
            "over HTTP: {} posted, {} of them found again; {} pages read, {} gaps told; {} texts removed; {} refusals",
            http.posted, http.found, http.pages, http.gaps, http.removed, http.refused
        )?;
        let done: Vec<String> = sum
            .done
            .iter()
            .map(|(action, count)| format!("{action:?} {count}"))
            .collect();
        write!(f, "actions: {}", done.join(", "))
    }
}

/// Reports what failed, and how to see it again.
fn report(failure: Option<&Failure>, lines: usize) -> ExitCode {
    let Some(failure) = failure else {
        println!("nothing failed");
        return ExitCode::SUCCESS;
    };
    let all: Vec<&str> = failure.trace.lines().collect();
    for line in &all[all.len().saturating_sub(lines)..] {
        println!("{line}");
    }
    println!("FAILED {failure}");
    println!(
        "again, with everything: make simulate SEED={}",
        failure.seed
    );
    println!("once its cause is found, it belongs into simulation/seeds.txt");
    ExitCode::FAILURE
}
