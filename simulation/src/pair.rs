//! Clients and a server on one virtual clock, which jumps to the next wake-up.
//!
//! Frames pass through the real codec. After every step the invariants are checked: the messages that a page
//! shows are contiguous and without doubles, those reported as durable are in the log (both in
//! [`Machine`]), no timer is left in the past, every outbox is within its limits.

mod driver;
mod nodes;

use std::iter;
use std::time::Duration;

use protocol::client::{self, Input, Network, Stored};
use protocol::close::CloseCode;
use protocol::frame::Limits;
use protocol::id::RoomName;
use protocol::outbox::{EntryId, PublishError};
use protocol::position::{Offset, Position};
use protocol::server;
use protocol::time::Timestamp;
use view::Snapshot;

use crate::callers::Callers;
use crate::cluster::Cluster;
use crate::link::{Links, Packet, Reach, Way};
use crate::machine::{Machine, Pace, Step};
use crate::world::World;

/// More steps than this at one time mean that the machines keep each other busy.
const STEPS_AT_ONCE_MAX: usize = 10_000;

/// How many messages a page is rendered with.
const RENDERED: usize = 10;

/// How long a test waits for a condition before it fails.
const PATIENCE: Duration = Duration::from_secs(300);

/// The pair: clients, links, a server and its log.
#[derive(Debug)]
pub struct Pair {
    /// The world's time.
    pub now: Timestamp,
    /// The configuration of pages; each gets a seed of its own.
    pub client_config: client::Config,
    /// All pages that ever were, by number.
    pub clients: Vec<Machine>,
    /// The network between clients and server.
    pub links: Links,
    /// The server; the first node where there are several.
    pub world: World,
    /// The other nodes.
    pub others: Vec<World>,
    /// What joins several nodes.
    pub cluster: Option<Cluster>,
    /// Programs that use the server over HTTP.
    pub callers: Callers,
    steps_at_once: usize,
    /// Some page's machine was called since the last check.
    is_touched: bool,
}

impl Default for Pair {
    fn default() -> Self {
        Self::new()
    }
}

impl Pair {
    /// A world without pages, with the defaults.
    pub fn new() -> Self {
        Self::with(client::Config::new(0), server::Config::default())
    }

    /// A world without pages, with these configurations.
    pub fn with(client_config: client::Config, server_config: server::Config) -> Self {
        Self {
            now: Timestamp::from_millis(1_000),
            client_config,
            clients: Vec::new(),
            links: Links::new(Duration::from_millis(20), client_config.seed),
            world: World::new(server_config),
            others: Vec::new(),
            cluster: None,
            callers: Callers::none(),
            steps_at_once: 0,
            is_touched: false,
        }
    }

    /// A page with this storage, not yet connected.
    pub fn page(&mut self, storage: Stored) -> usize {
        let number = self.clients.len();
        let config = client::Config {
            seed: self.client_config.seed + number as u64,
            ..self.client_config
        };
        self.clients.push(Machine::new(config, storage));
        number
    }

    /// A page that is connected and in the lobby.
    pub fn lobby_page(&mut self) -> usize {
        let client = self.page(Stored::default());
        self.join(client, &RoomName::lobby(), None);
        self.connect(client);
        self.run_until("joined", |pair| {
            !pair.clients[client]
                .shown(&RoomName::lobby())
                .joins
                .is_empty()
        });
        client
    }

    /// The page is loaded again: a new machine from what was stored.
    pub fn reload(&mut self, client: usize) -> usize {
        let page = self.page(self.clients[client].storage.clone());
        self.close(client);
        page
    }

    /// The page is closed.
    pub fn close(&mut self, client: usize) {
        self.clients[client].is_closed = true;
        if let Some(link) = self.links.newest(client) {
            self.links.send(self.now, link, Way::Up, Packet::End(None));
        }
    }

    /// A moderator redacts a message (EO-8). `false` if it is not there, or the server cannot.
    pub fn remove(&mut self, room: &RoomName, offset: Offset) -> bool {
        self.remove_at(0, room, offset)
    }

    // Commands.

    /// Connects now.
    pub fn connect(&mut self, client: usize) {
        self.command(client, client::Session::connect);
    }

    /// Joins a room after what the page already shows.
    pub fn join(&mut self, client: usize, room: &RoomName, since: Option<Position>) {
        let snapshot = since.map(|position| Snapshot {
            more: position.offset > Offset::ZERO,
            position,
            messages: Vec::new(),
        });
        self.show(client, room, snapshot);
    }

    /// Joins a room that the server rendered just now, with its newest messages (RS-7).
    pub fn join_rendered(&mut self, client: usize, room: &RoomName) {
        let node = self.node_of(client);
        let log = &mut self.node_mut(node).log;
        let (epoch, offset, trimmed) = log.state(room);
        let newest = log.messages(room).rev().take(RENDERED);
        let mut messages: Vec<_> = newest.cloned().collect();
        messages.reverse();
        let older = messages
            .first()
            .map_or(Offset::ZERO, |first| first.offset.back(1));
        let snapshot = Snapshot {
            position: Position { epoch, offset },
            messages,
            more: older > trimmed,
        };
        self.show(client, room, Some(snapshot));
    }

