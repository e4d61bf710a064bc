//! Several nodes under all that can happen to them and to their messages: after peace they agree.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fastrand::Rng;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::{life, node, seq};
use crate::id::{ConnectionId, Generation, Holder, Name, NodeName, SessionId};
use crate::presence::Presence;
use crate::time::Timestamp;

const NODES: usize = 4;
const SESSIONS: usize = 12;

/// A message on its way.
struct Flying {
    at: Timestamp,
    to: usize,
    bytes: Vec<u8>,
}

/// A session, as its client and the log know it.
struct Session {
    id: SessionId,
    generation: u64,
    last_seq: u64,
    /// Where its newest connection is, with that; and where it is a member.
    at: Option<(usize, ConnectionId)>,
    is_member: bool,
    name: String,
    draft: String,
}

struct World {
    rng: Rng,
    now: Timestamp,
    rooms: Vec<Option<Presence>>,
    lives: Vec<u64>,
    /// Which nodes each node takes for alive.
    up: Vec<BTreeSet<usize>>,
    flying: Vec<Flying>,
    sessions: Vec<Session>,
    connections: u64,
    /// Of a hundred messages, so many are lost, doubled, late.
    trouble: u32,
    /// Messages of the log that a node has not shown yet.
    unshown: Vec<(usize, Timestamp, SessionId, u64)>,
}

fn name_of(index: usize) -> NodeName {
    node(&format!("n{index}"))
}

impl World {
    fn new(seed: u64) -> Self {
        let sessions = (0..SESSIONS).map(|number| Session {
            id: super::id(&format!("s{number}")),
            generation: 0,
            last_seq: 0,
            at: None,
            is_member: false,
            name: format!("name {number}"),
            draft: String::new(),
        });
        let mut world = Self {
            rng: Rng::with_seed(seed),
            now: Timestamp::from_millis(1_000),
            rooms: (0..NODES).map(|_| None).collect(),
            lives: vec![0; NODES],
            up: vec![BTreeSet::new(); NODES],
            flying: Vec::new(),
            sessions: sessions.collect(),
            connections: 0,
            trouble: 30,
            unshown: Vec::new(),
        };
        for index in 0..NODES {
            world.start(index);
        }
        world
    }

    fn start(&mut self, index: usize) {
        self.lives[index] += 1;
        self.up[index].clear();
        self.open(index);
    }

    /// Opens the room at a node, which knows the nodes that are alive.
    fn open(&mut self, index: usize) {
        // It hears from now on.
        self.flying.retain(|message| message.to != index);
        let life = life(self.lives[index]);
        let mut room = Presence::new(SESSIONS).on_node(self.now, name_of(index), life);
        for other in &self.up[index] {
            room.node_up(self.now, &name_of(*other));
        }
        self.rooms[index] = Some(room);
    }

    fn is_alive(&self, index: usize) -> bool {
        self.rooms[index].is_some()
    }

    /// The process of a node dies. Its clients lose their connections.
    fn kill(&mut self, index: usize) {
        self.rooms[index] = None;
        self.flying.retain(|message| message.to != index);
        self.unshown.retain(|(at, ..)| *at != index);
        for session in &mut self.sessions {
            if session.at.is_some_and(|(at, _)| at == index) {
                session.at = None;
            }
        }
    }

    /// A node learns by its leases that another is alive, or not.
    fn lease(&mut self, index: usize, other: usize) {
        let is_alive = self.is_alive(other);
        let now = self.now;
        let Some(room) = &mut self.rooms[index] else {
            return;
        };
        if is_alive && self.up[index].insert(other) {
            room.node_up(now, &name_of(other));
        } else if !is_alive && self.up[index].remove(&other) {
            room.node_down(now, &name_of(other));
        }
    }

    /// A client connects to a node, and joins. The log has ordered its opening.
    fn connect(&mut self, who: usize, index: usize) {
        if !self.is_alive(index) {
            return;
        }
        self.connections += 1;
        let connection = ConnectionId::new(self.connections);
        let session = &mut self.sessions[who];
        let before = session.at.replace((index, connection));
        session.generation += 1;
        let stays = session.is_member && before.is_some_and(|(at, _)| at == index);
        session.is_member = true;
        if !stays {
            session.draft.clear();
        }
        let (id, name) = (session.id.clone(), Name::tidy(&session.name));
        let holder = Holder {
            connection,
            generation: Generation(session.generation),
        };
        // The log was folded here up to the opening: earlier messages of the session are shown.
        self.show(index, Some(&id));
        let now = self.now;
        if let Some(room) = &mut self.rooms[index] {
            room.enter(now, id.clone(), name, holder);
        }
        // The node that had it learns of that by the log, sometimes late: its connection may still say something.
        if let Some((old, connection)) = before
            && let Some(room) = &mut self.rooms[old]
        {
            if old != index && self.rng.u8(..) < 64 {
                room.draft(&id, "from the grave".into(), 0);
            }
            room.disconnect(now, &id, connection);
        }
    }

