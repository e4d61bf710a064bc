//! Programs that use the HTTP API. Each has one errand at a time, and repeats its request until it is answered.
//!
//! A request and its answer may each be lost on the way. Answers are compared with the log at once; the outcomes of
//! posts go into the ledger.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fastrand::Rng;
use protocol::access::{Access, Grants, Identity, Naming, Right, Rights, Subject};
use protocol::frame::{ErrorCode, Message};
use protocol::id::{RoomName, SessionId};
use protocol::position::{Offset, Position};
use protocol::server::{Call, MessagePage, PostKey, RequestAnswer, RequestError, Which};
use protocol::time::Timestamp;

use crate::ledger::{Outcome, Published};
use crate::link::Links;
use crate::log::Log;
use crate::world::World;
use crate::world::requests::Reply;

/// How long a program waits for an answer before it repeats its request.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a program waits if no server takes its request.
const AGAIN: Duration = Duration::from_secs(1);

/// The first author number of programs: those of pages are smaller.
const AUTHORS: usize = 1_000_000;

/// What the programs did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Posts that were answered with their offset.
    pub posted: usize,
    /// Posts that were in the log already, as the first answer was lost.
    pub found: usize,
    /// Pages that were read.
    pub pages: usize,
    /// Gaps that were reported to readers.
    pub gaps: usize,
    /// Texts that were redacted.
    pub removed: usize,
    /// Requests that were refused, for now or for good.
    pub refused: usize,
}

/// All programs, and their requests and answers on the way.
#[derive(Debug)]
pub struct Callers {
    /// From now on nothing is lost, and no errand begins.
    pub is_calm: bool,
    /// What the programs did.
    pub tally: Tally,
    /// What the programs posted.
    pub posts: Vec<Published>,
    /// What happened, by time.
    pub notes: Vec<(Timestamp, String)>,
    rng: Rng,
    rooms: usize,
    pause: Duration,
    latency: Duration,
    callers: Vec<Caller>,
    /// Requests on their way to the server, each with its time of arrival.
    requests: Vec<(Timestamp, u64, usize, Call)>,
    /// Answers on their way back.
    replies: Vec<(Timestamp, u64, Reply)>,
    numbered: u64,
}

#[derive(Debug)]
struct Caller {
    access: Access,
    is_moderator: bool,
    /// The position up to which it has read each room.
    read: BTreeMap<RoomName, Position>,
    errand: Option<Errand>,
    /// When it begins its next errand, or repeats its request.
    due: Timestamp,
}

/// Something to be done once, however often it is asked for.
#[derive(Debug)]
struct Errand {
    wish: Wish,
    /// The number of the newest request for it.
    request: u64,
    /// The node that it went to.
    node: usize,
    tries: usize,
    /// The databases in which it was tried.
    databases: BTreeSet<u64>,
}

#[derive(Clone, Debug)]
enum Wish {
    /// To post the message with this index among all posts.
    Post {
        index: usize,
        key: PostKey,
    },
    Read {
        room: RoomName,
    },
    Remove {
        room: RoomName,
        offset: Offset,
    },
}

impl Tally {
    /// Adds what the programs of another run did.
    pub const fn add(&mut self, other: &Self) {
        self.posted += other.posted;
        self.found += other.found;
        self.pages += other.pages;
        self.gaps += other.gaps;
        self.removed += other.removed;
        self.refused += other.refused;
    }
}

impl Callers {
    /// So many programs, in so many rooms, each with an errand about every `pause`. Every other one may moderate; the
    /// others are guests.
    pub fn new(count: usize, rooms: usize, pause: Duration, seed: u64) -> Self {
        let caller = |number: usize| {
            let is_moderator = number.is_multiple_of(2);
            Caller {
                access: access(number, is_moderator),
                is_moderator,
                read: BTreeMap::new(),
                errand: None,
                due: Timestamp::ZERO,
            }
        };
        Self {
            is_calm: false,
            tally: Tally::default(),
            posts: Vec::new(),
            notes: Vec::new(),
            rng: Rng::with_seed(seed),
            rooms,
            pause,
            latency: Duration::from_millis(20),
            callers: (0..count).map(caller).collect(),
            requests: Vec::new(),
            replies: Vec::new(),
            numbered: 0,
        }
    }

