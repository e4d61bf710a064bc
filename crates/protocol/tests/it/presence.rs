//! Presence: the members of a room, and their drafts.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use everbeat_protocol::access::Subject;
use everbeat_protocol::id::{ConnectionId, Generation, Holder, Name, RoomName, SessionId};
use everbeat_protocol::presence::Presence;
use everbeat_protocol::server::{Config, Input};
use everbeat_protocol::time::Timestamp;

use crate::solo::{Desk, millis, secs};
use simulation::link::Way;
use simulation::pair::Pair;

fn lobby() -> RoomName {
    RoomName::lobby()
}

fn members(pair: &Pair, client: usize) -> usize {
    pair.clients[client].shown(&lobby()).members().len()
}

fn drafts(pair: &Pair, client: usize, of: usize) -> Option<String> {
    let author = pair.clients[of].session.id().unwrap();
    let drafts = pair.clients[client].shown(&lobby()).drafts();
    drafts.get(author).cloned()
}

fn two() -> (Pair, usize, usize) {
    let mut pair = Pair::new();
    let (ada, bob) = (pair.lobby_page(), pair.lobby_page());
    pair.run_for(secs(1));
    (pair, ada, bob)
}

/// PR-1: a session is a member from its `join` to its `leave`.
#[test]
fn a_member_from_join_to_leave() {
    let (mut pair, ada, bob) = two();
    assert_eq!((members(&pair, ada), members(&pair, bob)), (2, 2));
    pair.leave(bob, &lobby());
    pair.run_for(secs(1));
    assert_eq!(members(&pair, ada), 1);
    pair.join(bob, &lobby(), None);
    pair.run_for(secs(1));
    assert_eq!((members(&pair, ada), members(&pair, bob)), (2, 2));
}

/// PR-1: a short break shows no departure.
#[test]
fn a_short_break_shows_nobody_leaving() {
    let (mut pair, ada, bob) = two();
    pair.cut(bob);
    let told = presence_frames(&pair, ada);
    pair.run_for(secs(60));
    assert_eq!(members(&pair, ada), 2);
    assert_eq!(presence_frames(&pair, ada), told);
}

fn presence_frames(pair: &Pair, client: usize) -> usize {
    let is_presence = |frame: &everbeat_protocol::frame::ServerFrame| {
        matches!(
            frame,
            everbeat_protocol::frame::ServerFrame::Presence { .. }
        )
    };
    pair.clients[client]
        .received()
        .filter(|(_, f)| is_presence(f))
        .count()
}

/// PR-1: a member that does not reconnect leaves after 30 s.
#[test]
fn away_too_long_is_gone() {
    let (mut pair, ada, bob) = two();
    pair.clients[bob].is_closed = true;
    pair.cut(bob);
    pair.run_for(millis(29_900));
    assert_eq!(members(&pair, ada), 2);
    pair.run_for(millis(200));
    assert_eq!(members(&pair, ada), 1);
}

/// PR-1: a new name is shown to the other members.
#[test]
fn a_new_name_is_shown() {
    let (mut pair, ada, bob) = two();
    pair.command(bob, |session, now| session.rename(now, Name::tidy("Bob")));
    pair.run_for(secs(1));
    let names = pair.clients[ada].shown(&lobby()).members();
    assert!(names.values().any(|name| name == "Bob"));
}

/// PR-2: a draft ends when its author clears it, publishes, leaves or goes away.
#[test]
fn a_draft_ends() {
    let enders: [fn(&mut Pair, usize); 4] = [
        |pair, bob| pair.draft(bob, ""),
        |pair, bob| {
            pair.publish(bob, "typing");
        },
        |pair, bob| pair.leave(bob, &RoomName::lobby()),
        |pair, bob| {
            pair.clients[bob].is_closed = true;
            pair.cut(bob);
        },
    ];
    for (number, end) in enders.into_iter().enumerate() {
        let (mut pair, ada, bob) = two();
        pair.draft(bob, "typing");
        pair.run_for(secs(1));
        assert_eq!(drafts(&pair, ada, bob).as_deref(), Some("typing"));
        end(&mut pair, bob);
        pair.run_for(secs(1));
        assert_eq!(drafts(&pair, ada, bob), None, "ender {number}");
        let late = pair.lobby_page();
        assert_eq!(
            drafts(&pair, late, bob),
            None,
            "ender {number}, for a newcomer"
        );
    }
}

/// PR-2: a message that waited in the outbox does not end the draft that was typed since.
#[test]
fn a_late_message_leaves_the_newer_draft() {
    let (mut pair, ada, bob) = two();
    let config = &mut pair.world.config;
    (config.publish_burst, config.limits.publishes_per_s) = (1, 1);
    pair.cut(ada);
    pair.run_until("back", |pair| {
        pair.clients[ada].closed().len() == 1 && pair.clients[ada].is_live()
    });
    pair.publish(ada, "first");
    let second = pair.publish(ada, "second");
    pair.draft(ada, "third");
    pair.run_until("durable", |pair| pair.clients[ada].is_durable(second));
    pair.run_for(secs(2));
    assert_eq!(drafts(&pair, bob, ada), Some("third".into()));
}

/// PR-2, EO-4: a text for which the outbox has no room stays in the box, and stays a draft.
#[test]
fn a_text_that_is_not_taken_stays_a_draft() {
    let mut pair = Pair::new();
    pair.client_config.outbox.entries = 1;
    let (ada, bob) = (pair.lobby_page(), pair.lobby_page());
    pair.stall(ada, Way::Up);
    pair.publish(ada, "taken");
    pair.draft(ada, "not taken");
    pair.try_publish(ada, &lobby(), "not taken").unwrap_err();
    pair.unstall(ada, Way::Up);
    pair.run_for(secs(1));
    assert_eq!(drafts(&pair, bob, ada), Some("not taken".into()));
}

