use super::*;
use crate::pack::FORMAT;

const NOW_MS: u64 = 1_700_000_000_000;

fn at(ms: u64) -> Timestamp {
    Timestamp::from_millis(ms)
}

fn node(name: &str) -> NodeName {
    NodeName::new(name).unwrap()
}

fn life(count: u64) -> Life {
    Life { count, nonce: 1 }
}

fn digest(of: u8) -> Digest {
    Digest([of; 32])
}

fn lease(name: &str) -> Lease {
    Lease {
        node: node(name),
        life: life(1),
        address: Some("wss://b.example".into()),
        load: 3,
        applied: 0,
        digest: digest(0),
        epoch: Some(Epoch::new("e")),
        is_draining: false,
        format: FORMAT,
        at_ms: NOW_MS,
    }
}

fn bytes(lease: &Lease) -> Vec<u8> {
    serde_json::to_vec(lease).unwrap()
}

/// Node `a`, announced at 0.
fn announced() -> Nodes {
    let mut nodes = Nodes::new(Config::new(NOW_MS), at(0));
    assert_eq!(nodes.poll_transmit(), None);
    nodes.announce(at(0), lease("a"));
    assert!(nodes.poll_transmit().is_some());
    nodes
}

fn hear(nodes: &mut Nodes, ms: u64, lease: &Lease) -> Vec<Event> {
    assert_eq!(nodes.heard(at(ms), &bytes(lease)), Ok(()));
    events(nodes)
}

fn events(nodes: &mut Nodes) -> Vec<Event> {
    std::iter::from_fn(|| nodes.poll_event()).collect()
}

fn told(nodes: &mut Nodes) -> Option<Lease> {
    let Transmit::Tell(bytes) = nodes.poll_transmit()?;
    assert_eq!(nodes.poll_transmit(), None);
    Some(Lease::decode(&bytes).unwrap())
}

/// Goes on in steps of a beat, as a driver does; the events with their times.
fn run(nodes: &mut Nodes, until_ms: u64) -> Vec<(u64, Event)> {
    let mut happened = Vec::new();
    while let Some(next) = nodes.poll_timeout().filter(|next| *next <= at(until_ms)) {
        nodes.handle_timeout(next);
        nodes.poll_transmit();
        let ms = u64::try_from(next.since_origin().as_millis()).unwrap();
        happened.extend(events(nodes).into_iter().map(|event| (ms, event)));
    }
    happened
}

#[test]
fn the_own_lease_is_told_every_second_as_it_is_then() {
    let mut nodes = announced();
    nodes.applied(at(10), 7, digest(7));
    nodes.set_load(12);
    assert_eq!(
        (told(&mut nodes), nodes.poll_timeout()),
        (None, Some(at(1000)))
    );
    nodes.handle_timeout(at(1000));
    let expected = Lease {
        load: 12,
        applied: 7,
        digest: digest(7),
        at_ms: NOW_MS + 1000,
        ..lease("a")
    };
    assert_eq!(told(&mut nodes), Some(expected.clone()));
    assert_eq!(nodes.own(), Some(&expected));
    // A stop is reported at once, and once.
    nodes.set_draining(at(1300), true);
    assert!(told(&mut nodes).unwrap().is_draining);
    nodes.set_draining(at(1301), true);
    assert_eq!(
        (told(&mut nodes), nodes.poll_timeout()),
        (None, Some(at(2300)))
    );
}

#[test]
fn a_lease_holds_for_five_seconds_after_it_was_heard() {
    let mut nodes = announced();
    let mut b = lease("b");
    assert_eq!(hear(&mut nodes, 100, &b), [Event::Up(b.clone())]);
    assert_eq!(run(&mut nodes, 3000), []);
    b.load = 4;
    assert_eq!(hear(&mut nodes, 3000, &b), []);
    assert_eq!(nodes.lease(&node("b")), Some(&b));
    assert_eq!(run(&mut nodes, 7999), []);
    assert_eq!(nodes.others().collect::<Vec<_>>(), [&b]);
    let down = Event::Down {
        node: node("b"),
        life: life(1),
    };
    assert_eq!(run(&mut nodes, 8500), [(8000, down)]);
    assert_eq!(nodes.others().count(), 0);
    assert_eq!(hear(&mut nodes, 8600, &b), [Event::Up(b)]);
}

