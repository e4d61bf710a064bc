use protocol::id::NodeName;

use super::*;
use crate::order::Digest;
use crate::pack::{Life, PackId};

const STREAM: &str = "s1";

fn at(ms: u64) -> Timestamp {
    Timestamp::from_millis(ms)
}

/// The pack of a stream under this sequence.
fn pack(nonce: u64, sequence: u64) -> Pack {
    Pack {
        node: NodeName::new("a").unwrap(),
        life: Life { count: 1, nonce },
        number: sequence,
        at_ms: 0,
        commands: Vec::new(),
    }
}

fn bytes(sequence: u64) -> Vec<u8> {
    pack(7, sequence).encode().unwrap()
}

fn applied(sequence: u64) -> Applied {
    let id: PackId = pack(7, sequence).id();
    Applied {
        sequence,
        digest: Digest::default(),
        pack: id.hash(),
    }
}

fn bounds(first: u64, last: u64) -> Option<Bounds> {
    let id = STREAM.to_owned();
    Some(Bounds { first, last, id })
}

fn apply(sequence: u64) -> Transmit {
    let pack = pack(7, sequence);
    Transmit::Apply { sequence, pack }
}

fn fetch(sequence: u64, source: Source) -> Transmit {
    Transmit::Fetch { sequence, source }
}

use Source::{Any, Leader};

fn transmits(follower: &mut Follower) -> Vec<Transmit> {
    std::iter::from_fn(|| follower.poll_transmit()).collect()
}

fn events(follower: &mut Follower) -> Vec<Event> {
    std::iter::from_fn(|| follower.poll_event()).collect()
}

fn expect(follower: &mut Follower, expected: &[Transmit]) {
    assert_eq!(transmits(follower), expected);
}

fn found(follower: &mut Follower, ms: u64, sequence: u64, source: Source) {
    follower.fetched(at(ms), sequence, source, Fetched::Found(&bytes(sequence)));
}

fn missing(follower: &mut Follower, ms: u64, sequence: u64, source: Source) {
    follower.fetched(at(ms), sequence, source, Fetched::Missing);
}

fn unchecked(sequence: u64) -> Follower {
    let stream = Some(STREAM.to_owned());
    Follower::new(Config::new(3), &applied(sequence), stream, at(0))
}

/// A follower at the end of its stream, checked at 0.
fn checked(sequence: u64) -> Follower {
    let mut follower = unchecked(sequence);
    expect(&mut follower, &[Transmit::AskBounds]);
    follower.bounds(at(0), bounds(1, sequence));
    expect(&mut follower, &[fetch(sequence, Leader)]);
    assert!(!follower.is_caught_up());
    found(&mut follower, 0, sequence, Leader);
    expect(&mut follower, &[]);
    assert_eq!(events(&mut follower), []);
    assert!(follower.is_caught_up());
    follower
}

/// The end of the stream is asked for, at this time.
fn polls(follower: &mut Follower, ms: u64) {
    assert_eq!(follower.poll_timeout(), Some(at(ms)));
    follower.handle_timeout(at(ms));
    expect(follower, &[Transmit::AskBounds]);
}

/// Goes to the next timeout, and drains.
fn wait(follower: &mut Follower) -> (Timestamp, Vec<Transmit>) {
    let now = follower.poll_timeout().unwrap();
    follower.handle_timeout(now);
    (now, transmits(follower))
}

#[test]
fn a_node_without_a_stream_attaches_to_the_one_that_is_there() {
    let mut follower = Follower::new(Config::new(3), &Applied::default(), None, at(0));
    assert!(!follower.is_caught_up());
    expect(&mut follower, &[Transmit::AskBounds]);
    follower.bounds(at(0), bounds(0, 0));
    let id = STREAM.to_owned();
    assert_eq!(events(&mut follower), [Event::Attached { id }]);
    assert!(follower.is_caught_up());
    follower.live(at(5), 1, &bytes(1));
    expect(&mut follower, &[apply(1)]);
    assert_eq!((follower.lag(), follower.is_caught_up()), (1, false));
    follower.applied(at(6), 1);
    assert_eq!((follower.lag(), follower.is_caught_up()), (0, true));
}

#[test]
fn live_packs_are_handed_out_once_and_in_order() {
    let mut follower = checked(5);
    follower.live(at(1), 6, &bytes(6));
    follower.live(at(1), 7, &bytes(7));
    follower.live(at(1), 6, &bytes(6));
    follower.live(at(1), 7, &bytes(7));
    follower.live(at(1), 3, &bytes(3));
    expect(&mut follower, &[apply(6), apply(7)]);
    follower.live(at(2), 7, &bytes(7));
    expect(&mut follower, &[]);
    assert_eq!(events(&mut follower), []);
}

