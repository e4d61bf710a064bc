//! Attacks: what one hostile guest at one address can do to the server at its default options, and what a
//! bystander notices of it.
//!
//! Each attack is a function. It prepares, calls `Stage::begin`, and attacks for `Stage::lasts`; its
//! connections close when it returns. Meanwhile the server's memory is sampled, and a
//! bystander at another address publishes and times its acks. All traffic is on the loopback, and bounded
//! in count and time.

mod answers;
mod arrivals;
mod bystander;
mod drafts;
mod frames;
mod guest;
mod memory;
mod pages;
mod table;
mod tails;
mod waves;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::ValueEnum;
use fastrand::Rng;
use tokio::time::sleep;

use self::bystander::Bystander;
use self::memory::Watch;
pub use self::table::{Measured, Outcome, head};
use crate::disk::Disk;
use crate::server::Server;

/// The server's options: the loopback is no trusted proxy, as it would be by default, so the attacker's
/// own address counts.
const OPTIONS: &[&str] = &["--trusted-proxies", "192.0.2.0/24"];

/// The deadline for the server to give memory back after the attack.
const GIVE_BACK: Duration = Duration::from_secs(60);

/// The deadline of the preparations and the attack, beyond the attack's own length.
const PATIENCE: Duration = Duration::from_secs(60);

/// An attack: what the guest does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Attack {
    /// Asks for `history` in many sessions, and reads none of it
    History,
    /// Asks for messages by GET on many connections, and reads none of it
    Gets,
    /// Listens to events from the first message on, on many connections, and reads none of it
    Events,
    /// Fills the tails of very many rooms
    Tails,
    /// Types long drafts in very many rooms
    Drafts,
    /// Types a long text in one room with many pages, which come and go
    Waves,
    /// Loads pages with messages that do not compress
    Pages,
    /// Repeats a number that was used before, in many sessions
    Repeats,
    /// Publishes messages without a text, in many sessions
    Refusals,
    /// Takes new names in very many rooms
    Renames,
    /// Leaves rooms and joins them again
    Churn,
    /// Scrolls back as fast as it reads
    Scrolls,
    /// Pings as fast as it is answered
    Pings,
    /// Asks for the head of events on connections that are kept
    Heads,
    /// Makes new sessions, again and again
    Sessions,
}

impl Attack {
    /// The options that bound it, for the table.
    pub const fn bound(self) -> &'static str {
        match self {
            Self::History | Self::Gets | Self::Events => "`--page-bytes`, `--answer-bytes`",
            Self::Tails | Self::Drafts => "`--tail-bytes`",
            Self::Waves => "`--fan-out-bytes`",
            Self::Pages => "128 KiB of messages a page; compressed apart",
            Self::Repeats => "counted as messages, answered from memory",
            Self::Refusals => "`--publishes-per-address`; a row for those in a row",
            Self::Renames => "`--rename-every`, `--frames-per-address`",
            Self::Churn | Self::Scrolls | Self::Pings => "`--frames`, `--frames-per-address`",
            Self::Heads => "`--handshakes-per-address`",
            Self::Sessions => "`--requests-per-address`, `--unused-session-ttl`",
        }
    }

    async fn play(self, stage: &Stage) -> anyhow::Result<Done> {
        match self {
            Self::History => answers::history(stage).await,
            Self::Gets => answers::gets(stage).await,
            Self::Events => answers::events(stage).await,
            Self::Tails => tails::play(stage).await,
            Self::Drafts => drafts::play(stage).await,
            Self::Waves => waves::play(stage).await,
            Self::Pages => pages::play(stage).await,
            Self::Repeats => frames::repeats(stage).await,
            Self::Refusals => frames::refusals(stage).await,
            Self::Renames => frames::renames(stage).await,
            Self::Churn => frames::churn(stage).await,
            Self::Scrolls => frames::scrolls(stage).await,
            Self::Pings => frames::pings(stage).await,
            Self::Heads => arrivals::heads(stage).await,
            Self::Sessions => arrivals::sessions(stage).await,
        }
    }
}

/// The options of the attacks.
#[derive(Clone, Debug)]
pub struct Options {
    /// The server's binary.
    pub server: PathBuf,
    /// The seed of all randomness.
    pub seed: u64,
    /// Whether to play short versions, of some seconds each.
    pub quick: bool,
}

/// The outcome of an attack, as the attacker saw it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Done {
    /// What it did, in a few words.
    pub(crate) did: String,
    /// Faults of the server, beyond what is measured of every attack.
    pub(crate) complaints: Vec<String>,
}

impl Done {
    /// An outcome without faults beyond what is measured of every attack.
    pub(crate) const fn new(did: String) -> Self {
        Self {
            did,
            complaints: Vec::new(),
        }
    }
}

/// The server under attack, and the bystander.
pub(crate) struct Stage {
    /// The server.
    pub(crate) server: Server,
    /// The attack's own seed.
    pub(crate) seed: u64,
    /// Whether it is the short version.
    pub(crate) quick: bool,
    bystander: Bystander,
}

impl Stage {
    /// Ends the preparations: from now on the bystander's acks count as disturbed.
    pub(crate) fn begin(&self) {
        self.bystander.is_disturbed();
    }

    /// The length of the attack.
    pub(crate) const fn lasts(&self) -> Duration {
        Duration::from_secs(if self.quick { 4 } else { 20 })
    }

    /// The count of the long version, or of the short one.
    pub(crate) const fn count(&self, long: usize, short: usize) -> usize {
        if self.quick { short } else { long }
    }
}

/// Plays one attack and measures its effects.
///
/// # Errors
/// If it could not begin: no server, no directory. Later failures are in the outcome.
pub async fn play(attack: Attack, options: &Options) -> anyhow::Result<Outcome> {
    let disk = Disk::plain()?;
    let mut rng = Rng::with_seed(options.seed);
    let mut server = Server::new(&options.server, &disk, OPTIONS, &mut rng)?;
    server.start().await?;
    let bystander = Bystander::enter(server.address)?;
    let mut stage = Stage {
        server,
        seed: rng.u64(..),
        quick: options.quick,
        bystander,
    };
    // Long enough for a median, and for the server's work at the start to be over.
    sleep(Duration::from_secs(if options.quick { 2 } else { 5 })).await;
    let pid = stage.server.pid()?;
    let before = memory::resident(pid)?;
    let watch = Watch::start(pid);
    let limit = stage.lasts() + PATIENCE;
    let played = tokio::time::timeout(limit, attack.play(&stage)).await;
    let played = played.context("the attack did not end in time");
    let (done, trouble) = match played.and_then(|played| played) {
        Ok(done) => (done, None),
        Err(error) => (Done::default(), Some(format!("{error:#}"))),
    };
    let acks = stage.bystander.end().await;
    let given_back = memory::falls(pid, before + table::BACK_BYTES, GIVE_BACK).await;
    let peak = watch.end().await;
    let mut complaints = done.complaints;
    complaints.extend(trouble);
    complaints.extend(stage.server.check().err().map(|error| error.to_string()));
    complaints.extend(stage.server.panics());
    if complaints.is_empty() {
        complaints.extend(stage.server.terminate().await.err().map(|e| e.to_string()));
    }
    let measured = Measured {
        before,
        peak,
        after: given_back.bytes,
        took: given_back.took,
        undisturbed: acks.undisturbed,
        disturbed: acks.disturbed,
    };
    Ok(Outcome::new(attack, done.did, measured, complaints))
}