/// PR-2: replayed messages are older than the drafts that come with `joined`, and end none of them.
#[test]
fn a_replayed_message_leaves_the_draft() {
    let (mut pair, ada, bob) = two();
    pair.cut(bob);
    pair.publish(ada, "old");
    pair.run_for(millis(100));
    pair.draft(ada, "new");
    pair.run_until("back", |pair| {
        pair.clients[bob].shown(&lobby()).bodies() == ["old"]
    });
    pair.run_for(secs(1));
    assert_eq!(drafts(&pair, bob, ada), Some("new".into()));
}

/// PR-2: the latest draft wins, and is sent again after a reconnect.
#[test]
fn the_latest_draft_comes_again_after_a_reconnect() {
    let (mut pair, ada, bob) = two();
    for text in ["h", "he", "hel", "hell", "hello"] {
        pair.draft(bob, text);
    }
    pair.run_for(secs(1));
    assert_eq!(drafts(&pair, ada, bob).as_deref(), Some("hello"));
    // The draft ends with the connection, and is sent again though nothing was typed meanwhile.
    pair.cut(bob);
    pair.run_for(millis(21));
    assert_eq!(drafts(&pair, ada, bob), None);
    pair.run_for(secs(20));
    assert_eq!(drafts(&pair, ada, bob).as_deref(), Some("hello"));
    pair.cut(bob);
    pair.run_for(millis(1));
    pair.draft(bob, "hello there");
    pair.run_for(secs(20));
    assert_eq!(drafts(&pair, ada, bob).as_deref(), Some("hello there"));
}

/// PR-2: drafts are paced by the client and coalesced by the server: a flood costs the reader no more
/// than the rate, and its last text always arrives.
#[test]
fn a_flood_of_drafts_is_coalesced() {
    let (mut pair, ada, bob) = two();
    let before = pair.clients[ada].received().count();
    for n in 0..1000 {
        pair.draft(bob, &format!("text {n}"));
        pair.run_for(millis(1));
    }
    pair.run_for(secs(1));
    assert_eq!(drafts(&pair, ada, bob).as_deref(), Some("text 999"));
    let cost = pair.clients[ada].received().count() - before;
    assert!(cost <= 25, "{cost}");
}

/// PR-2, PU-4: a client that does not pace itself is held to the rate, and its last text is shown.
#[test]
fn the_server_holds_drafts_to_the_rate() {
    let mut desk = Desk::live(Config::default());
    desk.join(None);
    desk.enter(crate::solo::view(0));
    desk.transmits.clear();
    for n in 0..3_000_u64 {
        desk.run_to(crate::solo::at(n));
        desk.frame(everbeat_protocol::frame::ClientFrame::Draft {
            room: lobby(),
            body: format!("text {n}"),
        });
    }
    desk.run_to(crate::solo::at(4_000));
    let shown: Vec<String> = desk
        .transmits
        .iter()
        .filter_map(|transmit| match transmit {
            everbeat_protocol::server::Transmit::Draft { body, .. } => Some(body.clone()),
            _ => None,
        })
        .collect();
    assert!((60..=85).contains(&shown.len()), "{}", shown.len());
    assert_eq!(shown.last().map(String::as_str), Some("text 2999"));
}

/// PR-3: of a crowd some members are named and all are counted, and each knows itself; few are all named again.
#[test]
fn a_crowd_is_counted() {
    let mut pair = Pair::new();
    pair.world.config.members_named = 2;
    let pages: Vec<usize> = (0..5).map(|_| pair.lobby_page()).collect();
    pair.run_for(secs(3));
    for page in &pages {
        let shown = pair.clients[*page].shown(&lobby());
        let own = pair.clients[*page].session.id().unwrap();
        assert_eq!(shown.view.people.count(), 5);
        let members = shown.members();
        assert!(members.contains_key(own));
        assert!((2..=3).contains(&members.len()), "{shown:?}");
    }
    for page in &pages[2..] {
        pair.leave(*page, &lobby());
    }
    pair.run_for(secs(3));
    for page in &pages[..2] {
        let shown = pair.clients[*page].shown(&lobby());
        assert_eq!((shown.members().len(), shown.view.people.count()), (2, 2));
    }
}

/// PR-1: a refused reading of history does not change membership.
#[test]
fn a_refused_history_does_not_interrupt_the_room() {
    let (mut pair, ada, bob) = two();
    pair.tell_server(
        ada,
        Input::HistoryRead {
            room: lobby(),
            page: None,
        },
    );
    pair.run_for(millis(100));
    let id = pair.publish(bob, "meanwhile");
    pair.run_for(millis(100));
    assert!(pair.clients[bob].is_durable(id));
    assert_eq!(pair.clients[ada].shown(&lobby()).bodies(), ["meanwhile"]);
}

/// PR-4: the sessions of one user under one name have one number; a guest of the same name has none.
#[test]
fn the_sessions_of_a_user_are_one_person() {
    let mut room = Presence::new(100);
    let user = Subject::new("ada").unwrap();
    for (number, user) in [(1, Some(&user)), (2, Some(&user)), (3, None)] {
        let session = SessionId::new(&format!("s{number}")).unwrap();
        let holder = Holder {
            connection: ConnectionId::new(number),
            generation: Generation::default(),
        };
        let member = (session, Name::tidy("Ada"));
        room.enter_as(Timestamp::ZERO, member, user, holder);
    }
    let (members, _) = room.members(&SessionId::new("s1").unwrap());
    let users: Vec<_> = members.iter().map(|member| member.user).collect();
    assert_eq!(users, [Some(1), Some(1), None]);
}
