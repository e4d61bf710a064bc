//! Links: what lies between a client and the server. A WebSocket is ordered and reliable until it
//! dies, so a link delays, stalls and dies; it never reorders or doubles.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use protocol::close::CloseCode;
use protocol::id::ConnectionId;
use protocol::time::Timestamp;

/// What travels on a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Packet {
    /// The upgrade request, or the server's answer to it.
    Open,
    /// A text frame, as encoded.
    Text(String),
    /// The end, with its code if there was a closing handshake.
    End(Option<CloseCode>),
}

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// To the server.
    Up,
    /// To the client.
    Down,
}

/// One direction of a link.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    queue: VecDeque<(Timestamp, Packet)>,
    latest: Timestamp,
    /// What is sent waits.
    is_stalled: bool,
    /// What is sent is lost, and nobody is told.
    is_dead: bool,
}

impl Lane {
    fn send(&mut self, arrival: Timestamp, packet: Packet) {
        if !self.is_dead {
            self.latest = self.latest.max(arrival);
            self.queue.push_back((self.latest, packet));
        }
    }

    fn due(&self) -> Option<Timestamp> {
        self.queue
            .front()
            .filter(|_| !self.is_stalled)
            .map(|(at, _)| *at)
    }

    fn take(&mut self, now: Timestamp) -> Option<Packet> {
        self.due().filter(|at| *at <= now)?;
        self.queue.pop_front().map(|(_, packet)| packet)
    }

    fn die(&mut self) {
        self.queue.clear();
        self.is_dead = true;
    }
}

/// The link of one connection.
#[derive(Debug)]
pub(crate) struct Link {
    /// Which client opened it, and how it numbered it.
    pub(crate) client: usize,
    pub(crate) id: ConnectionId,
    latency: Duration,
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
pub(crate) enum Reach {
    /// They reach the server.
    Open,
    /// They vanish.
    BlackHole,
}

/// All links.
#[derive(Debug)]
pub(crate) struct Links {
    pub(crate) latency: Duration,
    pub(crate) reach: Reach,
    links: BTreeMap<u64, Link>,
    opened: u64,
}

impl Links {
    pub(crate) fn new(latency: Duration) -> Self {
        Self {
            latency,
            reach: Reach::Open,
            links: BTreeMap::new(),
            opened: 0,
        }
    }

    /// A client opens a connection: the request is under way.
    pub(crate) fn open(&mut self, now: Timestamp, client: usize, id: ConnectionId) {
        self.opened += 1;
        let is_dead = self.reach == Reach::BlackHole;
        let lane = || Lane {
            is_dead,
            ..Lane::default()
        };
        let link = Link {
            client,
            id,
            latency: self.latency,
            up: lane(),
            down: lane(),
        };
        self.links.insert(self.opened, link);
        self.send(now, self.opened, Way::Up, Packet::Open);
    }

    pub(crate) fn send(&mut self, now: Timestamp, link: u64, way: Way, packet: Packet) {
        if let Some(link) = self.links.get_mut(&link) {
            let arrival = now + link.latency;
            link.lane(way).send(arrival, packet);
        }
    }

    /// The next packet that has arrived, and where.
    pub(crate) fn arrival(&mut self, now: Timestamp, held: &[usize]) -> Option<(u64, Way, Packet)> {
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
    pub(crate) fn due(&self, held: &[usize]) -> Option<Timestamp> {
        let of_link = |link: &Link| {
            let down = link.down.due().filter(|_| !held.contains(&link.client));
            [link.up.due(), down].into_iter().flatten().min()
        };
        self.links.values().filter_map(of_link).min()
    }

    pub(crate) fn link(&self, number: u64) -> Option<&Link> {
        self.links.get(&number)
    }

    /// The link of a client's connection.
    pub(crate) fn find(&self, client: usize, id: ConnectionId) -> Option<u64> {
        let is_it = |link: &Link| link.client == client && link.id == id;
        self.links
            .iter()
            .find(|(_, link)| is_it(link))
            .map(|(number, _)| *number)
    }

    /// The newest link of a client.
    pub(crate) fn newest(&self, client: usize) -> Option<u64> {
        let of_client = self.links.iter().rev();
        of_client
            .filter(|(_, link)| link.client == client)
            .map(|(number, _)| *number)
            .next()
    }

    pub(crate) fn remove(&mut self, number: u64) -> Option<Link> {
        self.links.remove(&number)
    }

    /// Every link, oldest first.
    pub(crate) fn numbers(&self) -> Vec<u64> {
        self.links.keys().copied().collect()
    }

    pub(crate) fn stall(&mut self, number: u64, way: Way, is_stalled: bool) {
        if let Some(link) = self.links.get_mut(&number) {
            link.lane(way).is_stalled = is_stalled;
        }
    }

    /// From now on nothing arrives that way, and nobody is told: half-open.
    pub(crate) fn deaden(&mut self, number: u64, way: Way) {
        if let Some(link) = self.links.get_mut(&number) {
            link.lane(way).die();
        }
    }

    /// The link breaks and both ends learn it: what was under way is lost.
    pub(crate) fn cut(&mut self, now: Timestamp, number: u64) {
        for way in [Way::Up, Way::Down] {
            if let Some(link) = self.links.get_mut(&number) {
                let lane = link.lane(way);
                lane.queue.clear();
                lane.latest = now;
                lane.is_stalled = false;
                lane.send(now, Packet::End(None));
            }
        }
    }
}
