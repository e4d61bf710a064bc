//! The virtual server: drives one `server::Connection` for each link, as the real driver
//! does, over the test log and rooms made of the real `Presence` and `Redactions`. It decides nothing.

mod nodes;
pub mod requests;
mod rooms;
mod sessions;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use protocol::close::CloseCode;
use protocol::codec::{self, DecodeError};
use protocol::frame::ClientFrame;
use protocol::id::{ConnectionId, Credentials, Generation, NodeName, RoomName, SessionId};
use protocol::rate::Bucket;
use protocol::redactions::REDACTED_MAX;
use protocol::server::{
    Config, Connection, Input, Request, RequestInput, SessionOpened, Transmit, reconnect_slots,
};
use protocol::time::Timestamp;
use protocol::trace::Side;

use self::requests::Reply;
use self::rooms::Room;
use crate::issuer::Issuer;
use crate::link::{Links, Packet, Way};
use crate::log::{Answer, Done, Log, Op, Read};
use crate::tape::{Tape, Tapes};
use crate::writing::write;

/// More rounds than this at one time mean that a machine and its world keep each other busy.
const ROUNDS_MAX: usize = 100_000;

/// How many messages may be posted over HTTP: few, so that some are refused for now.
const POSTS_PER_S: u32 = 2;
const POSTS_BURST: u32 = 4;

/// One connection of the server.
#[derive(Debug)]
struct Desk {
    machine: Connection,
    /// Its session, also after the connection's end.
    owner: Option<SessionId>,
    /// The session that it asks the log for.
    asks: Option<Credentials>,
    /// The opening of its session that it came with.
    generation: Generation,
    /// Frames that were read from the socket, but not given to the machine yet.
    inbox: VecDeque<Result<ClientFrame, DecodeError>>,
    /// The rooms in which its session is a member through this connection.
    rooms: BTreeSet<RoomName>,
    /// Since when its writes make no progress. Meanwhile nothing is read from it, nothing is pulled from its
    /// rooms, and answers of the log wait.
    blocked: Option<Timestamp>,
    /// Answers that are to be written to it next.
    waiting: VecDeque<Waiting>,
    /// Since when its silence proves nothing: it takes nothing, or is not read.
    deaf_since: Option<Timestamp>,
    /// How long that was so before.
    deaf: Duration,
    /// When its newest token has ended, and the grace period with it.
    until: Option<Timestamp>,
    tape: Tape,
}

impl Desk {
    /// Gives the machine an input, and records it.
    fn input(&mut self, now: Timestamp, input: Input) {
        self.tape.input(now, &input);
        self.machine.handle_input(now, input);
    }
}

/// An answer that waits until the connection has taken what was written before.
#[derive(Debug)]
enum Waiting {
    /// A session was opened, or cannot be now.
    Session(Option<(SessionOpened, Generation)>),
    /// Another operation was done.
    Done(Input),
    /// A read can be done now.
    Read(Transmit),
}

/// The server, its rooms and its log.
#[derive(Debug)]
pub struct World {
    /// The configuration of its connections.
    pub config: Config,
    /// Its log.
    pub log: Log,
    /// The issuer of the tokens that it takes.
    pub issuer: Issuer,
    /// Whether connections are taken.
    pub is_up: bool,
    /// Connections will be taken once the log has caught up with the other nodes.
    is_starting: bool,
    /// The other nodes that are alive.
    alive: BTreeSet<NodeName>,
    /// How long a write may make no progress.
    pub write_timeout: Duration,
    /// How many redactions are kept for readers.
    pub removed_max: usize,
    /// How many of a room's newest messages are in memory; the others are only in the log.
    pub tail: u64,
    /// The next pull on this link is cut off.
    pub cuts_off: Option<u64>,
    rooms: BTreeMap<RoomName, Room>,
    desks: BTreeMap<u64, Desk>,
    requests: BTreeMap<u64, Request>,
    replies: Vec<(u64, Reply)>,
    /// The rate at which messages may be posted.
    posts: Bucket,
    moved: BTreeSet<RoomName>,
    pub(crate) tapes: Tapes,
}

