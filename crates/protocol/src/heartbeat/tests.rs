//! The heartbeat alone.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

const CONFIG: HeartbeatConfig = HeartbeatConfig {
    idle: Duration::from_secs(25),
    first_idle: Duration::from_secs(15),
    timeout: Duration::from_secs(5),
    probe_timeout: Duration::from_secs(2),
    align: Duration::ZERO,
    answer_within: Some(Duration::from_secs(1)),
};

fn at(s: u64) -> Timestamp {
    Timestamp::from_millis(s * 1000)
}

fn beat() -> Heartbeat {
    Heartbeat::new(at(0), CONFIG)
}

/// HB-3: ping after the first interval, dead after the timeout.
#[test]
fn silence_leads_to_a_ping_and_then_to_a_verdict() {
    let mut beat = beat();
    assert_eq!(beat.poll_timeout(), Some(at(15)));
    assert_eq!(beat.handle_timeout(at(14)), Verdict::Alive);
    assert_eq!(beat.handle_timeout(at(15)), Verdict::Ping);
    assert_eq!(beat.poll_timeout(), Some(at(20)));
    assert_eq!(beat.handle_timeout(at(20)), Verdict::Dead);
}

/// HB-1: any received frame is an answer; the next interval is the full one.
#[test]
fn any_received_frame_is_an_answer() {
    let mut beat = beat();
    assert_eq!(beat.handle_timeout(at(15)), Verdict::Ping);
    beat.on_received(at(16));
    assert_eq!(beat.poll_timeout(), Some(at(16 + 25)));
}

/// HB-1, HB-6: sent frames never prove life; unanswered for 1 s they lead to a probe of 2 s.
#[test]
fn sent_frames_prove_nothing() {
    let mut beat = beat();
    beat.on_sent(at(3));
    beat.on_sent(at(4));
    assert_eq!(beat.poll_timeout(), Some(at(4)));
    assert_eq!(beat.handle_timeout(at(4)), Verdict::Ping);
    beat.on_sent(at(5));
    assert_eq!(beat.handle_timeout(at(6)), Verdict::Dead);
}

/// HB-3, HB-6: where the timeout is shorter than a probe's 2 s, a probe waits no longer than that.
#[test]
fn a_probe_is_not_slower_than_silence() {
    let timeout = Duration::from_secs(1);
    let mut beat = Heartbeat::new(at(0), HeartbeatConfig { timeout, ..CONFIG });
    beat.on_sent(at(3));
    assert_eq!(beat.handle_timeout(at(4)), Verdict::Ping);
    assert_eq!(beat.handle_timeout(at(5)), Verdict::Dead);
}

/// HB-6: on slow links a probe waits for four smoothed round trips.
#[test]
fn patience_grows_with_the_round_trip() {
    let mut beat = beat();
    beat.sample_rtt(Duration::from_secs(1));
    beat.on_sent(at(1));
    assert_eq!(beat.poll_timeout(), Some(at(5)));
}

/// HB-6: bytes before a ping put its deadline off, and so do bytes that leave the socket.
#[test]
fn our_own_backlog_is_no_verdict() {
    let mut beat = beat();
    let ms = Duration::from_millis;
    beat.on_sent(at(1));
    beat.set_behind(ms(3_000));
    assert_eq!(beat.handle_timeout(at(2)), Verdict::Ping);
    assert_eq!(beat.poll_timeout(), Some(at(2 + 2 + 3)));
    // Never sooner than it was.
    beat.set_behind(Duration::ZERO);
    beat.on_left(at(3));
    assert_eq!(beat.poll_timeout(), Some(at(7)));
    beat.on_left(at(6));
    assert_eq!(beat.poll_timeout(), Some(at(8)));
    // Nothing leaves any more: the bound holds.
    assert_eq!(beat.handle_timeout(at(8)), Verdict::Dead);
}

/// HB-1, HB-4: no verdict falls while bytes wait for the other end, and bytes that it takes are no sign of
/// life. A ping is not put off for ever, however often that changes.
#[test]
fn a_line_that_moves_proves_nothing() {
    let mut beat = beat();
    assert_eq!(beat.handle_timeout(at(15)), Verdict::Ping);
    beat.set_stalled(at(16), true);
    beat.set_stalled(at(17), true);
    assert_eq!(beat.poll_timeout(), None);
    assert_eq!(beat.handle_timeout(at(56)), Verdict::Alive);
    // The stall does not count.
    beat.set_stalled(at(56), false);
    assert_eq!(beat.poll_timeout(), Some(at(20 + 40)));
    let asked_at = at(15 + 40);
    let mut now = at(57);
    while beat.handle_timeout(now) == Verdict::Alive {
        beat.set_stalled(now, true);
        beat.set_stalled(now, false);
        now = now + Duration::from_secs(1);
    }
    assert_eq!(now, asked_at + PUT_OFF_MAX);
}

/// HB-4: a ping that became due during a stall is sent when the stall is over.
#[test]
fn a_ping_waits_for_a_stall_to_end() {
    let mut beat = beat();
    beat.set_stalled(at(14), true);
    assert_eq!(beat.handle_timeout(at(20)), Verdict::Alive);
    beat.set_stalled(at(20), false);
    assert_eq!(beat.poll_timeout(), Some(at(15)));
    assert_eq!(beat.handle_timeout(at(20)), Verdict::Ping);
}

