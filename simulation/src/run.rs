//! One run: pages, a server and a network under the faults of one seed, then recovery, then the checks.

use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;
use protocol::client::{Network, Stored};
use protocol::id::{RoomName, SessionId};
use protocol::outbox::{Entry, Stage};
use protocol::position::Position;
use protocol::presence::{AWAY_AFTER, CROWD_EVERY};
use protocol::time::Timestamp;

use crate::arrows;
use crate::callers::{Callers, Tally};
use crate::cluster::Cluster;
use crate::engine::{Engine, Odds};
use crate::ledger::Ledger;
use crate::link::Way;
use crate::machine::Pace;
use crate::pair::Pair;
use crate::profile::{Action, Profile};
use crate::trace::Trace;
use crate::watch::Watches;

/// A page that is open, as its user knows it.
#[derive(Debug)]
pub(crate) struct Tab {
    /// Its number in the pair.
    pub(crate) client: usize,
    /// The author. A page that inherits a storage goes on as the same author.
    pub(crate) author: usize,
    /// The rooms it is in, and the drafts there.
    pub(crate) rooms: BTreeMap<RoomName, String>,
}

/// The end of a fault, later.
#[derive(Debug)]
pub(crate) enum Later {
    /// A server is started.
    Start(usize),
    /// The drain of a server is over.
    ShutDown(usize),
    /// The log takes messages again.
    LogAvailable,
    /// The log of a server answers again.
    LogThaws(usize),
    /// A leader is elected.
    Elected,
    /// All servers of the engine know all packs again.
    CaughtUp,
    /// A node reaches the engine again.
    Joined(usize),
    /// New connections arrive again.
    Reach,
    /// Tokens are given again.
    Issuer,
    /// A silent link speaks again.
    Unstall(u64, Way),
    /// Old messages are trimmed, in most rooms.
    Trim,
    /// A page is visible again, or its computer wakes up.
    Wake(usize),
    /// The browser has its network back.
    Online(usize),
}

/// What sets the draws of nodes apart from those before. With this number the seeds that once failed have one node, as
/// they had then.
const NODES: u64 = 0x6e6f_6465_7300_0004;

/// How long it takes at most until a node that starts has found the engine's end, and folded up to there.
const NODES_BACK: Duration = Duration::from_secs(30);

/// A run of one seed.
#[derive(Debug)]
pub struct Run {
    pub(crate) pair: Pair,
    pub(crate) rng: Rng,
    pub(crate) profile: Profile,
    pub(crate) tabs: Vec<Tab>,
    pub(crate) watches: Watches,
    trace: Trace,
    pub(crate) ledger: Ledger,
    later: Vec<(Timestamp, Later)>,
    pub(crate) authors: usize,
    pub(crate) written: usize,
    /// When a clock last jumped, or timers last fired late.
    pub(crate) jumped: Option<Timestamp>,
    /// How often each action was done.
    done: BTreeMap<Action, usize>,
}

/// The counts of a run.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// How often each action was done.
    pub done: BTreeMap<Action, usize>,
    /// Messages that an outbox took.
    pub published: usize,
    /// Messages that were reported to a page as durable.
    pub durable: usize,
    /// Messages that pages showed.
    pub shown: usize,
    /// Gaps that were reported to pages.
    pub gaps: usize,
    /// Connections that were opened.
    pub connections: usize,
    /// Dead ends that were noticed in time.
    pub noticed: usize,
    /// What programs did over HTTP.
    pub over_http: Tally,
    /// Virtual time.
    pub time: Duration,
}

impl Summary {
    /// Adds the counts of another run.
    pub fn add(&mut self, other: &Self) {
        for (action, count) in &other.done {
            *self.done.entry(*action).or_default() += count;
        }
        self.published += other.published;
        self.durable += other.durable;
        self.shown += other.shown;
        self.gaps += other.gaps;
        self.connections += other.connections;
        self.noticed += other.noticed;
        self.over_http.add(&other.over_http);
        self.time += other.time;
    }
}

