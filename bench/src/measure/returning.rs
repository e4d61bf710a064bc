//! Clients that reconnect by themselves: Everbeat's, and one that behaves like Socket.IO's own.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context;
use everbeat_client::{Client, Event};
use fastrand::Rng;
use protocol::id::RoomName;
use tokio::task::JoinHandle;
use tokio::time::{sleep_until, timeout};

use crate::line::{Dialect, Line, Recovery};
use crate::peer::Peer;
use crate::session::{ENDED, joining};

/// The first delay of Socket.IO's client (`reconnectionDelay`), with a jitter of up to half.
const FIRST_DELAY: Duration = Duration::from_secs(1);

/// Its longest delay (`reconnectionDelayMax`).
const LONGEST_DELAY: Duration = Duration::from_secs(5);

/// Its deadline of a connection attempt (`timeout`).
const CONNECT: Duration = Duration::from_secs(20);

/// One member of a room, over all of its connections.
pub(super) enum Returning {
    /// A session of ours.
    Session(Box<Client>, RoomName),
    /// A client of Socket.IO.
    Socket(Box<Socket>),
}

/// An event of a client.
#[derive(Debug)]
pub(super) enum Heard {
    /// It has joined its room, for the first time or again.
    Entered,
    /// A text of another member.
    Text(String),
}

impl Returning {
    /// Begins to connect.
    pub(super) fn new(
        address: SocketAddr,
        peer: Peer,
        seed: u64,
        room: RoomName,
    ) -> anyhow::Result<Self> {
        if let Some(dialect) = peer.foreign() {
            return Ok(Self::Socket(Box::new(Socket {
                address,
                dialect,
                room,
                rng: Rng::with_seed(seed),
                link: Link::Waiting(Instant::now()),
                attempt: 0,
                recovery: Recovery::default(),
                backlog: VecDeque::new(),
            })));
        }
        let client = joining(address, seed, std::slice::from_ref(&room))?;
        Ok(Self::Session(Box::new(client), room))
    }

    /// The next event, or `None` for one that is not counted. Safe to cancel.
    pub(super) async fn hear(&mut self) -> anyhow::Result<Option<Heard>> {
        match self {
            Self::Session(client, _) => Ok(match client.next().await.context(ENDED)? {
                Event::Joined { .. } => Some(Heard::Entered),
                Event::Message(message) if Some(&message.session) != client.id() => {
                    Some(Heard::Text(message.body))
                }
                _ => None,
            }),
            Self::Socket(socket) => Ok(socket.hear().await),
        }
    }

    /// Sends a text to the room, now or after the reconnect.
    pub(super) async fn say(&mut self, text: String) {
        match self {
            Self::Session(client, room) => {
                // A text that does not fit into the outbox is not sent; the figures show it.
                let _ = client.publish(room.clone(), text);
            }
            Self::Socket(socket) => {
                socket.backlog.push_back(text);
                socket.flush().await;
            }
        }
    }
}

/// A client of Socket.IO with connection state recovery, and the defaults of its own client: texts without a
/// connection wait; texts that were sent and did not arrive are lost.
pub(super) struct Socket {
    address: SocketAddr,
    dialect: Dialect,
    room: RoomName,
    rng: Rng,
    link: Link,
    attempt: u32,
    recovery: Recovery,
    backlog: VecDeque<String>,
}

enum Link {
    Waiting(Instant),
    Opening(JoinHandle<anyhow::Result<Line>>),
    Open(Box<Line>),
}

impl Socket {
    async fn hear(&mut self) -> Option<Heard> {
        match &mut self.link {
            Link::Waiting(until) => {
                sleep_until((*until).into()).await;
                let (address, dialect) = (self.address, self.dialect);
                let (rooms, recovery) = ([self.room.clone()], self.recovery.clone());
                self.link = Link::Opening(tokio::spawn(async move {
                    let line = Line::enter_again(address, &rooms, dialect, recovery);
                    timeout(CONNECT, line).await?
                }));
                None
            }
            Link::Opening(opening) => {
                if let Ok(Ok(line)) = opening.await {
                    self.attempt = 0;
                    self.link = Link::Open(Box::new(line));
                    self.flush().await;
                    Some(Heard::Entered)
                } else {
                    self.wait();
                    None
                }
            }
            Link::Open(line) => {
                if let Ok(text) = line.receive().await {
                    Some(Heard::Text(text.as_str().to_owned()))
                } else {
                    self.recovery = line.recovery().clone();
                    self.wait();
                    None
                }
            }
        }
    }

    async fn flush(&mut self) {
        if let Link::Open(line) = &mut self.link {
            while let Some(text) = self.backlog.pop_front() {
                // An error: the text is lost, as with its own client; reading reports the end.
                let _ = line.send("say", &text).await;
            }
        }
    }

    fn wait(&mut self) {
        let delay = (FIRST_DELAY * (1 << self.attempt.min(8))).min(LONGEST_DELAY);
        let delay = delay.mul_f64(0.5 + self.rng.f64());
        self.attempt += 1;
        self.link = Link::Waiting(Instant::now() + delay.min(LONGEST_DELAY));
    }
}
