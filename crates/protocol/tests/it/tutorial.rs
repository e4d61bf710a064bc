//! The tutorial's dialect: bare text, no subprotocol, with the same heartbeats and cursors.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use everbeat_protocol::close::CloseCode;
use everbeat_protocol::frame::ErrorCode;
use everbeat_protocol::position::{Epoch, Offset};
use everbeat_protocol::server::{
    Config, Pull, RoomView, Tutorial, TutorialInput, TutorialTransmit,
};
use everbeat_protocol::time::Timestamp;

use crate::access::with_grants;
use crate::solo::{at, lobby};

struct Page {
    end: Tutorial,
    now: Timestamp,
    transmits: Vec<TutorialTransmit>,
}

impl Page {
    /// A page in a room whose head is 7, at version 3.
    fn open() -> Self {
        let mut page = Self::arriving();
        page.input(TutorialInput::RoomOpened(Some(view(7, 3))));
        page
    }

    /// A page whose room is being opened.
    fn arriving() -> Self {
        let end = Tutorial::new(at(0), &Config::default());
        let mut page = Self {
            end,
            now: at(0),
            transmits: Vec::new(),
        };
        page.drain();
        assert_eq!(page.transmits, [TutorialTransmit::OpenRoom]);
        page.transmits.clear();
        page
    }

    fn input(&mut self, input: TutorialInput) {
        self.end.handle_input(self.now, input);
        self.drain();
    }

    fn text(&mut self, text: &str) {
        self.input(TutorialInput::Text(text.to_owned()));
    }

    fn run_to(&mut self, end: Timestamp) {
        while let Some(due) = self.end.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.end.handle_timeout(self.now);
            self.drain();
        }
        self.now = end;
    }

    fn drain(&mut self) {
        while let Some(transmit) = self.end.poll_transmit() {
            self.transmits.push(transmit);
        }
    }
}

fn offset(number: u64) -> Offset {
    Offset::new(number).unwrap()
}

fn view(head: u64, version: u64) -> RoomView {
    RoomView {
        epoch: Epoch::new("e"),
        head: offset(head),
        trimmed: Offset::ZERO,
        members: Vec::new(),
        count: None,
        drafts: Vec::new(),
        redacted: Vec::new(),
        version,
    }
}

/// A text comes back to its sender and is a draft for the other members.
#[test]
fn a_text_comes_back_and_is_a_draft() {
    let mut page = Page::open();
    page.text("h");
    page.text("he");
    let both = |text: &str| {
        let (back, draft) = (text.to_owned(), text.to_owned());
        [TutorialTransmit::Text(back), TutorialTransmit::Draft(draft)]
    };
    assert_eq!(page.transmits, [both("h"), both("he")].concat());
}

/// AC-5: a page of the tutorial reads and writes at once: it needs a guest's rights to both.
#[test]
fn a_page_needs_both_rights() {
    let checks = [
        ("*=rw", Ok(())),
        ("lobby=r", Err(ErrorCode::WriteDenied)),
        ("lobby=w", Err(ErrorCode::ReadDenied)),
        ("other=rw", Err(ErrorCode::ReadDenied)),
    ];
    for (grants, expected) in checks {
        let guest = with_grants(grants);
        assert_eq!(Tutorial::may_open(&guest, &lobby()), expected, "{grants}");
    }
}

/// HB-1: `heartbeat` is a sign of life and is sent to no member; a text that only looks like it is a draft.
#[test]
fn heartbeat_goes_nowhere() {
    let mut page = Page::open();
    for second in 1..=10 {
        page.run_to(at(second * 20_000));
        page.text("heartbeat");
    }
    assert_eq!(page.transmits, []);
    page.text("heartbeat ");
    assert_eq!(page.transmits.len(), 2);
}

/// HB-4: a silent page gets a WebSocket Ping, and the end after the timeout.
#[test]
fn silence_is_asked_with_a_control_frame() {
    let mut page = Page::open();
    page.run_to(at(23_750));
    assert_eq!(page.transmits, [TutorialTransmit::Ping]);
    page.run_to(at(28_000));
    page.input(TutorialInput::SignOfLife);
    page.run_to(at(56_749));
    assert_eq!(
        page.transmits,
        [TutorialTransmit::Ping, TutorialTransmit::Ping]
    );
    page.run_to(at(56_750));
    assert_eq!(
        page.transmits.last(),
        Some(&TutorialTransmit::Close(CloseCode::DEAD))
    );
    assert_eq!(page.end.poll_timeout(), None);
}

/// HB-1, HB-4: while the page does not take what is written, it gets no ping; that it takes it again proves nothing.
#[test]
fn a_stall_is_no_verdict_and_its_end_no_sign_of_life() {
    let mut page = Page::open();
    page.run_to(at(20_000));
    page.input(TutorialInput::Stalled(true));
    page.run_to(at(100_000));
    assert_eq!(page.transmits, []);
    page.input(TutorialInput::Stalled(false));
    page.run_to(at(104_999));
    assert_eq!(page.transmits, [TutorialTransmit::Ping]);
    page.run_to(at(105_000));
    assert_eq!(
        page.transmits.last(),
        Some(&TutorialTransmit::Close(CloseCode::DEAD))
    );
}

