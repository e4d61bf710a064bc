//! Links: the network between a client and the server. A WebSocket is ordered and reliable until it
//! dies, so a link delays, stalls and dies; it never reorders or doubles.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use fastrand::Rng;
use protocol::close::CloseCode;
use protocol::id::ConnectionId;
use protocol::time::Timestamp;

/// A packet on a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet {
    /// The upgrade request, or the server's answer to it.
    Open,
    /// A text frame, as encoded.
    Text(String),
    /// The end of the connection, with its code if there was a closing handshake.
    End(Option<CloseCode>),
}

/// A direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// To the server.
    Up,
    /// To the client.
    Down,
}

impl Packet {
    fn bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Open | Self::End(_) => 0,
        }
    }
}

/// A packet on its way.
#[derive(Debug)]
struct Travelling {
    leaves: Timestamp,
    arrives: Timestamp,
    packet: Packet,
}

/// One direction of a link.
#[derive(Debug, Default)]
struct Lane {
    queue: VecDeque<Travelling>,
    latest: Timestamp,
    /// Packets that are sent wait.
    is_stalled: bool,
    /// Packets that are sent are lost, and no end notices.
    is_dead: bool,
    /// How many bytes it carries in a second, if it is slow.
    bytes_per_s: Option<u32>,
    /// When the line has carried everything that was sent so far.
    free_at: Timestamp,
}

impl Lane {
    fn send(&mut self, leaves: Timestamp, arrives: Timestamp, packet: Packet) {
        if !self.is_dead {
            self.latest = self.latest.max(arrives);
            self.queue.push_back(Travelling {
                leaves,
                arrives: self.latest,
                packet,
            });
        }
    }

    /// When a packet that is sent now has left the socket.
    fn leave(&mut self, now: Timestamp, packet: &Packet) -> Timestamp {
        let Some(bytes_per_s) = self.bytes_per_s else {
            return now;
        };
        let takes = Duration::from_secs(1).mul_f64(packet.bytes() as f64 / f64::from(bytes_per_s));
        self.free_at = self.free_at.max(now) + takes;
        self.free_at
    }

    /// How many bytes have not left.
    fn backlog(&self, now: Timestamp) -> u64 {
        let bytes_per_s = self.bytes_per_s.map_or(0.0, f64::from);
        ((self.free_at - now).as_secs_f64() * bytes_per_s) as u64
    }

    fn bytes(&self) -> usize {
        self.queue.iter().map(|t| t.packet.bytes()).sum()
    }

    fn due(&self) -> Option<Timestamp> {
        self.queue
            .front()
            .filter(|_| !self.is_stalled)
            .map(|first| first.arrives)
    }

    fn take(&mut self, now: Timestamp) -> Option<Packet> {
        self.due().filter(|at| *at <= now)?;
        self.queue.pop_front().map(|first| first.packet)
    }

    fn die(&mut self) {
        self.queue.clear();
        self.is_dead = true;
    }
}

/// The link of one connection.
#[derive(Debug)]
pub struct Link {
    /// Which client opened it.
    pub client: usize,
    /// The client's id of the connection.
    pub id: ConnectionId,
    /// The node that it leads to.
    pub node: usize,
    latency: Duration,
    /// When something last passed.
    busy: Timestamp,
    /// A fault befell the link: it was silenced for a while, or it died.
    pub was_disturbed: bool,
    up: Lane,
    down: Lane,
}

impl Link {
    fn lane(&mut self, way: Way) -> &mut Lane {
        match way {
            Way::Up => &mut self.up,
            Way::Down => &mut self.down,
        }
    }
}

/// What becomes of new connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// They reach the server.
    Open,
    /// They vanish.
    BlackHole,
}

