//! Clients and a server on one virtual clock, which jumps to the next wake-up.
//!
//! Frames pass through the real codec. After every step the invariants are checked: what a page was
//! shown is contiguous and without doubles, what it was told to be durable is in the log (both in
//! [`Machine`]), no timer is left in the past, every outbox is within its limits.

use std::time::Duration;

use protocol::client::{self, Input, Network, Stored, Transmit};
use protocol::close::CloseCode;
use protocol::codec;
use protocol::frame::{Limits, ServerFrame};
use protocol::id::{ConnectionId, RoomName};
use protocol::outbox::{EntryId, PublishError};
use protocol::position::{Offset, Position};
use protocol::server;
use protocol::time::Timestamp;

use crate::callers::Callers;
use crate::link::{Links, Packet, Reach, Way};
use crate::machine::{Machine, Pace, Step};
use crate::world::World;

/// More steps than this at one moment: the machines keep each other busy.
const STEPS_AT_ONCE_MAX: usize = 10_000;

/// The shortest timeout of heartbeats from which a verdict on a healthy link counts as a fault.
const TIMEOUT_FAIR: Duration = Duration::from_secs(2);

/// How long a test waits for something before it fails.
const PATIENCE: Duration = Duration::from_secs(300);

/// The whole.
#[derive(Debug)]
pub struct Pair {
    /// The world's time.
    pub now: Timestamp,
    /// How pages are configured; each gets a seed of its own.
    pub client_config: client::Config,
    /// All pages that ever were, by number.
    pub clients: Vec<Machine>,
    /// What lies between.
    pub links: Links,
    /// The server.
    pub world: World,
    /// Programs that use it over HTTP.
    pub callers: Callers,
    steps_at_once: usize,
}

impl Default for Pair {
    fn default() -> Self {
        Self::new()
    }
}

impl Pair {
    /// Nobody yet, and the defaults.
    pub fn new() -> Self {
        Self::with(client::Config::default(), server::Config::default())
    }

