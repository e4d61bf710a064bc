//! One run: pages, a server and a network under the faults of one seed, then peace, then the count.

use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;
use protocol::client::{Network, Stored};
use protocol::id::{Name, RoomName};
use protocol::outbox::EntryId;
use protocol::position::{Offset, Position};
use protocol::presence::{AWAY_AFTER, CROWD_EVERY};
use protocol::time::Timestamp;

use crate::ledger::{Ledger, uncertain};
use crate::link::Way;
use crate::machine::Pace;
use crate::pair::Pair;
use crate::profile::{Action, Profile};
use crate::trace::Trace;
use crate::watch::Watches;

/// At most so many pages at once.
const PAGES_MAX: usize = 8;

/// A page that is open, as the person in front of it knows it.
#[derive(Debug)]
pub(crate) struct Tab {
    /// Its number in the pair.
    pub(crate) client: usize,
    /// Who writes. A page that inherits a storage goes on as the same author.
    author: usize,
    /// The rooms it is in, and what stands in their input boxes.
    pub(crate) rooms: BTreeMap<RoomName, String>,
}

/// What comes to an end later.
#[derive(Debug)]
pub(crate) enum Later {
    /// The server is started.
    Start,
    /// The drain is over.
    ShutDown,
    /// The log takes messages again.
    LogAvailable,
    /// New connections arrive again.
    Reach,
    /// Tokens are given again.
    Issuer,
    /// A silent link speaks again.
    Unstall(u64, Way),
    /// Old messages go, in most rooms.
    Trim,
    /// A page is seen again, or its computer wakes up.
    Wake(usize),
    /// The browser has its network back.
    Online(usize),
}

/// A run of one seed.
#[derive(Debug)]
pub struct Run {
    pub(crate) pair: Pair,
    pub(crate) rng: Rng,
    pub(crate) profile: Profile,
    pub(crate) tabs: Vec<Tab>,
    pub(crate) watches: Watches,
    trace: Trace,
    ledger: Ledger,
    later: Vec<(Timestamp, Later)>,
    authors: usize,
    written: usize,
    /// When a clock last jumped, or timers last fired late.
    pub(crate) jumped: Option<Timestamp>,
    /// How often each action was done.
    done: BTreeMap<Action, usize>,
}

/// What a run was like.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// How often each action was done.
    pub done: BTreeMap<Action, usize>,
    /// Messages that an outbox took.
    pub published: usize,
    /// Messages that a page was told to be durable.
    pub durable: usize,
    /// Messages that pages were shown.
    pub shown: usize,
    /// Gaps that pages were told of.
    pub gaps: usize,
    /// Connections that were opened.
    pub connections: usize,
    /// Dead ends that were noticed in time.
    pub noticed: usize,
    /// Virtual time.
    pub time: Duration,
}

impl Summary {
    /// Adds what another run was like.
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
        self.time += other.time;
    }
}

impl Run {
    /// The world of a seed, before anything happens.
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let profile = Profile::draw(&mut rng);
        let mut pair = Pair::with(profile.client, profile.server);
        pair.links.latency = profile.latency;
        pair.links.jitter = profile.jitter;
        pair.links.buffer_bytes = profile.buffer_bytes;
        pair.links.idle_cut = profile.idle_cut;
        pair.world.log.commit_latency = profile.commit_latency;
        pair.world.issuer.ttl = profile.token_ttl;
        pair.world.removed_max = profile.removed_max;
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
    /// As soon as something does not hold; [`Run::trace`] then tells how it came to that.
    pub fn run(&mut self) -> Summary {
        for _ in 0..self.profile.pages {
            self.open_page(Stored::default(), None);
        }
        let end = self.pair.now + self.profile.duration;
        while self.pair.now < end {
            // Exponential pauses: bursts, and now and then a long silence.
            let pause = self.profile.pause.mul_f64(-(1.0 - self.rng.f64()).ln());
            self.pass(pause);
            let action = self.draw();
            if self.act(action) {
                *self.done.entry(action).or_default() += 1;
            }
        }
        self.heal();
        self.pass(self.recovery());
        self.decide_all();
        self.pass(Duration::from_secs(60));
        self.check_peace();
        self.summary()
    }

    /// What happened, by time.
    pub fn trace(&self) -> String {
        self.trace.render(&self.pair.clients)
    }

    pub(crate) fn note(&mut self, line: String) {
        self.trace.note(self.pair.now, line);
    }

    pub(crate) fn later(&mut self, after: Duration, what: Later) {
        self.later.push((self.pair.now + after, what));
    }

