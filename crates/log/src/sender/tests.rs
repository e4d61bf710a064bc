use protocol::id::RoomName;
use protocol::position::{Epoch, Offset};

use super::*;
use crate::command::{Redact, Touch};

const NONE: [u64; 0] = [];
const LIFE: Life = Life { count: 3, nonce: 5 };

fn at(ms: u64) -> Timestamp {
    Timestamp::from_millis(ms)
}

fn config() -> Config {
    let settings = Settings {
        epoch: Epoch::new("e"),
        history_per_room: 100,
    };
    let node = NodeName::new("a").unwrap();
    Config::new(node, LIFE, settings, 1_000_000, 7)
}

fn command(offset: u64) -> Command {
    Command::Redact(Redact {
        room: RoomName::lobby(),
        offset: Offset::new(offset).unwrap(),
        at_ms: 0,
    })
}

/// A command of about so many bytes.
fn large(bytes: usize) -> Command {
    let session = protocol::id::SessionId::new(&"x".repeat(61)).unwrap();
    Command::Touch(Touch {
        sessions: vec![session; bytes / 64],
        at_ms: 0,
    })
}

fn id(number: u64) -> PackId {
    PackId {
        node: NodeName::new("a").unwrap(),
        life: LIFE,
        number,
    }
}

fn done(count: usize) -> Verdict {
    Verdict::Applied(vec![Ok(Outcome::Done); count])
}

/// What is published now: the bytes, and the pack in them.
fn published(sender: &mut Sender) -> Vec<(Arc<[u8]>, Pack)> {
    let transmits = std::iter::from_fn(|| sender.poll_transmit());
    let packs = transmits.map(|Transmit::Publish { number, pack }| {
        let decoded = Pack::decode(&pack).unwrap();
        assert_eq!(decoded.number, number);
        (pack, decoded)
    });
    packs.collect()
}

fn numbers(sender: &mut Sender) -> Vec<u64> {
    let packs = published(sender).into_iter();
    packs.map(|(_, pack)| pack.number).collect()
}

fn events(sender: &mut Sender) -> Vec<Event> {
    std::iter::from_fn(|| sender.poll_event()).collect()
}

/// A sender whose first pack was folded at 0.
fn ready(config: Config) -> Sender {
    let mut sender = Sender::new(config, at(0));
    assert_eq!(numbers(&mut sender), [1]);
    sender.folded(at(0), &id(1), done(1));
    assert_eq!(events(&mut sender), [Event::Ready]);
    sender
}

fn push(sender: &mut Sender, ms: u64, ticket: u64) {
    let pushed = sender.push(at(ms), Ticket(ticket), command(ticket));
    assert_eq!(pushed, Ok(()));
}

fn not_sent(tickets: std::ops::RangeInclusive<u64>) -> Vec<Event> {
    let not_sent = |ticket| Event::NotSent {
        ticket: Ticket(ticket),
    };
    tickets.map(not_sent).collect()
}

fn folded(ticket: u64) -> Event {
    Event::Folded {
        ticket: Ticket(ticket),
        result: Ok(Outcome::Done),
    }
}

#[test]
fn the_first_pack_of_a_life_holds_the_settings_before_all_else() {
    let mut sender = Sender::new(config(), at(40));
    push(&mut sender, 40, 1);
    let packs = published(&mut sender);
    assert_eq!(packs.len(), 1);
    let pack = &packs[0].1;
    assert_eq!((pack.number, pack.at_ms), (1, 1_000_040));
    assert_eq!(pack.id(), id(1));
    assert!(matches!(pack.commands[0], Command::Settings(_)));
    assert_eq!(pack.commands[1..], [command(1)]);
    sender.folded(at(50), &id(1), done(2));
    assert_eq!(events(&mut sender), [Event::Ready, folded(1)]);
    assert!(sender.is_idle());
    assert_eq!(sender.poll_timeout(), None);
}

#[test]
fn one_pack_is_in_flight_and_the_rest_gathers() {
    let mut sender = ready(config());
    push(&mut sender, 1, 1);
    assert_eq!(numbers(&mut sender), [2]);
    for ticket in 2..=4 {
        push(&mut sender, 2, ticket);
        assert_eq!(numbers(&mut sender), NONE);
    }
    assert_eq!(sender.queued_commands(), 3);
    sender.stored(at(3), 2);
    assert_eq!(
        (numbers(&mut sender), events(&mut sender)),
        (vec![], vec![])
    );
    sender.folded(at(4), &id(2), done(1));
    assert_eq!(events(&mut sender), [folded(1)]);
    let packs = published(&mut sender);
    assert_eq!(packs[0].1.commands, [command(2), command(3), command(4)]);
    let results = vec![
        Ok(Outcome::Done),
        Err(CommandError::SessionTaken),
        Ok(Outcome::Forgotten(3)),
    ];
    let expected: Vec<_> = (2..=4)
        .zip(results.clone())
        .map(|(ticket, result)| Event::Folded {
            ticket: Ticket(ticket),
            result,
        })
        .collect();
    sender.folded(at(5), &id(3), Verdict::Applied(results));
    assert_eq!(events(&mut sender), expected);
    assert_eq!((sender.is_idle(), sender.queued_bytes()), (true, 0));
}