/// HB-6: with slow links a probe waits for four smoothed round trips, and never for more than the timeout.
#[test]
fn a_probe_knows_the_round_trip() {
    for (rtt, wait) in [(400, 2_000), (1_000, 4_000), (3_000, 5_000)] {
        let mut beat = beat();
        beat.sample_rtt(Duration::from_millis(rtt));
        assert_eq!(beat.probe(at(1)), Verdict::Ping);
        assert_eq!(
            beat.poll_timeout(),
            Some(at(1) + Duration::from_millis(wait))
        );
    }
}

/// HB-9: a deadline that passed during a jump of the clock leads to one probe, then to a verdict.
#[test]
fn a_jump_leads_to_a_probe_not_to_a_verdict() {
    let mut beat = beat();
    assert_eq!(beat.handle_timeout(at(15)), Verdict::Ping);
    assert_eq!(beat.handle_timeout(at(43_200)), Verdict::Ping);
    assert_eq!(beat.poll_timeout(), Some(at(43_202)));
    assert_eq!(beat.handle_timeout(at(90_000)), Verdict::Dead);
}

/// HB-6: a timer that fires far too late asks with the short deadline.
#[test]
fn a_late_timer_probes() {
    let mut beat = beat();
    assert_eq!(beat.handle_timeout(at(100)), Verdict::Ping);
    assert_eq!(beat.poll_timeout(), Some(at(102)));
}

/// HB-6: a probe shortens the wait for a ping that is under way instead of sending another.
#[test]
fn a_probe_during_a_ping_shortens_its_deadline() {
    let mut beat = beat();
    assert_eq!(beat.handle_timeout(at(15)), Verdict::Ping);
    assert_eq!(beat.probe(at(16)), Verdict::Alive);
    assert_eq!(beat.poll_timeout(), Some(at(18)));
}

#[test]
fn round_trips_are_measured_from_ping_to_pong() {
    let mut beat = beat();
    assert_eq!(beat.on_pong(at(1)), None);
    assert_eq!(beat.probe(at(2)), Verdict::Ping);
    beat.on_received(at(3));
    assert_eq!(beat.on_pong(at(4)), Some(Duration::from_secs(2)));
    assert_eq!(beat.smoothed_rtt(), Some(Duration::from_secs(2)));
}

/// HB-6: the round trips are smoothed as in RFC 6298, with an eighth for the newest.
#[test]
fn round_trips_are_smoothed() {
    let mut beat = beat();
    let ms = Duration::from_millis;
    beat.sample_rtt(ms(800));
    assert_eq!(beat.smoothed_rtt(), Some(ms(800)));
    beat.sample_rtt(ms(1600));
    assert_eq!(beat.smoothed_rtt(), Some(ms(900)));
}

const fn queue(taken: u64, waiting: u64) -> SendQueue {
    SendQueue { taken, waiting }
}

/// HB-4: as long as the other end takes what stands before a ping, the ping is not overdue; then its answer has one
/// more timeout.
#[test]
fn a_slow_reader_is_not_a_silent_one() {
    let mut beat = beat();
    beat.config.answer_within = None;
    beat.on_sent(at(1));
    assert!(!beat.wants_send_queue(at(14)));
    assert!(beat.wants_send_queue(at(15)));
    beat.on_send_queue(at(15), queue(1_000, 300));
    assert_eq!(beat.handle_timeout(at(15)), Verdict::Ping);
    assert!(!beat.wants_send_queue(at(19)));
    // More is written meanwhile: the queue need not shrink.
    for (now, taken) in [(20, 1_001), (25, 1_200), (30, 1_500)] {
        assert!(beat.wants_send_queue(at(now)));
        beat.on_send_queue(at(now), queue(taken, 5_000));
        assert_eq!(beat.handle_timeout(at(now)), Verdict::Alive);
    }
    // The ping was taken; what comes after it proves nothing.
    beat.on_send_queue(at(35), queue(2_000, 4_000));
    assert_eq!(beat.handle_timeout(at(35)), Verdict::Dead);
}

/// HB-4: an end that takes nothing is dead in time, whatever waits for it; so is one that took the ping, and hangs.
#[test]
fn an_end_that_takes_nothing_is_dead_in_time() {
    for (before, after) in [((1_000, 300), (1_000, 323)), ((1_000, 0), (1_500, 0))] {
        let mut beat = beat();
        beat.config.answer_within = None;
        beat.on_sent(at(1));
        beat.on_send_queue(at(15), queue(before.0, before.1));
        assert_eq!(beat.handle_timeout(at(15)), Verdict::Ping);
        beat.on_send_queue(at(20), queue(after.0, after.1));
        assert_eq!(beat.handle_timeout(at(20)), Verdict::Dead);
    }
}

/// HB-4: in quiet the send queue is not read: nothing was written that could stand before the ping.
#[test]
fn in_quiet_the_send_queue_does_not_matter() {
    let mut beat = beat();
    assert!(!beat.wants_send_queue(at(15)));
    assert_eq!(beat.handle_timeout(at(15)), Verdict::Ping);
    assert!(!beat.wants_send_queue(at(20)));
    beat.on_send_queue(at(20), queue(1_000, 300));
    assert_eq!(beat.handle_timeout(at(20)), Verdict::Dead);
}