    /// Time passes, with what comes to an end meanwhile.
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
            Later::Start => self.pair.restart(),
            Later::ShutDown => {
                self.pair.shut_down();
                let pause = self.millis(10, 3_000);
                self.later(pause, Later::Start);
            }
            Later::LogAvailable => self.pair.world.log.is_available = true,
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

    /// What people do, and what befalls their pages. `false` if it was not possible.
    pub(crate) fn act_on_page(&mut self, action: Action) -> bool {
        let Some(index) = self.any_tab() else {
            return action == Action::OpenPage && self.open_page(Stored::default(), None);
        };
        let client = self.tabs[index].client;
        let room = self.any_room();
        self.note(format!("{action:?} page {client} {}", room.as_str()));
        match action {
            Action::Publish => self.publish(index, &room),
            Action::Draft => self.draft(index, &room),
            Action::Rename => {
                let name = Name::tidy(&format!("name {}", self.rng.u8(..)));
                self.pair
                    .command(client, |session, now| session.rename(now, name));
                true
            }
            Action::Join => self.join(index, &room),
            Action::Leave => {
                let is_there = self.tabs[index].rooms.remove(&room).is_some();
                self.pair.leave(client, &room);
                is_there
            }
            Action::History => {
                let before = Offset::new(self.rng.u64(1..50)).unwrap();
                self.pair.command(client, |session, now| {
                    session.history(now, room, before, 10);
                });
                true
            }
            Action::Remove => self.remove(&room),
            Action::Decide => self.decide(client),
            Action::OpenPage => self.open_page(Stored::default(), None),
            Action::ClosePage => self.close_page(index),
            Action::TryNow => {
                self.pair.connect(client);
                true
            }
            Action::Reload => {
                let storage = self.pair.clients[client].storage.clone();
                self.reload(index, storage)
            }
            Action::ReloadBare => self.reload(index, Stored::default()),
            // The copy finds the lock taken: it starts with nothing (RS-8).
            Action::Duplicate => self.open_page(Stored::default(), Some(index)),
            _ => false,
        }
    }

    fn publish(&mut self, index: usize, room: &RoomName) -> bool {
        let Tab { client, author, .. } = self.tabs[index];
        self.written += 1;
        let padding = "x".repeat(self.rng.usize(0..60).pow(2) / 8);
        let body = format!("{author}.{} {padding}", self.written);
        let Ok(id) = self.pair.try_publish(client, room, &body) else {
            return false;
        };
        self.ledger.publish((client, id), author, room, &body);
        if let Some(draft) = self.tabs[index].rooms.get_mut(room) {
            draft.clear();
        }
        true
    }

    fn draft(&mut self, index: usize, room: &RoomName) -> bool {
        let tab = &mut self.tabs[index];
        let Some(draft) = tab.rooms.get_mut(room) else {
            return false;
        };
        *draft = match self.rng.u8(..4) {
            0 => String::new(),
            _ => format!("draft {}", self.rng.u16(..)),
        };
        let (client, body) = (tab.client, draft.clone());
        self.pair
            .command(client, |session, now| session.draft(now, room, body));
        true
    }

    /// What is removed is mostly new.
    fn remove(&mut self, room: &RoomName) -> bool {
        let (_, head, _) = self.pair.world.log.state(room);
        let back = self.rng.u64(0..5).pow(2);
        self.pair.remove(room, head.back(back.min(head.get())))
    }

    fn join(&mut self, index: usize, room: &RoomName) -> bool {
        let tab = &self.tabs[index];
        if tab.rooms.contains_key(room)
            || tab.rooms.len() >= self.profile.server.limits.rooms as usize
        {
            return false;
        }
        let client = tab.client;
        // A page that the server rendered knows where it is (RS-7).
        let (epoch, offset, _) = self.pair.world.log.state(room);
        let since = self.rng.bool().then_some(Position { epoch, offset });
        self.pair.join(client, room, since);
        self.tabs[index].rooms.insert(room.clone(), String::new());
        true
    }

    /// Opens a page; `like` another one, in the same rooms.
    fn open_page(&mut self, storage: Stored, like: Option<usize>) -> bool {
        if self.tabs.len() >= PAGES_MAX {
            return false;
        }
        let author = self.authors;
        self.authors += 1;
        self.start_page(storage, author, like);
        true
    }

    fn start_page(&mut self, storage: Stored, author: usize, like: Option<usize>) -> usize {
        let rooms = like.map(|like| self.tabs[like].rooms.keys().cloned().collect());
        let rooms: Vec<RoomName> = rooms.unwrap_or_else(|| vec![self.any_room()]);
        let client = self.pair.page(storage);
        self.pair.clients[client].person = author;
        self.tabs.push(Tab {
            client,
            author,
            rooms: BTreeMap::new(),
        });
        for room in rooms {
            self.join(self.tabs.len() - 1, &room);
        }
        self.pair.connect(client);
        client
    }

