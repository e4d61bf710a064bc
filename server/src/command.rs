//! Commands beside serving: copies of the log, and work on its rooms.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use clap::{Parser, Subcommand};
use everbeat_axum::log::sqlite::{self, CopyError, OpenError, RoomSummary};
use futures_util::future::join_all;
use protocol::frame::Message;
use protocol::id::{IdError, RoomName};
use thiserror::Error;
use url::Url;

use crate::config::{Config, peer};
use crate::data;
use crate::peer::PeerSecret;
use crate::peer::ask::{AskError, Peer, copy_of_furthest};
use crate::peer::secret::SecretError;
use crate::peer::status::{self, Asked};

/// What stands on the command line.
#[derive(Debug, Parser)]
#[command(
    name = "everbeat",
    version,
    about = "Everbeat's server: sessions over WebSockets that survive what happens to connections"
)]
#[command(
    after_help = "Without a command it serves. Every option can also be set by the environment variable named beside it."
)]
pub struct Line {
    /// How to serve.
    #[command(flatten)]
    pub config: Config,
    /// What else to do.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What is done instead of serving.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Copy the log into one file, also while a server uses it
    Backup {
        /// The file, or a directory in which it gets a name with the time
        to: PathBuf,
    },
    /// Make a copy the log of a server that is to start. Rooms get a new epoch, so that clients are told
    /// of the gap; a log that is there is not touched
    Restore {
        /// The file
        from: PathBuf,
    },
    /// Look at the nodes of this server, or take a copy of one's log
    #[command(subcommand)]
    Cluster(Cluster),
    /// Look at rooms, or empty one
    #[command(subcommand)]
    Rooms(Rooms),
}

/// What is done with the nodes of a server.
#[derive(Clone, Debug, Subcommand)]
pub enum Cluster {
    /// Ask all nodes (--peers) how they are: state, clients, how far their logs have come. Fails where one does not
    /// answer, or where something is wrong
    Status {
        /// As JSON, one node a line, and what is wrong in the last one
        #[arg(long)]
        json: bool,
    },
    /// Take a copy of another node's log in place of the one here, while no server uses it
    Copy {
        /// The --peer-listen of that node; without it the one of --peers that has come furthest
        #[arg(value_parser = peer)]
        from: Option<Url>,
    },
}

/// What is done with rooms.
#[derive(Clone, Debug, Subcommand)]
pub enum Rooms {
    /// Tell which rooms there are and what they hold, also while a server uses the log
    List {
        /// As JSON, one room a line
        #[arg(long)]
        json: bool,
    },
    /// Write all messages of a room, as JSON, one a line; also while a server uses the log
    Export {
        /// Its name
        #[arg(value_parser = room_name)]
        room: RoomName,
    },
    /// Remove all messages of a room for good, while no server uses the log. Its offsets go on
    Clear {
        /// Its name
        #[arg(value_parser = room_name)]
        room: RoomName,
    },
}

/// Why a command failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CommandError {
    /// The copy was not made.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// The database could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The output could not be written.
    #[error("cannot write what there is to tell: {0}")]
    Tell(#[from] io::Error),
    /// Another node did not answer, or sent no copy.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// The secret of the nodes cannot be used.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// No node is named.
    #[error("name the nodes: --peers http://10.0.0.1:8091,http://10.0.0.2:8091")]
    NoPeers,
    /// Something is wrong with the nodes.
    #[error("{}", .0.join("; "))]
    Alarms(Vec<String>),
    /// No such room.
    #[error("the log has no room {0}: see everbeat rooms list")]
    NoRoom(RoomName),
}

fn room_name(text: &str) -> Result<RoomName, IdError> {
    RoomName::new(text)
}

impl Command {
    /// Runs the command, and writes its results to `told`.
    ///
    /// # Errors
    /// [`CommandError`]: it says what to do.
    pub fn run(&self, config: &Config, told: &mut dyn Write) -> Result<(), CommandError> {
        let database = config.database();
        match self {
            Self::Backup { to } => {
                let to = place(to);
                sqlite::backup(&database, &to)?;
                writeln!(told, "{}", to.display())?;
            }
            Self::Restore { from } => {
                sqlite::restore(from, &database)?;
                writeln!(told, "{}", database.display())?;
            }
            Self::Cluster(cluster) => tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?
                .block_on(cluster.run(config, told))?,
            Self::Rooms(Rooms::List { json }) => {
                let rooms = sqlite::summaries(&database)?;
                list(&rooms, *json, told)?;
            }
            Self::Rooms(Rooms::Export { room }) => export(&database, room, told)?,
            Self::Rooms(Rooms::Clear { room }) => {
                let cleared = sqlite::clear(&database, room)?;
                let cleared = cleared.ok_or_else(|| CommandError::NoRoom(room.clone()))?;
                writeln!(told, "{} messages of {room} are gone", cleared.messages)?;
                if !cleared.is_scrubbed {
                    writeln!(
                        told,
                        "their texts still stand in the database's files, as another program, a backup say, \
                         reads it: the next server that starts sees to it"
                    )?;
                }
            }
        }
        Ok(())
    }
}

