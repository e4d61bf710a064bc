//! The faults, each on the fake clock.

use view::Fault;

use super::*;

impl Rig {
    fn fault(&mut self, fault: Fault) {
        self.inspect.fault(fault);
        self.settle();
    }

    fn status(&self) -> Status {
        self.driver.session.status()
    }

    /// The time of the timer passes, and it rings.
    fn ring(&mut self) {
        let deadline = self.driver.session.poll_timeout().unwrap();
        let rest = deadline.since(self.driver.environment.now());
        self.wait(u64::try_from(rest.as_millis()).unwrap() + 1);
        self.driver.handle(BrowserEvent::Timer);
    }

    /// The connection opens, and the server resumes the session.
    fn resume(&mut self, id: u64, last_seq: u64) {
        let id = ConnectionId::new(id);
        self.driver.handle(BrowserEvent::Opened { id });
        let text = welcome()
            .replace(r#""resumed":false"#, r#""resumed":true"#)
            .replace(r#""last_seq":0"#, &format!(r#""last_seq":{last_seq}"#));
        self.driver.handle(BrowserEvent::Text { id, text });
    }
}

const ACK: &str = r#"{"type":"ack","seq":1,"room":"lobby","offset":7}"#;
const PONG: &str = r#"{"type":"pong"}"#;

fn opened(done: &[Done]) -> bool {
    done.contains(&Done::Opened(None))
}

#[test]
fn a_cut_connection_is_lost() {
    let mut rig = Rig::live();
    rig.fault(Fault::Cut);
    assert_eq!(rig.done()[0], Done::Released);
    assert!(matches!(rig.status(), Status::Waiting { .. }));
    // Without a connection nothing happens, and the next one is whole.
    rig.fault(Fault::Cut);
    assert_eq!(rig.done(), []);
    rig.ring();
    assert!(opened(&rig.done()));
    rig.resume(2, 0);
    assert_eq!(rig.status(), Status::Live);
}

/// HB-3: the page notices by its own deadline. The server does not: it never sees a frame or a close.
#[test]
fn a_mute_page_sends_nothing() {
    let mut rig = Rig::live();
    let notes = rig.observe();
    rig.fault(Fault::Mute);
    rig.publish("hello");
    while rig.status() == Status::Live {
        rig.ring();
    }
    let done = rig.done();
    let is_silent = |done: &Done| matches!(done, Done::Stored | Done::Armed(_));
    assert!(done.iter().all(is_silent), "{done:?}");
    let entries = notes.entries();
    let is_closed = entries
        .iter()
        .any(|entry| entry.0 == "close" && entry.4 == "4000");
    assert!(is_closed, "{entries:?}");

    // What still comes of that connection does not reach the driver; the next one cannot be opened.
    rig.hear(r#"{"type":"ping"}"#);
    assert_eq!(notes.entries(), []);
    rig.ring();
    assert_eq!(rig.status(), Status::Connecting);
    rig.ring();
    let done = rig.done();
    assert!(done.iter().all(is_silent), "{done:?}");

    // The try that is under way ends at once, and the connection that only the server had.
    rig.ring();
    assert_eq!(rig.status(), Status::Connecting);
    rig.done();
    rig.fault(Fault::Heal);
    assert_eq!(rig.done()[..2], [Done::Released, Done::Released]);
    assert!(matches!(rig.status(), Status::Waiting { .. }));
    rig.ring();
    assert!(opened(&rig.done()));
    rig.resume(4, 0);
    assert!(rig.done().contains(&sent("publish")));
}

/// A connection that the server closes while the page is mute is freed, and only that.
#[test]
fn a_mute_page_frees_the_connection_that_the_server_ends() {
    let mut rig = Rig::live();
    rig.fault(Fault::Mute);
    rig.driver.handle(BrowserEvent::Page(Network::Frozen));
    rig.driver.command(Command::ConnectNow);
    rig.done();
    let code = Some(CloseCode::DEAD);
    rig.driver.handle(BrowserEvent::Closed { id: FIRST, code });
    assert_eq!(rig.done(), [Done::Released]);
    assert_eq!(rig.status(), Status::Connecting);
}

/// Nothing was swallowed: the connection has no hole, and goes on.
#[test]
fn a_fault_that_swallowed_nothing_leaves_the_connection() {
    for fault in [Fault::Mute, Fault::Deafen, Fault::LostAck] {
        let mut rig = Rig::live();
        rig.fault(fault);
        rig.fault(Fault::Heal);
        rig.publish("hello");
        rig.hear(ACK);
        assert_eq!(rig.done()[..2], [Done::Stored, sent("publish")]);
        assert!(!rig.driver.is_owing());
        assert_eq!(rig.status(), Status::Live);
    }
}

/// A byte stream has no holes: what follows a swallowed frame must not be taken for what follows the frame before.
#[test]
fn a_connection_with_a_hole_never_goes_on() {
    let mut rig = Rig::live();
    rig.fault(Fault::Mute);
    rig.publish("hello");
    rig.fault(Fault::Heal);
    assert!(rig.done().contains(&Done::Released));
    rig.ring();
    rig.resume(2, 0);
    assert!(rig.done().contains(&sent("publish")));

    let mut rig = Rig::live();
    rig.publish("hello");
    rig.fault(Fault::Deafen);
    rig.hear(ACK);
    rig.hear(PONG);
    assert!(rig.driver.is_owing());
    rig.fault(Fault::Heal);
    assert!(rig.done().contains(&Done::Released));
    rig.ring();
    rig.resume(2, 1);
    assert!(!rig.driver.is_owing());
    assert!(!rig.done().contains(&sent("publish")));
}

#[test]
fn a_deaf_page_hears_nothing() {
    let mut rig = Rig::live();
    rig.fault(Fault::Deafen);
    let mut answered = 0;
    while rig.status() == Status::Live {
        rig.ring();
        rig.hear(PONG);
        answered += 1;
        assert!(answered < 10);
    }
    assert!(rig.done().contains(&Done::Closed(CloseCode::DEAD)));
    // It cannot hear that the next one is open, nor that it failed.
    rig.ring();
    let id = ConnectionId::new(2);
    rig.driver.handle(BrowserEvent::Opened { id });
    rig.driver.handle(BrowserEvent::Closed { id, code: None });
    assert_eq!(rig.status(), Status::Connecting);
    rig.fault(Fault::Heal);
    assert!(matches!(rig.status(), Status::Waiting { .. }));
}

/// A cut is noticed whatever else is broken.
#[test]
fn a_deaf_page_notices_a_cut() {
    let mut rig = Rig::live();
    rig.fault(Fault::Deafen);
    rig.fault(Fault::Cut);
    assert_eq!(rig.done()[0], Done::Released);
    assert!(matches!(rig.status(), Status::Waiting { .. }));
}

/// EO-1: the message is sent again under its number, or not at all if the server settled it.
#[test]
fn a_lost_ack_takes_the_connection_with_it() {
    let mut rig = Rig::live();
    rig.fault(Fault::LostAck);
    rig.publish("hello");
    rig.hear(PONG);
    assert_eq!(rig.status(), Status::Live);
    rig.told();
    rig.hear(ACK);
    assert!(matches!(rig.status(), Status::Waiting { .. }));
    assert!(rig.done().contains(&Done::Released));
    let is_durable = |report: &Report| {
        let fate = Fate::Durable { offset: None };
        matches!(report, Report::Event(Event::Fate { fate: is, .. }) if *is == fate)
    };
    assert!(!rig.told().iter().any(is_durable));
    rig.ring();
    rig.resume(2, 1);
    assert!(rig.told().iter().any(is_durable));
    assert!(!rig.done().contains(&sent("publish")));
    // One ack, not all.
    rig.publish("again");
    let text = ACK.replace(r#""seq":1"#, r#""seq":2"#);
    let id = ConnectionId::new(2);
    rig.driver.handle(BrowserEvent::Text { id, text });
    assert!(!rig.driver.is_owing());
}

/// An ack comes before or after the message of the same offset: the page learns it from neither.
#[test]
fn with_an_ack_the_pages_own_message_is_lost() {
    let mut rig = Rig::live();
    rig.driver.command(Command::Join {
        room: RoomName::lobby(),
        since: None,
        shown: Vec::new(),
    });
    rig.hear(concat!(
        r#"{"type":"joined","room":"lobby","epoch":"e","head":0,"from":0,"recovered":true,"#,
        r#""members":[],"drafts":[]}"#
    ));
    rig.fault(Fault::LostAck);
    rig.publish("hello");
    let message = |offset, session| {
        format!(r#"{{"type":"message","room":"lobby","offset":{offset},"session":"{session}","#,)
            + r#""seq":1,"name":"ada","at_ms":0,"body":"hello"}"#
    };
    rig.hear(&message(1, "other"));
    assert_eq!(rig.status(), Status::Live);
    rig.hear(&message(2, "s1"));
    assert!(matches!(rig.status(), Status::Waiting { .. }));
    assert!(rig.driver.is_owing());
}

/// HB-9: a jump of the clock is no verdict on the connection; the page asks.
#[test]
fn the_clock_jumps() {
    let mut rig = Rig::live();
    let notes = rig.observe();
    rig.fault(Fault::Clock(Duration::from_secs(3_600)));
    assert_eq!(rig.status(), Status::Live);
    assert!(rig.done().contains(&sent("ping")));
    let entries = notes.entries();
    let times: Vec<_> = entries
        .iter()
        .filter(|entry| matches!(entry.0, "fault" | "out"))
        .map(|entry| (entry.0, entry.1, entry.4.as_str()))
        .collect();
    assert_eq!(
        times,
        [
            ("fault", 0.0, "clock"),
            ("out", 3_600_000.0, r#"{"type":"ping"}"#)
        ]
    );
    rig.hear(PONG);
    rig.fault(Fault::Heal);
    assert_eq!(rig.status(), Status::Live);
    assert_eq!(notes.texts("fault"), ["heal"]);
}

/// RC-6, HB-9: what came meanwhile is handled late, in order, and it is a sleep, not a verdict on the connection. As the
/// page's loop does it: after each fact the driver is asked whether its machine sleeps.
#[test]
fn a_sleeping_machine_handles_all_late() {
    let mut rig = Rig::live();
    let notes = rig.observe();
    rig.publish("hello");
    notes.entries();
    for event in [
        BrowserEvent::Fault(Fault::Sleep(Duration::from_secs(60))),
        BrowserEvent::Text {
            id: FIRST,
            text: ACK.into(),
        },
        BrowserEvent::Timer,
        BrowserEvent::Fault(Fault::Heal),
    ] {
        rig.queue.push(event);
    }
    let mut handled = 0;
    while let Some(event) = rig.queue.try_next() {
        rig.driver.handle(event);
        handled += 1;
        if let Some(rest) = rig.driver.take_sleep() {
            assert_eq!(handled, 1);
            rig.wait(u64::try_from(rest.as_millis()).unwrap());
        }
    }
    assert_eq!(rig.driver.take_sleep(), None);
    let entries = notes.entries();
    assert_eq!((entries[0].0, entries[0].1), ("fault", 0.0));
    assert_eq!((entries[1].0, entries[1].1), ("in", 60_000.0));
    assert!(!rig.driver.is_owing());
    assert_eq!(rig.status(), Status::Live);
}
