//! What is shown of a connection, second by second.

use protocol::client::Cause;
use protocol::close::CloseCode;
use protocol::time::Timestamp;

use super::*;

const TRIP: Duration = Duration::from_millis(12);

/// The wait for a try, drawn from up to four seconds.
fn waiting(attempt: u32, cause: Cause, retry_in: Duration) -> Report {
    let status = Status::Waiting {
        until: Timestamp::ZERO,
        cause,
        attempt,
        offline: false,
        ceiling: Some(SECOND * 4),
    };
    Report::Status {
        status,
        retry_in: Some(retry_in),
    }
}

const fn status(status: Status) -> Report {
    Report::Status {
        status,
        retry_in: None,
    }
}

fn link(reports: &[Report]) -> Link {
    let mut link = Link::default();
    for report in reports {
        assert!(link.fold(report), "{report:?}");
    }
    link
}

fn beat(rtt: Option<Duration>) -> Report {
    Report::Event(Event::Beat { rtt })
}

/// What the core reports after a return on which two messages were sent again and three came.
const fn recovery() -> Recovery {
    Recovery {
        sent_again: 2,
        caught_up: 3,
        ..Recovery::NONE
    }
}

#[test]
fn it_counts_down_in_begun_seconds() {
    let mut link = link(&[waiting(1, Cause::NoAnswer, Duration::from_millis(2300))]);
    assert_eq!(link.seconds_left(), Some(3));
    assert!(link.is_waiting() && link.can_try_now() && link.is_timed());
    assert!(link.tick());
    assert_eq!(link.seconds_left(), Some(2));
    assert!(link.tick());
    assert!(!link.tick());
    assert_eq!(link.seconds_left(), Some(1));
    assert!(link.fold(&status(Status::Live)) && link.is_live());
    assert_eq!(link.seconds_left(), None);
}

#[test]
fn a_wait_has_its_reason_its_number_and_what_it_was_drawn_from() {
    let mut link = link(&[
        status(Status::Connecting),
        status(Status::Live),
        waiting(1, Cause::NoAnswer, TRIP),
    ]);
    assert_eq!(link.trouble(), Some(Trouble::Silent));
    assert_eq!(
        (link.attempt(), link.wait()),
        (1, Some((TRIP, Some(SECOND * 4))))
    );
    // Neither goes while the try is under way.
    link.fold(&status(Status::Connecting));
    assert_eq!((link.trouble(), link.attempt()), (Some(Trouble::Silent), 1));
    assert_eq!(link.wait(), None);
    // The next one fails before there is a connection.
    link.fold(&waiting(2, Cause::Closed(None), SECOND));
    assert_eq!(
        (link.trouble(), link.attempt()),
        (Some(Trouble::Unreachable), 2)
    );
    link.fold(&status(Status::Connecting));
    link.fold(&status(Status::Live));
    assert_eq!((link.trouble(), link.attempt()), (None, 0));
}

/// That there is a network or none changes the wait, and not how the connection ended.
#[test]
fn a_wait_that_begins_anew_keeps_its_reason() {
    let mut link = link(&[
        status(Status::Live),
        waiting(1, Cause::Closed(None), SECOND),
    ]);
    assert_eq!(link.trouble(), Some(Trouble::Broken));
    let offline = Status::Waiting {
        until: Timestamp::ZERO,
        cause: Cause::Closed(None),
        attempt: 1,
        offline: true,
        ceiling: None,
    };
    link.fold(&Report::Status {
        status: offline,
        retry_in: Some(SECOND * 30),
    });
    assert_eq!(link.trouble(), Some(Trouble::Offline));
    assert_eq!(link.wait(), Some((SECOND * 30, None)));
    link.fold(&waiting(1, Cause::Closed(None), SECOND));
    assert_eq!(link.trouble(), Some(Trouble::Broken));
}

#[test]
fn beats_are_counted_and_timed() {
    let mut link = link(&[beat(Some(TRIP))]);
    assert_eq!((link.beats(), link.rtt()), (1, Some(TRIP)));
    // A heartbeat that the server began has no round trip: the last one known stays.
    assert!(link.fold(&beat(None)));
    assert_eq!((link.beats(), link.rtt()), (2, Some(TRIP)));
    assert!(!link.fold(&Report::StorageFailed));
}

/// A round trip of long ago, or of another connection, says nothing of this one.
#[test]
fn a_round_trip_goes_when_it_is_old() {
    let mut link = link(&[status(Status::Live), beat(Some(TRIP))]);
    for _ in 1..50 {
        assert!(!link.tick());
    }
    assert_eq!(link.rtt(), Some(TRIP));
    assert!(link.tick() && !link.is_timed());
    assert_eq!((link.beats(), link.rtt()), (1, None));
    link.fold(&beat(Some(TRIP)));
    link.fold(&waiting(1, Cause::NoAnswer, SECOND));
    assert_eq!(link.rtt(), None);
}

