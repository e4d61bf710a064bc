//! Workloads, run against each peer in turn, several times, and their figures.

pub mod avalanche;
pub mod cluster;
pub mod drops;
pub mod echo;
pub mod fan_out;
pub mod goals;
pub mod idle;
pub mod page;
pub mod plot;
pub mod publish;
pub mod results;
pub mod resume;
mod returning;
pub mod rooms;
pub mod slow;
mod talk;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use self::results::Column;
use crate::peer::{Peer, Programs};

/// A workload: what the clients do to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Workload {
    /// Connections with heartbeats alone
    Idle,
    /// Texts that are sent back to their sender
    Echo,
    /// One client sends, many listen
    FanOut,
    /// Many small rooms
    Rooms,
    /// Durable messages, as many as can be
    Publish,
    /// Connections that are cut again and again
    Drops,
    /// All clients reconnect at once
    Avalanche,
    /// All clients reconnect after they missed many messages
    Resume,
    /// Half of the readers stop reading
    Slow,
    /// The page in a browser
    Page,
    /// Three nodes beside one: publish, one room over all, sessions that move
    Cluster,
}

/// The description of a workload.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// What is done, as a sentence of the results.
    pub text: &'static str,
    /// The figures that are measured.
    pub columns: &'static [Column],
    /// The peers at the main size.
    pub cast: &'static [(Peer, Traffic)],
    /// The peers at the other sizes.
    pub growing: &'static [(Peer, Traffic)],
    /// The unit of the size: connections, listeners, rooms.
    pub unit: &'static str,
    /// The main size, at which all peers are compared.
    pub main: usize,
    /// The other sizes, which show how costs grow.
    pub others: &'static [usize],
    /// The length of a run, in seconds; 0 where it ends by itself.
    pub seconds: u64,
}

/// The kind of frames that carry the texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Traffic {
    /// The peer's own texts, or the tutorial's dialect; or no texts at all.
    Texts,
    /// Everbeat's drafts.
    Drafts,
    /// Everbeat's messages.
    Messages,
}

/// The subject of one row of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Subject {
    /// The server.
    pub peer: Peer,
    /// The kind of its frames.
    pub traffic: Traffic,
    /// The size, in the workload's unit.
    pub size: usize,
}

/// The choice of subjects, and the number and length of their runs.
#[derive(Clone, Debug)]
pub struct Choice {
    /// Only these peers; empty: all.
    pub peers: Vec<Peer>,
    /// Only these sizes; empty: the workload's own.
    pub sizes: Vec<usize>,
    /// The number of runs of each.
    pub runs: usize,
    /// The length of each run, in seconds, where it does not end by itself; none: the workload's own.
    pub seconds: Option<u64>,
}

/// All peers but Everbeat, with their own texts.
const PLAIN: [(Peer, Traffic); 5] = [
    (Peer::Bun, Traffic::Texts),
    (Peer::Ws, Traffic::Texts),
    (Peer::SocketIo, Traffic::Texts),
    (Peer::Socketioxide, Traffic::Texts),
    (Peer::Axum, Traffic::Texts),
];

impl Workload {
    /// Its description.
    pub const fn about(self) -> &'static About {
        match self {
            Self::Idle => &idle::ABOUT,
            Self::Echo => &echo::ABOUT,
            Self::FanOut => &fan_out::ABOUT,
            Self::Rooms => &rooms::ABOUT,
            Self::Publish => &publish::ABOUT,
            Self::Drops => &drops::ABOUT,
            Self::Avalanche => &avalanche::ABOUT,
            Self::Resume => &resume::ABOUT,
            Self::Slow => &slow::ABOUT,
            Self::Page => &page::ABOUT,
            Self::Cluster => &cluster::ABOUT,
        }
    }

    /// Runs it once; returns a figure for each column.
    ///
    /// # Errors
    /// If the server fails the workload.
    pub async fn run(
        self,
        subject: Subject,
        programs: &Programs,
        seconds: u64,
    ) -> anyhow::Result<Vec<f64>> {
        match self {
            Self::Idle => idle::run(subject, programs, seconds).await,
            Self::Echo => echo::run(subject, programs, seconds).await,
            Self::FanOut => fan_out::run(subject, programs, seconds).await,
            Self::Rooms => rooms::run(subject, programs, seconds).await,
            Self::Publish => publish::run(subject, programs, seconds).await,
            Self::Drops => drops::run(subject, programs, seconds).await,
            Self::Avalanche => avalanche::run(subject, programs).await,
            Self::Resume => resume::run(subject, programs).await,
            Self::Slow => slow::run(subject, programs, seconds).await,
            Self::Page => page::run(subject, programs).await,
            Self::Cluster => cluster::run(subject, programs, seconds).await,
        }
    }

    fn subjects(self, choice: &Choice) -> Vec<Subject> {
        let about = self.about();
        let own: Vec<usize> = about.others.iter().copied().chain([about.main]).collect();
        let sizes = if choice.sizes.is_empty() {
            &own
        } else {
            &choice.sizes
        };
        let subjects = sizes.iter().flat_map(|&size| {
            let cast = if about.others.contains(&size) {
                about.growing
            } else {
                about.cast
            };
            let subject = move |&(peer, traffic): &(Peer, Traffic)| Subject {
                peer,
                traffic,
                size,
            };
            cast.iter().map(subject)
        });
        subjects
            .filter(|subject| choice.peers.is_empty() || choice.peers.contains(&subject.peer))
            .collect()
    }
}

/// Runs a workload against each of its subjects in turn, round by round, so that other load on the machine
/// affects all of them alike. Prints each run as it ends. A run that fails is reported, and kept in
/// the table with its reason; the others go on.
pub async fn measure(
    workload: Workload,
    choice: &Choice,
    programs: &Programs,
    tell: impl Fn(&str),
) -> results::Table {
    let seconds = match workload.about().seconds {
        0 => 0,
        own => choice.seconds.unwrap_or(own),
    };
    let mut table = results::Table::new(workload, seconds);
    let mut subjects = workload.subjects(choice);
    let unit = workload.about().unit;
    for run in 1..=choice.runs {
        for subject in &subjects {
            let outcome = workload.run(*subject, programs, seconds).await;
            let (name, traffic, size) = (subject.peer.name(), subject.traffic, subject.size);
            let which = format!(
                "{workload:?} {run} of {}, {name}, {traffic:?}, {size} {unit}",
                choice.runs
            );
            match outcome {
                Ok(figures) => {
                    tell(&format!("{which}: {figures:.2?}"));
                    table.add(*subject, figures);
                }
                Err(error) => {
                    tell(&format!("{which}: failed: {error:#}"));
                    table.add_failure(*subject, format!("{error:#}"));
                }
            }
        }
        // Each round begins with another subject.
        if !subjects.is_empty() {
            subjects.rotate_left(1);
        }
    }
    table
}