    /// A client does something in the room.
    fn act(&mut self, who: usize) {
        let now = self.now;
        let rng = &mut self.rng;
        let session = &mut self.sessions[who];
        let id = session.id.clone();
        let Some((index, connection)) = session.at.filter(|_| session.is_member) else {
            return;
        };
        let Some(room) = &mut self.rooms[index] else {
            return;
        };
        match rng.u8(..6) {
            0 => {
                session.name = format!("name {}", rng.u16(..));
                let holder = Holder {
                    connection,
                    generation: Generation(session.generation),
                };
                room.enter(now, id, Name::tidy(&session.name), holder);
            }
            1 => {
                room.leave(now, &id);
                (session.is_member, session.draft) = (false, String::new());
            }
            2 => {
                room.disconnect(now, &id, connection);
                (session.at, session.draft) = (None, String::new());
            }
            3 => {
                session.last_seq += 1;
                room.published(&id);
                session.draft.clear();
                for node in 0..NODES {
                    let late = Duration::from_millis(rng.u64(..400));
                    self.unshown
                        .push((node, now + late, id.clone(), session.last_seq));
                }
            }
            _ => {
                session.draft = match rng.u8(..4) {
                    0 => String::new(),
                    _ => format!("text {}", rng.u16(..)),
                };
                room.draft(&id, session.draft.clone(), session.last_seq);
            }
        }
    }

    /// Shows messages at a node: those that are due, or those of a session.
    fn show(&mut self, index: usize, of: Option<&SessionId>) {
        let now = self.now;
        let is_due = |at: usize, due: Timestamp, id: &SessionId| {
            at == index && (due <= now || of == Some(id))
        };
        let (mut due, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut self.unshown)
            .into_iter()
            .partition(|(at, due, id, _)| is_due(*at, *due, id));
        self.unshown = rest;
        due.sort_by_key(|(.., number)| *number);
        if let Some(room) = &mut self.rooms[index] {
            for (_, _, id, number) in due {
                room.message_shown(&id, seq(number));
            }
        }
    }

    /// Time passes; what was published is on its way to the others.
    fn pass(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        while self.now < end {
            self.now = self.now + Duration::from_millis(10);
            let now = self.now;
            let due = |message: &Flying| message.at <= now;
            let (mut due, rest): (Vec<_>, Vec<_>) =
                std::mem::take(&mut self.flying).into_iter().partition(due);
            self.flying = rest;
            due.sort_by_key(|message| message.at);
            for message in due {
                if let Some(room) = &mut self.rooms[message.to] {
                    room.hear(now, &message.bytes).unwrap();
                }
            }
            for index in 0..NODES {
                self.show(index, None);
                self.tell(index);
            }
        }
    }

    fn tell(&mut self, index: usize) {
        let now = self.now;
        let Some(room) = &mut self.rooms[index] else {
            return;
        };
        room.handle_timeout(now);
        while let Some(bytes) = room.tell(now) {
            for to in (0..NODES).filter(|to| *to != index) {
                let copies = match self.rng.u32(..100) {
                    roll if roll >= self.trouble => 1,
                    roll if roll % 2 == 0 => 0,
                    _ => 2,
                };
                for _ in 0..copies {
                    let late = match self.trouble {
                        0 => 1,
                        _ => self.rng.u64(..200),
                    };
                    let at = now + Duration::from_millis(late);
                    let bytes = bytes.clone();
                    self.flying.push(Flying { at, to, bytes });
                }
            }
        }
    }

    /// One thing happens.
    fn step(&mut self) {
        let (who, index) = (self.rng.usize(..SESSIONS), self.rng.usize(..NODES));
        match self.rng.u8(..40) {
            0 if self.is_alive(index) => self.kill(index),
            0 | 1 if !self.is_alive(index) => self.start(index),
            2 => {
                let idle = self.rooms[index].as_ref().is_some_and(Presence::is_idle);
                if idle {
                    self.open(index);
                }
            }
            3..=12 => self.connect(who, index),
            13..=18 => {
                let other = self.rng.usize(..NODES);
                if other != index {
                    self.lease(index, other);
                }
            }
            _ => self.act(who),
        }
        let ms = self.rng.u64(..300);
        self.pass(ms);
    }

    /// No more trouble, and time for all to be known.
    fn make_peace(&mut self) {
        self.trouble = 0;
        for index in 0..NODES {
            if !self.is_alive(index) {
                self.start(index);
            }
        }
        for index in 0..NODES {
            for other in (0..NODES).filter(|other| *other != index) {
                self.lease(index, other);
            }
        }
        self.pass(90_000);
    }
}

/// What a node knows: each member's name and draft.
fn known(room: &Presence) -> BTreeMap<SessionId, (String, String)> {
    let (members, count) = room.named();
    assert_eq!(members.len(), count as usize);
    let mut known: BTreeMap<_, _> = members
        .into_iter()
        .map(|member| (member.session, (member.name.to_string(), String::new())))
        .collect();
    for draft in room.drafts() {
        known.get_mut(&draft.session).unwrap().1 = draft.body;
    }
    known
}

/// PR-1, PR-2, RS-4: whatever was lost, doubled, late, and whichever nodes died: after peace all nodes know the same
/// members, under their names, with their drafts; and these are the sessions that are connected and in the room.
#[test]
fn after_peace_all_nodes_agree() {
    for seed in 0..200 {
        let mut world = World::new(seed);
        for _ in 0..120 {
            world.step();
        }
        world.make_peace();
        let expected: BTreeMap<_, _> = world
            .sessions
            .iter()
            .filter(|session| session.at.is_some() && session.is_member)
            .map(|session| {
                (
                    session.id.clone(),
                    (session.name.clone(), session.draft.clone()),
                )
            })
            .collect();
        let at = world.sessions.iter().filter(|session| session.is_member);
        let at: BTreeMap<_, _> = at
            .filter_map(|session| Some((session.id.clone(), Some(name_of(session.at?.0)))))
            .collect();
        for (index, room) in world.rooms.iter().enumerate() {
            let room = room.as_ref().unwrap();
            assert_eq!(known(room), expected, "seed {seed}, node {index}");
            let places = room.by_node();
            assert_eq!(places, at, "seed {seed}, node {index}");
        }
    }
}
