//! Clients of a server of several nodes: where each try goes.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use std::collections::BTreeMap;

use everbeat_protocol::address::{Address, Addresses};
use everbeat_protocol::client::{Cause, Config, End, Input, Network, Session, Status, Stored};
use everbeat_protocol::close::CloseCode;
use everbeat_protocol::codec::decode;
use everbeat_protocol::frame::{Elsewhere, ErrorCode, Refusal, ServerFrame};
use everbeat_protocol::server;

use crate::solo::{Desk, Solo, at, millis, secs, welcome};

fn node(name: &str) -> Address {
    Address::new(&format!("wss://{name}.example/ws")).unwrap()
}

/// A client of the nodes a, b and c, that knows the first of these as its own.
fn client(seed: u64, names: &[&str]) -> Solo {
    let [own, further @ ..] = names else {
        panic!("a client has an address");
    };
    let further = further.iter().map(|name| node(name));
    let addresses = Addresses::new(node(own), further).unwrap();
    let session = Session::new(Config::new(seed), Stored::default());
    Solo::of(session.with_addresses(&addresses))
}

/// The same, connected and welcomed at time 0.
fn live(seed: u64, names: &[&str]) -> Solo {
    let mut solo = client(seed, names);
    solo.connect();
    solo.greet(welcome());
    solo.forget();
    solo
}

/// The node that the last try went to.
fn tried(solo: &Solo) -> &str {
    let address = solo.address.as_ref().unwrap().as_str();
    let name = address.strip_prefix("wss://").unwrap();
    name.split_once('.').unwrap().0
}

/// Waits for the next try, and returns its node.
fn next(solo: &mut Solo) -> String {
    let due = solo.now + solo.wait();
    solo.run_to(due);
    tried(solo).to_owned()
}

fn go_away(ms: u64, elsewhere: Option<(&str, u64)>) -> ServerFrame {
    ServerFrame::GoAway {
        reconnect_after_ms: ms,
        elsewhere: elsewhere.map(|(name, after_ms)| Elsewhere {
            address: node(name),
            after_ms,
        }),
        reason: String::new(),
    }
}

/// RC-8: a client without further addresses asks its driver for none.
#[test]
fn one_address_is_the_drivers() {
    let mut solo = Solo::live(Config::new(0));
    solo.frame(go_away(2_000, Some(("b", 0))));
    solo.close(None);
    assert_eq!(solo.wait(), secs(2));
    solo.run_to(at(2_000));
    assert_eq!((solo.opens(), &solo.address), (1, &None));
    assert_eq!(solo.session.address(), None);
}

/// RC-8: a try that fails is followed by one at another node, round and round, after RC-1's delays.
#[test]
fn a_node_that_does_not_answer_is_passed_over() {
    let mut solo = client(0, &["a", "b", "c"]);
    solo.connect();
    let mut order = vec![tried(&solo).to_owned()];
    for attempt in 0..6 {
        solo.close(None);
        assert!(solo.wait() <= millis(250 << attempt), "attempt {attempt}");
        order.push(next(&mut solo));
    }
    assert_eq!(order[0], "a");
    assert_eq!(order[..3], order[3..6]);
    order.truncate(3);
    order.sort_unstable();
    assert_eq!(order, ["a", "b", "c"]);
}

/// RC-8: connections that do not open, and servers that do not welcome, are such tries, too; the end of a connection that
/// was live is none, unless its node fell silent: a machine that is off would take ten more seconds.
#[test]
fn what_counts_as_no_answer() {
    let again = |solo: &mut Solo| next(solo) == "a";

    let mut solo = client(0, &["a", "b"]);
    solo.connect();
    solo.run_to(at(10_000));
    assert!(!again(&mut solo), "it did not open");

    let mut solo = client(0, &["a", "b"]);
    solo.connect();
    solo.input(Input::Opened { id: solo.id });
    solo.close(Some(CloseCode::TRY_AGAIN_LATER));
    assert!(!again(&mut solo), "it did not welcome");

    for code in [
        None,
        Some(CloseCode::SERVICE_RESTART),
        Some(CloseCode::TAKEN_OVER),
    ] {
        let mut solo = live(0, &["a", "b"]);
        solo.close(code);
        assert!(again(&mut solo), "{code:?} after it was live");
    }

    let mut solo = live(0, &["a", "b"]);
    solo.input(Input::Network(Network::Visible));
    solo.run_to(at(2_000));
    let status = solo.session.status();
    let is_silent = matches!(status, Status::Waiting { cause, .. } if cause == Cause::NoAnswer);
    assert!(is_silent, "{status:?}");
    assert!(!again(&mut solo), "it fell silent");
}