#[test]
fn a_pack_is_filled_up_to_its_bounds() {
    let mut sender = ready(config());
    for ticket in 1..=1000 {
        push(&mut sender, 1, ticket);
    }
    let mut lengths = Vec::new();
    for number in 2..=4 {
        let packs = published(&mut sender);
        lengths.push(packs[0].1.commands.len());
        sender.folded(at(1), &id(number), done(packs[0].1.commands.len()));
    }
    assert_eq!(lengths, [PACK_COMMANDS, PACK_COMMANDS, 100]);
    // In bytes: one more of these would not fit.
    let of_it = PACK_BYTES / 4;
    for ticket in 1..=5 {
        let pushed = sender.push(at(1), Ticket(ticket), large(of_it));
        assert_eq!(pushed, Ok(()));
    }
    let packs = published(&mut sender);
    assert_eq!(packs[0].1.commands.len(), 3);
    assert!(packs[0].0.len() > PACK_BYTES - of_it - 1000);
}

/// A command that fits to the byte is sent, so the count is exact.
#[test]
fn a_command_that_fits_into_no_pack_is_refused_at_once() {
    let mut sender = ready(config());
    let error = sender.push(at(1), Ticket(1), large(PACK_BYTES + 64));
    assert_eq!(error, Err(NotQueued::TooLarge));
    let mut sessions = PACK_BYTES / 64;
    while sender.push(at(1), Ticket(2), large(sessions * 64)) == Err(NotQueued::TooLarge) {
        sessions -= 1;
    }
    let packs = published(&mut sender);
    assert!(packs[0].0.len() <= PACK_BYTES && packs[0].0.len() > PACK_BYTES - 128);
    assert_eq!(events(&mut sender), []);
}

#[test]
fn the_same_bytes_are_sent_again_until_they_are_folded() {
    let mut sender = ready(config());
    push(&mut sender, 1, 1);
    let first = published(&mut sender);
    push(&mut sender, 1, 2);
    let (mut now, mut delays) = (at(1), Vec::new());
    for _ in 0..20 {
        sender.failed(now, 2);
        assert_eq!(numbers(&mut sender), NONE);
        let due = sender.flying[0].due;
        delays.push(due.since(now));
        sender.handle_timeout(due);
        now = due;
        assert_eq!(published(&mut sender), first);
    }
    assert!(delays[0] <= RETRY_BASE, "{delays:?}");
    let longest = delays.iter().max().unwrap();
    assert!(*longest > RETRY_CAP / 2 && *longest <= RETRY_CAP);
    // The one that waited is given up, the one in the pack is not.
    assert_eq!(events(&mut sender), not_sent(2..=2));
    sender.folded(now, &id(2), done(1));
    assert_eq!(events(&mut sender), [folded(1)]);
}

#[test]
fn without_an_answer_the_pack_is_sent_again_after_a_silence() {
    let mut sender = ready(config());
    push(&mut sender, 0, 1);
    assert_eq!(numbers(&mut sender), [2]);
    assert_eq!(sender.poll_timeout(), Some(at(2000)));
    sender.handle_timeout(at(1999));
    assert_eq!(numbers(&mut sender), NONE);
    sender.handle_timeout(at(2000));
    assert_eq!(numbers(&mut sender), [2]);
    // The engine has it: the fold is waited for, and not for ever.
    sender.stored(at(2100), 2);
    sender.handle_timeout(at(12_099));
    assert_eq!(numbers(&mut sender), NONE);
    sender.handle_timeout(at(12_100));
    assert_eq!(numbers(&mut sender), [2]);
    // A connection that is back is used at once.
    sender.reconnected(at(12_200));
    assert_eq!(numbers(&mut sender), [2]);
}

#[test]
fn what_was_never_sent_is_given_up_and_what_was_sent_is_not() {
    let mut sender = ready(config());
    push(&mut sender, 0, 1);
    assert_eq!(numbers(&mut sender), [2]);
    push(&mut sender, 10, 2);
    push(&mut sender, 20, 3);
    sender.handle_timeout(at(2009));
    assert_eq!(events(&mut sender), []);
    sender.handle_timeout(at(2010));
    assert_eq!(events(&mut sender), not_sent(2..=2));
    sender.handle_timeout(at(60_000));
    assert_eq!(events(&mut sender), not_sent(3..=3));
    sender.folded(at(60_000), &id(2), done(1));
    assert_eq!(events(&mut sender), [folded(1)]);
    assert!(sender.is_idle());
    // The number of the next pack follows.
    push(&mut sender, 60_000, 4);
    assert_eq!(numbers(&mut sender), [3]);
}

