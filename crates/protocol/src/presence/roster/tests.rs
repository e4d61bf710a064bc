//! Tests of presence over several nodes: what each of them knows, and what travels.

mod chaos;

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::message::{Message, Said};
use crate::id::{ConnectionId, Generation, Holder, Life, Name, NodeName, Seq, SessionId};
use crate::presence::{HearError, MESSAGE_BYTES, Presence};
use crate::time::Timestamp;

const LINK: ConnectionId = ConnectionId::new(1);

fn at(ms: u64) -> Timestamp {
    Timestamp::from_millis(ms)
}

fn id(text: &str) -> SessionId {
    SessionId::new(text).unwrap()
}

fn node(text: &str) -> NodeName {
    NodeName::new(text).unwrap()
}

fn seq(number: u64) -> Seq {
    Seq::new(number).unwrap()
}

const fn life(count: u64) -> Life {
    Life { count, nonce: 7 }
}

const fn opening(generation: u64) -> Holder {
    Holder {
        connection: LINK,
        generation: Generation(generation),
    }
}

/// Nodes that hear each other at once.
struct Nodes {
    rooms: Vec<(NodeName, Presence)>,
    now: Timestamp,
    /// All that was told.
    told: Vec<(usize, Message)>,
}

impl Nodes {
    /// One room on nodes of these names, all of which are alive.
    fn new(names: &[&str]) -> Self {
        let now = at(1_000);
        let open = |name: &&str| {
            (
                node(name),
                Presence::new(100).on_node(now, node(name), life(1)),
            )
        };
        let mut nodes = Self {
            rooms: names.iter().map(open).collect(),
            now,
            told: Vec::new(),
        };
        for (_, room) in &mut nodes.rooms {
            for name in names {
                room.node_up(now, &node(name));
            }
        }
        nodes.settle();
        nodes
    }

    /// Another node opens the room.
    fn join(&mut self, name: &str) {
        let (now, name) = (self.now, node(name));
        let mut room = Presence::new(100).on_node(now, name.clone(), life(1));
        for (other, there) in &mut self.rooms {
            room.node_up(now, other);
            there.node_up(now, &name);
        }
        self.rooms.push((name, room));
        self.settle();
    }

    fn room(&mut self, index: usize) -> &mut Presence {
        &mut self.rooms[index].1
    }

    fn enter(&mut self, index: usize, session: &str, generation: u64) {
        let now = self.now;
        let name = Name::tidy(session);
        self.room(index)
            .enter(now, id(session), name, opening(generation));
        self.settle();
    }

    fn draft(&mut self, index: usize, session: &str, body: &str, after: u64) {
        self.room(index).draft(&id(session), body.into(), after);
        self.settle();
    }

    /// Every node shows a message.
    fn show(&mut self, session: &str, number: u64) {
        for (_, room) in &mut self.rooms {
            room.message_shown(&id(session), seq(number));
        }
    }

    /// Hands messages on until all is quiet, and some more time.
    fn settle(&mut self) {
        self.pass(200);
    }

    fn pass(&mut self, ms: u64) {
        for _ in 0..ms.div_ceil(10) {
            self.now = self.now + std::time::Duration::from_millis(10);
            for index in 0..self.rooms.len() {
                self.room(index).handle_timeout(at(0));
                while let Some(bytes) = self.tell(index) {
                    self.hand_on(index, &bytes);
                }
            }
        }
    }

    fn tell(&mut self, index: usize) -> Option<Vec<u8>> {
        let now = self.now;
        let bytes = self.room(index).tell(now)?;
        self.told.push((index, Message::decode(&bytes).unwrap()));
        Some(bytes)
    }

    fn hand_on(&mut self, from: usize, bytes: &[u8]) {
        let now = self.now;
        for (index, (_, room)) in self.rooms.iter_mut().enumerate() {
            if index != from {
                room.hear(now, bytes).unwrap();
            }
        }
    }

    /// The members that a node knows, with their drafts.
    fn known(&self, index: usize) -> Vec<String> {
        let room = &self.rooms[index].1;
        let drafts = room.drafts();
        let (members, _) = room.named();
        let known = members.iter().map(|member| {
            let draft = drafts.iter().find(|draft| draft.session == member.session);
            let draft = draft.map(|draft| format!(": {}", draft.body));
            format!("{}{}", member.name, draft.unwrap_or_default())
        });
        known.collect()
    }