    fn show(&mut self, client: usize, room: &RoomName, snapshot: Option<Snapshot>) {
        self.clients[client].start(room, snapshot.as_ref());
        self.command(client, |session, now| {
            let (since, seen) = match snapshot {
                Some(snapshot) => (Some(snapshot.position), snapshot.messages),
                None => (None, Vec::new()),
            };
            session.handle_input(now, Input::Seen(seen));
            session.join(now, room.clone(), since);
        });
    }

    /// Asks for messages older than those that the page shows.
    pub fn older(&mut self, client: usize, room: &RoomName, limit: u32) {
        self.look(client);
        self.clients[client].older(self.now, room, limit);
        self.drain(client);
        self.check();
    }

    /// Leaves a room.
    pub fn leave(&mut self, client: usize, room: &RoomName) {
        self.command(client, |session, now| session.leave(now, room));
    }

    /// Publishes into the lobby.
    pub fn publish(&mut self, client: usize, body: &str) -> EntryId {
        self.try_publish(client, &RoomName::lobby(), body).unwrap()
    }

    /// Publishes, if the outbox has room.
    ///
    /// # Errors
    /// Why the machine does not take the message.
    pub fn try_publish(
        &mut self,
        client: usize,
        room: &RoomName,
        body: &str,
    ) -> Result<EntryId, PublishError> {
        self.command(client, |session, now| {
            session.publish(now, room.clone(), body.to_owned())
        })
    }

    /// A person drops a message that waits for them, and it goes from the page.
    pub fn discard(&mut self, client: usize, id: EntryId) {
        self.command(client, |session, now| session.discard(now, id));
        for shown in self.clients[client].rooms.values_mut() {
            shown.view.timeline.dismiss(id);
        }
    }

    /// Types into the lobby's input box.
    pub fn draft(&mut self, client: usize, body: &str) {
        self.command(client, |session, now| {
            session.draft(now, &RoomName::lobby(), body.to_owned());
        });
    }

    /// The browser reports a change of the page or the network.
    pub fn network(&mut self, client: usize, network: Network) {
        self.command(client, |session, now| {
            session.handle_input(now, Input::Network(network));
        });
    }

    /// Any command, drained as a driver does it.
    pub fn command<T>(
        &mut self,
        client: usize,
        command: impl FnOnce(&mut client::Session, Timestamp) -> T,
    ) -> T {
        self.look(client);
        let machine = &mut self.clients[client];
        let now = machine.clock(self.now);
        let answer = command(&mut machine.session, now);
        self.drain(client);
        self.check();
        answer
    }

    // Faults.

    fn link(&self, client: usize) -> u64 {
        self.links.newest(client).unwrap()
    }

    /// The client's link breaks, and both ends notice.
    pub fn cut(&mut self, client: usize) {
        self.links.cut(self.now, self.link(client));
    }

    /// Nothing arrives any more in either direction, and no end notices.
    pub fn half_open(&mut self, client: usize) {
        for way in [Way::Up, Way::Down] {
            self.deaden(client, way);
        }
    }

    /// Nothing arrives any more in this direction, and no end notices.
    pub fn deaden(&mut self, client: usize, way: Way) {
        self.links.deaden(self.link(client), way);
    }

    /// Packets in this direction wait.
    pub fn stall(&mut self, client: usize, way: Way) {
        self.links.stall(self.link(client), way, true);
    }

    /// Packets that waited go on.
    pub fn unstall(&mut self, client: usize, way: Way) {
        self.links.stall(self.link(client), way, false);
    }

    /// The client's computer sleeps: no timer fires, nothing is read, the world goes on.
    pub fn sleep(&mut self, client: usize) {
        self.clients[client].pace = Pace::Asleep;
    }

    /// The computer wakes up: overdue timers fire first, then waiting packets are read.
    pub fn wake(&mut self, client: usize) {
        self.clients[client].jump(Duration::ZERO);
        self.clients[client].pace = Pace::Awake;
        self.timeout(client);
    }

    /// The tab is hidden: its timers fire once a minute.
    pub fn throttle(&mut self, client: usize) {
        self.clients[client].pace = Pace::Throttled;
    }

    /// The page's clock jumps forward.
    pub fn jump(&mut self, client: usize, by: Duration) {
        let machine = &mut self.clients[client];
        let (was_live, before) = (machine.is_live(), machine.steps.len());
        machine.jump(by);
        self.timeout(client);
        let steps = &self.clients[client].steps[before..];
        let is_verdict = |step: &Step| *step == Step::Dropped(CloseCode::DEAD);
        assert!(
            !was_live || !steps.iter().any(|(_, _, step)| is_verdict(step)),
            "a verdict instead of a probe (HB-9)"
        );
    }