impl Cluster {
    async fn run(&self, config: &Config, told: &mut dyn Write) -> Result<(), CommandError> {
        let secret = PeerSecret::of_option(config.nodes.peer_secret_file.as_deref())?;
        match self {
            Self::Status { json } => {
                if config.nodes.peers.is_empty() {
                    return Err(CommandError::NoPeers);
                }
                let asked = config.nodes.peers.iter().map(|peer| ask(peer, &secret));
                let asked = join_all(asked).await;
                let alarms = status::alarms(&asked);
                if *json {
                    for one in &asked {
                        writeln!(
                            told,
                            "{}",
                            serde_json::to_string(one).map_err(io::Error::from)?
                        )?;
                    }
                    writeln!(told, "{}", serde_json::json!({ "alarms": alarms }))?;
                } else {
                    status::table(&asked, told)?;
                }
                if alarms.is_empty() {
                    Ok(())
                } else {
                    Err(CommandError::Alarms(alarms))
                }
            }
            Self::Copy { from } => {
                let database = config.database();
                data::make_directory(&config.data);
                let peers = &config.nodes.peers;
                let applied = match from {
                    Some(from) => Peer::new(from.clone(), &secret)?.copy(&database).await?,
                    None if peers.is_empty() => return Err(CommandError::NoPeers),
                    None => copy_of_furthest(peers, &secret, 0, &database).await?,
                };
                writeln!(
                    told,
                    "{} is a copy as of sequence {}",
                    database.display(),
                    applied.sequence
                )?;
                Ok(())
            }
        }
    }
}

async fn ask(peer: &Url, secret: &PeerSecret) -> Asked {
    let status = match Peer::new(peer.clone(), secret) {
        Ok(node) => node.status().await,
        Err(error) => Err(error),
    };
    let (status, error) = match status {
        Ok(status) => (Some(status), None),
        Err(error) => (None, Some(error.to_string())),
    };
    let peer = peer.to_string();
    Asked {
        peer,
        status,
        error,
    }
}

/// The path of a copy: in a directory it gets a name with the time.
fn place(to: &Path) -> PathBuf {
    if !to.is_dir() {
        return to.to_owned();
    }
    let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let now: String = now.chars().filter(|c| !matches!(c, '-' | ':')).collect();
    to.join(format!("everbeat-{now}.db"))
}

fn list(rooms: &[RoomSummary], json: bool, told: &mut dyn Write) -> io::Result<()> {
    if json {
        for room in rooms {
            writeln!(told, "{}", serde_json::to_string(room)?)?;
        }
        return Ok(());
    }
    writeln!(
        told,
        "{:<32} {:>10} {:>10} {:>8} {:>12}  {:<20}",
        "room", "head", "messages", "removed", "bytes", "newest"
    )?;
    for room in rooms {
        let newest = room.newest_ms.map(|newest| {
            let at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(newest));
            at.map_or_else(String::new, |at| {
                humantime::format_rfc3339_seconds(at).to_string()
            })
        });
        writeln!(
            told,
            "{:<32} {:>10} {:>10} {:>8} {:>12}  {:<20}",
            room.room,
            room.head,
            room.messages,
            room.removed,
            room.bytes,
            newest.unwrap_or_default()
        )?;
    }
    Ok(())
}

fn export(database: &Path, room: &RoomName, told: &mut dyn Write) -> Result<(), CommandError> {
    let mut told = BufWriter::new(told);
    let write = |message: Message| -> Result<(), CommandError> {
        let line = protocol::codec::encode(&message);
        Ok(writeln!(told, "{line}")?)
    };
    let count = sqlite::export(database, room, write)?;
    told.flush()?;
    if count == 0 {
        let rooms = sqlite::summaries(database)?;
        if rooms.iter().all(|known| known.room != room.as_str()) {
            return Err(CommandError::NoRoom(room.clone()));
        }
    }
    Ok(())
}