    #[track_caller]
    fn all_know(&self, members: &[&str]) {
        for (index, (name, _)) in self.rooms.iter().enumerate() {
            assert_eq!(self.known(index), members, "at {name}");
        }
    }

    fn has(&self, index: usize, session: &str) -> Option<NodeName> {
        self.rooms[index].1.by_node().remove(&id(session)).unwrap()
    }

    fn forget_told(&mut self) {
        self.told.clear();
    }
}

/// PR-1, PR-2: members, names and drafts of one node are those of all.
#[test]
fn what_one_node_has_the_others_know() {
    let mut nodes = Nodes::new(&["a", "b", "c"]);
    nodes.enter(0, "ada", 1);
    nodes.enter(1, "bob", 1);
    nodes.draft(1, "bob", "hel", 0);
    nodes.all_know(&["ada", "bob: hel"]);
    let now = nodes.now;
    let bob = nodes.room(1);
    bob.enter(now, id("bob"), Name::tidy("Bob B."), opening(1));
    nodes.draft(1, "bob", "", 0);
    nodes.all_know(&["ada", "Bob B."]);
    let now = nodes.now;
    nodes.room(0).leave(now, &id("ada"));
    nodes.settle();
    nodes.all_know(&["Bob B."]);
    // Away at its own node it is a member everywhere, for 30 s.
    nodes.room(1).disconnect(now, &id("bob"), LINK);
    nodes.pass(29_000);
    nodes.all_know(&["Bob B."]);
    nodes.now = nodes.now + std::time::Duration::from_secs(2);
    let now = nodes.now;
    nodes.room(1).handle_timeout(now);
    nodes.settle();
    nodes.all_know(&[]);
    assert!(nodes.rooms.iter().all(|(_, room)| room.is_idle()));
}

/// A node that opens a room asks for what the others have, and only then.
#[test]
fn a_room_is_asked_for_as_it_is_opened() {
    let mut nodes = Nodes::new(&["a", "b"]);
    nodes.enter(0, "ada", 1);
    nodes.draft(0, "ada", "hel", 0);
    nodes.forget_told();
    nodes.join("c");
    nodes.all_know(&["ada: hel"]);
    nodes.pass(3_000);
    let told =
        |said: fn(&Said) -> bool| nodes.told.iter().filter(|told| said(&told.1.said)).count();
    assert_eq!(told(|said| matches!(said, Said::Opened)), 1);
    // The two answer, and ask the third in turn, as soon as they hear that its node is alive.
    assert_eq!(told(|said| matches!(said, Said::All { .. })), 2 + 1);
}

/// RS-4: a session that was opened at another node is there at once; late news of the first one change nothing, and its
/// old connection can no longer do anything to it.
#[test]
fn the_newest_opening_has_the_member() {
    let mut nodes = Nodes::new(&["a", "b", "c"]);
    nodes.enter(0, "ada", 1);
    nodes.draft(0, "ada", "old", 0);
    nodes.enter(1, "ada", 2);
    nodes.all_know(&["ada"]);
    for index in 0..3 {
        assert_eq!(nodes.has(index, "ada"), Some(node("b")));
    }
    nodes.draft(0, "ada", "from the grave", 0);
    nodes.enter(0, "ada", 1);
    let now = nodes.now;
    nodes.room(0).leave(now, &id("ada"));
    nodes.room(0).disconnect(now, &id("ada"), LINK);
    nodes.draft(1, "ada", "new", 0);
    nodes.pass(40_000);
    nodes.all_know(&["ada: new"]);
    // And back.
    nodes.enter(0, "ada", 3);
    nodes.all_know(&["ada"]);
    assert_eq!(nodes.has(2, "ada"), Some(node("a")));
    // It leaves there for good: at every node, at once.
    let now = nodes.now;
    nodes.room(0).leave(now, &id("ada"));
    nodes.settle();
    nodes.all_know(&[]);
}

/// RS-4: that a session left through an earlier opening is no news where a newer one is known.
#[test]
fn a_late_departure_changes_nothing() {
    let mut nodes = Nodes::new(&["a", "b", "c"]);
    nodes.enter(0, "ada", 1);
    let now = nodes.now;
    nodes.room(0).leave(now, &id("ada"));
    let left = nodes.tell(0).unwrap();
    let name = Name::tidy("ada");
    nodes.room(1).enter(now, id("ada"), name, opening(2));
    let arrived = nodes.tell(1).unwrap();
    for message in [arrived, left] {
        nodes.room(2).hear(now, &message).unwrap();
    }
    assert_eq!(nodes.known(2), ["ada"]);
    assert_eq!(nodes.has(2, "ada"), Some(node("b")));
}