#[test]
fn what_a_later_pack_shows_to_be_lost_is_fetched_at_once() {
    let mut follower = checked(5);
    follower.live(at(1), 8, &bytes(8));
    expect(&mut follower, &[fetch(6, Any), fetch(7, Any)]);
    assert_eq!(follower.lag(), 3);
    // The answers may come in any order, and the pack may still come live.
    found(&mut follower, 2, 7, Any);
    expect(&mut follower, &[]);
    follower.live(at(3), 6, &bytes(6));
    expect(&mut follower, &[apply(6), apply(7), apply(8)]);
    found(&mut follower, 4, 6, Any);
    expect(&mut follower, &[]);
}

#[test]
fn silence_asks_the_leader_for_the_end() {
    let mut follower = checked(5);
    polls(&mut follower, 250);
    follower.bounds(at(255), bounds(1, 5));
    expect(&mut follower, &[]);
    polls(&mut follower, 505);
    follower.bounds(at(510), bounds(1, 7));
    expect(&mut follower, &[fetch(6, Any), fetch(7, Any)]);
    found(&mut follower, 511, 6, Any);
    found(&mut follower, 511, 7, Any);
    expect(&mut follower, &[apply(6), apply(7)]);
}

/// A server that lags does not know the newest pack. Neither its word nor the leader's from before the pack was stored
/// makes an end or a hole.
#[test]
fn a_pack_that_a_lagging_server_does_not_find_is_fetched_from_the_leader() {
    let mut follower = checked(5);
    follower.stored(at(10), 6);
    expect(&mut follower, &[]);
    assert_eq!((follower.lag(), follower.poll_timeout()), (1, Some(at(60))));
    follower.handle_timeout(at(60));
    expect(&mut follower, &[fetch(6, Any)]);
    missing(&mut follower, 61, 6, Any);
    expect(&mut follower, &[fetch(6, Leader)]);
    // That was only a hint.
    missing(&mut follower, 62, 6, Leader);
    expect(&mut follower, &[Transmit::AskBounds]);
    follower.bounds(at(63), bounds(1, 6));
    expect(&mut follower, &[fetch(6, Leader)]);
    found(&mut follower, 64, 6, Leader);
    expect(&mut follower, &[apply(6)]);
    // A hint that was wrong ends at the leader's word.
    follower.stored(at(70), 7);
    follower.handle_timeout(at(120));
    expect(&mut follower, &[fetch(7, Any)]);
    missing(&mut follower, 121, 7, Any);
    missing(&mut follower, 121, 7, Leader);
    expect(&mut follower, &[fetch(7, Leader)]);
    missing(&mut follower, 121, 7, Leader);
    expect(&mut follower, &[Transmit::AskBounds]);
    follower.bounds(at(122), bounds(1, 6));
    expect(&mut follower, &[]);
    polls(&mut follower, 372);
}

#[test]
fn an_erased_pack_is_replaced() {
    let mut follower = checked(5);
    follower.live(at(1), 7, &bytes(7));
    expect(&mut follower, &[fetch(6, Any)]);
    missing(&mut follower, 2, 6, Any);
    expect(&mut follower, &[fetch(6, Leader)]);
    missing(&mut follower, 3, 6, Leader);
    expect(&mut follower, &[Transmit::FetchReplacement { sequence: 6 }]);
    follower.replaced(at(4), 6, Fetched::Found(&bytes(6)));
    expect(&mut follower, &[apply(6), apply(7)]);
    // Also where the erased pack was the stream's last, or its first.
    polls(&mut follower, 254);
    follower.bounds(at(260), bounds(9, 8));
    expect(&mut follower, &[fetch(8, Any)]);
    missing(&mut follower, 261, 8, Any);
    expect(&mut follower, &[fetch(8, Leader)]);
    missing(&mut follower, 262, 8, Leader);
    expect(&mut follower, &[Transmit::FetchReplacement { sequence: 8 }]);
    follower.replaced(at(263), 8, Fetched::Found(&bytes(8)));
    expect(&mut follower, &[apply(8)]);
}

