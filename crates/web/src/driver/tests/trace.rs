//! The trace that an observer takes.

use std::cell::Cell;

use view::{Observer, TraceEntry};

use super::*;

/// Keeps the trace, and the sessions that it was told.
#[derive(Debug, Default)]
pub(super) struct Notes {
    entries: RefCell<Vec<Note>>,
    sessions: RefCell<Vec<Credentials>>,
}

/// An entry: kind, milliseconds, connection, ordinal, text.
pub(super) type Note = (&'static str, f64, u64, u64, String);

impl Observer for Notes {
    fn take(&self, entry: &TraceEntry<'_>) {
        let TraceEntry {
            kind,
            ms,
            connection,
            ordinal,
            text,
        } = *entry;
        let note = (kind.as_str(), ms, connection, ordinal, text.to_owned());
        self.entries.borrow_mut().push(note);
    }

    fn watch(&self, session: &Credentials) {
        self.sessions.borrow_mut().push(session.clone());
    }
}

impl Notes {
    /// The trace since the last call.
    pub(super) fn entries(&self) -> Vec<Note> {
        self.entries.take()
    }

    /// The texts of one kind since the last call.
    pub(super) fn texts(&self, of: &str) -> Vec<String> {
        let entries = self.entries().into_iter();
        entries
            .filter(|(kind, ..)| *kind == of)
            .map(|(.., text)| text)
            .collect()
    }
}

impl Rig {
    pub(super) fn observe(&mut self) -> Rc<Notes> {
        let notes = Rc::new(Notes::default());
        self.inspect.observe(Some(notes.clone()));
        self.settle();
        notes
    }

    /// Handles what the handle caused.
    pub(super) fn settle(&mut self) {
        while let Some(event) = self.queue.try_next() {
            self.driver.handle(event);
        }
    }

    pub(super) fn hear(&mut self, text: &str) {
        let (id, text) = (FIRST, text.to_owned());
        self.driver.handle(BrowserEvent::Text { id, text });
    }
}

/// Every step is there, in order, and nothing else.
#[test]
fn the_trace_holds_every_step() {
    let mut rig = Rig::new();
    let notes = rig.observe();
    rig.wait(1_000);
    rig.driver.start();
    rig.wait(20);
    rig.driver.handle(BrowserEvent::Opened { id: FIRST });
    rig.hear(&welcome());
    rig.publish("hello");
    rig.hear(r#"{"type":"ack","seq":1,"room":"lobby","offset":7}"#);
    rig.hear(r#"{"type":"ping"}"#);
    rig.driver.handle(BrowserEvent::Page(Network::Online));
    rig.driver.handle(BrowserEvent::Hidden);
    rig.driver.handle(BrowserEvent::Closed {
        id: FIRST,
        code: Some(CloseCode::new(1012)),
    });
    let entries = notes.entries();
    let lines: Vec<_> = entries
        .iter()
        .map(|(kind, _, connection, ordinal, text)| {
            let text = if text.is_empty() { "-" } else { text };
            format!("{kind} {connection} {ordinal} {text}")
        })
        .collect();
    let waiting = codec::encode(&rig.driver.session.status());
    assert!(waiting.contains(r#""cause":{"closed":1012}"#), "{waiting}");
    let expected = r#"
        state 0 0 {"status":"idle"}
        state 0 0 {"status":"idle"}
        open 1 0 -
        state 1 0 {"status":"connecting"}
        opened 1 0 -
        out 1 1 {"type":"hello"}
        in 1 1 WELCOME
        state 1 0 {"status":"live"}
        out 1 2 {"type":"publish","seq":1,"room":"lobby","body":5}
        event 1 0 {"type":"queued","id":0,"seq":1,"room":"lobby"}
        event 1 0 {"type":"fate","id":0,"seq":1,"fate":"sent"}
        in 1 2 {"type":"ack","seq":1,"room":"lobby","offset":7}
        event 1 0 {"type":"fate","id":0,"seq":1,"fate":{"durable":{"offset":7}}}
        in 1 3 {"type":"ping"}
        out 1 3 {"type":"pong"}
        fact 1 0 online
        out 1 4 {"type":"ping"}
        fact 1 0 hidden
        closed 1 0 1012
        state 0 0 WAITING"#
        .replace("WELCOME", &welcome().replace("secret", "…"))
        .replace("WAITING", &waiting);
    let expected: Vec<_> = expected.lines().skip(1).map(str::trim_start).collect();
    assert_eq!(lines, expected);
    assert_eq!((entries[1].1, entries[4].1), (1_000.0, 1_020.0));
}

/// A session in which every text of a user, every key and every token holds `SECRET`.
fn secret_session() -> Rc<Notes> {
    let stored = Stored {
        credentials: Some(Credentials {
            id: SessionId::new("s0").unwrap(),
            key: SessionKey::new("SECRET-key-before").unwrap(),
        }),
        outbox: Vec::new(),
    };
    let config = Config {
        fetches_tokens: true,
        ..Config::new(0)
    };
    let mut rig = Rig::of(config, stored);
    let notes = rig.observe();
    rig.driver.start();
    let token = protocol::id::Token::new("SECRET-token").unwrap();
    rig.driver.handle(BrowserEvent::Token(Ok(token)));
    rig.driver.handle(BrowserEvent::Opened { id: FIRST });
    rig.hear(&welcome().replace("secret", "SECRET-key"));
    rig.driver.command(Command::Join {
        room: RoomName::lobby(),
        since: None,
        shown: Vec::new(),
    });
    rig.hear(concat!(
        r#"{"type":"joined","room":"lobby","epoch":"e","head":1,"from":0,"recovered":true,"members":[],"#,
        r#""drafts":[{"session":"s2","name":"ada","body":"SECRET draft in joined"}]}"#
    ));
    let message = concat!(
        r#"{"room":"lobby","offset":1,"session":"s2","seq":1,"name":"ada","at_ms":0,"#,
        r#""body":"SECRET \"body\":\"SECRET\" text"}"#
    );
    rig.hear(&message.replacen('{', r#"{"type":"message","#, 1));
    let history = [
        r#"{"type":"history","room":"lobby","messages":["#,
        message,
        r#"],"more":false}"#,
    ];
    rig.driver.command(Command::History {
        room: RoomName::lobby(),
        before: Offset::ZERO.next(),
        limit: 1,
    });
    rig.hear(&history.concat());
    rig.hear(
        r#"{"type":"draft","room":"lobby","session":"s2","name":"ada","body":"SECRET draft"}"#,
    );
    rig.publish("SECRET mine");
    let (room, body) = (RoomName::lobby(), "SECRET draft of mine".to_owned());
    rig.driver.command(Command::Draft { room, body });
    rig.hear(r#"{"type":"renew","within_ms":1000}"#);
    let token = protocol::id::Token::new("SECRET-token-2").unwrap();
    rig.driver.handle(BrowserEvent::Token(Ok(token)));
    rig.hear(r#"{"type":"SECRET-unknown","text":"SECRET"}"#);
    notes
}

/// The rule of the trace: a body is a number of bytes, and keys and tokens are not in it. The key goes another way.
#[test]
fn no_body_no_key_and_no_token_is_in_the_trace() {
    let notes = secret_session();
    let entries = notes.entries();
    for (.., text) in &entries {
        assert!(!text.contains("SECRET"), "{text}");
    }
    let has = |part: &str| entries.iter().any(|(.., text)| text.contains(part));
    for part in [
        r#""type":"history""#,
        r#""type":"message""#,
        r#""type":"token","token":"…""#,
        r#""token":"…"}"#,
        r#""key":"…"}"#,
        r#""type":"draft","room":"lobby","body":20}"#,
        r#""room":"lobby","body":11}"#,
    ] {
        assert!(has(part), "{part}: {entries:#?}");
    }
    // What is no frame is a number of bytes.
    let unknown = r#"{"type":"SECRET-unknown","text":"SECRET"}"#.len();
    assert!(has(&unknown.to_string()));

    let sessions = notes.sessions.borrow();
    let keys: Vec<_> = sessions
        .iter()
        .map(|session| String::from(session.key.clone()))
        .collect();
    assert_eq!(
        keys,
        ["SECRET-key-before", "SECRET-key-before", "SECRET-key"]
    );
}

/// An observer that comes late learns the session, its state and its heartbeat, and frames go on counting.
#[test]
fn an_observer_may_come_late_and_leave() {
    let mut rig = Rig::live();
    rig.publish("before");
    let notes = rig.observe();
    assert_eq!(notes.sessions.borrow()[0].id.as_str(), "s1");
    let state = r#"{"status":"live","heartbeat":{"interval_ms":25000,"timeout_ms":5000}}"#;
    assert_eq!(notes.entries(), [("state", 0.0, 1, 0, state.to_owned())]);
    rig.publish("now");
    let sent = r#"{"type":"publish","seq":2,"room":"lobby","body":3}"#;
    assert_eq!(notes.entries()[0], ("out", 0.0, 1, 3, sent.to_owned()));
    rig.inspect.observe(None);
    rig.settle();
    rig.publish("after");
    assert_eq!(notes.entries(), []);
    assert_eq!(Rc::strong_count(&notes), 1);
}

/// The machine drops what comes of an earlier connection (PU-3), so the trace does not hold it: its ordinals would be
/// those of another connection.
#[test]
fn what_comes_of_an_earlier_connection_is_no_part_of_the_trace() {
    let mut rig = Rig::live();
    let notes = rig.observe();
    rig.driver.handle(BrowserEvent::Page(Network::Frozen));
    assert_eq!(notes.texts("close"), ["1001"]);
    rig.hear(r#"{"type":"ping"}"#);
    rig.driver.handle(BrowserEvent::Opened { id: FIRST });
    rig.driver.handle(BrowserEvent::Closed {
        id: FIRST,
        code: None,
    });
    assert_eq!(notes.entries(), []);
    rig.driver.command(Command::ConnectNow);
    let second = ConnectionId::new(2);
    rig.driver.handle(BrowserEvent::Opened { id: second });
    rig.hear(r#"{"type":"ping"}"#);
    let entries = notes.entries();
    let frames: Vec<_> = entries.iter().filter(|entry| entry.3 > 0).collect();
    assert!(matches!(frames[..], [("out", _, 2, 1, _)]), "{entries:?}");
}

/// An observer may leave, or cause a fault, in the middle of a step.
#[test]
fn an_observer_may_use_its_handle_while_it_is_called() {
    #[derive(Default)]
    struct Leaves {
        inspect: Inspect,
        calls: Cell<usize>,
    }

    impl Observer for Leaves {
        fn take(&self, _: &TraceEntry<'_>) {
            self.calls.set(self.calls.get() + 1);
            self.inspect.observe(None);
            self.inspect.fault(view::Fault::Cut);
        }

        fn watch(&self, _: &Credentials) {}
    }

    let mut rig = Rig::live();
    let leaves = Rc::new(Leaves {
        inspect: rig.inspect.clone(),
        ..Leaves::default()
    });
    rig.inspect.observe(Some(leaves.clone()));
    rig.settle();
    assert_eq!(leaves.calls.get(), 1);
    assert_eq!(rig.done()[0], Done::Released);
}

/// RS-8: the session of a closed page has a driver of its own, which has no handle: only what comes of it to the page's own
/// session is in the trace.
#[test]
fn the_session_of_a_closed_page_is_not_observed() {
    let (config, entry) = left_by_a_closed_page();
    let left = Stored {
        credentials: Some(Credentials {
            id: SessionId::new("s0").unwrap(),
            key: SessionKey::new("k").unwrap(),
        }),
        outbox: vec![entry],
    };
    let mut rig = Rig::live();
    let notes = rig.observe();
    notes.entries();
    let mut heir = Rig::of(config, left);
    heir.driver = heir.driver.inspected_by(Inspect::default());
    heir.driver.start();
    heir.driver.handle(BrowserEvent::Opened { id: FIRST });
    assert!(heir.done().contains(&sent("hello")));
    assert_eq!(notes.entries(), []);
    heir.driver.handle(BrowserEvent::Text {
        id: FIRST,
        // Another session: the message waits for the user.
        text: welcome(),
    });
    assert!(rig.driver.inherit_from(&mut heir.driver));
    let held = r#"{"type":"queued","id":0,"seq":1,"room":"lobby"}"#;
    assert_eq!(notes.entries(), [("event", 0.0, 1, 0, held.to_owned())]);
    assert_eq!(notes.sessions.borrow().len(), 1);
}
