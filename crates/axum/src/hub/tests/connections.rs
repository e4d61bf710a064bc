//! Connections: limits, takeovers, the drain, and rooms without readers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use protocol::id::{ConnectionId, Generation, Holder, SessionId};
use protocol::presence::{AWAY_AFTER, CROWD_EVERY};

use super::{Place, at, is_woken, message, name, offset};
use crate::hub::mailbox::Mailbox;
use crate::log::Observer;

fn id(session: &str) -> SessionId {
    SessionId::new(session).unwrap()
}

fn opening(connection: ConnectionId, generation: u64) -> Holder {
    let generation = Generation(generation);
    Holder {
        connection,
        generation,
    }
}

/// PU-4: there are as many connections as the limit allows, and room for another after one has closed.
#[test]
fn connections_are_limited() {
    let place = Place::new(100);
    let (first, _) = place.hub.connect(2).unwrap();
    let (second, _) = place.hub.connect(2).unwrap();
    assert_ne!(first, second);
    assert!(second > first);
    assert!(place.hub.connect(2).is_none());
    assert_eq!(place.hub.connections(), 2);
    place.hub.disconnect(first, None);
    assert_eq!(place.hub.connections(), 1);
    assert!(place.hub.connect(2).is_some());
}

/// RS-4: the newest opening has the session, whichever of the two attaches first.
#[test]
fn the_newer_connection_takes_the_session_over() {
    let place = Place::new(100);
    let (first, old) = place.hub.connect(9).unwrap();
    let (second, new) = place.hub.connect(9).unwrap();
    place.hub.attach(&id("ada"), opening(first, 1));
    assert!(!old.take().taken_over);
    place.hub.attach(&id("ada"), opening(second, 2));
    assert!(old.take().taken_over && !new.take().taken_over);
    // The log's answers come in any order.
    place.hub.attach(&id("ada"), opening(first, 1));
    assert!(old.take().taken_over && !new.take().taken_over);
    // The end of the older one leaves the session with the newer one.
    place.hub.disconnect(first, Some(&id("ada")));
    assert_eq!(place.hub.sessions(), [id("ada")]);
    place.hub.disconnect(second, Some(&id("ada")));
    assert!(place.hub.sessions().is_empty());
    // A session without a connection is taken from none.
    let (third, last) = place.hub.connect(9).unwrap();
    place.hub.attach(&id("ada"), opening(third, 3));
    assert!(!last.take().taken_over);
}

/// RS-4: a session that was opened at another node is taken from the connection that has it here; its own opening takes
/// nothing from it.
#[test]
fn an_opening_elsewhere_takes_the_session_over() {
    let place = Place::new(100);
    let (first, mailbox) = place.hub.connect(9).unwrap();
    place.rooms.opened(&id("ada"), Generation(4));
    place.hub.attach(&id("ada"), opening(first, 4));
    place.rooms.opened(&id("ada"), Generation(4));
    place.rooms.opened(&id("bob"), Generation(9));
    assert!(!mailbox.take().taken_over);
    place.rooms.opened(&id("ada"), Generation(5));
    assert!(mailbox.take().taken_over);
}

/// RS-4: the log gives a session to those that ask, in the order in which they do. So an older connection does not ask
/// after a newer one, whose opening its own would fence.
#[test]
fn an_older_connection_asks_no_more() {
    let place = Place::new(100);
    let hub = Arc::new(place.hub);
    let [older, newer, newest] = [(); 3].map(|()| hub.connect(9).unwrap().0);
    let (own, stranger) = ([[7; 32]], [[8; 32]]);
    let ask = |connection, key| hub.ask(&id("ada"), connection, key);
    let first = ask(older, &own);
    let second = ask(newer, &own);
    assert!(first.is_some() && second.is_some());
    assert!(ask(older, &own).is_none());
    // The older one's answer does not end the newer one's question.
    drop(first);
    assert!(ask(older, &own).is_none());
    drop(second);
    assert!(ask(older, &own).is_some(), "the newer one was not answered");
    // A stranger's question bars none from its own session.
    let barring = ask(newest, &stranger);
    assert!(barring.is_some() && ask(older, &own).is_some());
    hub.attach(&id("ada"), opening(newer, 1));
    assert!(ask(older, &own).is_none());
    assert!(ask(newer, &own).is_some() && ask(newest, &own).is_some());
}

/// RC-3: each client has its own slot, and none is before the server is back.
#[test]
fn a_drain_gives_each_a_slot_and_takes_nobody_in() {
    let place = Place::new(100);
    let mailboxes: Vec<Arc<Mailbox>> = (0..4).map(|_| place.hub.connect(9).unwrap().1).collect();
    assert!(!place.hub.is_draining());
    place.hub.go_away(Duration::from_secs(2), &[]);
    assert!(place.hub.is_draining());
    assert!(place.hub.connect(9).is_none());
    let mut slots: Vec<u128> = mailboxes
        .iter()
        .map(|mailbox| {
            assert!(is_woken(mailbox));
            let slot = mailbox.take().go_away.unwrap();
            assert_eq!(slot.elsewhere, None);
            slot.reconnect_after.as_millis()
        })
        .collect();
    slots.sort_unstable();
    assert_eq!(slots, [2500, 2875, 3250, 3625]);
    assert!(
        mailboxes
            .iter()
            .all(|mailbox| mailbox.take().go_away.is_none())
    );

    place.hub.shut_down();
    assert!(mailboxes.iter().all(|mailbox| mailbox.take().shut_down));
}

