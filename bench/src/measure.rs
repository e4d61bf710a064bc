//! Workloads that are run against each peer in turn, again and again, and what came out of them.

pub mod echo;
pub mod fan_out;
pub mod idle;
pub mod results;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use self::results::Column;
use crate::peer::{Peer, Programs};

/// Something to do to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Workload {
    /// Connections that say nothing
    Idle,
    /// Texts that come back to whoever sent them
    Echo,
    /// One talks, many listen
    FanOut,
}

/// How much of it.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// Idle connections.
    pub connections: usize,
    /// How many listen to one who talks.
    pub listeners: usize,
    /// How long each measurement takes, in seconds.
    pub seconds: u64,
}

/// A row of a table: a peer, and what it was asked to do where it can do more than one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Subject {
    /// Which server.
    pub peer: Peer,
    /// Whether the texts are durable messages.
    pub durable: bool,
}

impl Workload {
    /// What the columns of its table are.
    pub const fn columns(self) -> &'static [Column] {
        match self {
            Self::Idle => idle::COLUMNS,
            Self::Echo => echo::COLUMNS,
            Self::FanOut => fan_out::COLUMNS,
        }
    }

    /// What is done, in words.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Idle => idle::TEXT,
            Self::Echo => echo::TEXT,
            Self::FanOut => fan_out::TEXT,
        }
    }

    /// Who takes part.
    pub fn subjects(self) -> Vec<Subject> {
        let plain = Peer::value_variants().iter().map(|&peer| Subject {
            peer,
            durable: false,
        });
        let durable = Subject {
            peer: Peer::Everbeat,
            durable: true,
        };
        match self {
            Self::Idle | Self::Echo => plain.collect(),
            Self::FanOut => std::iter::once(durable).chain(plain).collect(),
        }
    }

    /// Runs it once; the figures are those of the columns.
    ///
    /// # Errors
    /// If the server does not do what it was asked to.
    pub async fn run(
        self,
        subject: Subject,
        programs: &Programs,
        scale: Scale,
    ) -> anyhow::Result<Vec<f64>> {
        match self {
            Self::Idle => idle::run(subject.peer, programs, scale).await,
            Self::Echo => echo::run(subject.peer, programs, scale).await,
            Self::FanOut => fan_out::run(subject, programs, scale).await,
        }
    }
}

/// Runs each workload `runs` times against each of its subjects, in turn and not in a row: so what
/// the machine does beside hits all of them alike. Tells of each run as it ends.
///
/// # Errors
/// If a server does not do what it was asked to.
pub async fn measure(
    workload: Workload,
    peers: &[Peer],
    runs: usize,
    programs: &Programs,
    scale: Scale,
    tell: impl Fn(&str),
) -> anyhow::Result<results::Table> {
    let mut table = results::Table::new(workload);
    let mut subjects = workload.subjects();
    subjects.retain(|subject| peers.is_empty() || peers.contains(&subject.peer));
    for run in 0..runs {
        for subject in &subjects {
            let figures = workload.run(*subject, programs, scale).await?;
            let name = subject.peer.name();
            tell(&format!(
                "{workload:?} {} of {runs}, {name}: {figures:.2?}",
                run + 1
            ));
            table.add(*subject, figures);
        }
        // Another one begins.
        subjects.rotate_left(1);
    }
    Ok(table)
}