/// RC-6, RC-8: a page that sleeps says nothing of its node.
#[test]
fn a_frozen_page_comes_back_to_its_node() {
    let mut solo = client(0, &["a", "b"]);
    solo.connect();
    solo.input(Input::Network(Network::Frozen));
    assert_eq!(next(&mut solo), "a");
}

/// RC-8: a client stays with the node that welcomed it.
#[test]
fn it_stays_where_it_is_welcome() {
    let mut solo = client(0, &["a", "b"]);
    solo.connect();
    solo.close(None);
    assert_eq!(next(&mut solo), "b");
    solo.greet(welcome());
    solo.close(None);
    assert_eq!(next(&mut solo), "b");
    solo.close(None);
    assert_eq!(next(&mut solo), "a");
}

/// RC-8, PU-2: the clients of a node that dies spread over the others.
#[test]
fn the_clients_of_a_dead_node_spread() {
    let mut counts = BTreeMap::new();
    for seed in 0..300 {
        let mut solo = live(seed, &["a", "b", "c", "d"]);
        solo.close(None);
        next(&mut solo);
        solo.close(None);
        *counts.entry(next(&mut solo)).or_insert(0) += 1;
    }
    assert_eq!(counts.len(), 3);
    assert!(
        counts.values().all(|count| (70..130).contains(count)),
        "{counts:?}"
    );
}

/// RC-3, RC-8: a node that is named is gone to at its slot, without a delay, and whatever happens before.
#[test]
fn it_goes_where_it_is_sent() {
    for is_closed in [false, true] {
        let mut solo = live(0, &["a", "b", "c"]);
        solo.frame(go_away(5_000, Some(("c", 700))));
        if is_closed {
            solo.close(Some(CloseCode::SERVICE_RESTART));
            solo.input(Input::Network(Network::Online));
        }
        solo.run_to(at(699));
        assert_eq!(solo.opens(), 0);
        solo.run_to(at(700));
        assert_eq!((solo.opens(), tried(&solo)), (1, "c"));
        solo.greet(welcome());
        solo.close(None);
        assert_eq!(next(&mut solo), "c");
    }
}

/// RC-8: of an address that the client was not configured with it hears nothing: its slot is the one at its own node.
#[test]
fn it_goes_nowhere_else() {
    let texts = [
        "wss://evil.example/ws",
        "wss://b.example:8443/ws",
        "wss://b.example/ws2",
        "ws://b.example/ws",
        "wss://b.example.evil.example/ws",
        "https://b.example/ws",
        "javascript:alert(1)",
        "",
    ];
    for text in texts {
        let frame = serde_json::json!({
            "type": "go_away",
            "reconnect_after_ms": 5_000,
            "elsewhere": { "address": text, "after_ms": 10 },
            "reason": "restarting",
        });
        let frame: ServerFrame = decode(&frame.to_string(), 4096).unwrap();
        let mut solo = live(0, &["a", "b"]);
        solo.frame(frame);
        solo.run_to(at(4_999));
        assert_eq!(solo.opens(), 0, "{text}");
        solo.run_to(at(5_000));
        assert_eq!((solo.opens(), tried(&solo)), (1, "a"), "{text}");
    }
}

/// RC-8: the form of an address does not matter.
#[test]
fn it_knows_an_address_in_any_form() {
    let frame = concat!(
        r#"{"type":"go_away","reconnect_after_ms":5000,"reason":"","#,
        r#""elsewhere":{"address":"WSS://B.Example:443/ws","after_ms":10}}"#
    );
    let mut solo = live(0, &["a", "b"]);
    solo.frame(decode(frame, 4096).unwrap());
    assert_eq!(next(&mut solo), "b");
}

/// RC-3, RC-8: the last word counts.
#[test]
fn the_last_slot_counts() {
    let mut solo = live(0, &["a", "b", "c"]);
    solo.frame(go_away(5_000, Some(("b", 100))));
    solo.frame(go_away(6_000, Some(("c", 200))));
    assert_eq!((next(&mut solo), solo.now), ("c".to_owned(), at(200)));

    let mut solo = live(0, &["a", "b", "c"]);
    solo.frame(go_away(5_000, Some(("b", 100))));
    solo.frame(go_away(6_000, None));
    assert_eq!((next(&mut solo), solo.now), ("a".to_owned(), at(6_000)));
}