    /// No programs.
    pub fn none() -> Self {
        Self::new(0, 1, Duration::ZERO, 0)
    }

    /// When something is due.
    pub fn due<'a>(&self, mut nodes: impl Iterator<Item = &'a World>) -> Option<Timestamp> {
        let is_at_work = |caller: &&Caller| !self.is_calm || caller.errand.is_some();
        let callers = self.callers.iter().filter(is_at_work);
        let callers = callers.map(|caller| caller.due);
        let requests = self.requests.iter().map(|(at, ..)| *at);
        let replies = self.replies.iter().map(|(at, ..)| *at);
        let now = nodes.any(World::has_replies).then_some(Timestamp::ZERO);
        callers.chain(requests).chain(replies).chain(now).min()
    }

    /// Does what is due.
    pub fn step(&mut self, now: Timestamp, nodes: &mut [&mut World], links: &mut Links) {
        for world in &mut *nodes {
            for (number, reply) in world.replies() {
                if !self.is_lost() {
                    let at = now + self.on_its_way();
                    self.replies.push((at, number, reply));
                }
            }
        }
        while let Some(index) = self.requests.iter().position(|(at, ..)| *at <= now) {
            let (_, number, caller, call) = self.requests.remove(index);
            let node = self.route(caller, number, nodes.len());
            self.arrived(now, (number, caller, call), nodes[node], links);
        }
        while let Some(index) = self.replies.iter().position(|(at, ..)| *at <= now) {
            let (_, number, reply) = self.replies.remove(index);
            let waits = |caller: &Caller| {
                let errand = caller.errand.as_ref();
                errand.is_some_and(|errand| errand.request == number)
            };
            // An answer that comes too late was asked for again.
            if let Some(caller) = self.callers.iter().position(waits) {
                let node = self.callers[caller].errand.as_ref().map_or(0, |it| it.node);
                self.answered(now, caller, reply, &mut nodes[node].log);
            }
        }
        for index in 0..self.callers.len() {
            let caller = &self.callers[index];
            if caller.due <= now && (caller.errand.is_some() || !self.is_calm) {
                self.ask(now, index, &mut nodes[0].log);
            }
        }
    }

    /// The node that the caller's request goes to: any, by its number.
    fn route(&mut self, caller: usize, number: u64, nodes: usize) -> usize {
        let node = usize::try_from(number).unwrap_or(0).wrapping_mul(7) / 3 % nodes;
        let errand = self.callers[caller].errand.as_mut();
        if let Some(errand) = errand.filter(|errand| errand.request == number) {
            errand.node = node;
        }
        node
    }

    /// A request arrives at the server.
    fn arrived(
        &mut self,
        now: Timestamp,
        (number, caller, call): (u64, usize, Call),
        world: &mut World,
        links: &mut Links,
    ) {
        if world.is_up {
            let caller = &mut self.callers[caller];
            let errand = caller.errand.as_mut();
            if let Some(errand) = errand.filter(|errand| errand.request == number) {
                errand.databases.insert(world.log.database());
            }
            world.request(now, number, (&caller.access, call), links);
        } else {
            // The port is closed, which a program notices.
            let caller = &mut self.callers[caller];
            caller.due = caller.due.min(now + AGAIN);
        }
    }

    /// Begins an errand, or repeats the request of the present one.
    fn ask(&mut self, now: Timestamp, index: usize, log: &mut Log) {
        let errand = self.callers[index].errand.take();
        let mut errand = errand.unwrap_or_else(|| Errand {
            wish: self.wish(index, log),
            request: 0,
            node: 0,
            tries: 0,
            databases: BTreeSet::new(),
        });
        self.numbered += 1;
        errand.request = self.numbered;
        errand.tries += 1;
        let call = self.call(index, &errand);
        self.note(
            now,
            format!("program {index} asks {}: {call:?}", errand.request),
        );
        if !self.is_lost() {
            let at = now + self.on_its_way();
            self.requests.push((at, errand.request, index, call));
        }
        let caller = &mut self.callers[index];
        caller.errand = Some(errand);
        caller.due = now + PATIENCE;
    }

    fn wish(&mut self, index: usize, log: &mut Log) -> Wish {
        let room = format!("room-{}", self.rng.usize(0..self.rooms));
        let room = RoomName::new(&room).unwrap();
        match self.rng.u8(..10) {
            0..5 => {
                let author = AUTHORS + index;
                let number = self.posts.len();
                let mut key = [0; 32];
                key[..8].copy_from_slice(&(number as u64).to_be_bytes());
                self.posts.push(Published {
                    author,
                    room,
                    body: format!("{author}.{number} {}", "x".repeat(self.rng.usize(0..200))),
                    outcome: Outcome::Posting,
                    repeats: 0,
                });
                Wish::Post { index: number, key }
            }
            5..9 => Wish::Read { room },
            _ => {
                let (_, head, _) = log.state(&room);
                let offset = head.back(self.rng.u64(0..10));
                Wish::Remove { room, offset }
            }
        }
    }

    fn call(&self, index: usize, errand: &Errand) -> Call {
        match &errand.wish {
            Wish::Post { index, key } => {
                let post = &self.posts[*index];
                Call::Publish {
                    room: post.room.clone(),
                    key: *key,
                    session: SessionId::new(&format!("http-{}", errand.request)).unwrap(),
                    name: None,
                    body: post.body.clone(),
                }
            }
            Wish::Read { room } => {
                let position = self.callers[index].read.get(room);
                let which = Which {
                    after: position.map(|position| position.offset),
                    epoch: position.map(|position| position.epoch.clone()),
                    ..Which::default()
                };
                let room = room.clone();
                Call::Read { room, which }
            }
            Wish::Remove { room, offset } => Call::Redact {
                room: room.clone(),
                offset: *offset,
            },
        }
    }

    fn answered(&mut self, now: Timestamp, index: usize, reply: Reply, log: &mut Log) {
        self.note(
            now,
            format!("program {index} is answered: {}", brief(&reply)),
        );
        let Some(errand) = self.callers[index].errand.take() else {
            return;
        };
        if let Err(RequestError::Later(code, wait)) = reply {
            let is_for_now = matches!(code, ErrorCode::RateLimited | ErrorCode::Unavailable);
            assert!(is_for_now, "{code:?} is no refusal for now");
            self.tally.refused += 1;
            let caller = &mut self.callers[index];
            caller.errand = Some(errand);
            caller.due = now + wait;
            return;
        }
        match (&errand.wish, reply) {
            // A node is about to raise the alarm.
            _ if log.is_void() => {}
            (Wish::Post { index, .. }, reply) => self.posted(*index, &errand, reply, log),
            (Wish::Read { room }, Ok(RequestAnswer::Messages(page))) => {
                self.read(index, room, &page, log);
            }
            (Wish::Remove { room, offset }, reply) => {
                let is_moderator = self.callers[index].is_moderator;
                self.removed(is_moderator, (room, *offset), (&errand, &reply), log);
            }
            (wish, reply) => panic!("{wish:?}: {reply:?}"),
        }
        let pause = self.pause.mul_f64(-(1.0 - self.rng.f64()).ln());
        self.callers[index].due = now + pause;
    }

    /// EO-2: a message whose post was answered is in the log, at its offset.
    fn posted(&mut self, index: usize, errand: &Errand, reply: Reply, log: &Log) {
        let post = &mut self.posts[index];
        // A new database knows no key of the one before.
        post.repeats = errand.databases.len().saturating_sub(1);
        post.outcome = match reply {
            Ok(RequestAnswer::Published(posted)) => {
                let is_there = log.ever().any(|message| {
                    let place = (&message.room, message.offset);
                    place == (&post.room, posted.offset) && message.body == post.body
                });
                assert!(is_there, "EO-2: not in the log: {posted:?} {post:?}");
                self.tally.posted += 1;
                self.tally.found += usize::from(posted.is_repeat);
                Outcome::Durable
            }
            // The limits are lower than they were at the first try.
            Err(RequestError::Refused(ErrorCode::BodyTooLarge)) if errand.tries > 1 => {
                self.tally.refused += 1;
                Outcome::GivenUp
            }
            Err(RequestError::Refused(ErrorCode::BodyTooLarge)) => {
                self.tally.refused += 1;
                Outcome::Refused
            }
            reply => panic!("{post:?}: {reply:?}"),
        };
    }

    /// RS-6: the messages follow the reader's position without a hole, or a gap is reported.
    fn read(&mut self, index: usize, room: &RoomName, page: &MessagePage, log: &mut Log) {
        self.tally.pages += 1;
        let is_current = log.state(room).0 == page.epoch;
        let had = self.callers[index].read.get(room);
        let same = had.filter(|had| had.epoch == page.epoch);
        let first = page.messages.first().map(|message| message.offset);
        match same {
            Some(had) if page.gap => {
                let is_trimmed = had.offset < log.trimmed_ever(room);
                assert!(
                    is_trimmed || !is_current,
                    "RS-6: a gap that is none: {page:?}"
                );
            }
            Some(had) => {
                let follows = first.is_none_or(|first| first == had.offset.next());
                assert!(follows, "RS-6: a gap that is not told: {had:?} {page:?}");
            }
            None => assert_eq!(page.gap, had.is_some(), "RS-6: another log: {page:?}"),
        }
        self.tally.gaps += usize::from(page.gap);
        for (one, next) in page.messages.iter().zip(page.messages.iter().skip(1)) {
            assert_eq!(one.offset.next(), next.offset, "a hole: {page:?}");
        }
        for message in &page.messages {
            assert!(log.holds(message), "never in the log: {message:?}");
        }
        let last = page.messages.last().map(|message| message.offset);
        let offset = match (last, same) {
            (Some(last), _) => last,
            (None, Some(had)) if !page.gap => had.offset,
            (None, _) => page.head,
        };
        let epoch = page.epoch.clone();
        let position = Position { epoch, offset };
        self.callers[index].read.insert(room.clone(), position);
    }

    /// EO-8: only moderators redact, and a text that is reported as redacted is gone.
    fn removed(
        &mut self,
        is_moderator: bool,
        (room, offset): (&RoomName, Offset),
        (errand, reply): (&Errand, &Reply),
        log: &Log,
    ) {
        let mut messages = log.messages(room);
        let text = messages.find(|message| message.offset == offset);
        // The answer is about the present database only.
        let is_same = errand.databases.iter().eq([&log.database()]);
        match reply {
            Ok(RequestAnswer::Redacted { .. }) if is_moderator => {
                let is_gone = text.is_none_or(|message| {
                    // Or it was, and the node lost that with its power.
                    message.removed || log.was_removed(message)
                });
                assert!(is_gone || !is_same, "EO-8: a text that stays: {text:?}");
                self.tally.removed += 1;
            }
            Err(RequestError::NoMessage(_)) if is_moderator => self.tally.refused += 1,
            Err(RequestError::ModerateDenied | RequestError::Refused(ErrorCode::TokenRequired))
                if !is_moderator =>
            {
                self.tally.refused += 1
            }
            reply => panic!("{room} {offset}: {reply:?}"),
        }
    }

    fn is_lost(&mut self) -> bool {
        self.rng.u8(..8) == 0 && !self.is_calm
    }

    fn on_its_way(&mut self) -> Duration {
        self.latency.mul_f64(1.0 + 4.0 * self.rng.f64())
    }

    fn note(&mut self, now: Timestamp, line: String) {
        self.notes.push((now, line));
    }
}

/// A page of messages in one line of the trace.
fn brief(reply: &Reply) -> String {
    match reply {
        Ok(RequestAnswer::Messages(page)) => {
            let of = |message: Option<&Message>| message.map(|message| message.offset.get());
            let (first, last) = (of(page.messages.first()), of(page.messages.last()));
            let (head, gap) = (page.head, page.gap);
            format!(
                "{first:?} to {last:?} of {head} of {:?}, gap {gap}",
                page.epoch
            )
        }
        reply => format!("{reply:?}"),
    }
}

fn access(number: usize, is_moderator: bool) -> Access {
    let subject = Subject::new(&format!("program-{number}"));
    let rights = BTreeMap::from([(
        "*".to_owned(),
        vec![Right::Read, Right::Write, Right::Moderate],
    )]);
    Access {
        identity: match subject {
            Ok(subject) if is_moderator => Identity::Subject(subject),
            guest => Identity::Guest(guest.ok()),
        },
        naming: Naming::Own {
            usual: None,
            is_marked: false,
        },
        rights: match is_moderator {
            true => Rights::from(Grants::try_from(rights).unwrap()),
            false => Rights::ALL,
        },
        expires_in: None,
    }
}