/// Runs a follower that misses the next pack everywhere, until an event.
fn without_replacement(follower: &mut Follower, first: u64, last: u64) -> (Timestamp, Event) {
    let mut now = at(1);
    for _ in 0..10_000 {
        if let Some(event) = follower.poll_event() {
            return (now, event);
        }
        match follower.poll_transmit() {
            None => {
                now = follower.poll_timeout().unwrap();
                follower.handle_timeout(now);
            }
            Some(Transmit::AskBounds) => follower.bounds(now, bounds(first, last)),
            Some(Transmit::Fetch { sequence, source }) => {
                follower.fetched(now, sequence, source, Fetched::Missing);
            }
            Some(Transmit::FetchReplacement { sequence }) => {
                follower.replaced(now, sequence, Fetched::Missing);
            }
            Some(Transmit::Apply { .. }) => panic!("a gap was skipped"),
        }
    }
    panic!("no event")
}

#[test]
fn a_hole_is_never_skipped() {
    let mut follower = checked(5);
    follower.live(at(1), 7, &bytes(7));
    let (now, event) = without_replacement(&mut follower, 1, 7);
    assert_eq!(event, Event::Hole { sequence: 6 });
    assert!(now >= at(10_000), "{now:?}");
    assert!(!follower.is_ended());
    // It is reported once, asked for again, and taken when it is there.
    follower.replaced(now, 6, Fetched::Found(&bytes(6)));
    expect(&mut follower, &[apply(6), apply(7)]);
    assert_eq!(events(&mut follower), []);
}

#[test]
fn a_node_behind_the_streams_first_pack_needs_a_copy() {
    let mut follower = checked(5);
    let (now, event) = without_replacement(&mut follower, 20, 30);
    assert_eq!(event, Event::Behind { next: 6, first: 20 });
    assert!(now > at(2000) && now < at(5000), "{now:?}");
    assert!(follower.is_ended());
    assert_eq!(follower.poll_timeout(), None);
    follower.live(now, 6, &bytes(6));
    expect(&mut follower, &[]);
    // A new node of an old stream, too.
    let mut follower = Follower::new(Config::new(3), &Applied::default(), None, at(0));
    follower.bounds(at(0), None);
    let (_, event) = without_replacement(&mut follower, 20, 30);
    assert!(matches!(event, Event::Attached { .. }));
    let (_, event) = without_replacement(&mut follower, 20, 30);
    assert_eq!(event, Event::Behind { next: 1, first: 20 });
}

#[test]
fn a_long_way_is_fetched_in_parallel_and_handed_out_as_the_fold_goes() {
    let mut follower = checked(5);
    polls(&mut follower, 250);
    follower.bounds(at(250), bounds(1, 100));
    let expected: Vec<_> = (6..=13).map(|sequence| fetch(sequence, Any)).collect();
    expect(&mut follower, &expected);
    for sequence in (6..=13).rev() {
        found(&mut follower, 251, sequence, Any);
    }
    let mut expected = vec![apply(6), apply(7), apply(8), apply(9)];
    expected.extend((14..=17).map(|sequence| fetch(sequence, Any)));
    expect(&mut follower, &expected);
    assert_eq!((follower.lag(), follower.poll_timeout()), (95, None));
    follower.applied(at(260), 7);
    let expected = [apply(10), apply(11), fetch(18, Any), fetch(19, Any)];
    expect(&mut follower, &expected);
    follower.applied(at(261), 11);
    let expected = [apply(12), apply(13), fetch(20, Any), fetch(21, Any)];
    expect(&mut follower, &expected);
    // One ahead that failed is fetched again when its turn comes, not before.
    follower.applied(at(262), 13);
    missing(&mut follower, 262, 15, Any);
    expect(&mut follower, &[]);
    found(&mut follower, 263, 14, Any);
    expect(&mut follower, &[apply(14), fetch(15, Any), fetch(22, Any)]);
}

#[test]
fn failures_are_tried_again_with_a_growing_delay() {
    let mut follower = checked(5);
    follower.live(at(1), 7, &bytes(7));
    expect(&mut follower, &[fetch(6, Any)]);
    let (mut now, mut longest) = (at(1), Duration::ZERO);
    for _ in 0..20 {
        follower.fetched(now, 6, Any, Fetched::Failed);
        expect(&mut follower, &[]);
        let (then, asked) = wait(&mut follower);
        assert_eq!(asked, [fetch(6, Any)]);
        longest = longest.max(then.since(now));
        now = then;
    }
    assert!(longest > RETRY_CAP / 2 && longest <= RETRY_CAP);
    // No answer at all is a failure, too.
    let (then, asked) = wait(&mut follower);
    assert_eq!((then.since(now), asked), (Duration::from_secs(5), vec![]));
    let (_, asked) = wait(&mut follower);
    assert_eq!(asked, [fetch(6, Any)]);
    // A connection that is back is used at once.
    follower.fetched(then + RETRY_CAP, 6, Any, Fetched::Failed);
    follower.reconnected(then + RETRY_CAP);
    expect(&mut follower, &[fetch(6, Any)]);
}