    fn close_page(&mut self, index: usize) -> bool {
        if self.tabs.len() < 2 {
            return false;
        }
        let tab = self.tabs.remove(index);
        self.pair.close(tab.client);
        self.ledger
            .pass_on(tab.client, &self.pair.clients[tab.client], None);
        true
    }

    fn reload(&mut self, index: usize, storage: Stored) -> bool {
        let is_heir = storage.credentials.is_some() || !storage.outbox.is_empty();
        let Tab { client, author, .. } = self.tabs[index];
        let author = if is_heir {
            author
        } else {
            self.authors += 1;
            self.authors - 1
        };
        self.pair.close(client);
        let heir = self.start_page(storage, author, Some(index));
        self.tabs.swap_remove(index);
        let machine = &self.pair.clients[client];
        self.ledger
            .pass_on(client, machine, is_heir.then_some(heir));
        true
    }

    fn decide(&mut self, client: usize) -> bool {
        let waiting = uncertain(&self.pair.clients[client]);
        for id in &waiting {
            self.decide_about(client, *id);
        }
        !waiting.is_empty()
    }

    fn decide_about(&mut self, client: usize, id: EntryId) {
        let machine = &self.pair.clients[client];
        self.ledger.settle(client, machine);
        if self.rng.bool() {
            self.ledger.send_again(client, id);
            self.pair
                .command(client, |session, now| session.send_again(now, id));
        } else {
            self.ledger.discard(client, id);
            self.pair
                .command(client, |session, now| session.discard(now, id));
        }
    }

    fn decide_all(&mut self) {
        for index in 0..self.tabs.len() {
            self.decide(self.tabs[index].client);
        }
    }

    /// Nothing goes wrong any more. Links that died in silence stay dead: they have to be noticed.
    fn heal(&mut self) {
        self.note("peace".to_owned());
        for (_, what) in std::mem::take(&mut self.later) {
            if !matches!(what, Later::ShutDown) {
                self.end(&what);
            }
        }
        self.pair.restart();
        self.pair.links.idle_cut = None;
        for index in 0..self.tabs.len() {
            let client = self.tabs[index].client;
            if self.pair.clients[client].pace != Pace::Awake {
                self.wake(client);
            }
        }
    }

    /// How long it may take until everybody is back: a dead end is noticed, the server's write
    /// timeout passes, the longest backoff and the deadlines of a connection follow, those who are
    /// away leave, and everybody hears of that.
    fn recovery(&self) -> Duration {
        let server = &self.profile.server;
        let noticed = server.heartbeat_interval + server.heartbeat_timeout;
        let client = &self.profile.client;
        let back = client.backoff_cap + client.connect_timeout + client.welcome_timeout;
        // Somebody comes with an old token, waits, fetches a new one, and comes again (AC-6).
        let tokens = client.backoff_cap * 2;
        noticed + self.pair.world.write_timeout + back * 2 + tokens + AWAY_AFTER + CROWD_EVERY
    }

    /// Everybody is live, with an empty outbox, and sees the same.
    fn check_peace(&mut self) {
        let mut present: BTreeMap<RoomName, BTreeMap<_, String>> = BTreeMap::new();
        for tab in &self.tabs {
            let machine = &self.pair.clients[tab.client];
            assert!(machine.is_live(), "page {} is not live", tab.client);
            let left = machine.session.outbox().count();
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
                let (epoch, head, _) = self.pair.world.log.state(room);
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
                let removed = self.pair.world.log.removed(room, self.profile.removed_max);
                shown.check_removed(&removed);
                let named_max = self.profile.server.members_named;
                shown.check_members(&here.keys().collect(), named_max);
                let session = machine.session.id().unwrap();
                for (other, draft) in here.iter().filter(|(other, _)| *other != session) {
                    let seen = shown.drafts.get(other).map_or("", String::as_str);
                    assert_eq!(seen, draft, "{page} shows another draft of {other}");
                }
            }
        }
        self.ledger.check(&self.pair.world.log);
    }

    fn summary(&self) -> Summary {
        let (published, durable) = self.ledger.counts();
        let shown = self.pair.clients.iter().flat_map(|m| m.rooms.values());
        Summary {
            done: self.done.clone(),
            published,
            durable,
            shown: shown.clone().map(|shown| shown.messages.len()).sum(),
            gaps: shown.map(|shown| shown.gaps).sum(),
            connections: self.pair.links.opened(),
            noticed: self.watches.noticed(),
            time: self.pair.now.since_origin(),
        }
    }

    fn act(&mut self, action: Action) -> bool {
        self.act_on_page(action) || self.act_on_world(action)
    }
}