/// A session that went elsewhere does not leave before it arrives: who hears of the end first waits for the beginning.
#[test]
fn a_move_is_no_departure() {
    let mut nodes = Nodes::new(&["a", "b", "c"]);
    nodes.enter(0, "ada", 1);
    let now = nodes.now;
    nodes
        .room(1)
        .enter(now, id("ada"), Name::tidy("ada"), opening(2));
    // Only the first node hears of that, and tells it.
    let arrived = nodes.tell(1).unwrap();
    nodes.room(0).hear(now, &arrived).unwrap();
    let moved = nodes.tell(0).unwrap();
    let seen = nodes.room(2).version();
    nodes.room(2).hear(now, &moved).unwrap();
    nodes.room(2).hear(now, &arrived).unwrap();
    let changes = nodes.room(2).changes_since(seen).unwrap();
    assert_eq!(changes.members, None);
    assert_eq!(nodes.has(2, "ada"), Some(node("b")));
}

/// PR-1: the members of a node that is gone are away: they soon come back elsewhere without a word, or leave after 30 s.
/// Their drafts end at once.
#[test]
fn the_members_of_a_dead_node_are_away() {
    let mut nodes = Nodes::new(&["a", "b", "c"]);
    nodes.enter(0, "ada", 1);
    nodes.enter(0, "eve", 1);
    nodes.draft(0, "eve", "hm", 0);
    let dead = nodes.rooms.remove(0).1;
    let now = nodes.now;
    for (_, room) in &mut nodes.rooms {
        room.node_down(now, &node("a"));
    }
    let seen = nodes.room(1).version();
    nodes.all_know(&["ada", "eve"]);
    nodes.enter(0, "ada", 2);
    nodes.pass(20_000);
    nodes.all_know(&["ada", "eve"]);
    let changes = nodes.room(1).changes_since(seen).unwrap();
    let members = changes.members.unwrap();
    let told = members.joined.iter().map(|it| (it.name.as_str(), it.away));
    assert_eq!(told.collect::<Vec<_>>(), [("eve", true)]);
    assert_eq!(members.left, []);
    // What was on its way comes too late.
    let (mut dead, now) = (dead, nodes.now);
    let asking = Presence::new(100)
        .on_node(now, node("x"), life(1))
        .tell(now);
    dead.hear(now, &asking.unwrap()).unwrap();
    dead.enter(now, id("max"), Name::tidy("max"), opening(1));
    while let Some(late) = dead.tell(now) {
        nodes.hand_on(9, &late);
    }
    nodes.pass(11_000);
    nodes.all_know(&["ada"]);
}

/// PR-1: a node that starts anew has no members; those of its earlier life are away.
#[test]
fn a_new_life_has_no_members() {
    let mut nodes = Nodes::new(&["a", "b"]);
    nodes.enter(0, "ada", 1);
    let now = nodes.now;
    let mut early = nodes.room(0).tell(now + std::time::Duration::from_secs(60));
    let anew = Presence::new(100).on_node(at(5), node("a"), life(2));
    nodes.rooms[0].1 = anew;
    nodes.room(0).node_up(now, &node("b"));
    nodes.settle();
    assert_eq!(nodes.has(1, "ada"), None);
    // A message of the earlier life changes nothing.
    nodes.room(1).hear(now, &early.take().unwrap()).unwrap();
    assert_eq!(nodes.has(1, "ada"), None);
    nodes.enter(0, "bob", 1);
    assert_eq!(nodes.known(1), ["ada", "bob"]);
    nodes.pass(31_000);
    nodes.all_know(&["bob"]);
}

/// A node closes a room without members, and opens it again in the same life: its versions go on.
#[test]
fn a_room_may_be_closed_and_opened_again() {
    let mut nodes = Nodes::new(&["a", "b"]);
    nodes.enter(0, "ada", 1);
    let now = nodes.now;
    nodes.room(0).leave(now, &id("ada"));
    nodes.settle();
    assert!(nodes.room(0).is_idle());
    let now = nodes.now;
    nodes.rooms[0].1 = Presence::new(100).on_node(now, node("a"), life(1));
    nodes.room(0).node_up(now, &node("b"));
    nodes.enter(0, "bob", 1);
    nodes.all_know(&["bob"]);
}