/// RC-3, RC-8: where the named node does not answer, the client comes back to its own after one try, but not before its slot
/// there; until then other nodes have their turns.
#[test]
fn after_one_try_it_comes_back() {
    let mut solo = live(0, &["a", "b"]);
    solo.frame(go_away(0, Some(("b", 100))));
    assert_eq!(next(&mut solo), "b");
    solo.close(None);
    assert!(solo.wait() <= millis(250));
    assert_eq!(next(&mut solo), "a");

    for seed in 0..20 {
        let mut solo = live(seed, &["a", "b", "c"]);
        solo.frame(go_away(5_000, Some(("b", 100))));
        assert_eq!(next(&mut solo), "b");
        let mut order = Vec::new();
        while solo.now < at(5_000) {
            solo.close(None);
            order.push((next(&mut solo), solo.now));
        }
        assert_eq!(order[0].0, "c", "seed {seed}");
        for (name, time) in &order {
            assert!(name != "a" || *time >= at(5_000), "seed {seed}: {order:?}");
        }
        for _ in 0..2 {
            solo.close(None);
            order.push((next(&mut solo), solo.now));
        }
        assert!(
            order.iter().any(|(name, _)| name == "a"),
            "seed {seed}: {order:?}"
        );
    }
}

/// RC-1, RC-8: `Retry-After` is about the node that answered so; where all ask for a pause, the client waits for the shortest.
#[test]
fn a_pause_is_one_nodes() {
    let refused = |secs_| End::Refused {
        status: 503,
        retry_after: Some(secs(secs_)),
    };
    let mut solo = client(0, &["a", "b"]);
    solo.connect();
    solo.end(refused(60));
    assert!(solo.wait() <= millis(250));
    assert_eq!(next(&mut solo), "b");
    let asked = solo.now;
    solo.end(refused(20));
    assert!(solo.wait() >= secs(20) && solo.wait() <= millis(20_500));
    assert_eq!(next(&mut solo), "b");
    solo.close(None);
    // The first one's pause still holds.
    assert_eq!(next(&mut solo), "b");
    assert!(solo.now < at(60_000) && solo.now > asked);
}

/// RC-7, RC-8: a slot of a crowded node is a place in its order.
#[test]
fn a_slot_at_a_busy_node_is_kept() {
    let mut solo = client(0, &["a", "b"]);
    solo.connect();
    solo.input(Input::Opened { id: solo.id });
    solo.frame(ServerFrame::Error(Refusal {
        retry_after_ms: Some(7_000),
        ..Refusal::new(ErrorCode::Busy)
    }));
    solo.close(Some(CloseCode::TRY_AGAIN_LATER));
    assert_eq!(solo.wait(), secs(7));
    assert_eq!(next(&mut solo), "a");
}

/// RC-8: a client stops where all of its nodes refuse it, not where one does: that one may be set up wrongly.
#[test]
fn one_nodes_refusal_is_not_the_last_word() {
    let refused = End::Refused {
        status: 403,
        retry_after: None,
    };
    let cause = Cause::Refused { status: 403 };
    let mut solo = client(0, &["a", "b"]);
    solo.connect();
    solo.end(refused);
    assert_eq!(next(&mut solo), "b");
    solo.end(refused);
    assert_eq!(solo.session.status(), Status::Stopped { cause });

    let mut solo = client(0, &["a", "b"]);
    solo.connect();
    solo.end(refused);
    next(&mut solo);
    solo.greet(welcome());
    solo.close(None);
    next(&mut solo);
    solo.end(refused);
    assert_eq!(solo.session.status(), Status::Stopped { cause });

    let mut solo = client(0, &["a", "b"]);
    solo.connect();
    solo.end(refused);
    next(&mut solo);
    solo.close(None);
    assert_eq!(next(&mut solo), "a");
    solo.greet(welcome());
    solo.frame(go_away(5_000, Some(("b", 0))));
    next(&mut solo);
    solo.end(refused);
    assert!(matches!(solo.session.status(), Status::Waiting { .. }));
}

/// RC-8, PU-5: a user's wish is not a failed try, and a rest neither.
#[test]
fn a_person_stays_with_the_node() {
    let mut solo = live(0, &["a", "b"]);
    solo.close(None);
    solo.connect();
    assert_eq!(tried(&solo), "a");
    solo.act(|session, now| session.disconnect(now));
    solo.connect();
    assert_eq!(tried(&solo), "a");
}

/// RC-3, RC-8: a server sends the node with the slot, also after the `welcome` of a client that it did not know before.
#[test]
fn a_server_names_the_node() {
    let slot = server::Slot {
        reconnect_after: secs(7),
        elsewhere: Some((node("b"), secs(3))),
    };
    let told = |ms, after_ms| ServerFrame::GoAway {
        reconnect_after_ms: ms,
        elsewhere: Some(Elsewhere {
            address: node("b"),
            after_ms,
        }),
        reason: CloseCode::SERVICE_RESTART.reason().to_owned(),
    };
    let mut desk = Desk::live(server::Config::default());
    desk.input(server::Input::GoAway(slot.clone()));
    assert_eq!(desk.frames(), [&told(7_000, 3_000)]);

    let mut desk = Desk::new(server::Config::default());
    desk.input(server::Input::GoAway(slot));
    desk.now = at(2_000);
    desk.greet();
    assert_eq!(desk.frames().last(), Some(&&told(5_000, 1_000)));
}
