//! What must hold of the tapes at the end of a run: each frame of either end is an arrow with one fate, and each verdict is
//! the machine's.

use std::time::Duration;

use protocol::close::CloseCode;
use protocol::frame::{ClientFrame, ServerFrame};
use protocol::heartbeat::Verdict;
use protocol::id::ConnectionId;
use protocol::server::Config;
use protocol::time::Timestamp;
use protocol::trace::{Entry, Fact, FrameNote, Side, TraceClock};

use crate::machine::{Machine, Step};
use crate::pair::Pair;
use crate::tape::Tapes;

/// Checks all tapes of a run: the verdicts are the machines', silence explains each of them, and each frame has one fate.
pub(crate) fn check(pair: &Pair) {
    for world in pair.nodes() {
        for (link, entries) in world.tapes.entries() {
            check_order(link, entries);
            check_verdicts(link, entries, &world.tapes, &world.config);
            let (client, id) = pair.links.opened_by(link);
            let is_over = entries
                .iter()
                .any(|entry| matches!(entry.fact, Fact::Close { .. }));
            let is_whole = is_over || world.tapes.has_crashed(link) || world.holds(link);
            assert!(is_whole, "link {link} has no end");
            check_fates(link, entries, &pair.clients[client], id);
        }
    }
}

/// A tape begins with the connection's opening, ends with its end, loses nothing, and its ordinals count from 1.
fn check_order(link: u64, entries: &[Entry]) {
    let mut counts = [0; 2];
    for (index, entry) in entries.iter().enumerate() {
        assert_eq!(entry.connection, Some(ConnectionId::new(link)));
        assert!(index == 0 || entries[index - 1].at <= entry.at, "{entry:?}");
        let is_open = matches!(
            entry.fact,
            Fact::Open {
                received: 0,
                sent: 0,
                ..
            }
        );
        assert_eq!(is_open, index == 0, "link {link}: {entry:?}");
        match &entry.fact {
            Fact::In(note) => check_ordinal(link, note, &mut counts[0]),
            Fact::Out(note) => check_ordinal(link, note, &mut counts[1]),
            Fact::Close { .. } => assert_eq!(index + 1, entries.len(), "link {link}: {entries:?}"),
            Fact::Lost { .. } => panic!("link {link}: {entry:?}"),
            _ => {}
        }
    }
}

fn check_ordinal(link: u64, note: &FrameNote, count: &mut u32) {
    *count += 1;
    assert_eq!(
        note.ordinal, *count,
        "an ordinal is missing on link {link}: {note:?}"
    );
}

/// The verdicts in the trace are the machine's: what it did, it did for one of them, and for each it did that. A watcher
/// sees why: nothing came for so long.
fn check_verdicts(link: u64, entries: &[Entry], tapes: &Tapes, config: &Config) {
    let clock = TraceClock::new(0, config, None);
    let [idle, timeout] = [clock.idle_ms, clock.timeout_ms].map(Duration::from_millis);
    let (mut heard, mut asked) = (entries[0].at, None);
    for (index, Entry { at, fact, .. }) in entries.iter().enumerate() {
        let next = entries.get(index + 1);
        let before = index.checked_sub(1).map(|index| &entries[index]);
        let told = before.and_then(|before| match before.fact {
            Fact::Verdict { verdict } if before.at == *at => Some(verdict),
            _ => None,
        });
        match fact {
            Fact::In(_) => (heard, asked) = (*at, None),
            Fact::Verdict { verdict } => {
                assert!(
                    *at - heard >= idle,
                    "link {link}: no silence before {verdict:?} at {at:?}"
                );
                let effect = next.filter(|next| next.at == *at).map(|next| &next.fact);
                let is_done = match (verdict, effect) {
                    (Verdict::Ping, Some(Fact::Out(note))) => note.frame == "ping",
                    (Verdict::Dead, Some(Fact::Close { code, .. })) => *code == CloseCode::DEAD,
                    _ => false,
                };
                assert!(
                    is_done,
                    "link {link}: {verdict:?} at {at:?}, but {effect:?}"
                );
                if *verdict == Verdict::Dead {
                    let since = asked.expect("a verdict without a question");
                    assert!(
                        *at - since >= timeout,
                        "link {link}: dead too soon, at {at:?}"
                    );
                }
                asked = Some(*at);
            }
            Fact::Out(note) if note.frame == "ping" => {
                let is_asked = told == Some(Verdict::Ping);
                let is_unread = tapes.was_unread(link, *at);
                assert!(
                    is_asked || is_unread,
                    "link {link}: a ping without a verdict, at {at:?}"
                );
            }
            // A client's own verdict comes with the same code.
            Fact::Close {
                code,
                by: Side::Server,
            } if *code == CloseCode::DEAD => {
                assert_eq!(
                    told,
                    Some(Verdict::Dead),
                    "link {link}: dead without a verdict"
                );
            }
            _ => {}
        }
    }
}

