//! The driver, its faults and its trace against the real server machine, on the links and the log of the simulation.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use fastrand::Rng;
use simulation::link::{Links, Packet, Way};
use simulation::world;
use view::Fault;

use super::trace::Notes;
use super::*;
use crate::masked::masked;

/// The one client of the links.
const CLIENT: usize = 0;

/// How long a run may take to come to rest after the faults.
const PATIENCE: Duration = Duration::from_secs(300);

/// The network, the server, and what the browser keeps.
struct Net {
    now: Timestamp,
    links: Links,
    server: world::World,
    timer: Option<Timestamp>,
    storage: Stored,
    /// Connections that the browser dropped: their events go nowhere.
    dropped: BTreeSet<ConnectionId>,
    /// The frames that left the page, and those that came to it, as on the wire.
    wire: BTreeMap<(u64, &'static str), Vec<String>>,
}

/// The page's end of the network.
struct Line(Rc<RefCell<Net>>);

impl Line {
    fn end(&self, id: ConnectionId, code: Option<CloseCode>) {
        let mut net = self.0.borrow_mut();
        let now = net.now;
        if net.dropped.insert(id)
            && let Some(link) = net.links.find(CLIENT, id)
        {
            net.links.send(now, link, Way::Up, Packet::End(code));
        }
    }
}

impl Environment for Line {
    fn now(&self) -> Timestamp {
        self.0.borrow().now
    }

    fn open(&mut self, id: ConnectionId, _: Option<&Address>) {
        let mut net = self.0.borrow_mut();
        let now = net.now;
        net.links.open(now, CLIENT, id, 0);
    }

    fn send(&mut self, id: ConnectionId, text: &str) {
        let mut net = self.0.borrow_mut();
        let now = net.now;
        if let Some(link) = net.links.find(CLIENT, id) {
            net.wire
                .entry((id.get(), "out"))
                .or_default()
                .push(text.to_owned());
            net.links
                .send(now, link, Way::Up, Packet::Text(text.to_owned()));
        }
    }

    fn close(&mut self, id: ConnectionId, code: CloseCode) {
        self.end(id, Some(code));
    }

    fn buffered(&self) -> Option<(ConnectionId, u64)> {
        None
    }

    fn release(&mut self, id: ConnectionId) {
        self.end(id, None);
    }

    fn store(&mut self, change: &Store) -> Result<(), StorageFailed> {
        self.0.borrow_mut().storage.apply(change.clone());
        Ok(())
    }

    fn fetch_token(&mut self) {}

    fn wake_after(&mut self, delay: Duration) {
        let mut net = self.0.borrow_mut();
        net.timer = Some(net.now + delay);
    }
}

/// A page and its server.
struct Run {
    net: Rc<RefCell<Net>>,
    driver: Driver<Line>,
    inspect: Inspect,
    queue: Queue,
    commands: VecDeque<Command>,
    /// Until when the page's machine sleeps.
    asleep: Option<Timestamp>,
    told: Rc<RefCell<Vec<Report>>>,
    notes: Rc<Notes>,
}

impl Run {
    fn new(seed: u64) -> Self {
        let net = Rc::new(RefCell::new(Net {
            now: Timestamp::from_millis(1_000),
            links: Links::new(Duration::from_millis(20), seed),
            server: world::World::new(protocol::server::Config::default()),
            timer: None,
            storage: Stored::default(),
            dropped: BTreeSet::new(),
            wire: BTreeMap::new(),
        }));
        let told = Rc::new(RefCell::new(Vec::new()));
        let heard = told.clone();
        let session = Session::new(Config::new(seed), Stored::default());
        let report: Reporter = Box::new(move |report| heard.borrow_mut().push(report));
        let (inspect, queue) = (Inspect::default(), Queue::default());
        inspect.attach(&queue);
        let notes = Rc::new(Notes::default());
        inspect.observe(Some(notes.clone()));
        let driver = Driver::new(session, Line(net.clone()), report).inspected_by(inspect.clone());
        let mut run = Self {
            net,
            driver,
            inspect,
            queue,
            commands: VecDeque::new(),
            asleep: None,
            told,
            notes,
        };
        run.driver.start();
        run.commands.push_back(Command::Join {
            room: RoomName::lobby(),
            since: None,
            shown: Vec::new(),
        });
        run.feed();
        run
    }

    fn now(&self) -> Timestamp {
        self.net.borrow().now
    }

    /// As the page's loop does it.
    fn feed(&mut self) {
        loop {
            if let Some(rest) = self.driver.take_sleep() {
                self.asleep = Some(self.now() + rest);
            }
            if self.asleep.is_some_and(|until| self.now() < until) {
                return;
            }
            self.asleep = None;
            if let Some(command) = self.commands.pop_front() {
                self.driver.command(command);
            } else if let Some(event) = self.queue.try_next() {
                self.driver.handle(event);
            } else {
                return;
            }
        }
    }

    /// Goes on to the next moment at which something happens, at most `until`.
    fn step(&mut self, until: Timestamp) {
        {
            let net = &mut *self.net.borrow_mut();
            let due = [
                net.links.due(&[]),
                net.server.poll_timeout(),
                net.timer,
                self.asleep,
            ];
            let next = due.into_iter().flatten().min().unwrap_or(until);
            net.now = net.now.max(next.min(until));
            let now = net.now;
            if let Some((link, way, packet)) = net.links.arrival(now, &[]) {
                arrived(net, &self.queue, link, way, packet);
            } else if net.timer.take_if(|at| *at <= now).is_some() {
                self.queue.push(BrowserEvent::Timer);
            } else {
                net.server.handle_timeout(now, &mut net.links);
            }
        }
        self.feed();
    }