#[test]
fn a_node_that_was_started_again_goes_and_comes() {
    let mut nodes = announced();
    let (first, mut second) = (lease("b"), lease("b"));
    second.life = life(2);
    hear(&mut nodes, 0, &first);
    let down = Event::Down {
        node: node("b"),
        life: life(1),
    };
    let up = Event::Up(second.clone());
    assert_eq!(hear(&mut nodes, 1, &second), [down, up]);
    // A late word of the old process.
    assert_eq!(hear(&mut nodes, 2, &first), []);
    assert_eq!(nodes.lease(&node("b")), Some(&second));
}

/// A process that stood still has not heard the others, and that is not their fault.
#[test]
fn a_pause_of_this_process_ends_no_lease() {
    let mut nodes = announced();
    hear(&mut nodes, 0, &lease("b"));
    nodes.handle_timeout(at(60_000));
    assert_eq!(events(&mut nodes), []);
    assert!(told(&mut nodes).is_some());
    assert_eq!(hear(&mut nodes, 60_001, &lease("b"))[1..], []);
    let ends = run(&mut nodes, 70_000);
    assert_eq!(ends.iter().map(|(ms, _)| *ms).collect::<Vec<_>>(), [65_001]);
}

/// Nodes that folded the same packs must have come to the same.
#[test]
fn another_digest_at_an_equal_sequence_is_reported_once() {
    let mut nodes = announced();
    let said = |applied, of| Lease {
        applied,
        digest: digest(of),
        ..lease("b")
    };
    for sequence in 1..=9 {
        let own = digest(u8::try_from(sequence).unwrap());
        nodes.applied(at(1), sequence, own);
    }
    // Behind, equal, and ahead of this node.
    assert_eq!(hear(&mut nodes, 2, &said(4, 4)).len(), 1);
    assert_eq!(hear(&mut nodes, 2, &said(9, 9)), []);
    assert_eq!(hear(&mut nodes, 2, &said(11, 11)), []);
    // It waits for the first one that it can compare.
    assert_eq!(hear(&mut nodes, 2, &said(12, 99)), []);
    nodes.applied(at(3), 10, digest(10));
    nodes.applied(at(3), 11, digest(11));
    assert_eq!(events(&mut nodes), []);
    let diverged = Event::Diverged {
        node: node("b"),
        sequence: 5,
        own: digest(5),
        other: digest(99),
    };
    assert_eq!(hear(&mut nodes, 4, &said(5, 99)), [diverged]);
    assert_eq!(hear(&mut nodes, 5, &said(6, 99)), []);
    // A new life is compared anew, and the one that is behind finds it, too.
    let mut again = said(13, 98);
    again.life = life(2);
    assert_eq!(hear(&mut nodes, 6, &again).len(), 2);
    nodes.applied(at(7), 12, digest(12));
    assert_eq!(events(&mut nodes), []);
    nodes.applied(at(7), 13, digest(13));
    let diverged = Event::Diverged {
        node: node("b"),
        sequence: 13,
        own: digest(13),
        other: digest(98),
    };
    assert_eq!(events(&mut nodes), [diverged]);
}

#[test]
fn the_history_of_digests_is_bounded() {
    let mut nodes = announced();
    let said = |life_count, applied| Lease {
        life: life(life_count),
        applied,
        digest: digest(99),
        ..lease("b")
    };
    for sequence in 1..=5000 {
        nodes.applied(at(1), sequence, digest(1));
    }
    assert_eq!(nodes.digests.len(), DIGESTS_MAX);
    // Too long ago to compare; then the oldest that is kept.
    assert_eq!(hear(&mut nodes, 1, &said(1, 5000 - 4096)).len(), 1);
    let found = hear(&mut nodes, 1, &said(1, 5000 - 4095));
    assert!(matches!(found[..], [Event::Diverged { sequence: 905, .. }]));
    // Packs whose digests were not reported are not compared; those before are, still.
    nodes.applied(at(2), 9000, digest(2));
    assert_eq!(hear(&mut nodes, 2, &said(2, 8999)).len(), 2);
    let found = hear(&mut nodes, 2, &said(2, 4999));
    assert!(matches!(
        found[..],
        [Event::Diverged { sequence: 4999, .. }]
    ));
    // A log that begins anew forgets what it was.
    nodes.applied(at(3), 7, digest(3));
    assert_eq!(nodes.digests, [(7, digest(3))]);
}