/// A task is woken by a mark, also if it came before the task waited, and only while it waits.
#[test]
fn a_mark_wakes_the_task() {
    #[derive(Default)]
    struct Count(AtomicU32);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let place = Place::new(100);
    let (_, mailbox) = place.hub.connect(9).unwrap();
    let count = Arc::<Count>::default();
    let waker = Waker::from(count.clone());
    let mut task = Context::from_waker(&waker);
    let woken = || count.0.load(Ordering::Relaxed);

    for _ in 0..2 {
        // The waker of before is forgotten.
        assert!(!is_woken(&mailbox));
        assert!(mailbox.poll_marked(&mut task).is_pending());
    }
    place.hub.shut_down();
    place.hub.shut_down();
    assert_eq!(woken(), 1);
    assert!(mailbox.poll_marked(&mut task).is_ready());
    mailbox.take();
    assert!(mailbox.poll_marked(&mut task).is_pending());
    place.hub.shut_down();
    assert_eq!(woken(), 2);
}

/// PR-1: members that are away leave in time, in turn, and only if they did not reconnect.
#[tokio::test]
async fn members_left_behind_leave_when_they_are_due() {
    let place = Place::new(100);
    let ada = place.reader("ada", "lobby").await;
    let bob = place.reader("bob", "lobby").await;
    let eve = place.reader("eve", "garden").await;
    let stays = place.reader("max", "garden").await;
    ada.room.disconnect(at(0), &ada.session, ada.id);
    eve.room.disconnect(at(1), &eve.session, eve.id);
    let due = at(0) + AWAY_AFTER;

    place.hub.handle_timeout(at(29));
    bob.moved();
    stays.moved();
    place.hub.handle_timeout(due);
    assert_eq!(bob.moved(), ["lobby"]);
    assert!(stays.moved().is_empty());
    place.hub.handle_timeout(due + Duration::from_secs(1));
    assert_eq!(stays.moved(), ["garden"]);

    // The end of an older connection removes no member.
    let again = place.reader("max", "garden").await;
    stays.room.disconnect(at(2), &stays.session, stays.id);
    place.hub.handle_timeout(at(200));
    assert_eq!(again.room.marks().1, again.view.version);
}

/// Rooms are opened and dropped with their users.
#[tokio::test]
async fn rooms_are_kept_as_long_as_somebody_uses_them() {
    let place = Place::new(100);
    let ada = place.reader("ada", "lobby").await;
    let same = place.rooms.room(&name("lobby"));
    assert!(Arc::ptr_eq(&ada.room, &same));
    drop(same);

    // In use by a reader, though no handle is held.
    let (weak, mailbox) = (Arc::downgrade(&ada.room), ada.mailbox.clone());
    let (id, session) = (ada.id, ada.session.clone());
    drop(ada);
    place.hub.sweep();
    assert!(weak.upgrade().is_some());
    place.rooms.committed(&[message("lobby", 1, "hi")]);
    assert_eq!(mailbox.take().moved.len(), 1);

    // In use by a member that is away.
    let room = weak.upgrade().unwrap();
    room.disconnect(at(0), &session, id);
    drop(room);
    place.hub.handle_timeout(at(29));
    place.hub.sweep();
    assert!(weak.upgrade().is_some());

    // Idle, but about to be used.
    let held = weak.upgrade().unwrap();
    place.hub.handle_timeout(at(30));
    place.hub.sweep();
    assert!(held.is_idle());
    assert!(Arc::ptr_eq(&held, &place.rooms.room(&name("lobby"))));
    drop(held);
    place.hub.sweep();
    assert!(weak.upgrade().is_none());

    // Opened again, it has the log's state.
    let again = place.reader("ada", "lobby").await;
    assert_eq!(again.view.head, offset(0));
}

/// A room does not open while the log cannot be read, and opens when it can.
#[tokio::test]
async fn a_room_opens_when_the_log_can_tell() {
    use crate::log::Log;
    let place = Place::new(100);
    place.log.close().await.unwrap();
    assert!(place.hub.load_room(&name("lobby")).await.is_err());
    assert!(place.rooms.room(&name("lobby")).is_idle());
}

/// PR-3: a crowd is notified of arrivals when a second is over, once.
#[tokio::test]
async fn a_crowd_hears_of_newcomers_when_it_is_due() {
    let place = Place::naming(1, 100);
    let ada = place.reader("ada", "lobby").await;
    let bob = place.reader("bob", "lobby").await;
    place
        .hub
        .handle_timeout(place.hub.clock().now() + CROWD_EVERY);
    let version = ada.room.marks().1;
    ada.moved();
    for guest in ["cid", "dan", "eve"] {
        place.reader(guest, "lobby").await;
    }
    assert!(ada.moved().is_empty());
    let due = place.hub.clock().now() + CROWD_EVERY * 2;
    place.hub.handle_timeout(due);
    assert_eq!(ada.moved(), ["lobby"]);
    assert_eq!(
        ada.changes(version),
        [r#"{"type":"presence","room":"lobby","count":5}"#]
    );
    place.hub.handle_timeout(due + CROWD_EVERY);
    assert!(ada.moved().is_empty());
    assert_eq!(bob.view.count, None);
}