/// Each frame that one end sent came at the other end, or was lost with the connection, by direction and ordinal: what
/// came are the first ones, each the same at both ends, and later.
fn check_fates(link: u64, entries: &[Entry], machine: &Machine, id: ConnectionId) {
    let steps = || machine.steps.iter().filter(|(_, of, _)| *of == id);
    let sent = steps().filter_map(|(at, _, step)| match step {
        Step::Sent(frame) => Some((*at, of_client(frame))),
        _ => None,
    });
    let received = steps().filter_map(|(at, _, step)| match step {
        Step::Received(frame) => Some((*at, of_server(frame))),
        _ => None,
    });
    let of = |entry: &Entry, note: &FrameNote| (entry.at, (note.frame, note.seq));
    let came = entries.iter().filter_map(|entry| match &entry.fact {
        Fact::In(note) => Some(of(entry, note)),
        _ => None,
    });
    let went = entries.iter().filter_map(|entry| match &entry.fact {
        Fact::Out(note) => Some(of(entry, note)),
        _ => None,
    });
    check_pairs(link, sent, came);
    check_pairs(link, went.map(without_others), received);
}

/// A frame in short: its type, and the number of the session's message.
type Short = (&'static str, Option<u64>);

fn check_pairs(
    link: u64,
    mut from: impl Iterator<Item = (Timestamp, Short)>,
    to: impl Iterator<Item = (Timestamp, Short)>,
) {
    for (ordinal, (arrived, what)) in to.enumerate() {
        let (left, sent) = from.next().expect("what came was sent");
        assert_eq!(sent, what, "arrow {} of link {link}", ordinal + 1);
        assert!(
            left <= arrived,
            "arrow {} of link {link} arrives early",
            ordinal + 1
        );
    }
}

/// The number of a message is compared at the acks alone: a page does not tell whose a message is.
fn without_others((at, (frame, seq)): (Timestamp, Short)) -> (Timestamp, Short) {
    (at, (frame, seq.filter(|_| frame == "ack")))
}

fn of_client(frame: &ClientFrame) -> Short {
    match frame {
        ClientFrame::Hello { .. } => ("hello", None),
        ClientFrame::Token { .. } => ("token", None),
        ClientFrame::Join { .. } => ("join", None),
        ClientFrame::Leave { .. } => ("leave", None),
        ClientFrame::Publish { seq, .. } => ("publish", Some(seq.get())),
        ClientFrame::Draft { .. } => ("draft", None),
        ClientFrame::History { .. } => ("history", None),
        ClientFrame::Rename { .. } => ("rename", None),
        ClientFrame::Ping => ("ping", None),
        ClientFrame::Pong => ("pong", None),
    }
}

fn of_server(frame: &ServerFrame) -> Short {
    match frame {
        ServerFrame::Welcome(_) => ("welcome", None),
        ServerFrame::Joined(_) => ("joined", None),
        ServerFrame::Message(_) => ("message", None),
        ServerFrame::History { .. } => ("history", None),
        ServerFrame::Ack { seq, .. } => ("ack", Some(seq.get())),
        ServerFrame::Draft(_) => ("draft", None),
        ServerFrame::Presence { .. } => ("presence", None),
        ServerFrame::GoAway { .. } => ("go_away", None),
        ServerFrame::Renew { .. } => ("renew", None),
        ServerFrame::Error(_) => ("error", None),
        ServerFrame::Ping => ("ping", None),
        ServerFrame::Pong => ("pong", None),
    }
}