/// While the leader does not answer, what any server has is fetched.
#[test]
fn a_gap_does_not_wait_for_the_leader() {
    let mut follower = checked(5);
    polls(&mut follower, 250);
    follower.live(at(260), 7, &bytes(7));
    expect(&mut follower, &[fetch(6, Any)]);
    found(&mut follower, 261, 6, Any);
    expect(&mut follower, &[apply(6), apply(7)]);
    follower.bounds(at(262), None);
    expect(&mut follower, &[]);
    polls(&mut follower, 511);
}

#[test]
fn the_buffer_is_bounded_in_bytes_and_drops_what_is_needed_last() {
    let size = bytes(9).len();
    let config = Config {
        buffer_bytes: 2 * size,
        ..Config::new(3)
    };
    let mut follower = checked(5);
    follower.config = config;
    for sequence in [9, 8, 7] {
        follower.live(at(1), sequence, &bytes(sequence));
    }
    assert_eq!(follower.buffer.keys().collect::<Vec<_>>(), [&7, &8]);
    follower.live(at(1), 10, b"not even read");
    assert_eq!(follower.buffered, 2 * size);
    follower.live(at(1), 6, &bytes(6));
    let expected = [
        apply(6),
        apply(7),
        fetch(8, Any),
        fetch(9, Any),
        fetch(10, Any),
    ];
    expect(&mut follower, &expected);
    assert_eq!(follower.buffered, 0);
}

#[test]
fn a_pack_that_cannot_be_read_ends_it_when_the_leader_has_it_so() {
    let mut follower = checked(5);
    follower.live(at(1), 6, b"damaged");
    expect(&mut follower, &[fetch(6, Leader)]);
    found(&mut follower, 2, 6, Leader);
    expect(&mut follower, &[apply(6)]);
    follower.live(at(3), 8, b"damaged");
    expect(&mut follower, &[fetch(7, Any), fetch(8, Any)]);
    let newer = br#"{"format":2}"#;
    follower.fetched(at(4), 7, Any, Fetched::Found(newer));
    expect(&mut follower, &[fetch(7, Leader)]);
    follower.fetched(at(5), 7, Leader, Fetched::Found(newer));
    let error = PackError::Format(2);
    let expected = Event::Unreadable { sequence: 7, error };
    assert_eq!(events(&mut follower), [expected]);
    assert!(follower.is_ended());
}

#[test]
fn another_streams_id_or_pack_is_seen_at_the_start() {
    let mut follower = unchecked(5);
    let id = "s2".to_owned();
    let other = Bounds {
        first: 1,
        last: 9,
        id: id.clone(),
    };
    follower.bounds(at(0), Some(other));
    let known = STREAM.to_owned();
    let mismatch = Mismatch::Id { known, found: id };
    assert_eq!(events(&mut follower), [Event::OtherStream(mismatch)]);

    let mut follower = unchecked(5);
    expect(&mut follower, &[Transmit::AskBounds]);
    follower.bounds(at(0), bounds(1, 9));
    expect(&mut follower, &[fetch(5, Leader)]);
    let other = pack(8, 5).encode().unwrap();
    follower.fetched(at(1), 5, Leader, Fetched::Found(&other));
    let mismatch = Mismatch::Pack { sequence: 5 };
    assert_eq!(events(&mut follower), [Event::OtherStream(mismatch)]);
    expect(&mut follower, &[]);
}

/// Nothing is handed out before the stream was compared. A pack that was erased since is compared by its replacement,
/// one that was trimmed cannot be.
#[test]
fn the_start_waits_for_the_comparison() {
    let mut follower = unchecked(5);
    follower.live(at(0), 6, &bytes(6));
    expect(&mut follower, &[Transmit::AskBounds]);
    follower.bounds(at(1), None);
    let (_, asked) = wait(&mut follower);
    assert_eq!(asked, [Transmit::AskBounds]);
    follower.bounds(at(200), bounds(1, 6));
    expect(&mut follower, &[fetch(5, Leader)]);
    missing(&mut follower, 201, 5, Leader);
    expect(&mut follower, &[Transmit::FetchReplacement { sequence: 5 }]);
    follower.replaced(at(202), 5, Fetched::Found(&bytes(5)));
    expect(&mut follower, &[apply(6)]);

    let mut follower = unchecked(5);
    expect(&mut follower, &[Transmit::AskBounds]);
    follower.bounds(at(0), bounds(6, 6));
    expect(&mut follower, &[fetch(6, Any)]);
}