/// PR-2: a draft that its own message overtook on the way is void; one that was typed since is shown.
#[test]
fn a_draft_does_not_outlive_its_message() {
    let mut nodes = Nodes::new(&["a", "b"]);
    nodes.enter(0, "ada", 1);
    nodes.draft(0, "ada", "hello", 0);
    nodes.show("ada", 1);
    nodes.all_know(&["ada"]);
    // The message comes first.
    nodes.room(0).draft(&id("ada"), "again".into(), 1);
    let late = nodes.tell(0).unwrap();
    nodes.show("ada", 2);
    let now = nodes.now;
    nodes.room(1).hear(now, &late).unwrap();
    nodes.all_know(&["ada"]);
    // Text typed since the message is published before it is shown.
    nodes.draft(0, "ada", "nex", 3);
    let seen = nodes.room(1).version();
    nodes.show("ada", 3);
    nodes.all_know(&["ada: nex"]);
    assert_eq!(nodes.room(1).changes_since(seen).unwrap().drafts.len(), 1);
}

/// PR-1: a draft ends with its author's connection, on all nodes, whatever its author had published before.
#[test]
fn a_draft_ends_with_its_connection() {
    let mut nodes = Nodes::new(&["a", "b"]);
    nodes.enter(0, "ada", 1);
    nodes.show("ada", 1);
    nodes.draft(0, "ada", "next", 1);
    nodes.all_know(&["ada: next"]);
    let now = nodes.now;
    nodes.room(0).disconnect(now, &id("ada"), LINK);
    nodes.settle();
    nodes.all_know(&["ada"]);
}

/// PR-2: a node that opens a room after it folded a message, but before the author's node did, is not told of the draft
/// that the message ends: nothing would end it there.
#[test]
fn a_draft_that_is_being_published_is_not_told() {
    let mut nodes = Nodes::new(&["a"]);
    nodes.enter(0, "ada", 1);
    nodes.draft(0, "ada", "hello", 0);
    nodes.room(0).published(&id("ada"));
    nodes.join("b");
    // Only the author's node shows it now.
    nodes.room(0).message_shown(&id("ada"), seq(1));
    nodes.all_know(&["ada"]);
}

/// What was lost is found by the next version, or by a beat.
#[test]
fn a_lost_message_is_asked_for() {
    let mut nodes = Nodes::new(&["a", "b"]);
    for (session, wait) in [("ada", 100), ("bob", 5_100)] {
        let now = nodes.now;
        nodes
            .room(0)
            .enter(now, id(session), Name::tidy(session), opening(1));
        nodes.tell(0).unwrap();
        assert!(!nodes.known(1).contains(&session.to_owned()));
        if session == "ada" {
            nodes.draft(0, "ada", "hm", 0);
        }
        nodes.pass(wait);
        nodes.all_know(
            &nodes
                .known(0)
                .iter()
                .map(String::as_str)
                .collect::<Vec<_>>(),
        );
    }
    // In quiet the beats become rare.
    nodes.forget_told();
    nodes.pass(120_000);
    assert!((6..12).contains(&nodes.told.len()), "{}", nodes.told.len());
}

/// What is asked for is asked for again, ever more slowly, if no answer comes.
#[test]
fn a_question_is_repeated() {
    let mut nodes = Nodes::new(&["a", "b"]);
    let now = nodes.now;
    nodes
        .room(0)
        .enter(now, id("ada"), Name::tidy("ada"), opening(1));
    nodes.tell(0).unwrap();
    nodes.room(0).draft(&id("ada"), "hm".into(), 0);
    nodes.now = nodes.now + std::time::Duration::from_millis(50);
    let second = nodes.tell(0).unwrap();
    let now = nodes.now;
    nodes.room(1).hear(now, &second).unwrap();
    let mut asked = Vec::new();
    while nodes.now < now + std::time::Duration::from_secs(20) {
        while let Some(told) = nodes.tell(1) {
            if matches!(Message::decode(&told).unwrap().said, Said::Ask { .. }) {
                asked.push(nodes.now.since(now).as_millis());
            }
        }
        nodes.now = nodes.room(1).poll_timeout().unwrap();
    }
    assert_eq!(asked, [0, 1_000, 3_000, 7_000, 12_000, 17_000]);
}

