//! The benchmark program: measures the server with native clients, crashes it under them, and attacks it.

#![expect(clippy::print_stdout, reason = "a measurement is printed")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bench::attack::{self, Attack};
use bench::chaos;
use bench::chaos::Play;
use bench::measure::results::render;
use bench::measure::{Choice, Workload, measure};
use bench::peer::{Peer, Programs};
use clap::builder::PossibleValuesParser;
use clap::{Parser, Subcommand, ValueEnum};

#[derive(Parser)]
struct Options {
    /// The server to measure or to crash
    #[arg(long, default_value = "target/release/everbeat")]
    server: PathBuf,
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Runs workloads against Everbeat and its peers in turn, and writes their figures
    Measure {
        /// The workloads; all of them if none is named
        #[arg(value_enum)]
        workloads: Vec<Workload>,
        /// Only these servers
        #[arg(long, value_enum)]
        peer: Vec<Peer>,
        /// The number of runs of each
        #[arg(long, default_value_t = 3)]
        runs: usize,
        /// Only these sizes, in the workload's unit: connections, listeners, rooms
        #[arg(long)]
        size: Vec<usize>,
        /// The length of each run, in seconds; by default the workload's own
        #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
        seconds: Option<u64>,
        /// The directory of the peers
        #[arg(long, default_value = "bench/peers")]
        peers: PathBuf,
        /// The directory of the browser tests
        #[arg(long, default_value = "end2end")]
        end2end: PathBuf,
        /// The directory of the figures
        #[arg(long, default_value = "bench/results")]
        results: PathBuf,
        /// The document that is rendered from them
        #[arg(long, default_value = "bench/RESULTS.md")]
        document: PathBuf,
    },
    /// Kills, full disks, cut connections under load; then compares what all clients published and
    /// received with the log
    Chaos {
        /// The scenarios; all of them if none is named
        #[arg(value_parser = PossibleValuesParser::new(Play::names()))]
        scenarios: Vec<String>,
        /// The number of clients
        #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(2..))]
        clients: u32,
        /// The seed of all randomness
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Short versions, of some seconds each
        #[arg(long)]
        quick: bool,
        /// In `power`: the disk acknowledges syncs and does nothing, which the verdict has to detect
        #[arg(long)]
        lying_disk: bool,
    },
    /// Attacks the server as one hostile guest can, and measures what that costs other clients
    Attack {
        /// The attacks; all of them if none is named
        #[arg(value_enum)]
        attacks: Vec<Attack>,
        /// The seed of all randomness
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Short versions, of some seconds each
        #[arg(long)]
        quick: bool,
    },
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let options = Options::parse();
    match options.task {
        Task::Measure {
            workloads,
            peer,
            runs,
            size,
            seconds,
            peers,
            end2end,
            results,
            document,
        } => {
            let programs = Programs {
                server: options.server,
                peers,
                end2end,
            };
            let choice = Choice {
                peers: peer,
                sizes: size,
                runs,
                seconds,
            };
            measured(&workloads, &choice, &programs, (&results, &document)).await
        }
        Task::Chaos {
            scenarios,
            clients,
            seed,
            quick,
            lying_disk,
        } => {
            let server = options.server;
            let options = chaos::Options {
                server,
                clients,
                seed,
                quick,
                lying_disk,
            };
            crash(&scenarios, &options).await
        }
        Task::Attack {
            attacks,
            seed,
            quick,
        } => {
            let server = options.server;
            let options = attack::Options {
                server,
                seed,
                quick,
            };
            attack(&attacks, &options).await
        }
    }
}

/// Measures workloads one after the other, and writes the figures of each into the results and their document.
/// Fails if a run failed.
async fn measured(
    workloads: &[Workload],
    choice: &Choice,
    programs: &Programs,
    (results, document): (&Path, &Path),
) -> anyhow::Result<ExitCode> {
    let workloads = match workloads {
        [] => Workload::value_variants(),
        some => some,
    };
    let mut failed = 0;
    for &workload in workloads {
        let tell = |line: &str| println!("{line}");
        let table = measure(workload, choice, programs, tell).await;
        failed += table.failed();
        if table.is_empty() {
            println!("{workload:?}: nothing could be measured; the figures of before stay");
            continue;
        }
        table.save(results)?;
        std::fs::write(document, render(results)?)?;
    }
    println!("written: {}", document.display());
    if failed > 0 {
        println!("failed: {failed} runs; their reasons are above");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// Plays the attacks one after the other, each on a server of its own. Fails if one of them broke a bound.
async fn attack(attacks: &[Attack], options: &attack::Options) -> anyhow::Result<ExitCode> {
    let attacks = match attacks {
        [] => Attack::value_variants(),
        some => some,
    };
    println!("{}", attack::head());
    let mut is_good = true;
    for &attack in attacks {
        let outcome = attack::play(attack, options).await?;
        println!("{outcome}");
        is_good &= outcome.is_good();
    }
    Ok(if is_good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Plays the scenarios one after the other. Fails if one of them did.
async fn crash(scenarios: &[String], options: &chaos::Options) -> anyhow::Result<ExitCode> {
    let plays = match scenarios {
        [] => Play::all(),
        some => some.iter().flat_map(|name| Play::named(name)).collect(),
    };
    println!("seed {}", options.seed);
    println!("{}", chaos::table::head());
    let mut is_good = true;
    for play in plays {
        let outcome = play.run(options).await?;
        println!("{outcome}");
        is_good &= outcome.verdict.is_good();
    }
    Ok(if is_good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