/// The server that answers may not be the leader any more; but a stream that stays shorter lost its tail.
#[test]
fn a_stream_that_lost_its_tail_is_another_one() {
    let mut follower = checked(5);
    polls(&mut follower, 250);
    follower.bounds(at(251), bounds(1, 4));
    expect(&mut follower, &[Transmit::AskBounds]);
    // What comes meanwhile waits.
    follower.live(at(252), 6, &bytes(6));
    follower.bounds(at(253), bounds(1, 4));
    expect(&mut follower, &[]);
    let (now, asked) = wait(&mut follower);
    assert_eq!(asked, [Transmit::AskBounds]);
    follower.bounds(now, bounds(1, 6));
    expect(&mut follower, &[fetch(5, Leader)]);
    follower.fetched(now, 5, Leader, Fetched::Found(&bytes(5)));
    expect(&mut follower, &[apply(6)]);

    let mut follower = checked(5);
    follower.handle_timeout(at(250));
    let mut event = None;
    for _ in 0..200 {
        let asked = transmits(&mut follower);
        assert!(asked.iter().all(|asked| *asked == Transmit::AskBounds));
        if !asked.is_empty() {
            follower.bounds(follower.latest.get(), bounds(1, 4));
        }
        event = follower.poll_event();
        let Some(next) = follower.poll_timeout() else {
            break;
        };
        follower.handle_timeout(next);
    }
    let mismatch = Mismatch::Short { last: 4 };
    assert_eq!(event, Some(Event::OtherStream(mismatch)));
    assert!(follower.latest.get() >= at(10_000));
}

/// The stream lost its tail, and grew past it again before it was asked for.
#[test]
fn another_pack_in_the_place_of_an_applied_one_is_seen() {
    let mut follower = checked(5);
    for sequence in 6..=9 {
        follower.live(at(1), sequence, &bytes(sequence));
    }
    follower.applied(at(2), 9);
    transmits(&mut follower);
    follower.live(at(2), 7, b"a damaged copy says nothing");
    assert_eq!(events(&mut follower), []);
    follower.live(at(3), 7, &pack(8, 7).encode().unwrap());
    let mismatch = Mismatch::Pack { sequence: 7 };
    assert_eq!(events(&mut follower), [Event::OtherStream(mismatch)]);
}

/// What came of a lost tail is not mixed with what the stream holds now.
#[test]
fn packs_of_a_lost_tail_are_forgotten() {
    let mut follower = checked(5);
    follower.live(at(1), 8, &pack(8, 8).encode().unwrap());
    let asked = transmits(&mut follower);
    assert_eq!(asked.len(), 2);
    missing(&mut follower, 2, 6, Any);
    missing(&mut follower, 2, 7, Any);
    transmits(&mut follower);
    missing(&mut follower, 3, 6, Leader);
    expect(&mut follower, &[Transmit::FetchReplacement { sequence: 6 }]);
    follower.replaced(at(4), 6, Fetched::Missing);
    let (now, asked) = wait(&mut follower);
    assert_eq!(asked, [Transmit::AskBounds]);
    follower.bounds(now, bounds(1, 5));
    expect(&mut follower, &[]);
    assert_eq!((follower.lag(), follower.buffered), (0, 0));
}

#[test]
fn bounds_that_come_unasked_are_a_hint() {
    let mut follower = checked(5);
    follower.live(at(10), 6, &bytes(6));
    expect(&mut follower, &[apply(6)]);
    follower.applied(at(10), 6);
    // Older than the pack that came since: nothing is lost.
    follower.bounds(at(11), bounds(1, 5));
    assert_eq!((follower.lag(), transmits(&mut follower)), (0, vec![]));
    follower.bounds(at(12), bounds(1, 7));
    assert_eq!((follower.lag(), follower.is_caught_up()), (1, false));
    expect(&mut follower, &[]);
    let (now, asked) = wait(&mut follower);
    assert_eq!((now, asked), (at(62), vec![fetch(7, Any)]));
}