    /// The server dies: connections, presence and uncommitted operations are lost.
    pub fn crash(&mut self) {
        self.crash_node(0);
    }

    /// The server dies right after a commit: messages on their way into the log are durable, and no client gets an
    /// ack.
    pub fn crash_after_commit(&mut self) {
        self.crash_node_after_commit(0);
    }

    /// The server sends all clients away, each with a slot after the drain (RC-3).
    pub fn go_away(&mut self, drain: Duration) {
        self.send_away(0, drain);
    }

    /// The server closes all connections, commits what it has, and exits.
    pub fn shut_down(&mut self) {
        self.shut_down_node(0);
    }

    /// The server is up again.
    pub fn restart(&mut self) {
        self.start_node(0);
    }

    /// A fact from inside the server for the client's connection.
    pub fn tell_server(&mut self, client: usize, input: server::Input) {
        let (now, link, node) = (self.now, self.link(client), self.node_of(client));
        let (world, links) = self.served(node);
        world.tell(now, link, input, links);
    }

    /// Sets the limits from the next connection on.
    pub fn set_limits(&mut self, limits: Limits) {
        self.world.config.limits = limits;
    }

    /// New connections vanish, or no longer do.
    pub fn reach(&mut self, reach: Reach) {
        self.links.reach = reach;
    }

    // Time.

    /// Lets time pass.
    pub fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while self.wake_up().is_some_and(|at| at <= end) {
            self.step();
        }
        self.advance(end);
    }

    /// Goes on until this condition holds, and fails if it never does.
    pub fn run_until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let end = self.now + PATIENCE;
        while !is_so(self) {
            let goes_on = self.wake_up().is_some_and(|at| at <= end);
            assert!(goes_on, "never {what}: {:?}", self.clients);
            self.step();
        }
    }

    /// When the next thing happens.
    pub fn wake_up(&self) -> Option<Timestamp> {
        self.clients
            .iter()
            .filter_map(Machine::due)
            .chain(self.nodes().filter_map(World::poll_timeout))
            .chain(self.cluster.as_ref().and_then(Cluster::due))
            .chain(self.links.due(&self.asleep()))
            .chain(self.world.issuer.due())
            .chain(self.callers.due(self.nodes()))
            .min()
    }

    fn asleep(&self) -> Vec<usize> {
        let is_asleep = |client: &usize| self.clients[*client].pace == Pace::Asleep;
        (0..self.clients.len()).filter(is_asleep).collect()
    }

    fn advance(&mut self, now: Timestamp) {
        if now > self.now {
            self.steps_at_once = 0;
        }
        self.steps_at_once += 1;
        assert!(
            self.steps_at_once < STEPS_AT_ONCE_MAX,
            "time stands still at {:?}: {:?}",
            self.now,
            self.clients
        );
        self.now = self.now.max(now);
    }

    /// Jumps to the next wake-up and does what is due then.
    pub fn step(&mut self) {
        if let Some(at) = self.wake_up() {
            self.advance(at);
        }
        for client in 0..self.clients.len() {
            self.timeout(client);
        }
        self.links.cut_idle(self.now);
        for node in 0..=self.others.len() {
            let now = self.now;
            let (world, links) = self.served(node);
            world.handle_timeout(now, links);
        }
        while let Some((link, way, packet)) = self.links.arrival(self.now, &self.asleep()) {
            self.arrived(link, way, packet);
        }
        while let Some(client) = self.world.issuer.answered(self.now) {
            self.fetched(client);
        }
        let mut nodes: Vec<&mut World> = iter::once(&mut self.world)
            .chain(&mut self.others)
            .collect();
        self.callers.step(self.now, &mut nodes, &mut self.links);
        self.join_nodes();
        // Several nodes have much to do without any page.
        if self.is_touched {
            self.check();
        }
    }

    /// The invariants that hold after every step.
    fn check(&mut self) {
        self.is_touched = false;
        for machine in self.clients.iter().filter(|machine| !machine.is_closed) {
            assert!(
                machine.due().is_none_or(|due| due >= self.now),
                "a timer in the past: {machine:?}"
            );
            let limit = self.client_config.outbox;
            let bytes: usize = machine.session.outbox().map(|entry| entry.body.len()).sum();
            assert!(machine.session.outbox().count() <= limit.entries);
            assert!(bytes <= limit.bytes);
            // The storage holds what the machine holds: a reload at any moment loses nothing.
            let held: Vec<_> = machine.session.outbox().collect();
            assert_eq!(held.len(), machine.storage.outbox.len());
            for entry in held {
                assert_eq!(machine.storage.entry(entry.id), Some(entry));
            }
        }
    }
}