#[test]
fn a_doubt_ends_with_a_frame_or_with_the_connection() {
    let doubt = |doubtful| Report::Event(Event::Doubt { doubtful });
    let mut link = link(&[status(Status::Live), doubt(true)]);
    assert!(link.is_checking() && link.is_live());
    link.fold(&doubt(false));
    assert!(!link.is_checking());
    link.fold(&doubt(true));
    link.fold(&waiting(1, Cause::NoAnswer, SECOND));
    assert!(!link.is_checking());
}

#[test]
fn only_a_pause_that_is_felt_is_shown() {
    let paused = |ms| {
        Report::Event(Event::Paused {
            code: ErrorCode::RateLimited,
            wait: Duration::from_millis(ms),
        })
    };
    let mut link = link(&[status(Status::Live), paused(400)]);
    assert_eq!(link.pause(), None);
    link.fold(&paused(2400));
    assert_eq!(link.pause(), Some((ErrorCode::RateLimited, 3)));
    assert!(link.is_timed() && link.tick());
    assert_eq!(link.pause(), Some((ErrorCode::RateLimited, 2)));
    assert!(link.tick() && link.tick());
    assert_eq!((link.pause(), link.is_timed()), (None, false));
    // Either what is to come is shown, or what came.
    link.fold(&Report::Event(Event::Recovered(recovery())));
    link.fold(&paused(400));
    assert!(link.recovery().is_some());
    link.fold(&paused(2400));
    assert!(link.recovery().is_none() && link.pause().is_some());
    link.fold(&Report::Event(Event::Recovered(recovery())));
    assert!(link.recovery().is_some() && link.pause().is_none());
}

/// One word when an outage begins and one when it is over, however many tries there are.
#[test]
fn an_outage_is_heard_of_twice() {
    let mut link = link(&[status(Status::Live)]);
    let mut heard = Vec::new();
    for attempt in 1..=20 {
        link.fold(&waiting(attempt, Cause::Closed(None), SECOND * 2));
        for _ in 0..2 {
            link.tick();
            heard.push(link.notice().copied());
        }
        link.fold(&status(Status::Connecting));
    }
    link.fold(&status(Status::Live));
    heard.push(link.notice().copied());
    link.fold(&Report::Event(Event::Recovered(recovery())));
    for _ in 0..20 {
        heard.push(link.notice().copied());
        link.tick();
    }
    heard.dedup();
    let (lost, back) = (
        Notice::Lost(Trouble::Broken),
        Notice::Back(Some(recovery())),
    );
    assert_eq!(heard, [Some(lost), Some(back)]);
}

#[test]
fn what_was_over_within_a_second_is_not_worth_a_word() {
    let back = |recovery| {
        let mut link = link(&[
            status(Status::Live),
            waiting(1, Cause::Closed(None), TRIP),
            status(Status::Connecting),
            status(Status::Live),
        ]);
        link.fold(&Report::Event(Event::Recovered(recovery)));
        for _ in 0..5 {
            link.tick();
        }
        link.notice().copied()
    };
    assert_eq!(back(recovery()), None);
    // But not what is missing since.
    let gap = Recovery {
        gaps: 1,
        ..recovery()
    };
    assert_eq!(back(gap), Some(Notice::Back(Some(gap))));
}

/// Where the log is not to be had the return is not complete: that the outage is over is heard all the same.
#[test]
fn the_end_of_an_outage_does_not_wait_for_ever() {
    let mut link = link(&[status(Status::Live), waiting(1, Cause::NoAnswer, SECOND)]);
    link.tick();
    link.fold(&status(Status::Live));
    for _ in 0..2 {
        assert!(!link.tick());
    }
    assert!(link.tick());
    assert_eq!(link.notice(), Some(&Notice::Back(None)));
    // What it brought comes late: it is shown, and not heard of.
    link.fold(&Report::Event(Event::Recovered(recovery())));
    assert_eq!(link.notice(), Some(&Notice::Back(None)));
    assert_eq!(link.recovery(), Some(&recovery()));
}

#[test]
fn what_the_return_brought_is_shown_for_a_while() {
    let mut link = link(&[status(Status::Live)]);
    link.fold(&Report::Event(Event::Recovered(recovery())));
    for _ in 1..12 {
        assert!(!link.tick());
        assert_eq!(link.recovery(), Some(&recovery()));
    }
    assert!(link.tick() && !link.is_timed());
    assert_eq!(link.recovery(), None);
}

#[test]
fn a_stop_is_heard_of_at_once() {
    let cause = Cause::Closed(Some(CloseCode::DISCONNECTED));
    let stopped = status(Status::Stopped { cause });
    let mut link = link(&[status(Status::Live), stopped]);
    assert_eq!(link.notice(), Some(&Notice::Stopped(Trouble::Ended)));
    assert!(link.can_try_now() && !link.is_timed());
    link.fold(&status(Status::Connecting));
    link.fold(&status(Status::Live));
    link.fold(&Report::Event(Event::Recovered(recovery())));
    assert_eq!(link.notice(), Some(&Notice::Back(Some(recovery()))));
}
