//! Several hubs over a bus in this process: each sees the members, names and drafts of all.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use protocol::id::{Generation, Holder, Life, Name, NodeName, RoomName, SessionId};
use protocol::presence::AWAY_AFTER;
use tokio::time::advance;

use super::{Place, Reader, message, name, seq};
use crate::hub::Rooms;
use crate::hub::nodes::Bus;
use crate::log::Observer;

const STEP: Duration = Duration::from_millis(10);

/// What all nodes hear.
#[derive(Default)]
struct Wire {
    listening: BTreeSet<(usize, RoomName)>,
    told: VecDeque<(usize, RoomName, Vec<u8>)>,
}

/// One node's end of the wire.
struct Port {
    index: usize,
    wire: Arc<Mutex<Wire>>,
}

impl Bus for Port {
    fn tell(&self, room: &RoomName, message: Vec<u8>) {
        let mut wire = self.wire.lock();
        wire.told.push_back((self.index, room.clone(), message));
    }

    fn listen(&self, room: &RoomName) {
        let is_new = self
            .wire
            .lock()
            .listening
            .insert((self.index, room.clone()));
        assert!(is_new, "{room} is open already");
    }

    fn ignore(&self, room: &RoomName) {
        let was_open = self
            .wire
            .lock()
            .listening
            .remove(&(self.index, room.clone()));
        assert!(was_open, "{room} is not open");
    }
}

/// Some nodes.
struct Nodes {
    wire: Arc<Mutex<Wire>>,
    places: Vec<Place>,
}

fn node(index: usize) -> NodeName {
    NodeName::new(&format!("n{index}")).unwrap()
}

fn id(session: &str) -> SessionId {
    SessionId::new(session).unwrap()
}

impl Nodes {
    fn new(count: usize) -> Self {
        let wire = Arc::<Mutex<Wire>>::default();
        let place = |index| {
            let life = Life { count: 1, nonce: 1 };
            let wire = Arc::clone(&wire);
            let port = Arc::new(Port { index, wire });
            let place = Place::over(Rooms::new(100), 100);
            place.hub.join(node(index), life, port);
            place
        };
        let places: Vec<_> = (0..count).map(place).collect();
        for place in &places {
            for index in 0..count {
                place.hub.node_up(&node(index));
            }
        }
        Self { wire, places }
    }

    /// Lets time pass; what was published arrives.
    async fn pass(&self, time: Duration) {
        for _ in 0..time.as_millis().div_ceil(STEP.as_millis()) {
            advance(STEP).await;
            for place in &self.places {
                place.hub.handle_timeout(place.hub.clock().now());
            }
            self.deliver();
        }
    }

    fn deliver(&self) {
        loop {
            let Some((from, room, message)) = self.wire.lock().told.pop_front() else {
                return;
            };
            for (index, place) in self.places.iter().enumerate() {
                let hears = self.wire.lock().listening.contains(&(index, room.clone()));
                if index != from && hears {
                    place.hub.heard(&room, &message);
                }
            }
        }
    }

    async fn settle(&self) {
        self.pass(Duration::from_millis(300)).await;
    }

    /// Connects a session to a node, and makes it a member of the lobby.
    async fn reader(&self, index: usize, session: &str, generation: u64) -> (Reader, Holder) {
        let hub = &self.places[index].hub;
        let (connection, mailbox) = hub.connect(usize::MAX).unwrap();
        let holder = Holder {
            connection,
            generation: Generation(generation),
        };
        let room = hub.load_room(&name("lobby")).await.unwrap();
        let member = (id(session), Name::tidy(session));
        let view = room.enter(hub.clock().now(), member, None, (holder, &mailbox));
        let reader = Reader {
            id: connection,
            session: id(session),
            mailbox,
            room,
            view,
        };
        self.settle().await;
        (reader, holder)
    }

    /// The members of the lobby, as a node answers a request.
    async fn members(&self, index: usize) -> Vec<String> {
        let (members, count) = self.places[index].hub.members(&name("lobby")).await;
        assert_eq!(members.len(), count as usize);
        members
            .iter()
            .map(|member| member.name.to_string())
            .collect()
    }
}