impl World {
    /// A server over an empty log.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            log: Log::new(),
            issuer: Issuer::default(),
            is_up: true,
            is_starting: false,
            alive: BTreeSet::new(),
            write_timeout: Duration::from_secs(30),
            removed_max: REDACTED_MAX,
            tail: u64::MAX,
            cuts_off: None,
            rooms: BTreeMap::new(),
            desks: BTreeMap::new(),
            requests: BTreeMap::new(),
            replies: Vec::new(),
            posts: Bucket::new(Timestamp::ZERO, POSTS_PER_S, POSTS_BURST),
            moved: BTreeSet::new(),
            tapes: Tapes::default(),
        }
    }

    /// A packet arrived from a client.
    pub fn receive(&mut self, now: Timestamp, link: u64, packet: Packet, links: &mut Links) {
        match packet {
            Packet::Open if self.is_up => {
                let desk = Desk {
                    machine: Connection::new(now, self.config),
                    owner: None,
                    asks: None,
                    generation: Generation::default(),
                    inbox: VecDeque::new(),
                    rooms: BTreeSet::new(),
                    blocked: None,
                    waiting: VecDeque::new(),
                    deaf_since: None,
                    deaf: Duration::ZERO,
                    until: None,
                    tape: Tape::new(now, link),
                };
                self.desks.insert(link, desk);
                links.send(now, link, Way::Down, Packet::Open);
            }
            Packet::Open => links.send(now, link, Way::Down, Packet::End(None)),
            Packet::Text(text) => {
                let frame = codec::decode(&text, self.config.limits.frame_bytes);
                if let Some(desk) = self.desks.get_mut(&link) {
                    desk.inbox.push_back(frame);
                }
            }
            Packet::End(code) => {
                let by = code.map_or(Side::Line, |_| Side::Client);
                self.lost(now, link, code.unwrap_or(CloseCode::ABNORMAL), by);
            }
        }
        self.settle(now, links);
    }

    /// A fact from inside the server, such as a drain.
    pub fn tell(&mut self, now: Timestamp, link: u64, input: Input, links: &mut Links) {
        self.answer(now, link, input);
        self.settle(now, links);
    }

    /// Does what is due by now.
    pub fn handle_timeout(&mut self, now: Timestamp, links: &mut Links) {
        for link in self.stuck(now) {
            self.answer(now, link, Input::WriteStuck);
            self.close(now, link, CloseCode::SLOW, links);
        }
        self.log.handle_timeout(now);
        self.meet(now);
        for (link, desk) in &mut self.desks {
            if desk.machine.poll_timeout().is_some_and(|at| at <= now) {
                if !desk.machine.wants_input() {
                    self.tapes.unread(now, *link);
                }
                let verdict = desk.machine.handle_timeout(now);
                desk.tape.verdict(now, verdict);
                self.tapes.take(*link, &mut desk.tape);
            }
        }
        for (name, room) in &mut self.rooms {
            if room.presence.poll_timeout().is_some_and(|at| at <= now) {
                room.presence.handle_timeout(now);
                self.moved.insert(name.clone());
            }
        }
        self.settle(now, links);
    }

    /// When something is due.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let desks = self.desks.values();
        let rooms = self.rooms.values();
        desks
            .flat_map(|desk| {
                let stuck = desk.blocked.map(|since| since + self.write_timeout);
                stuck.into_iter().chain(desk.machine.poll_timeout())
            })
            .chain(rooms.filter_map(|room| room.presence.poll_timeout()))
            .chain(self.log.due())
            .min()
    }

    /// The process dies: connections, presence and uncommitted operations are lost.
    pub fn crash(&mut self) {
        (self.is_up, self.is_starting) = (false, false);
        self.alive.clear();
        self.tapes.crashed(self.desks.keys().copied());
        self.desks.clear();
        self.requests.clear();
        self.replies.clear();
        self.rooms.clear();
        self.moved.clear();
        self.log.crash();
    }

    /// Bytes left a link: the server may write on.
    pub fn written(&mut self, now: Timestamp, link: u64, links: &mut Links) {
        let is_blocked = |desk: &Desk| desk.blocked.is_some();
        if self.desks.get(&link).is_some_and(is_blocked) {
            self.settle(now, links);
        }
    }

    /// Takes no new connections, and gives each client its own slot after the drain (RC-3).
    pub fn go_away(&mut self, now: Timestamp, drain: Duration, links: &mut Links) {
        self.is_up = false;
        let connections = self.connections();
        let slots = reconnect_slots(drain, connections.len(), &[]);
        for (slot, link) in slots.zip(connections) {
            self.answer(now, link, Input::GoAway(slot));
        }
        self.settle(now, links);
    }

    /// Closes all connections.
    pub fn shut_down(&mut self, now: Timestamp, links: &mut Links) {
        for link in self.connections() {
            self.answer(now, link, Input::Shutdown);
        }
        self.settle(now, links);
    }

    /// The links whose writes made no progress for too long.
    fn stuck(&self, now: Timestamp) -> Vec<u64> {
        let is_stuck = |since: Timestamp| since + self.write_timeout <= now;
        let desks = self.desks.iter();
        desks
            .filter(|(_, desk)| desk.blocked.is_some_and(is_stuck))
            .map(|(link, _)| *link)
            .collect()
    }

    /// The links that the server still takes for alive.
    pub fn connections(&self) -> Vec<u64> {
        self.desks.keys().copied().collect()
    }

    /// Whether the server still takes a link for alive.
    pub fn holds(&self, link: u64) -> bool {
        self.desks.contains_key(&link)
    }

    /// How long in all written bytes waited for a link, or frames from it were not read: in that time
    /// its silence proves nothing (HB-4).
    pub fn deaf_for(&self, now: Timestamp, link: u64) -> Duration {
        let desk = self.desks.get(&link);
        desk.map_or(Duration::ZERO, |desk| {
            desk.deaf + desk.deaf_since.map_or(Duration::ZERO, |since| now - since)
        })
    }

    /// Whether a session has a connection.
    pub fn is_connected(&self, session: &SessionId) -> bool {
        let mut owners = self.desks.values().filter_map(|desk| desk.owner.as_ref());
        owners.any(|owner| owner == session)
    }

    /// The session on a link.
    pub fn session(&self, link: u64) -> Option<&SessionId> {
        self.desks.get(&link)?.owner.as_ref()
    }

    /// The members of a room.
    pub fn members(&self, room: &RoomName) -> Vec<SessionId> {
        let room = self.rooms.get(room);
        room.map_or_else(Vec::new, |room| room.presence.sessions().cloned().collect())
    }

    /// Does everything that can be done now.
    pub(crate) fn settle(&mut self, now: Timestamp, links: &mut Links) {
        let mut rounds = 0;
        loop {
            rounds += 1;
            assert!(rounds < ROUNDS_MAX, "the server does not come to rest");
            // Until the session is open nothing is served, and that has a deadline of its own.
            let late = self.config.welcome_timeout + Duration::from_secs(1);
            let mut desks = self.desks.values();
            assert!(
                desks.all(|desk| desk.until.is_none_or(|until| now <= until + late)),
                "AC-2: a connection outlives its token"
            );
            for link in self.connections() {
                self.drain(now, link, links);
            }
            if let Some(done) = self.log.commit(now) {
                self.committed(now, done);
            } else if let Some((asker, is_reached)) = self.log.next_reached(now) {
                self.answer_request(now, asker, RequestInput::Reached(is_reached));
            } else if let Some((asker, read)) = self.log.next_read(now) {
                match read {
                    Read::Connection(read) => {
                        if let Some(desk) = self.desks.get_mut(&asker) {
                            desk.waiting.push_back(Waiting::Read(read));
                        }
                    }
                    Read::Request(read) => {
                        let input = self.request_read(read);
                        self.answer_request(now, asker, input);
                    }
                }
            } else if let Some(room) = self.moved.pop_first() {
                self.announce(now, &room);
            } else {
                break;
            }
        }
        if self.is_starting && self.log.is_ready() {
            (self.is_up, self.is_starting) = (true, false);
        }
        for desk in self.desks.values_mut() {
            let is_deaf = desk.blocked.is_some() || !desk.machine.wants_input();
            match desk.deaf_since {
                None if is_deaf => desk.deaf_since = Some(now),
                Some(since) if !is_deaf => {
                    desk.deaf += now - since;
                    desk.deaf_since = None;
                }
                _ => {}
            }
        }
    }

    fn drain(&mut self, now: Timestamp, link: u64, links: &mut Links) {
        let mut transmits = 0;
        loop {
            while let Some(desk) = self.desks.get_mut(&link)
                && let Some(transmit) = desk.machine.poll_transmit()
            {
                transmits += 1;
                assert!(transmits < ROUNDS_MAX, "no rest: {transmit:?}");
                desk.tape.transmit(now, &transmit);
                self.tapes.take(link, &mut desk.tape);
                self.perform(now, link, transmit, links);
            }
            if self.is_blocked(now, link, links) {
                return;
            }
            let Some(desk) = self.desks.get_mut(&link) else {
                return;
            };
            match desk.waiting.pop_front() {
                Some(Waiting::Session(opened)) => {
                    self.session_opened(now, link, opened);
                    continue;
                }
                Some(Waiting::Done(done)) => {
                    self.answer(now, link, done);
                    continue;
                }
                Some(Waiting::Read(read)) => {
                    self.read(now, link, read, links);
                    continue;
                }
                None => {}
            }
            if !desk.machine.wants_input() {
                return;
            }
            let Some(frame) = desk.inbox.pop_front() else {
                return;
            };
            desk.input(now, Input::Received(frame));
            self.tapes.take(link, &mut desk.tape);
        }
    }

    /// Whether a connection's writes have to wait.
    fn is_blocked(&mut self, now: Timestamp, link: u64, links: &Links) -> bool {
        let Some(desk) = self.desks.get_mut(&link) else {
            return false;
        };
        let is_full = links.is_full(link);
        if is_full != desk.blocked.is_some() {
            desk.blocked = is_full.then_some(now);
            desk.input(now, Input::Stalled(is_full));
        }
        is_full
    }

    fn perform(&mut self, now: Timestamp, link: u64, transmit: Transmit, links: &mut Links) {
        let session = self.session(link).cloned();
        let generation = self.desk(link).generation;
        match (transmit, session) {
            (Transmit::Frame(frame), _) => write(now, link, &frame, links),
            (Transmit::Admit { token }, _) => {
                let answer = self.issuer.admit(now, token.as_ref());
                let ends_in = answer.as_ref().ok().and_then(|access| access.expires_in);
                let until = ends_in.map(|ends_in| now + ends_in + self.config.token_grace);
                let desk = self.desk(link);
                desk.until = desk.until.max(until);
                self.answer(now, link, Input::Admitted(answer));
            }
            (Transmit::OpenSession { resume, owner }, _) => {
                if self.has_newer(link, resume.as_ref()) {
                    return self.answer(now, link, Input::TakenOver);
                }
                self.desk(link).asks.clone_from(&resume);
                self.log.submit(now, link, Op::Open { resume, owner });
            }
            (Transmit::Close(code), _) => self.close(now, link, code, links),
            (Transmit::RoundTrip(_), _) => {}
            (
                Transmit::Append {
                    seq,
                    room,
                    name,
                    body,
                    is_repeat,
                },
                Some(session),
            ) => {
                if let Some(room) = self.rooms.get_mut(&room) {
                    room.presence.published(&session);
                }
                let op = Op::Append {
                    session,
                    generation,
                    seq,
                    room,
                    name,
                    body,
                    is_repeat,
                };
                self.log.submit(now, link, op);
            }
            (Transmit::Refuse { seq, code }, Some(session)) => {
                let op = Op::Refuse {
                    session,
                    generation,
                    seq,
                    code,
                };
                self.log.submit(now, link, op);
            }
            (transmit, Some(session)) => self.perform_in_room(now, link, session, transmit, links),
            (transmit, None) => unreachable!("{transmit:?} before the session was opened"),
        }
    }

    fn committed(&mut self, now: Timestamp, done: Done) {
        for (session, generation) in &done.changes.opened {
            self.opened(now, session, *generation);
        }
        for message in done.changes.messages {
            // A node opens a room for its own members.
            if self.log.member.is_none() || self.rooms.contains_key(&message.room) {
                let presence = &mut self.room(&message.room).presence;
                presence.message_shown(&message.session, message.seq);
                self.moved.insert(message.room);
            }
        }
        for message in done.changes.redacted {
            self.redacted(message);
        }
        for (room, through) in done.changes.trimmed {
            if let Some(room) = self.rooms.get_mut(&room) {
                room.redactions.trim(through);
            }
        }
        for (asker, answer) in done.answers {
            self.answered(now, asker, answer);
        }
    }

    /// The answer to an operation of the log.
    fn answered(&mut self, now: Timestamp, link: u64, answer: Answer) {
        let answer = match answer {
            Answer::Session(opened) => {
                if let Some(desk) = self.desks.get_mut(&link) {
                    desk.waiting.push_back(Waiting::Session(opened));
                }
                return;
            }
            Answer::Connection(answer) => answer,
            Answer::Request(answer) => return self.answer_request(now, link, answer),
        };
        if let Input::Appended {
            seq,
            room,
            result: Err(_),
        } = &answer
            && let Some(session) = self.session(link).cloned()
            && let Some(room) = self.rooms.get_mut(room)
        {
            room.presence.publish_failed(&session, *seq);
        }
        if let Some(desk) = self.desks.get_mut(&link) {
            desk.waiting.push_back(Waiting::Done(answer));
        }
    }

    fn answer(&mut self, now: Timestamp, link: u64, input: Input) {
        if let Some(desk) = self.desks.get_mut(&link) {
            desk.input(now, input);
            self.tapes.take(link, &mut desk.tape);
        }
    }

    fn close(&mut self, now: Timestamp, link: u64, code: CloseCode, links: &mut Links) {
        links.send(now, link, Way::Down, Packet::End(Some(code)));
        self.lost(now, link, code, Side::Server);
    }

    fn lost(&mut self, now: Timestamp, link: u64, code: CloseCode, by: Side) {
        let Some(mut desk) = self.desks.remove(&link) else {
            return;
        };
        desk.tape.closed(now, code, by);
        self.tapes.take(link, &mut desk.tape);
        for name in desk.rooms {
            let room = self.room(&name);
            room.watchers.remove(&link);
            if let Some(owner) = &desk.owner {
                room.presence
                    .disconnect(now, owner, ConnectionId::new(link));
            }
            self.moved.insert(name);
        }
    }

    fn desk(&mut self, link: u64) -> &mut Desk {
        self.desks.get_mut(&link).unwrap()
    }
}