    fn run_for(&mut self, time: Duration) {
        let until = self.now() + time;
        while self.now() < until {
            self.step(until);
        }
    }

    fn shown(&self) -> Vec<(u64, String)> {
        let told = self.told.borrow();
        let shown = told.iter().filter_map(|report| match report {
            Report::Event(Event::Message(message)) => {
                Some((message.offset.get(), message.body.clone()))
            }
            _ => None,
        });
        shown.collect()
    }

    fn durable(&self) -> usize {
        let told = self.told.borrow();
        let is_durable = |report: &&Report| {
            matches!(
                report,
                Report::Event(Event::Fate {
                    fate: Fate::Durable { .. },
                    ..
                })
            )
        };
        told.iter().filter(is_durable).count()
    }
}

fn arrived(net: &mut Net, queue: &Queue, number: u64, way: Way, packet: Packet) {
    let Some(id) = net.links.link(number).map(|link| link.id) else {
        return;
    };
    let (now, is_end) = (net.now, matches!(packet, Packet::End(_)));
    let is_dropped = net.dropped.contains(&id);
    if way == Way::Up {
        net.server.receive(now, number, packet, &mut net.links);
        if is_end {
            net.links.remove(number);
        }
        return;
    }
    if !is_dropped {
        queue.push(match packet {
            Packet::Open => BrowserEvent::Opened { id },
            Packet::Text(text) => {
                net.wire
                    .entry((id.get(), "in"))
                    .or_default()
                    .push(text.clone());
                BrowserEvent::Text { id, text }
            }
            Packet::End(code) => BrowserEvent::Closed { id, code },
        });
    }
    net.server.written(now, number, &mut net.links);
    if is_end {
        net.links.remove(number);
        let gone = Packet::End(None);
        net.server.receive(now, number, gone, &mut net.links);
    }
}

fn any_fault(rng: &mut Rng) -> Fault {
    let time = Duration::from_millis(rng.u64(1..60_000));
    match rng.u8(0..8) {
        0 => Fault::Cut,
        1 => Fault::Mute,
        2 => Fault::Deafen,
        3 => Fault::LostAck,
        4 => Fault::Clock(time * rng.u32(1..100)),
        5 => Fault::Sleep(time),
        _ => Fault::Heal,
    }
}

/// Any sequence of faults that is healed loses nothing and doubles nothing (EO-1, EO-3), and the trace is what was on the
/// wire: frame by frame, up to the first one that was swallowed.
#[test]
fn faults_that_are_healed_lose_and_double_nothing() {
    for seed in 0..300 {
        let mut rng = Rng::with_seed(seed);
        let mut run = Run::new(seed);
        let mut written = Vec::new();
        for _ in 0..rng.usize(1..30) {
            if rng.bool() {
                let body = format!("text {}", written.len());
                written.push(body.clone());
                let room = RoomName::lobby();
                run.commands.push_back(Command::Publish { room, body });
            } else {
                run.inspect.fault(any_fault(&mut rng));
            }
            run.feed();
            let most = if rng.bool() { 100 } else { 40_000 };
            run.run_for(Duration::from_millis(rng.u64(0..most)));
        }
        run.inspect.fault(Fault::Heal);
        run.run_for(PATIENCE);

        let log = &run.net.borrow().server.log;
        assert_eq!(log.bodies(&RoomName::lobby()), written, "seed {seed}");
        let expected: Vec<_> = (1..).zip(written.iter().cloned()).collect();
        assert_eq!(run.shown(), expected, "seed {seed}");
        assert_eq!(run.durable(), written.len(), "seed {seed}");
        assert_eq!(run.driver.session.status(), Status::Live, "seed {seed}");
        assert!(run.net.borrow().storage.outbox.is_empty(), "seed {seed}");
        check_trace(seed, &run);
    }
}

/// Each frame of the trace is the one that went over the wire as the same one of its connection and direction; the trace of a
/// connection holds all that came to the page, or was sent by it, but what followed a swallowed frame.
fn check_trace(seed: u64, run: &Run) {
    let mut traced: BTreeMap<(u64, &'static str), Vec<String>> = BTreeMap::new();
    for (kind, _, connection, ordinal, text) in run.notes.entries() {
        if ordinal > 0 {
            let frames = traced.entry((connection, kind)).or_default();
            frames.push(text);
            assert_eq!(frames.len() as u64, ordinal, "seed {seed}");
        }
    }
    let net = run.net.borrow();
    let none = Vec::new();
    for (connection, kind) in traced.keys().chain(net.wire.keys()) {
        let key = (*connection, *kind);
        let frames = traced.get(&key).unwrap_or(&none);
        let wire = net.wire.get(&key).unwrap_or(&none);
        // Of what the page sends some may be swallowed after the trace, of what comes some before it.
        let both = frames.iter().zip(wire);
        for (frame, wire) in both {
            assert_eq!(*frame, masked(wire), "seed {seed}, {key:?}");
        }
        let (most, least) = match *kind {
            "out" => (frames, wire),
            _ => (wire, frames),
        };
        assert!(most.len() >= least.len(), "seed {seed}, {key:?}");
    }
}