/// RS-5: the page reads from now on, one pull at a time, and misses nothing that comes meanwhile.
#[test]
fn it_reads_from_now_on() {
    let mut page = Page::open();
    assert_eq!(page.transmits, []);
    page.input(TutorialInput::RoomMoved {
        head: offset(8),
        version: 4,
    });
    page.input(TutorialInput::RoomMoved {
        head: offset(9),
        version: 5,
    });
    let pull = |after, since| {
        TutorialTransmit::Pull(Pull {
            after: offset(after),
            limit: 64,
            since,
        })
    };
    assert_eq!(page.transmits, [pull(7, 3)]);
    page.input(TutorialInput::Pulled {
        through: offset(8),
        version: 4,
    });
    page.input(TutorialInput::Pulled {
        through: offset(9),
        version: 5,
    });
    assert_eq!(page.transmits, [pull(7, 3), pull(8, 4)]);
}

/// RS-6: a page that is cut off opens the room anew.
#[test]
fn cut_off_it_opens_the_room_anew() {
    let mut page = Page::open();
    page.input(TutorialInput::RoomMoved {
        head: offset(500),
        version: 4,
    });
    page.transmits.clear();
    page.input(TutorialInput::CutOff);
    assert_eq!(page.transmits, [TutorialTransmit::OpenRoom]);
    page.input(TutorialInput::RoomOpened(Some(view(500, 9))));
    page.input(TutorialInput::RoomMoved {
        head: offset(501),
        version: 9,
    });
    assert_eq!(page.transmits.len(), 2);
}

/// PU-4: over the limit, binary, a full disk, a drain, a stuck write: each ends the connection with its code.
#[test]
fn each_end_has_its_code() {
    let ends = [
        (
            TutorialInput::Text("x".repeat(8 * 1024 + 1)),
            CloseCode::TOO_BIG,
        ),
        (TutorialInput::Binary, CloseCode::UNSUPPORTED_DATA),
        (TutorialInput::RoomOpened(None), CloseCode::TRY_AGAIN_LATER),
        (TutorialInput::Shutdown, CloseCode::SERVICE_RESTART),
        (TutorialInput::Disconnected, CloseCode::DISCONNECTED),
        (TutorialInput::WriteStuck, CloseCode::SLOW),
    ];
    for (input, code) in ends {
        let mut page = Page::open();
        page.input(input);
        page.text("more");
        page.run_to(at(100_000));
        assert_eq!(page.transmits, [TutorialTransmit::Close(code)]);
    }
}

/// PU-4: the longest text comes back, a longer one ends the connection.
#[test]
fn the_limit_of_a_text_is_exact() {
    let limit = Config::default().limits.body_bytes as usize;
    let mut page = Page::open();
    page.text(&"x".repeat(limit));
    assert_eq!(page.transmits.len(), 2, "an echo and a draft");
    page.transmits.clear();
    page.text(&"x".repeat(limit + 1));
    assert_eq!(
        page.transmits,
        [TutorialTransmit::Close(CloseCode::TOO_BIG)]
    );
}

/// PU-4: the other members see so many drafts a second, and always the latest; the page itself sees each.
#[test]
fn drafts_over_the_rate_are_held_back() {
    let rate = u64::from(Config::default().limits.drafts_per_s);
    let mut page = Page::open();
    for number in 0..3 * rate {
        page.text(&format!("draft {number}"));
    }
    let count = |page: &Page, kind: fn(&TutorialTransmit) -> bool| {
        page.transmits.iter().filter(|one| kind(one)).count() as u64
    };
    let is_draft = |one: &TutorialTransmit| matches!(one, TutorialTransmit::Draft(_));
    let is_echo = |one: &TutorialTransmit| matches!(one, TutorialTransmit::Text(_));
    assert_eq!(
        (count(&page, is_echo), count(&page, is_draft)),
        (3 * rate, rate)
    );
    // The next draft is allowed after a part of a second, and the timer is set to that.
    page.transmits.clear();
    page.run_to(at(1000));
    let latest = format!("draft {}", 3 * rate - 1);
    assert_eq!(page.transmits, [TutorialTransmit::Draft(latest)]);
    // Slower drafts are not held back, and those that were are not shown again.
    page.transmits.clear();
    page.text("slow");
    page.run_to(at(20_000));
    let slow = [
        TutorialTransmit::Text("slow".into()),
        TutorialTransmit::Draft("slow".into()),
    ];
    assert_eq!(page.transmits, slow);
}

/// RS-5: a log that cannot be read now is no gap: it is asked again after a wait, from the same place.
#[test]
fn a_log_that_cannot_be_read_is_asked_again() {
    let retry = Config::default().unavailable_retry;
    let mut page = Page::open();
    page.input(TutorialInput::RoomMoved {
        head: offset(8),
        version: 4,
    });
    let pull = page.transmits.clone();
    page.transmits.clear();
    page.input(TutorialInput::PullFailed);
    page.run_to(at(0) + retry / 2);
    assert_eq!(page.transmits, []);
    page.run_to(at(0) + retry);
    assert_eq!(page.transmits, pull);
}

/// While the room is not open the page is served: its texts come back, and the other members see the latest
/// once it is. If it never opens, a deadline ends that.
#[test]
fn a_room_that_is_slow_to_open_holds_nothing_up() {
    let mut page = Page::arriving();
    for text in ["a", "ab", "heartbeat"] {
        page.text(text);
    }
    let echo = |text: &str| TutorialTransmit::Text(text.to_owned());
    assert_eq!(page.transmits, [echo("a"), echo("ab")]);
    page.transmits.clear();
    page.input(TutorialInput::RoomOpened(Some(view(7, 3))));
    assert_eq!(page.transmits, [TutorialTransmit::Draft("ab".into())]);

    let mut page = Page::arriving();
    page.run_to(at(8_999));
    assert_eq!(page.transmits, []);
    page.run_to(at(60_000));
    let late = TutorialTransmit::Close(CloseCode::TRY_AGAIN_LATER);
    assert_eq!(page.transmits, [late]);
}