#[test]
fn the_queue_is_bounded_in_commands_and_bytes() {
    let mut sender = ready(Config {
        queue_commands: 3,
        ..config()
    });
    let mut push = |ticket| sender.push(at(1), Ticket(ticket), command(1));
    assert_eq!([push(1), push(2), push(3)], [Ok(()); 3]);
    assert_eq!(push(4), Err(NotQueued::QueueFull));
    let mut sender = ready(Config {
        queue_bytes: 1000,
        ..config()
    });
    assert_eq!(sender.push(at(1), Ticket(1), large(640)), Ok(()));
    let error = sender.push(at(1), Ticket(2), large(640));
    assert_eq!(error, Err(NotQueued::QueueFull));
    assert_eq!(numbers(&mut sender), [2]);
    assert_eq!(sender.push(at(1), Ticket(2), large(640)), Ok(()));
}

#[test]
fn what_other_nodes_and_earlier_lives_sent_is_not_taken_for_its_own() {
    let mut sender = ready(config());
    push(&mut sender, 1, 1);
    assert_eq!(numbers(&mut sender), [2]);
    let other = PackId {
        node: NodeName::new("b").unwrap(),
        ..id(2)
    };
    let earlier = PackId {
        life: Life { count: 2, nonce: 9 },
        ..id(2)
    };
    let later = PackId {
        life: Life { count: 4, nonce: 0 },
        ..id(2)
    };
    for id in [&other, &earlier] {
        sender.folded(at(2), id, done(1));
    }
    for verdict in [Verdict::Fenced, Verdict::Gap, Verdict::Repeat] {
        sender.folded(at(2), &earlier, verdict.clone());
        sender.folded(at(2), &other, verdict);
    }
    // A gap of a later life fences nothing.
    sender.folded(at(2), &later, Verdict::Gap);
    sender.folded(at(2), &id(1), Verdict::Repeat);
    sender.folded(at(2), &id(3), done(1));
    assert_eq!(
        (events(&mut sender), numbers(&mut sender)),
        (vec![], vec![])
    );
}

#[test]
fn a_fenced_sender_answers_all_and_sends_nothing_any_more() {
    let own = (id(2), Verdict::Fenced);
    let rival = PackId {
        life: Life { count: 3, nonce: 6 },
        ..id(1)
    };
    for (id, verdict) in [own, (rival, done(1))] {
        let mut sender = ready(config());
        push(&mut sender, 1, 1);
        assert_eq!(numbers(&mut sender), [2]);
        push(&mut sender, 1, 2);
        for _ in 0..2 {
            sender.folded(at(2), &id, verdict.clone());
        }
        let mut expected = not_sent(1..=2);
        expected.push(Event::Fenced);
        assert_eq!(events(&mut sender), expected);
        let error = sender.push(at(3), Ticket(3), command(3));
        assert_eq!(error, Err(NotQueued::Fenced));
        sender.reconnected(at(90_000));
        assert_eq!(
            (numbers(&mut sender), sender.poll_timeout()),
            (vec![], None)
        );
    }
}

/// Several packs in flight: one that overtook a lost one is sent again after it, each once.
#[test]
fn a_gap_sends_the_missing_pack_and_the_late_one_again() {
    let mut sender = ready(Config {
        in_flight: 3,
        ..config()
    });
    let mut sent = Vec::new();
    for ticket in 1..=4 {
        push(&mut sender, 1, ticket);
        sent.extend(published(&mut sender));
    }
    assert_eq!(sent.len(), 3);
    // 2 was lost; 3 and 4 were stored.
    sender.folded(at(10), &id(3), Verdict::Gap);
    assert_eq!(published(&mut sender), sent[..2]);
    sender.folded(at(10), &id(4), Verdict::Gap);
    assert_eq!(published(&mut sender), sent[2..]);
    // An old copy says nothing new.
    sender.folded(at(11), &id(2), done(1));
    sender.folded(at(11), &id(3), Verdict::Gap);
    sender.folded(at(11), &id(3), done(1));
    sender.folded(at(11), &id(4), done(1));
    assert_eq!(events(&mut sender), [folded(1), folded(2), folded(3)]);
    let next = published(&mut sender);
    assert_eq!((next.len(), next[0].1.number), (1, 5));
}

/// Time that goes back is not followed.
#[test]
fn an_earlier_time_changes_nothing() {
    let mut sender = ready(config());
    push(&mut sender, 5000, 1);
    assert_eq!(numbers(&mut sender), [2]);
    push(&mut sender, 1, 2);
    sender.handle_timeout(at(6999));
    assert_eq!(events(&mut sender), []);
    sender.handle_timeout(at(7000));
    assert_eq!(events(&mut sender), not_sent(2..=2));
}
