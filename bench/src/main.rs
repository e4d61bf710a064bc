//! Measures the server with native clients, and crashes it under them.

#![expect(clippy::print_stdout, reason = "a measurement is printed")]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use bench::chaos;
use bench::chaos::scenario::Scenario;
use bench::client::Client;
use bench::disk::Disk;
use bench::server::Server;
use clap::{Parser, Subcommand, ValueEnum};
use fastrand::Rng;
use protocol::client::{Config, Event, Stored};
use protocol::id::RoomName;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

/// How long sessions are left alone before they are measured: longer than the default interval.
const SETTLE: Duration = Duration::from_secs(30);

#[derive(Parser)]
struct Options {
    /// The server to measure or to crash
    #[arg(long, default_value = "target/release/everbeat")]
    server: PathBuf,
    #[command(subcommand)]
    workload: Workload,
}

#[derive(Subcommand)]
enum Workload {
    /// Memory and CPU of live, joined sessions that say nothing
    Idle {
        /// How many sessions
        #[arg(long, default_value_t = 15_000)]
        connections: usize,
        /// How many of them share a room
        #[arg(long, default_value_t = 10)]
        per_room: usize,
        /// How long to watch them, in seconds
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
    /// Kills, full disks, cut connections under load; then compares what everybody published and
    /// received with the log
    Chaos {
        /// Which scenarios; all of them if none is named
        #[arg(value_enum)]
        scenarios: Vec<Scenario>,
        /// How many clients
        #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(2..))]
        clients: u32,
        /// Where all randomness comes from
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
    match options.workload {
        Workload::Idle {
            connections,
            per_room,
            seconds,
        } => {
            idle(&options.server, connections, per_room.max(1), seconds).await?;
            Ok(ExitCode::SUCCESS)
        }
        Workload::Chaos {
            scenarios,
            clients,
            seed,
            quick,
        } => {
            let server = options.server;
            let options = chaos::Options {
                server,
                clients,
                seed,
                quick,
            };
            crash(&scenarios, &options).await
        }
    }
}

/// Plays the scenarios one after the other. Fails if one of them did.
async fn crash(scenarios: &[Scenario], options: &chaos::Options) -> anyhow::Result<ExitCode> {
    let scenarios = match scenarios {
        [] => Scenario::value_variants(),
        some => some,
    };
    println!("seed {}", options.seed);
    println!("{}", chaos::table::head());
    let mut is_good = true;
    for &scenario in scenarios {
        let outcome = chaos::play(scenario, options).await?;
        println!("{outcome}");
        is_good &= outcome.verdict.is_good();
    }
    Ok(if is_good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn idle(
    server: &Path,
    connections: usize,
    per_room: usize,
    seconds: u64,
) -> anyhow::Result<()> {
    let disk = Disk::plain()?;
    let mut server = Server::new(
        server,
        &disk,
        &[],
        &mut Rng::with_seed(u64::from(std::process::id())),
    )?;
    server.start().await?;
    let pid = server.pid()?;
    let baseline = Usage::of(pid)?;
    let begun = Instant::now();
    let (joined, mut joins) = mpsc::channel(1024);
    for number in 0..connections {
        let room = RoomName::new(&format!("idle-{}", number / per_room))?;
        tokio::spawn(client(server.address, number as u64, room, joined.clone()));
        if number % 50 == 49 {
            // A backlog of 50 handshakes at once, so that the listener's queue does not overflow.
            for _ in 0..50 {
                wait_for_join(&mut joins).await?;
            }
        }
    }
    for _ in 0..connections % 50 {
        wait_for_join(&mut joins).await?;
    }
    let took = begun.elapsed();
    // The first beat of each is its own (HB-3); from then on the server asks.
    sleep(SETTLE).await;
    let before = Usage::of(pid)?;
    sleep(Duration::from_secs(seconds)).await;
    let after = Usage::of(pid)?;
    #[expect(clippy::cast_precision_loss, reason = "a figure of four digits")]
    let (count, pss, cpu) = (
        connections as f64,
        (after.pss_bytes - baseline.pss_bytes) as f64,
        (after.cpu_ms - before.cpu_ms) as f64 / 1000.0,
    );
    println!("connections           {connections}, {per_room} a room");
    println!(
        "connected and joined  in {:.1} s, {:.0} a second",
        took.as_secs_f64(),
        count / took.as_secs_f64()
    );
    println!(
        "memory                {:.2} kB PSS a connection",
        pss / count / 1000.0
    );
    println!(
        "CPU                   {:.1} % of one core for 100,000",
        cpu / seconds as f64 / count * 1e7
    );
    server.kill().await
}

async fn wait_for_join(joins: &mut mpsc::Receiver<()>) -> anyhow::Result<()> {
    match timeout(Duration::from_secs(30), joins.recv()).await {
        Ok(Some(())) => Ok(()),
        _ => bail!("a client did not get into its room within 30 s"),
    }
}

async fn client(address: SocketAddr, seed: u64, room: RoomName, joined: mpsc::Sender<()>) {
    let config = Config {
        seed,
        ..Config::default()
    };
    let mut client = Client::new(address, config, Stored::default());
    client
        .command(|session, now| session.join(now, room, None))
        .await;
    client.command(protocol::client::Session::connect).await;
    let mut is_new = true;
    loop {
        for event in client.step().await {
            if is_new && matches!(event, Event::Joined { .. }) {
                is_new = false;
                // The receiver leaves when the measurement is over.
                let _ = joined.send(()).await;
            }
        }
    }
}

/// What the kernel says about a process.
struct Usage {
    pss_bytes: u64,
    cpu_ms: u64,
}

impl Usage {
    fn of(pid: u32) -> anyhow::Result<Self> {
        let smaps = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        let pss = smaps
            .lines()
            .find_map(|line| line.strip_prefix("Pss:"))
            .context("no Pss")?;
        let kb: u64 = pss.trim().trim_end_matches(" kB").parse()?;
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // Fields 14 and 15, counted after the name in brackets, in ticks of 10 ms.
        let fields: Vec<&str> = stat
            .rsplit(')')
            .next()
            .context("no stat")?
            .split_whitespace()
            .collect();
        let ticks = |index: usize| -> anyhow::Result<u64> {
            Ok(fields.get(index).context("short stat")?.parse()?)
        };
        Ok(Self {
            pss_bytes: kb * 1024,
            cpu_ms: (ticks(11)? + ticks(12)?) * 10,
        })
    }
}