/// PU-4: ten thousand members come to three nodes at once. Each message is bounded, the rate is, too; and each node knows
/// them all in the end, but names no more than it has to (PR-3).
#[test]
fn a_crowd_travels_in_pieces() {
    let mut nodes = Nodes::new(&["a", "b", "c"]);
    let now = nodes.now;
    for number in 0..10_000 {
        let session = format!("session-{number:014}");
        let name = Name::tidy(&format!("guest {number}"));
        nodes
            .room(number % 3)
            .enter(now, id(&session), name, opening(1));
    }
    nodes.forget_told();
    let began = nodes.now;
    nodes.pass(3_000);
    for (index, (_, room)) in nodes.rooms.iter().enumerate() {
        let (named, count) = room.named();
        assert_eq!((named.len(), count), (100, 10_000), "{index}");
    }
    let sizes: Vec<usize> = nodes
        .told
        .iter()
        .map(|told| told.1.encode().len())
        .collect();
    let largest = sizes.iter().max().unwrap();
    assert!(*largest < MESSAGE_BYTES + 1_024, "{largest}");
    let bytes: usize = sizes.iter().sum();
    // About sixty bytes a member.
    assert!(bytes < 700_000, "{bytes}");
    assert!(nodes.told.len() < 30, "{}", nodes.told.len());

    // A node that opens the room gets it all, in order or not.
    let mut room = Presence::new(100).on_node(nodes.now, node("d"), life(1));
    let mut parts = Vec::new();
    let now = nodes.now;
    let opened = room.tell(now).unwrap();
    for (name, there) in &mut nodes.rooms {
        room.node_up(now, name);
        there.hear(now, &opened).unwrap();
        let later = now + std::time::Duration::from_secs(1);
        while let Some(part) = there.tell(later) {
            parts.push(part);
        }
    }
    assert!(parts.len() >= 9, "{}", parts.len());
    parts.reverse();
    for part in parts {
        room.hear(now, &part).unwrap();
    }
    room.handle_timeout(now + std::time::Duration::from_secs(2));
    assert_eq!(room.named().1, 10_000);
    assert!(began < now);
}

/// PU-4: drafts of a user who types fast are published at the pace of a room, and the latest text wins; a draft that is far too long stays
/// where it is.
#[test]
fn drafts_are_told_at_a_pace() {
    let mut nodes = Nodes::new(&["a", "b"]);
    for number in 0..100 {
        nodes.enter(0, &format!("s{number:03}"), 1);
    }
    nodes.pass(10_000);
    nodes.forget_told();
    let began = nodes.now;
    for key in 0..200 {
        for number in 0..100 {
            let body = format!("{key} {}", "x".repeat(4_000));
            nodes.room(0).draft(&id(&format!("s{number:03}")), body, 0);
        }
        nodes.pass(50);
    }
    let bytes: usize = nodes.told.iter().map(|told| told.1.encode().len()).sum();
    let took = nodes.now.since(began).as_secs_f64();
    let most = 256.0 * 1024.0 * (took + 1.0) + 2.0 * MESSAGE_BYTES as f64;
    assert!((bytes as f64) < most, "{bytes} in {took} s");
    nodes.pass(10_000);
    let drafts = nodes.rooms[1].1.drafts();
    assert!(drafts.iter().all(|draft| draft.body.starts_with("199 ")));
    nodes.draft(0, "s000", &"x".repeat(200_000), 0);
    nodes.pass(10_000);
    let drafts = nodes.rooms[1].1.drafts();
    assert!(drafts.iter().all(|draft| draft.session != id("s000")));
}

/// A single node publishes nothing, and hears nothing.
#[test]
fn one_node_is_silent() {
    let mut room = Presence::new(100);
    room.enter(at(0), id("ada"), Name::tidy("ada"), opening(1));
    assert_eq!((room.tell(at(0)), room.poll_timeout()), (None, None));
    assert_eq!(room.hear(at(0), b"?"), Ok(()));
    room.node_up(at(0), &node("b"));
    room.node_down(at(0), &node("b"));
    room.leave(at(0), &id("ada"));
    assert!(room.is_idle());
}

/// A newer program on another node is distinguished from garbage; both change nothing.
#[test]
fn what_cannot_be_read_is_refused() {
    let mut nodes = Nodes::new(&["a", "b"]);
    let now = nodes.now;
    let room = nodes.room(0);
    let newer = br#"{"format":2,"presence":{"whatever":1}}"#;
    assert_eq!(room.hear(now, newer), Err(HearError::Format(2)));
    for garbled in [&b""[..], b"{", br#"{"format":1,"presence":{}}"#] {
        let heard = room.hear(now, garbled);
        assert!(matches!(heard, Err(HearError::Garbled(_))), "{heard:?}");
    }
    let large = vec![b' '; 300_000];
    assert_eq!(room.hear(now, &large), Err(HearError::TooLarge(300_000)));
}