    /// Nobody yet.
    pub fn with(client_config: client::Config, server_config: server::Config) -> Self {
        Self {
            now: Timestamp::from_millis(1_000),
            client_config,
            clients: Vec::new(),
            links: Links::new(Duration::from_millis(20), client_config.seed),
            world: World::new(server_config),
            callers: Callers::none(),
            steps_at_once: 0,
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

    /// The page is gone.
    pub fn close(&mut self, client: usize) {
        self.clients[client].is_closed = true;
        if let Some(link) = self.links.newest(client) {
            self.links.send(self.now, link, Way::Up, Packet::End(None));
        }
    }

    /// A moderator removes a text (EO-8). `false` if there is none, or the server cannot.
    pub fn remove(&mut self, room: &RoomName, offset: Offset) -> bool {
        self.world.is_up && self.world.remove(self.now, room, offset, &mut self.links)
    }

    // Commands.

    /// Connects now.
    pub fn connect(&mut self, client: usize) {
        self.command(client, client::Session::connect);
    }

    /// Joins a room after what the page already shows.
    pub fn join(&mut self, client: usize, room: &RoomName, since: Option<Position>) {
        self.clients[client].start(room, since.as_ref());
        self.command(client, |session, now| {
            session.join(now, room.clone(), since)
        });
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
    /// What the machine says.
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

    /// Types into the lobby's input box.
    pub fn draft(&mut self, client: usize, body: &str) {
        self.command(client, |session, now| {
            session.draft(now, &RoomName::lobby(), body.to_owned());
        });
    }

    /// The browser tells about the page or the network.
    pub fn network(&mut self, client: usize, network: Network) {
        self.command(client, |session, now| {
            session.handle_input(now, Input::Network(network));
        });
    }

    /// Any command, drained as a driver does.
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

    /// The client's link breaks, and both ends learn it.
    pub fn cut(&mut self, client: usize) {
        self.links.cut(self.now, self.link(client));
    }

    /// Nothing arrives any more either way, and nobody is told.
    pub fn half_open(&mut self, client: usize) {
        for way in [Way::Up, Way::Down] {
            self.deaden(client, way);
        }
    }

    /// Nothing arrives any more this way, and nobody is told.
    pub fn deaden(&mut self, client: usize, way: Way) {
        self.links.deaden(self.link(client), way);
    }

    /// What is sent this way waits.
    pub fn stall(&mut self, client: usize, way: Way) {
        self.links.stall(self.link(client), way, true);
    }

    /// What waited goes on.
    pub fn unstall(&mut self, client: usize, way: Way) {
        self.links.stall(self.link(client), way, false);
    }

    /// The client's computer sleeps: no timer fires, nothing is read, the world goes on.
    pub fn sleep(&mut self, client: usize) {
        self.clients[client].pace = Pace::Asleep;
    }

    /// It wakes up: timers that are overdue fire first, then what waited is read.
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

    /// The server dies: connections, presence and what was not committed are lost.
    pub fn crash(&mut self) {
        self.world.crash();
        for link in self.links.numbers() {
            self.links.cut(self.now, link);
        }
    }

    /// The server dies right after a commit: what was on its way into the log is durable, and nobody
    /// was told.
    pub fn crash_after_commit(&mut self) {
        self.world.log.commit_and_crash();
        self.crash();
    }

    /// The server sends everybody away, each with a slot after the drain (RC-3).
    pub fn go_away(&mut self, drain: Duration) {
        self.world.go_away(self.now, drain, &mut self.links);
    }

    /// The server closes all connections, commits what it has, and exits.
    pub fn shut_down(&mut self) {
        self.world.shut_down(self.now, &mut self.links);
        self.crash_after_commit();
    }

    /// The server is up again.
    pub fn restart(&mut self) {
        self.world.is_up = true;
    }

    /// A fact from inside the server for the client's connection.
    pub fn tell_server(&mut self, client: usize, input: server::Input) {
        let link = self.link(client);
        self.world.tell(self.now, link, input, &mut self.links);
    }

    /// Other limits from the next connection on.
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

    /// Goes on until this is so, and fails if it does not become so.
    pub fn run_until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let end = self.now + PATIENCE;
        while !is_so(self) {
            let goes_on = self.wake_up().is_some_and(|at| at <= end);
            assert!(goes_on, "never {what}: {:?}", self.clients);
            self.step();
        }
    }

    /// When something happens next.
    pub fn wake_up(&self) -> Option<Timestamp> {
        self.clients
            .iter()
            .filter_map(Machine::due)
            .chain(self.world.poll_timeout())
            .chain(self.links.due(&self.asleep()))
            .chain(self.world.issuer.due())
            .chain(self.callers.due(&self.world))
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
        self.world.handle_timeout(self.now, &mut self.links);
        while let Some((link, way, packet)) = self.links.arrival(self.now, &self.asleep()) {
            self.arrived(link, way, packet);
        }
        while let Some(client) = self.world.issuer.answered(self.now) {
            self.fetched(client);
        }
        let (world, links) = (&mut self.world, &mut self.links);
        self.callers.step(self.now, world, links);
        self.check();
    }

    /// The page's request for a token is answered.
    fn fetched(&mut self, client: usize) {
        let machine = &mut self.clients[client];
        if machine.is_closed {
            return;
        }
        let answer = self.world.issuer.give(self.now, machine.person);
        let now = machine.clock(self.now);
        machine.session.handle_input(now, Input::Token(answer));
        self.drain(client);
    }

    /// The page's timer fires, if it is due.
    fn timeout(&mut self, client: usize) {
        if self.clients[client]
            .due()
            .is_some_and(|due| due <= self.now)
        {
            self.look(client);
            let machine = &mut self.clients[client];
            machine.session.handle_timeout(machine.clock(self.now));
            self.drain(client);
        }
    }

    fn arrived(&mut self, number: u64, way: Way, packet: Packet) {
        let Some(link) = self.links.link(number) else {
            return;
        };
        let (client, id) = (link.client, link.id);
        let is_end = matches!(packet, Packet::End(_));
        match way {
            Way::Up => self
                .world
                .receive(self.now, number, packet, &mut self.links),
            Way::Down => {
                self.received(client, id, packet);
                self.world.written(self.now, number, &mut self.links);
            }
        }
        // The end that the server was told of was the client's own: nothing comes back.
        let is_over = is_end && (way == Way::Down || !self.clients[client].holds(id));
        if is_over {
            self.links.remove(number);
            if way == Way::Down {
                let gone = Packet::End(None);
                self.world.receive(self.now, number, gone, &mut self.links);
            }
        }
    }

    fn received(&mut self, client: usize, id: ConnectionId, packet: Packet) {
        let machine = &mut self.clients[client];
        if machine.is_closed {
            return;
        }
        let input = match packet {
            Packet::Open => {
                machine.note(self.now, id, Step::Opened);
                Input::Opened { id }
            }
            Packet::Text(text) => {
                let frame = codec::decode(&text, u32::MAX);
                if let Ok(frame) = &frame {
                    machine.note(self.now, id, Step::Received(Clone::clone(frame)));
                }
                Input::Received { id, frame }
            }
            Packet::End(code) => {
                if code == Some(CloseCode::DEAD) {
                    self.check_verdict(client, id);
                }
                let machine = &mut self.clients[client];
                machine.note(self.now, id, Step::Closed(code));
                Input::Closed { id, code }
            }
        };
        self.look(client);
        let machine = &mut self.clients[client];
        machine.session.handle_input(machine.clock(self.now), input);
        self.drain(client);
    }

    /// The driver looks at its socket, and tells the machine if that holds more or less than before.
    fn look(&mut self, client: usize) -> bool {
        let machine = &mut self.clients[client];
        let Some(link) = self.links.newest(client) else {
            return false;
        };
        let id = self.links.link(link).map(|link| link.id);
        let Some(id) = id.filter(|id| machine.holds(*id)) else {
            return false;
        };
        let bytes = self.links.held(self.now, link);
        let has_changed = std::mem::replace(&mut machine.held, bytes) != bytes;
        if has_changed {
            let now = machine.clock(self.now);
            let held = Input::Buffered { id, bytes };
            machine.session.handle_input(now, held);
        }
        has_changed
    }

    /// HB-6: a link to which nothing happened, however slow, is not taken for a dead one.
    fn check_verdict(&self, client: usize, id: ConnectionId) {
        let link = self.links.find(client, id);
        let link = link.and_then(|link| self.links.link(link));
        let is_healthy = link.is_some_and(|link| !link.was_disturbed);
        let is_reached = self.world.is_up && self.clients[client].is_timely();
        // A timeout that is hardly longer than a round trip is a verdict on distance.
        let is_fair = self.world.config.heartbeat_timeout >= TIMEOUT_FAIR;
        assert!(
            !is_healthy || !is_reached || !is_fair || self.is_log_awaited(client, id),
            "a healthy line counted as dead: {:?}",
            self.clients[client]
        );
    }

    /// RC-5: a connection that was not welcomed may wait for a frozen log. The server says so after 9 s, which
    /// on a slow line is too late.
    fn is_log_awaited(&self, client: usize, id: ConnectionId) -> bool {
        let is_welcomed = self.clients[client].steps.iter().any(|(_, of, step)| {
            *of == id && matches!(step, Step::Received(ServerFrame::Welcome(_)))
        });
        let since = self.now.since_origin();
        let since = since.saturating_sub(self.client_config.welcome_timeout);
        !is_welcomed
            && self
                .world
                .log
                .was_frozen_since(Timestamp::from_origin(since))
    }

    /// PR-2: of what is typed, the line has no more before it than the newest and a little.
    fn check_drafts(&self, client: usize, link: u64) {
        let (bytes, most) = self.links.drafts_under_way(self.now, link);
        let little = usize::try_from(self.client_config.draft_flight).unwrap_or(usize::MAX);
        assert!(
            bytes <= little.saturating_add(most),
            "{bytes} bytes of drafts of client {client} wait for the line"
        );
    }

    /// What a driver does after each call: everything that is asked for, in order.
    fn drain(&mut self, client: usize) {
        self.drain_once(client);
        while self.look(client) {
            self.drain_once(client);
        }
    }

    fn drain_once(&mut self, client: usize) {
        let now = self.now;
        while let Some(transmit) = self.clients[client].session.poll_transmit() {
            let machine = &mut self.clients[client];
            match transmit {
                Transmit::Open { id } => {
                    machine.note(now, id, Step::Open);
                    self.links.open(now, client, id);
                }
                Transmit::Frame { id, frame } => {
                    let text = codec::encode(&frame);
                    machine.note(now, id, Step::Sent(frame));
                    if let Some(link) = self.links.find(client, id) {
                        self.links.send(now, link, Way::Up, Packet::Text(text));
                        self.check_drafts(client, link);
                    }
                }
                Transmit::Close { id, code } => {
                    if code == CloseCode::DEAD {
                        self.check_verdict(client, id);
                    }
                    let machine = &mut self.clients[client];
                    machine.note(now, id, Step::Dropped(code));
                    if let Some(link) = self.links.find(client, id) {
                        self.links.send(now, link, Way::Up, Packet::End(Some(code)));
                    }
                }
                Transmit::FetchToken => self.world.issuer.ask(now, client),
                Transmit::Store(store) => machine.storage.apply(store),
            }
        }
        self.clients[client].drain_events(now, &self.world.log);
    }

    /// The invariants that hold after every step.
    fn check(&self) {
        for machine in self.clients.iter().filter(|machine| !machine.is_closed) {
            assert!(
                machine.due().is_none_or(|due| due >= self.now),
                "a timer in the past: {machine:?}"
            );
            let limit = self.client_config.outbox;
            let bytes: usize = machine.session.outbox().map(|entry| entry.body.len()).sum();
            assert!(machine.session.outbox().count() <= limit.entries);
            assert!(bytes <= limit.bytes);
            // What is stored is what the machine holds: a reload at any moment loses nothing.
            let held: Vec<_> = machine.session.outbox().collect();
            assert_eq!(held.len(), machine.storage.outbox.len());
            for entry in held {
                assert_eq!(machine.storage.entry(entry.id), Some(entry));
            }
        }
    }
}