/// All links.
#[derive(Debug)]
pub struct Links {
    /// How long a packet takes on a link opened from now on.
    pub latency: Duration,
    /// How much longer it may take, drawn for each packet.
    pub jitter: Duration,
    /// How many bytes a link holds towards the client before the server's writes wait.
    pub buffer_bytes: usize,
    /// How many bytes a second a link opened from now on carries to the server, if it is slow.
    pub up_bytes_per_s: Option<u32>,
    /// The same to the client.
    pub down_bytes_per_s: Option<u32>,
    /// How much of its backlog is where no client sees it: in buffers of the system and of proxies.
    pub hidden_bytes: u64,
    /// A proxy on the way cuts a link that was silent for so long.
    pub idle_cut: Option<Duration>,
    /// What becomes of new connections.
    pub reach: Reach,
    rng: Rng,
    links: BTreeMap<u64, Link>,
    /// Which client opened each, and its id there: the first one has the number 1.
    opened: Vec<(usize, ConnectionId)>,
}

impl Links {
    /// Links without faults.
    pub fn new(latency: Duration, seed: u64) -> Self {
        Self {
            latency,
            jitter: Duration::ZERO,
            buffer_bytes: usize::MAX,
            up_bytes_per_s: None,
            down_bytes_per_s: None,
            hidden_bytes: 0,
            idle_cut: None,
            reach: Reach::Open,
            rng: Rng::with_seed(seed),
            links: BTreeMap::new(),
            opened: Vec::new(),
        }
    }

    /// A client opens a connection to a node: the upgrade request is on its way.
    pub fn open(&mut self, now: Timestamp, client: usize, id: ConnectionId, node: usize) {
        self.opened.push((client, id));
        let number = self.opened() as u64;
        let is_dead = self.reach == Reach::BlackHole;
        let lane = || Lane {
            is_dead,
            ..Lane::default()
        };
        let link = Link {
            client,
            id,
            node,
            latency: self.latency,
            busy: now,
            was_disturbed: is_dead,
            up: Lane {
                bytes_per_s: self.up_bytes_per_s,
                ..lane()
            },
            down: Lane {
                bytes_per_s: self.down_bytes_per_s,
                ..lane()
            },
        };
        self.links.insert(number, link);
        self.send(now, number, Way::Up, Packet::Open);
    }

    /// Sends a packet; it is lost if the lane is dead.
    pub fn send(&mut self, now: Timestamp, link: u64, way: Way, packet: Packet) {
        if let Some(link) = self.links.get_mut(&link) {
            let leaves = link.lane(way).leave(now, &packet);
            let mut arrival = leaves + link.latency;
            if !self.jitter.is_zero() {
                arrival = arrival + self.jitter.mul_f64(self.rng.f64());
            }
            link.busy = now;
            link.lane(way).send(leaves, arrival, packet);
        }
    }

    /// The bytes that a client's socket still holds, as far as the client can see.
    pub fn held(&self, now: Timestamp, number: u64) -> u64 {
        let link = self.links.get(&number);
        let backlog = link.map_or(0, |link| link.up.backlog(now));
        backlog.saturating_sub(self.hidden_bytes)
    }

