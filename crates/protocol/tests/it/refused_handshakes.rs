//! Opening handshakes that are answered over HTTP with another status than 101, where the driver can see it.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use std::time::Duration;

use everbeat_protocol::client::{Cause, Config, End, Event, Input, Network, Status, Stored};

use crate::solo::{Solo, at, millis, secs, welcome};

/// A client whose first handshake is answered with this.
fn refused(status: u16, retry_after: Option<Duration>) -> Solo {
    let mut solo = Solo::new(Config::new(0), Stored::default());
    solo.connect();
    solo.forget();
    solo.end(End::Refused {
        status,
        retry_after,
    });
    solo
}

/// RC-1: a status that may pass is a lost connection like any other, and the page sees which it was.
#[test]
fn it_tries_again_where_it_may_be_let_in() {
    for status in [200, 301, 401, 404, 429, 500, 502, 503, 504, 599, 999] {
        let mut solo = refused(status, None);
        let Status::Waiting { cause, attempt, .. } = solo.session.status() else {
            panic!("{status}: {:?}", solo.session.status());
        };
        assert_eq!((cause, attempt), (Cause::Refused { status }, 1));
        assert!(solo.wait() <= millis(250), "{status}: {:?}", solo.wait());
        solo.run_to(at(250));
        assert_eq!(solo.opens(), 1, "{status}");
    }
}

/// RC-1: what would be refused again is not tried again by itself, and its user sees why; a user's wish tries it.
#[test]
fn it_stops_where_the_same_would_be_refused_again() {
    for status in [400, 403, 405, 426] {
        let mut solo = refused(status, Some(secs(1)));
        let cause = Cause::Refused { status };
        assert_eq!(solo.session.status(), Status::Stopped { cause });
        assert_eq!(solo.events, [Event::Status(Status::Stopped { cause })]);
        assert_eq!(solo.session.poll_timeout(), None);
        solo.input(Input::Network(Network::Online));
        solo.run_to(at(3_600_000));
        assert_eq!(solo.opens(), 0, "{status}");
        solo.connect();
        solo.greet(welcome());
        assert_eq!(solo.session.status(), Status::Live);
    }
}

/// RC-1, RC-4: the answer's `Retry-After` comes before the jitter, whatever the network does; a user's wish does not
/// wait for it.
#[test]
fn it_waits_for_retry_after() {
    for status in [429, 503] {
        let mut solo = refused(status, Some(secs(5)));
        assert!(solo.wait() > secs(5) && solo.wait() <= millis(5_250));
        for network in [Network::Visible, Network::Online] {
            solo.input(Input::Network(network));
            assert!(solo.wait() >= secs(5), "{network:?}: {:?}", solo.wait());
        }
        solo.run_to(at(4_999));
        assert_eq!(solo.opens(), 0);
        solo.run_to(at(5_250));
        assert_eq!(solo.opens(), 1);
        // The next answer says nothing of a time: the backoff goes on where it was.
        solo.end(End::Refused {
            status,
            retry_after: None,
        });
        assert!(solo.wait() <= millis(500), "{:?}", solo.wait());

        let mut solo = refused(status, Some(secs(5)));
        solo.connect();
        assert_eq!(solo.opens(), 1);
    }
}

/// RC-4: without a network it waits for as long as the longer of both says.
#[test]
fn it_waits_for_retry_after_without_a_network_too() {
    for (seconds, expected) in [(5, 30), (60, 60)] {
        let mut solo = refused(503, Some(secs(seconds)));
        solo.input(Input::Network(Network::Offline));
        assert_eq!(solo.wait(), secs(expected));

        let mut solo = Solo::new(Config::new(0), Stored::default());
        solo.input(Input::Network(Network::Offline));
        solo.connect();
        solo.end(End::Refused {
            status: 503,
            retry_after: Some(secs(seconds)),
        });
        assert_eq!(solo.wait(), secs(expected));
    }
}

/// RC-1: a mistake in a `Retry-After` keeps no client away for good.
#[test]
fn it_waits_for_an_hour_at_most() {
    let solo = refused(503, Some(Duration::MAX));
    assert!(solo.wait() > secs(3_600) && solo.wait() <= millis(3_600_250));
}

/// RC-3: a slot that the server gave counts before a status that no server of this protocol answers with then.
#[test]
fn a_slot_counts_first() {
    let mut solo = Solo::live(Config::new(0));
    solo.frame(everbeat_protocol::frame::ServerFrame::GoAway {
        reconnect_after_ms: 2_000,
        elsewhere: None,
        reason: "restarting".into(),
    });
    solo.end(End::Refused {
        status: 503,
        retry_after: Some(secs(60)),
    });
    assert_eq!(solo.wait(), secs(2));
}