#[test]
fn another_process_with_the_own_name_is_reported() {
    let mut nodes = announced();
    let mut rival = lease("a");
    // The own lease comes back, too.
    assert_eq!(hear(&mut nodes, 1, &rival), []);
    let two = |other, is_later| Event::TwoOfOneName { other, is_later };
    rival.life = Life { count: 1, nonce: 0 };
    let earlier = two(rival.life.clone(), false);
    assert_eq!(hear(&mut nodes, 1, &rival), [earlier]);
    assert_eq!(hear(&mut nodes, 2, &rival), []);
    rival.life = life(2);
    let later = two(rival.life.clone(), true);
    assert_eq!(hear(&mut nodes, 3, &rival), [later]);
    assert_eq!(nodes.others().count(), 0);
}

/// Clocks that differ by a minute change nothing but this report.
#[test]
fn a_clock_that_differs_is_reported_and_harmless() {
    let mut nodes = announced();
    let mut b = lease("b");
    b.at_ms = NOW_MS - 60_000;
    let skew = |ahead_ms| {
        let node = node("b");
        Event::ClockSkew { node, ahead_ms }
    };
    assert_eq!(hear(&mut nodes, 0, &b)[1..], [skew(-60_000)]);
    b.at_ms += 1000;
    assert_eq!(hear(&mut nodes, 1000, &b), []);
    b.at_ms = NOW_MS + 2000;
    assert_eq!(hear(&mut nodes, 2000, &b), []);
    b.at_ms = NOW_MS + 63_000;
    assert_eq!(hear(&mut nodes, 3000, &b), [skew(60_000)]);
    assert_eq!(run(&mut nodes, 7999), []);
    assert_eq!(run(&mut nodes, 8000).len(), 1);
}

#[test]
fn a_log_of_another_epoch_is_reported() {
    let mut nodes = announced();
    let mut b = lease("b");
    b.epoch = None;
    assert_eq!(hear(&mut nodes, 0, &b).len(), 1);
    b.epoch = Some(Epoch::new("other"));
    let node = node("b");
    assert_eq!(hear(&mut nodes, 1, &b), [Event::OtherEpoch { node }]);
    assert_eq!(hear(&mut nodes, 2, &b), []);
}

#[test]
fn what_others_say_is_bounded_and_checked() {
    let mut nodes = announced();
    for garbled in [&b""[..], b"{}", b"[1]", &[0xff; 9]] {
        let error = nodes.heard(at(0), garbled);
        assert!(matches!(error, Err(LeaseError::Garbled(_))));
    }
    let mut large = lease("b");
    large.address = Some("x".repeat(LEASE_BYTES));
    let error = nodes.heard(at(0), &bytes(&large));
    assert!(matches!(error, Err(LeaseError::TooLarge { .. })));
    for number in 0..NODES_MAX {
        let up = hear(&mut nodes, 0, &lease(&format!("n{number}")));
        assert_eq!(up.len(), 1);
    }
    let error = nodes.heard(at(0), &bytes(&lease("one-more")));
    assert_eq!(error, Err(LeaseError::TooMany));
    assert_eq!(hear(&mut nodes, 1, &lease("n0")), []);
    // A field of a later version is no obstacle.
    let mut later = bytes(&lease("n0"));
    later.pop();
    later.extend_from_slice(b",\"weather\":\"fine\"}");
    assert_eq!(nodes.heard(at(1), &later), Ok(()));
}