    /// The bytes of drafts that have not left a client, and the size of the largest.
    pub fn drafts_under_way(&self, now: Timestamp, number: u64) -> (usize, usize) {
        let Some(link) = self.links.get(&number) else {
            return (0, 0);
        };
        let is_draft = |packet: &Packet| matches!(packet, Packet::Text(text) if text.starts_with(r#"{"type":"draft""#));
        let waiting = link.up.queue.iter().filter(|t| t.leaves > now);
        let drafts = waiting.filter(|t| is_draft(&t.packet));
        let drafts = drafts.map(|t| t.packet.bytes());
        drafts.fold((0, 0), |(sum, most), bytes| (sum + bytes, most.max(bytes)))
    }

    /// Whether the server's writes on a link have to wait for the client to read.
    pub fn is_full(&self, link: u64) -> bool {
        let link = self.links.get(&link);
        link.is_some_and(|link| link.down.bytes() > self.buffer_bytes)
    }

    /// Cuts the links to a node.
    pub fn cut_node(&mut self, now: Timestamp, node: usize) {
        for number in self.numbers() {
            if self.links[&number].node == node {
                self.cut(now, number);
            }
        }
    }

    /// Cuts links that were silent for too long, as proxies do.
    pub fn cut_idle(&mut self, now: Timestamp) {
        let Some(idle) = self.idle_cut else { return };
        for number in self.numbers() {
            if self.links[&number].busy + idle <= now {
                self.cut(now, number);
            }
        }
    }

    /// The next packet that has arrived, with its link and direction.
    pub fn arrival(&mut self, now: Timestamp, held: &[usize]) -> Option<(u64, Way, Packet)> {
        for (number, link) in &mut self.links {
            if let Some(packet) = link.up.take(now) {
                return Some((*number, Way::Up, packet));
            }
            if !held.contains(&link.client)
                && let Some(packet) = link.down.take(now)
            {
                return Some((*number, Way::Down, packet));
            }
        }
        None
    }

    /// When the next packet arrives. Clients in `held` sleep: nothing reaches them.
    pub fn due(&self, held: &[usize]) -> Option<Timestamp> {
        let of_link = |link: &Link| {
            let down = link.down.due().filter(|_| !held.contains(&link.client));
            let idle = self.idle_cut.map(|idle| link.busy + idle);
            [link.up.due(), down, idle].into_iter().flatten().min()
        };
        self.links.values().filter_map(of_link).min()
    }

    /// A link by its number.
    pub fn link(&self, number: u64) -> Option<&Link> {
        self.links.get(&number)
    }

    /// The link of a client's connection.
    pub fn find(&self, client: usize, id: ConnectionId) -> Option<u64> {
        let is_it = |link: &Link| link.client == client && link.id == id;
        self.links
            .iter()
            .find(|(_, link)| is_it(link))
            .map(|(number, _)| *number)
    }

    /// The newest link of a client.
    pub fn newest(&self, client: usize) -> Option<u64> {
        let of_client = self.links.iter().rev();
        of_client
            .filter(|(_, link)| link.client == client)
            .map(|(number, _)| *number)
            .next()
    }

    /// Forgets a link that is over.
    pub fn remove(&mut self, number: u64) -> Option<Link> {
        self.links.remove(&number)
    }

    /// How many links were ever opened.
    pub const fn opened(&self) -> usize {
        self.opened.len()
    }

    /// Which client opened a link, and its id there, also where the link is over.
    pub(crate) fn opened_by(&self, link: u64) -> (usize, ConnectionId) {
        self.opened[usize::try_from(link).unwrap() - 1]
    }

    /// Every link, oldest first.
    pub fn numbers(&self) -> Vec<u64> {
        self.links.keys().copied().collect()
    }

    /// Holds packets in this direction back, or lets them go on.
    pub fn stall(&mut self, number: u64, way: Way, is_stalled: bool) {
        if let Some(link) = self.links.get_mut(&number) {
            link.was_disturbed = true;
            link.lane(way).is_stalled = is_stalled;
        }
    }

    /// From now on nothing arrives in this direction, and no end notices: half-open.
    pub fn deaden(&mut self, number: u64, way: Way) {
        if let Some(link) = self.links.get_mut(&number) {
            link.was_disturbed = true;
            link.lane(way).die();
        }
    }

    /// The link breaks, and both ends notice: packets on their way are lost.
    pub fn cut(&mut self, now: Timestamp, number: u64) {
        if let Some(link) = self.links.get_mut(&number) {
            link.busy = now;
            link.was_disturbed = true;
        }
        for way in [Way::Up, Way::Down] {
            if let Some(link) = self.links.get_mut(&number) {
                let lane = link.lane(way);
                lane.queue.clear();
                lane.latest = now;
                lane.is_stalled = false;
                lane.send(now, now, Packet::End(None));
            }
        }
    }
}