/// PR-1, PR-2: who is at one node is a member at all, with name and draft; if the node dies, its members are away.
#[tokio::test(start_paused = true)]
async fn two_nodes_see_each_others_members() {
    let mut nodes = Nodes::new(2);
    let (ada, _) = nodes.reader(0, "ada", 1).await;
    let seen = ada.room.marks().1;
    let (bob, holder) = nodes.reader(1, "bob", 1).await;
    assert_eq!(bob.view.members.len(), 1);
    let joined = r#"{"type":"presence","room":"lobby","joined":[{"session":"bob","name":"bob"}]}"#;
    assert_eq!(ada.changes(seen), [joined]);
    assert_eq!(ada.moved(), ["lobby"]);

    let hub = &nodes.places[1].hub;
    let now = hub.clock().now();
    bob.room
        .rename(now, &bob.session, Name::tidy("Bob B."), holder);
    bob.room.draft(&bob.session, "hel".to_owned(), 0);
    nodes.settle().await;
    assert_eq!(nodes.members(0).await, ["ada", "Bob B."]);
    let (_, seen) = ada.room.marks();
    let draft = r#"{"type":"draft","room":"lobby","session":"bob","name":"Bob B.","body":"hel"}"#;
    assert_eq!(ada.changes(seen - 1), [draft]);

    // The message ends the draft at both nodes, each of which has it from the log.
    bob.room.published(&bob.session);
    for place in &nodes.places {
        let mut shown = message("lobby", 1, "hello");
        (shown.session, shown.seq) = (bob.session.clone(), seq(1));
        place.rooms.committed(&[shown]);
    }
    assert!(ada.changes(seen).is_empty());
    bob.room.draft(&bob.session, "again".to_owned(), 1);
    nodes.settle().await;

    // The node dies.
    let (_, seen) = ada.room.marks();
    nodes.places.truncate(1);
    nodes.places[0].hub.node_down(&node(1));
    assert_eq!(ada.changes(seen), [draft.replace("hel", "")]);
    assert_eq!(nodes.members(0).await, ["ada", "Bob B."]);
    nodes.pass(AWAY_AFTER + STEP).await;
    let left = r#"{"type":"presence","room":"lobby","left":["bob"]}"#;
    assert_eq!(ada.changes(ada.room.marks().1 - 1), [left]);
    assert_eq!(nodes.members(0).await, ["ada"]);
}

/// RS-4: a session that comes to another node moves there; the end of its old connection changes nothing.
#[tokio::test(start_paused = true)]
async fn a_session_moves_to_another_node() {
    let nodes = Nodes::new(2);
    let (old, _) = nodes.reader(0, "ada", 1).await;
    let (eve, _) = nodes.reader(0, "eve", 1).await;
    let (_, seen) = eve.room.marks();
    let (new, _) = nodes.reader(1, "ada", 2).await;
    let now = nodes.places[0].hub.clock().now();
    old.room.draft(&old.session, "late".to_owned(), 0);
    old.room.leave(now, &old.session, old.id);
    old.room.disconnect(now, &old.session, old.id);
    new.room.draft(&new.session, "here".to_owned(), 0);
    nodes.pass(AWAY_AFTER * 2).await;
    for index in 0..2 {
        assert_eq!(nodes.members(index).await, ["ada", "eve"]);
    }
    let draft = r#"{"type":"draft","room":"lobby","session":"ada","name":"ada","body":"here"}"#;
    assert_eq!(eve.changes(seen), [draft]);
}

/// A room is listened to while it is open here, and no longer. A request opens it, and sees the members of all nodes.
#[tokio::test(start_paused = true)]
async fn only_open_rooms_are_listened_to() {
    let nodes = Nodes::new(2);
    let lobby = |index| (index, name("lobby"));
    let (ada, _) = nodes.reader(0, "ada", 1).await;
    assert_eq!(nodes.wire.lock().listening, BTreeSet::from([lobby(0)]));
    let (members, ()) = tokio::join!(nodes.members(1), nodes.settle());
    assert_eq!(members, ["ada"]);
    assert_eq!(nodes.wire.lock().listening.len(), 2);
    // Its members are at another node: here it is not used.
    nodes.places[1].hub.sweep();
    assert_eq!(nodes.wire.lock().listening, BTreeSet::from([lobby(0)]));
    // A departure is published before the room is forgotten.
    let (_bob, _) = nodes.reader(1, "bob", 1).await;
    let now = nodes.places[0].hub.clock().now();
    ada.room.leave(now, &ada.session, ada.id);
    let room = Arc::clone(&ada.room);
    drop(ada);
    drop(room);
    nodes.settle().await;
    nodes.places[0].hub.sweep();
    assert_eq!(nodes.wire.lock().listening, BTreeSet::from([lobby(1)]));
    assert_eq!(nodes.members(1).await, ["bob"]);
}

/// A node that is up again is asked for its members.
#[tokio::test(start_paused = true)]
async fn a_node_that_was_frozen_is_asked_again() {
    let nodes = Nodes::new(2);
    let (ada, _) = nodes.reader(0, "ada", 1).await;
    let (_bob, _) = nodes.reader(1, "bob", 1).await;
    nodes.places[0].hub.node_down(&node(1));
    nodes.pass(AWAY_AFTER + STEP).await;
    assert_eq!(nodes.members(0).await, ["ada"]);
    nodes.places[0].hub.node_up(&node(1));
    nodes.pass(Duration::from_secs(3)).await;
    assert_eq!(nodes.members(0).await, ["ada", "bob"]);
    assert_eq!(ada.room.marks().0, super::offset(0));
}

/// What cannot be read is no reason to stop.
#[tokio::test(start_paused = true)]
async fn garbage_on_the_wire_changes_nothing() {
    let nodes = Nodes::new(1);
    let (ada, _) = nodes.reader(0, "ada", 1).await;
    let (_, seen) = ada.room.marks();
    for garbage in [&b"?"[..], br#"{"format":2}"#] {
        nodes.places[0].hub.heard(&name("lobby"), garbage);
        nodes.places[0].hub.heard(&name("cellar"), garbage);
    }
    assert_eq!(ada.room.marks().1, seen);
}
