//! Exact limits on the server's side.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use everbeat_protocol::frame::{ClientFrame, ErrorCode, ServerFrame};
use everbeat_protocol::id::Seq;
use everbeat_protocol::server::{AppendError, Config, Transmit};

use crate::solo::{Desk, appended, appends, at, lobby, publish, view};

fn limit() -> usize {
    Config::default().limits.body_bytes as usize
}

fn draft(body: &str) -> ClientFrame {
    ClientFrame::Draft {
        room: lobby(),
        body: body.into(),
    }
}

/// A desk in the lobby that takes one draft a second.
fn slow_drafts() -> Desk {
    let mut config = Config::default();
    config.limits.drafts_per_s = 1;
    let mut desk = Desk::live(config);
    desk.join(None);
    desk.enter(view(0));
    desk.transmits.clear();
    desk
}

fn drafts(desk: &Desk) -> Vec<String> {
    let body = |transmit: &Transmit| match transmit {
        Transmit::Draft { body, .. } => Some(body.clone()),
        _ => None,
    };
    desk.transmits.iter().filter_map(body).collect()
}

/// EO-1, EO-6: the log decides about a repeated number, whatever it carries now.
#[test]
fn a_repeated_number_is_for_the_log() {
    let mut desk = Desk::live(Config::default());
    desk.frame(publish(1, "text"));
    desk.input(appended(1, Ok(1)));
    desk.transmits.clear();
    desk.frame(publish(1, ""));
    assert_eq!(appends(&desk), [1]);
}

/// EO-7: the longest body goes into the log, a longer one uses its number up.
#[test]
fn the_limit_of_a_body_is_exact_on_the_server() {
    let mut desk = Desk::live(Config::default());
    desk.frame(publish(1, &"x".repeat(limit())));
    desk.frame(publish(2, &"x".repeat(limit() + 1)));
    assert_eq!(appends(&desk), [1]);
    let refused = Transmit::Refuse {
        seq: Seq::after(1),
        code: ErrorCode::BodyTooLarge,
    };
    assert_eq!(desk.transmits.last(), Some(&refused));
}

/// PR-2: the same limit holds for drafts.
#[test]
fn the_limit_of_a_draft_is_exact() {
    let mut desk = slow_drafts();
    desk.frame(draft(&"x".repeat(limit() + 1)));
    let [ServerFrame::Error(refusal)] = desk.frames()[..] else {
        panic!("{:?}", desk.transmits);
    };
    assert_eq!(refusal.code, ErrorCode::BodyTooLarge);
    desk.transmits.clear();
    desk.frame(draft(&"x".repeat(limit())));
    assert_eq!(drafts(&desk).len(), 1);
}

/// EO-7: what follows a number that was put off waits for it, and only for it.
#[test]
fn what_follows_a_held_number_waits_for_it() {
    let mut desk = Desk::live(Config::default());
    for seq in 1..=3 {
        desk.frame(publish(seq, "text"));
    }
    desk.input(appended(2, Err(AppendError::Unavailable)));
    desk.transmits.clear();
    // That it could not follow changes nothing: it comes again after the held message.
    desk.input(appended(3, Err(AppendError::OutOfOrder)));
    assert!(desk.transmits.is_empty(), "{:?}", desk.transmits);

    // The answer about an earlier number does not release it.
    desk.input(appended(1, Ok(1)));
    desk.transmits.clear();
    desk.frame(publish(3, "text"));
    assert!(desk.transmits.is_empty(), "{:?}", desk.transmits);

    desk.frame(publish(2, "text"));
    desk.frame(publish(3, "text"));
    assert_eq!(appends(&desk), [2, 3]);
}

/// PR-2: a draft that was held back ends when its author publishes.
#[test]
fn a_published_draft_is_not_held_back_any_more() {
    let mut desk = slow_drafts();
    desk.frame(draft("a"));
    desk.frame(draft("b"));
    desk.frame(publish(1, "b"));
    desk.run_to(at(5_000));
    assert_eq!(drafts(&desk), ["a"]);
}

/// PR-2: a draft over the rate is held until its time; from then on the next one is shown at once, even if
/// no timer has fired.
#[test]
fn a_held_draft_gives_way_in_time() {
    for (ms, shown) in [
        (999, vec!["a"]),
        (1_000, vec!["a", "c"]),
        (1_500, vec!["a", "c"]),
    ] {
        let mut desk = slow_drafts();
        desk.frame(draft("a"));
        desk.frame(draft("b"));
        desk.now = at(ms);
        desk.frame(draft("c"));
        assert_eq!(drafts(&desk), shown, "{ms} ms");
        desk.run_to(at(5_000));
        assert_eq!(drafts(&desk), ["a", "c"], "{ms} ms");
    }
}
