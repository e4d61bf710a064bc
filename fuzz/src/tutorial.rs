//! The tutorial's dialect between a page that sends anything and a room that may misbehave.

use arbitrary::Arbitrary;
use protocol::close::CloseCode;
use protocol::frame::Limits;
use protocol::position::{Epoch, Offset};
use protocol::server::{Config, Pull, RoomView, Tutorial, TutorialInput, TutorialTransmit};

use crate::frames::Any;
use crate::time::{Clock, Pause, settle};

/// A run.
#[derive(Debug, Arbitrary)]
pub struct Plan {
    body_bytes: u8,
    steps: Vec<Step>,
}

#[derive(Debug, Arbitrary)]
enum Step {
    /// Time passes, then the timer fires.
    Wait(Pause),
    /// Time passes, and the timer is late.
    Drift(Pause),
    Text(Any<String>),
    Binary,
    SignOfLife,
    RoomOpened(Option<View>),
    RoomMoved(Any<Offset>, u64),
    Pulled(Any<Offset>, u64),
    /// The answer that a room gives: a part of what it has, or all of it.
    Answered(u8),
    CutOff,
    Shutdown,
    WriteStuck,
    PullFailed,
    Stalled(bool),
}

#[derive(Debug, Arbitrary)]
struct View {
    head: Any<Offset>,
    trimmed: Any<Offset>,
    version: u64,
}

/// Plays a run.
///
/// # Panics
/// If a check fails.
pub fn run(plan: Plan) {
    let config = Config {
        limits: Limits {
            body_bytes: plan.body_bytes.into(),
            // Soon reached: some drafts are held back.
            drafts_per_s: 2,
            ..Limits::default()
        },
        ..Config::default()
    };
    let clock = Clock::default();
    let mut driver = Driver {
        machine: Tutorial::new(clock.now(), &config),
        body_bytes: plan.body_bytes.into(),
        clock,
        closed: None,
        asked: 0,
        pulling: None,
        unseen: None,
        is_stalled: false,
    };
    driver.drain();
    for step in plan.steps {
        driver.play(step);
    }
}

#[derive(Debug)]
struct Driver {
    machine: Tutorial,
    body_bytes: usize,
    clock: Clock,
    closed: Option<CloseCode>,
    /// How often the room was asked for.
    asked: usize,
    /// A pull is under way.
    pulling: Option<Pull>,
    /// The latest text, if the other members have not seen it yet.
    unseen: Option<String>,
    /// Written bytes wait for the page to take them: the heartbeat rests.
    is_stalled: bool,
}

impl Driver {
    fn play(&mut self, step: Step) {
        match step {
            Step::Wait(pause) => {
                self.clock.pass(pause, self.machine.poll_timeout());
                self.timer();
            }
            Step::Drift(pause) => self.clock.pass(pause, self.machine.poll_timeout()),
            Step::Text(Any(text)) => self.text(text),
            Step::Binary => self.end(TutorialInput::Binary, CloseCode::UNSUPPORTED_DATA),
            Step::SignOfLife => self.input(TutorialInput::SignOfLife),
            Step::RoomOpened(None) => {
                self.end(TutorialInput::RoomOpened(None), CloseCode::TRY_AGAIN_LATER);
            }
            Step::RoomOpened(Some(view)) => {
                // A reader that begins anew has no pull under way.
                self.pulling = None;
                self.input(TutorialInput::RoomOpened(Some(view.into())));
            }
            Step::RoomMoved(Any(head), version) => {
                self.input(TutorialInput::RoomMoved { head, version });
            }
            Step::Pulled(Any(through), version) => {
                self.pulling = None;
                self.input(TutorialInput::Pulled { through, version });
            }
            Step::Answered(count) => {
                let Some(pull) = self.pulling.take() else {
                    return;
                };
                let through = pull.after.get() + u64::from(count).min(pull.limit.into());
                self.input(TutorialInput::Pulled {
                    through: Offset::new(through).unwrap_or(pull.after),
                    version: pull.since.saturating_add(u64::from(count)),
                });
            }
            Step::CutOff => self.cut_off(),
            Step::Stalled(is_stalled) => {
                self.is_stalled = is_stalled;
                self.input(TutorialInput::Stalled(is_stalled));
            }
            // A pull fails once, and is tried again later.
            Step::PullFailed => {
                if self.pulling.take().is_some() {
                    self.input(TutorialInput::PullFailed);
                }
            }
            Step::Shutdown => self.end(TutorialInput::Shutdown, CloseCode::SERVICE_RESTART),
            Step::WriteStuck => self.end(TutorialInput::WriteStuck, CloseCode::SLOW),
        }
    }

