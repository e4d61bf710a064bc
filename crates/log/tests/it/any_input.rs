//! Whatever comes, in whatever order: no machine panics, asks without an end, wakes its driver for nothing, or breaks
//! the order.

use std::collections::BTreeSet;

use everbeat_log::command::{Command, Outcome, Settings, Touch};
use everbeat_log::follower::{self, Bounds, Fetched, Follower, Source};
use everbeat_log::order::{Applied, Verdict};
use everbeat_log::pack::{Life, Pack};
use everbeat_log::sender::{self, Sender, Ticket};
use fastrand::Rng;
use protocol::id::NodeName;
use protocol::position::Epoch;
use protocol::time::Timestamp;

/// The most that a machine wants at a time.
const OUTPUT_MAX: usize = 64;

fn pack(nonce: u64, number: u64) -> Pack {
    Pack {
        node: NodeName::new("a").unwrap(),
        life: Life { count: 1, nonce },
        number,
        at_ms: 0,
        commands: Vec::new(),
    }
}

fn bytes(rng: &mut Rng, sequence: u64) -> Vec<u8> {
    match rng.u8(0..40) {
        0 => b"{\"format\":9}".to_vec(),
        1 => Vec::new(),
        2 => pack(8, sequence).encode().unwrap(),
        _ => pack(7, sequence).encode().unwrap(),
    }
}

fn sequence(rng: &mut Rng, around: u64) -> u64 {
    match rng.u8(0..60) {
        0 => 0,
        1 => u64::MAX - rng.u64(0..2),
        _ => (around + rng.u64(0..9)).saturating_sub(4),
    }
}

fn disturb(follower: &mut Follower, rng: &mut Rng, now: Timestamp, at: u64) {
    let sequence = sequence(rng, at);
    let bytes = bytes(rng, sequence);
    let answer = match rng.u8(0..4) {
        0 => Fetched::Missing,
        1 => Fetched::Failed,
        _ => Fetched::Found(&bytes),
    };
    let source = if rng.bool() {
        Source::Any
    } else {
        Source::Leader
    };
    match rng.u8(0..9) {
        0..3 => follower.live(now, sequence, &bytes),
        3 | 4 => follower.fetched(now, sequence, source, answer),
        5 => follower.replaced(now, sequence, answer),
        6 => follower.applied(now, sequence),
        7 => follower.stored(now, sequence),
        _ if rng.u8(0..9) == 0 => follower.reconnected(now),
        _ => {
            let id = "s".to_owned();
            let first = rng.u64(0..3);
            let bounds = Bounds {
                first,
                last: sequence,
                id,
            };
            follower.bounds(now, rng.bool().then_some(bounds));
        }
    }
}

#[test]
fn a_follower_takes_any_input() {
    let mut handed = 0;
    for seed in 0..400 {
        let mut rng = Rng::with_seed(seed);
        let mut start = Applied::default();
        if rng.bool() {
            start.sequence = 5;
            start.pack = pack(7, 5).id().hash();
        }
        let mut next = start.sequence + 1;
        let mut now = Timestamp::ZERO;
        let config = follower::Config::new(seed);
        let mut follower = Follower::new(config, &start, None, now);
        for _ in 0..200 {
            let wait = follower.poll_timeout().filter(|_| rng.u8(0..4) == 0);
            now = wait.unwrap_or(now).max(now);
            follower.handle_timeout(now);
            disturb(&mut follower, &mut rng, now, next);
            let wanted: Vec<_> = std::iter::from_fn(|| follower.poll_transmit())
                .take(OUTPUT_MAX)
                .collect();
            assert!(wanted.len() < OUTPUT_MAX, "seed {seed}");
            for transmit in wanted {
                if let follower::Transmit::Apply { sequence, .. } = transmit {
                    assert_eq!(sequence, next, "seed {seed}");
                    next += 1;
                    handed += 1;
                    if rng.bool() {
                        follower.applied(now, sequence);
                    }
                }
            }
            while follower.poll_event().is_some() {}
            assert!(
                follower.poll_timeout().is_none_or(|at| at > now),
                "seed {seed}"
            );
        }
    }
    assert!(handed > 1000, "{handed}");
}

fn push(sender: &mut Sender, now: Timestamp, ticket: u64) -> bool {
    let command = Command::Touch(Touch {
        sessions: Vec::new(),
        at_ms: ticket,
    });
    sender.push(now, Ticket(ticket), command).is_ok()
}

fn disturb_sender(sender: &mut Sender, rng: &mut Rng, now: Timestamp, last: u64) {
    let number = sequence(rng, last);
    let mut id = pack(7, number).id();
    match rng.u8(0..8) {
        0 => sender.stored(now, number),
        1 => sender.failed(now, number),
        2 if rng.u8(0..9) == 0 => sender.reconnected(now),
        2 => {
            id.life.count = rng.u64(0..3);
            let verdicts = [Verdict::Repeat, Verdict::Gap];
            sender.folded(now, &id, verdicts[rng.usize(0..2)].clone());
        }
        3 if rng.u8(0..30) == 0 => sender.folded(now, &id, Verdict::Fenced),
        _ => {
            let results = vec![Ok(Outcome::Done); 450];
            sender.folded(now, &id, Verdict::Applied(results));
        }
    }
}

#[test]
fn a_sender_takes_any_input() {
    let mut answers = 0;
    for seed in 0..400 {
        let mut rng = Rng::with_seed(seed);
        let settings = Settings {
            epoch: Epoch::new("e"),
            history_per_room: 1,
        };
        let own = pack(7, 1).id();
        let config = sender::Config {
            in_flight: rng.usize(0..4),
            queue_commands: 20,
            ..sender::Config::new(own.node.clone(), own.life.clone(), settings, 0, seed)
        };
        let mut now = Timestamp::ZERO;
        let mut sender = Sender::new(config, now);
        let (mut waiting, mut last, mut seen) = (BTreeSet::new(), 0, Vec::new());
        for ticket in 0..300 {
            let wait = sender.poll_timeout().filter(|_| rng.u8(0..8) == 0);
            now = wait.unwrap_or(now).max(now);
            sender.handle_timeout(now);
            let pushed = rng.u8(0..10) < 4 && push(&mut sender, now, ticket);
            if pushed {
                waiting.insert(Ticket(ticket));
            } else {
                disturb_sender(&mut sender, &mut rng, now, last);
            }
            let wanted: Vec<_> = std::iter::from_fn(|| sender.poll_transmit())
                .take(OUTPUT_MAX)
                .collect();
            assert!(wanted.len() < OUTPUT_MAX, "seed {seed}");
            for sender::Transmit::Publish { number, pack } in wanted {
                // Numbers have no gaps, and stay with their bytes.
                let index = usize::try_from(number).unwrap() - 1;
                assert!(index <= seen.len(), "seed {seed}");
                if index == seen.len() {
                    seen.push(pack.clone());
                }
                assert_eq!(seen[index], pack, "seed {seed}");
                last = last.max(number);
            }
            while let Some(event) = sender.poll_event() {
                if let sender::Event::Folded { ticket, .. } | sender::Event::NotSent { ticket } =
                    event
                {
                    assert!(waiting.remove(&ticket), "seed {seed}: answered twice");
                    answers += 1;
                }
            }
            assert!(
                sender.poll_timeout().is_none_or(|at| at > now),
                "seed {seed}"
            );
        }
        assert!(sender.queued_commands() <= 20);
    }
    assert!(answers > 1000, "{answers}");
}