impl Run {
    /// The world of a seed, before anything happens.
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let mut profile = Profile::draw(&mut rng);
        let mut nodes_rng = Rng::with_seed(seed ^ NODES);
        let mut pair = Pair::with(profile.client, profile.server);
        pair.links.latency = profile.latency;
        pair.links.jitter = profile.jitter;
        pair.links.buffer_bytes = profile.buffer_bytes;
        pair.links.idle_cut = profile.idle_cut;
        pair.links.up_bytes_per_s = profile.up_bytes_per_s;
        pair.links.hidden_bytes = profile.hidden_bytes;
        profile.draw_nodes(&mut nodes_rng);
        if profile.nodes > 1 {
            let log = (profile.odds, profile.history);
            pair.form(profile.nodes, log, nodes_rng.u64(..));
        }
        for node in 0..profile.nodes {
            let world = pair.node_mut(node);
            world.log.commit_latency = profile.commit_latency;
            world.log.read_latency = profile.read_latency;
            world.tail = profile.tail;
            world.issuer.ttl = profile.token_ttl;
            world.removed_max = profile.removed_max;
        }
        pair.callers = Callers::new(
            profile.callers,
            profile.rooms,
            profile.caller_pause,
            profile.client.seed,
        );
        Self {
            pair,
            rng,
            profile,
            tabs: Vec::new(),
            watches: Watches::default(),
            trace: Trace::default(),
            ledger: Ledger::default(),
            later: Vec::new(),
            authors: 0,
            written: 0,
            jumped: None,
            done: BTreeMap::new(),
        }
    }

    /// Runs to the end.
    ///
    /// # Panics
    /// As soon as a check fails; [`Run::trace`] then tells what led to it.
    pub fn run(&mut self) -> Summary {
        self.pair
            .run_until("up", |pair| pair.nodes().all(|node| node.is_up));
        for _ in 0..self.profile.pages {
            self.open_page(Stored::default(), None);
        }
        let end = self.pair.now + self.profile.duration;
        while self.pair.now < end {
            // Exponential pauses: bursts, and now and then a long silence.
            let pause = self.profile.pause.mul_f64(-(1.0 - self.rng.f64()).ln());
            self.pass(pause);
            if self.is_alarmed() {
                return self.summary();
            }
            let action = self.draw();
            if self.act(action) {
                *self.done.entry(action).or_default() += 1;
            }
        }
        self.heal();
        self.pass(self.recovery());
        if self.is_alarmed() {
            return self.summary();
        }
        self.decide_all();
        self.pass(Duration::from_secs(60));
        self.check_peace();
        self.summary()
    }

    /// Whether a node stands still, as it should where the engine lost what it acked: nothing more is promised.
    fn is_alarmed(&self) -> bool {
        let cluster = self.pair.cluster.as_ref();
        cluster.is_some_and(|cluster| cluster.is_alarmed)
    }

    /// What happened, by time.
    pub fn trace(&self) -> String {
        let cluster = self.pair.cluster.as_ref();
        let nodes = cluster.map_or(&[][..], |cluster| &cluster.notes);
        let notes = [&self.pair.callers.notes[..], nodes];
        self.trace.render(&self.pair.clients, &notes)
    }

    pub(crate) fn note(&mut self, line: String) {
        self.trace.note(self.pair.now, line);
    }

    pub(crate) fn later(&mut self, after: Duration, what: Later) {
        self.later.push((self.pair.now + after, what));
    }

    /// Lets time pass, and faults end meanwhile.
    fn pass(&mut self, time: Duration) {
        let end = self.pair.now + time;
        loop {
            let next = self.later.iter().map(|(at, _)| *at).min();
            let until = next.map_or(end, |next| next.min(end));
            while self.pair.wake_up().is_some_and(|at| at <= until) {
                self.pair.step();
                self.watches.check(&self.pair);
            }
            self.pair.run_for(until - self.pair.now);
            self.watches.check(&self.pair);
            let Some(index) = self.later.iter().position(|(at, _)| *at <= until) else {
                return;
            };
            let (_, what) = self.later.remove(index);
            self.end(&what);
        }
    }

    fn end(&mut self, what: &Later) {
        self.note(format!("{what:?}"));
        match *what {
            Later::Start(node) => self.pair.start_node(node),
            Later::ShutDown(node) => {
                self.pair.shut_down_node(node);
                let pause = self.millis(10, 3_000);
                self.later(pause, Later::Start(node));
            }
            Later::LogAvailable => self.pair.world.log.is_available = true,
            Later::LogThaws(node) => {
                let now = self.pair.now;
                self.pair.node_mut(node).log.thaw(now);
            }
            Later::Elected => self.engine(|engine| engine.elect(false)),
            Later::CaughtUp => self.engine(|engine| engine.lag(false)),
            Later::Joined(node) => self.engine(|engine| engine.cut(node, false)),
            Later::Issuer => self.pair.world.issuer.is_down = false,
            Later::Reach => self.pair.reach(crate::link::Reach::Open),
            Later::Unstall(link, way) => self.pair.links.stall(link, way, false),
            Later::Trim => {
                for _ in 0..self.profile.rooms {
                    self.disturb_log(Action::Trim);
                }
            }
            Later::Wake(client) => self.wake(client),
            Later::Online(client) => {
                if !self.pair.clients[client].is_closed {
                    self.pair.network(client, Network::Online);
                }
            }
        }
    }

    fn wake(&mut self, client: usize) {
        if !self.pair.clients[client].is_closed {
            self.jumped = Some(self.pair.now);
            self.pair.wake(client);
            self.pair.network(client, Network::Visible);
        }
    }

    fn draw(&mut self) -> Action {
        let total: u32 = self.profile.weights.iter().map(|(_, weight)| weight).sum();
        let mut left = self.rng.u32(0..total);
        for (action, weight) in &self.profile.weights {
            if left < *weight {
                return *action;
            }
            left -= weight;
        }
        Action::Publish
    }

    /// Does something to the engine, where there is one.
    pub(crate) fn engine(&mut self, change: impl FnOnce(&mut Engine)) {
        if let Some(cluster) = &mut self.pair.cluster {
            change(&mut cluster.engine);
        }
    }

    /// Some node; the only one draws nothing.
    pub(crate) fn any_node(&mut self) -> usize {
        self.pair.cluster.as_mut().map_or(0, Cluster::any_node)
    }

    pub(crate) fn millis(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_millis(self.rng.u64(least..most))
    }

    /// The index of some tab.
    pub(crate) fn any_tab(&mut self) -> Option<usize> {
        (!self.tabs.is_empty()).then(|| self.rng.usize(0..self.tabs.len()))
    }

    pub(crate) fn any_room(&mut self) -> RoomName {
        let number = self.rng.usize(0..self.profile.rooms);
        RoomName::new(&format!("room-{number}")).unwrap()
    }

    /// Ends all faults. Links that died in silence stay dead: they have to be noticed.
    fn heal(&mut self) {
        self.note("peace".to_owned());
        self.pair.callers.is_calm = true;
        for (_, what) in std::mem::take(&mut self.later) {
            if !matches!(what, Later::ShutDown(_)) {
                self.end(&what);
            }
        }
        for node in 0..=self.pair.others.len() {
            self.pair.start_node(node);
        }
        self.engine(|engine| engine.odds = Odds::default());
        self.pair.links.idle_cut = None;
        for index in 0..self.tabs.len() {
            let client = self.tabs[index].client;
            if self.pair.clients[client].pace != Pace::Awake {
                self.wake(client);
            }
        }
    }

    /// How long it may take until all clients are live again: a dead end is noticed, the server's write
    /// timeout passes, the longest backoff and the deadlines of a connection follow, members that are
    /// away leave, and that is announced to all.
    fn recovery(&self) -> Duration {
        let server = &self.profile.server;
        let noticed = server.heartbeat_interval + server.heartbeat_timeout;
        let client = &self.profile.client;
        let back = client.backoff_cap + client.connect_timeout + client.welcome_timeout;
        // A client connects with an old token, waits, fetches a new one, and connects again (AC-6).
        let tokens = client.backoff_cap * 2;
        // A slow line carries a full outbox, perhaps twice.
        let bytes = client.outbox.bytes * 2;
        let line = self.profile.up_bytes_per_s;
        let carried = line.map_or(0, |bytes_per_s| bytes as u64 / u64::from(bytes_per_s));
        let carried = Duration::from_secs(carried);
        let back = back * 2 + tokens + carried;
        let nodes = if self.profile.nodes > 1 {
            NODES_BACK
        } else {
            Duration::ZERO
        };
        noticed + self.pair.world.write_timeout + back + AWAY_AFTER + CROWD_EVERY + nodes
    }

    /// All clients are live, with empty outboxes, and show the same.
    fn check_peace(&mut self) {
        let mut present: BTreeMap<RoomName, BTreeMap<SessionId, String>> = BTreeMap::new();
        for tab in &self.tabs {
            let machine = &self.pair.clients[tab.client];
            assert!(machine.is_live(), "page {} is not live", tab.client);
            // Only refused texts may be left for their user.
            let is_open = |entry: &&Entry| !matches!(entry.stage, Stage::Refused(_));
            let left = machine.session.outbox().filter(is_open).count();
            assert_eq!(left, 0, "page {} has a full outbox", tab.client);
            let session = machine.session.id().unwrap();
            for (room, draft) in &tab.rooms {
                let here = present.entry(room.clone()).or_default();
                here.insert(session.clone(), draft.clone());
            }
            self.ledger.settle(tab.client, machine);
        }
        for tab in &self.tabs {
            for room in tab.rooms.keys() {
                let node = self.pair.node_of(tab.client);
                let (epoch, head, _) = self.pair.node_mut(node).log.state(room);
                let log = &self.pair.node(node).log;
                let machine = &self.pair.clients[tab.client];
                let shown = machine.shown(room);
                let page = format!("page {} in {}", tab.client, room.as_str());
                let position = machine.session.position(room);
                let expected = Position {
                    epoch,
                    offset: head,
                };
                assert_eq!(position, Some(&expected), "{page} is behind");
                let here = &present[room];
                let removed = log.removed(room, self.profile.removed_max);
                shown.check_removed(&removed);
                let named_max = self.profile.server.members_named;
                shown.check_members(&here.keys().collect(), named_max);
                machine.check_shown(room, log);
                let (own, drafts) = (shown.view.timeline.own(), shown.drafts());
                for (other, draft) in here.iter().filter(|(other, _)| !own.contains(other)) {
                    let seen = drafts.get(other).map_or("", String::as_str);
                    assert_eq!(seen, draft, "{page} shows another draft of {other}");
                }
            }
        }
        for post in &self.pair.callers.posts {
            self.ledger.posted(post);
        }
        self.check_nodes(&present);
        arrows::check(&self.pair);
        self.ledger.check(&self.pair.world.log);
    }

    /// All nodes hold the same, and what ever was durable at one of them is what the judge counts.
    fn check_nodes(&mut self, present: &BTreeMap<RoomName, BTreeMap<SessionId, String>>) {
        for (number, node) in self.pair.nodes().enumerate() {
            for (room, here) in present.iter().filter(|(room, _)| node.has_open(room)) {
                let members = node.members(room);
                let same = members.iter().eq(here.keys());
                assert!(
                    same,
                    "node {number} knows other members of {room:?}: {members:?}"
                );
            }
        }
        if let Some(cluster) = &self.pair.cluster {
            assert!(
                !cluster.is_tail_lost,
                "no node noticed that acked packs are lost"
            );
            cluster.check(&self.pair.world, &self.pair.others);
        }
        for other in &self.pair.others {
            self.pair.world.log.learn(&other.log);
        }
    }

    fn summary(&self) -> Summary {
        let (published, durable) = self.ledger.counts();
        let shown = self.pair.clients.iter().flat_map(|m| m.rooms.values());
        Summary {
            done: self.done.clone(),
            published,
            durable,
            shown: shown.clone().map(|shown| shown.came).sum(),
            gaps: shown.map(|shown| shown.gaps).sum(),
            connections: self.pair.links.opened(),
            noticed: self.watches.noticed(),
            over_http: self.pair.callers.tally,
            time: self.pair.now.since_origin(),
        }
    }

    fn act(&mut self, action: Action) -> bool {
        self.act_on_page(action) || self.act_on_world(action)
    }
}