    /// Each text comes back exactly once, and is shown to the other members, at once or as the latest of many; the
    /// heartbeat is sent to no member.
    fn text(&mut self, text: String) {
        self.machine
            .handle_input(self.clock.now(), TutorialInput::Text(text.clone()));
        let expected = if self.closed.is_some() || text == "heartbeat" {
            Vec::new()
        } else if text.len() > self.body_bytes {
            vec![TutorialTransmit::Close(CloseCode::TOO_BIG)]
        } else {
            self.unseen = Some(text.clone());
            vec![TutorialTransmit::Text(text)]
        };
        let mut transmits = self.drain();
        transmits.retain(|transmit| !matches!(transmit, TutorialTransmit::Draft(_)));
        assert_eq!(transmits, expected);
    }

    fn cut_off(&mut self) {
        let asked = self.asked;
        self.input(TutorialInput::CutOff);
        let expected = asked + usize::from(self.closed.is_none());
        assert_eq!(self.asked, expected, "cut off, it opens the room anew");
    }

    /// An input that ends an open connection with this code.
    fn end(&mut self, input: TutorialInput, code: CloseCode) {
        let expected = self.closed.or(Some(code));
        self.input(input);
        assert_eq!(self.closed, expected);
    }

    fn timer(&mut self) {
        let now = self.clock.now();
        settle(now, || {
            self.machine.handle_timeout(now);
            self.drain();
            self.machine.poll_timeout()
        });
    }

    fn input(&mut self, input: TutorialInput) {
        self.machine.handle_input(self.clock.now(), input);
        self.drain();
    }

    fn drain(&mut self) -> Vec<TutorialTransmit> {
        let mut transmits = Vec::new();
        while let Some(transmit) = self.machine.poll_transmit() {
            assert_eq!(self.closed, None, "{transmit:?} after the close");
            match &transmit {
                TutorialTransmit::Close(code) => self.closed = Some(*code),
                TutorialTransmit::OpenRoom => self.asked += 1,
                TutorialTransmit::Pull(pull) => {
                    let before = self.pulling.replace(*pull);
                    assert_eq!(before, None, "two pulls at once");
                }
                TutorialTransmit::Draft(text) => {
                    assert_eq!(self.unseen.take().as_ref(), Some(text), "the latest, once");
                }
                TutorialTransmit::Text(_) | TutorialTransmit::Ping => {}
            }
            transmits.push(transmit);
        }
        // A timer at most asks again, pings and shows a draft.
        assert!(transmits.len() <= 3, "one input leads to {transmits:?}");
        let rests = self.machine.poll_timeout().is_none();
        assert!(rests || self.closed.is_none(), "a timer after the close");
        assert!(
            !rests || self.closed.is_some() || self.is_stalled,
            "no timer"
        );
        transmits
    }
}

impl From<View> for RoomView {
    fn from(view: View) -> Self {
        Self {
            epoch: Epoch::new("e1"),
            head: view.head.0,
            trimmed: view.trimmed.0,
            members: Vec::new(),
            count: None,
            drafts: Vec::new(),
            redacted: Vec::new(),
            version: view.version,
        }
    }
}
