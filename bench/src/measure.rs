//! Workloads that are run against each peer in turn, again and again, and what came out of them.

pub mod avalanche;
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

/// Something to do to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Workload {
    /// Connections that say nothing
    Idle,
    /// Texts that come back to their sender
    Echo,
    /// One talks, many listen
    FanOut,
    /// Many small rooms
    Rooms,
    /// Durable messages, as many as can be
    Publish,
    /// Connections that are cut again and again
    Drops,
    /// All clients return at once
    Avalanche,
    /// All clients return, and have missed much
    Resume,
    /// Half of the readers stop reading
    Slow,
    /// The page in a browser
    Page,
}

/// What a workload is.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// What is done, in words.
    pub text: &'static str,
    /// What is measured.
    pub columns: &'static [Column],
    /// Who takes part at the main size.
    pub cast: &'static [(Peer, Traffic)],
    /// Who takes part at the other sizes.
    pub growing: &'static [(Peer, Traffic)],
    /// What there are more or fewer of.
    pub unit: &'static str,
    /// How many of them, where all are compared.
    pub main: usize,
    /// How many else, to see how costs grow.
    pub others: &'static [usize],
    /// How long it is watched, in seconds; 0 where it ends by itself.
    pub seconds: u64,
}

/// What carries the texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Traffic {
    /// Texts as the peer has them, or the tutorial's dialect; or nothing is said.
    Texts,
    /// Everbeat's drafts.
    Drafts,
    /// Everbeat's messages.
    Messages,
}

/// A row of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Subject {
    /// Which server.
    pub peer: Peer,
    /// What it carries.
    pub traffic: Traffic,
    /// How many of the workload's unit.
    pub size: usize,
}

/// What is measured, and how often.
#[derive(Clone, Debug)]
pub struct Choice {
    /// Only these peers; empty: all.
    pub peers: Vec<Peer>,
    /// Only these sizes; empty: the workload's own.
    pub sizes: Vec<usize>,
    /// How many times each.
    pub runs: usize,
    /// How long each is watched, in seconds, where it does not end by itself; none: the workload's own.
    pub seconds: Option<u64>,
}

/// Peers that carry texts of their own, without Everbeat.
const PLAIN: [(Peer, Traffic); 5] = [
    (Peer::Bun, Traffic::Texts),
    (Peer::Ws, Traffic::Texts),
    (Peer::SocketIo, Traffic::Texts),
    (Peer::Socketioxide, Traffic::Texts),
    (Peer::Axum, Traffic::Texts),
];

impl Workload {
    /// What it is.
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

/// Runs a workload against each of its subjects, in turn and not in a row: so what the machine does
/// beside hits all of them alike. Tells of each run as it ends. A run that fails is reported, and kept in
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
        // Another one begins.
        if !subjects.is_empty() {
            subjects.rotate_left(1);
        }
    }
    table
}
