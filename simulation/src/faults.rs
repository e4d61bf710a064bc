//! Faults: what goes wrong with a page's computer, with a connection, with the server.

use std::time::Duration;

use protocol::client::Network;

use crate::link::{Reach, Way};
use crate::machine::Pace;
use crate::profile::Action;
use crate::run::{Later, Run};

const HALF_A_DAY: Duration = Duration::from_secs(12 * 60 * 60);

/// The least time between two jumps.
const LONE_JUMP: Duration = Duration::from_secs(5);

impl Run {
    /// Makes a fault happen. `false` if it was not possible.
    pub(crate) fn act_on_world(&mut self, action: Action) -> bool {
        match action {
            Action::Offline | Action::Throttle | Action::Freeze | Action::Sleep | Action::Jump => {
                self.disturb_page(action)
            }
            Action::Cut | Action::Stall | Action::HalfOpen | Action::SlowReader => {
                self.disturb_link(action)
            }
            Action::BlackHole => {
                self.pair.reach(Reach::BlackHole);
                let pause = self.millis(100, 60_000);
                self.later(pause, Later::Reach);
                true
            }
            Action::NoTokens => {
                self.pair.world.issuer.is_down = true;
                let pause = self.millis(100, 120_000);
                self.later(pause, Later::Issuer);
                self.profile.token_ttl.is_some()
            }
            Action::Unavailable => {
                self.pair.world.log.is_available = false;
                let pause = self.millis(100, 30_000);
                self.later(pause, Later::LogAvailable);
                true
            }
            Action::LogFrozen => {
                self.pair.world.log.is_frozen = true;
                let pause = self.millis(100, 60_000);
                self.later(pause, Later::LogThaws);
                true
            }
            Action::Trim | Action::Forget => self.disturb_log(action),
            Action::Crash
            | Action::CrashAfterCommit
            | Action::Drain
            | Action::Replace
            | Action::LowerLimits => self.pair.world.is_up && self.stop_server(action),
            _ => false,
        }
    }

    fn disturb_page(&mut self, action: Action) -> bool {
        let Some(index) = self.any_tab() else {
            return false;
        };
        let client = self.tabs[index].client;
        if self.pair.clients[client].pace != Pace::Awake {
            return false;
        }
        self.note(format!("{action:?} page {client}"));
        self.watches.forget(client);
        let pause = self.millis(100, 120_000);
        match action {
            Action::Offline => {
                self.pair.network(client, Network::Offline);
                self.later(pause, Later::Online(client));
                return true;
            }
            Action::Jump => {
                // Two late timers in a row are a verdict by design.
                let is_lone = self.jumped.is_none_or(|at| at + LONE_JUMP < self.pair.now);
                if is_lone {
                    self.jumped = Some(self.pair.now);
                    self.pair.jump(client, HALF_A_DAY);
                }
                return is_lone;
            }
            Action::Throttle => self.pair.throttle(client),
            Action::Freeze => {
                self.pair.network(client, Network::Frozen);
                self.pair.sleep(client);
            }
            _ => self.pair.sleep(client),
        }
        self.later(pause, Later::Wake(client));
        true
    }

    fn disturb_link(&mut self, action: Action) -> bool {
        let Some(index) = self.any_tab() else {
            return false;
        };
        let client = self.tabs[index].client;
        let Some(link) = self.pair.links.newest(client) else {
            return false;
        };
        self.note(format!("{action:?} link {link} of page {client}"));
        let ways: &[Way] = match (action, self.rng.u8(..3)) {
            (Action::SlowReader, _) | (_, 0) => &[Way::Down],
            (_, 1) => &[Way::Up],
            (_, _) => &[Way::Up, Way::Down],
        };
        match action {
            Action::Cut => self.pair.cut(client),
            Action::HalfOpen => {
                for way in ways {
                    self.pair.deaden(client, *way);
                    self.watches.add(&self.pair, client, link, *way);
                }
            }
            _ => {
                let pause = if action == Action::SlowReader {
                    // Messages that it has not read yet may be trimmed by then: by chance that would be rare.
                    let pause = self.millis(5_000, 45_000);
                    self.later(pause.mul_f64(0.9), Later::Trim);
                    pause
                } else {
                    self.millis(50, 20_000)
                };
                for way in ways {
                    self.pair.stall(client, *way);
                    self.later(pause, Later::Unstall(link, *way));
                }
            }
        }
        true
    }

    pub(crate) fn disturb_log(&mut self, action: Action) -> bool {
        if action == Action::Trim {
            let room = self.any_room();
            let (_, head, trimmed) = self.pair.world.log.state(&room);
            let kept = self.rng.u64(0..4).pow(3);
            let through = head.back(kept.min(head.get()));
            if through <= trimmed {
                return false;
            }
            self.note(format!("Trim {} through {through:?}", room.as_str()));
            self.pair.world.trim(&room, through);
            return true;
        }
        // Only a session without a connection is forgotten: the server keeps the others (RS-9).
        let Some(index) = self.any_tab() else {
            return false;
        };
        let machine = &self.pair.clients[self.tabs[index].client];
        let Some(session) = machine.session.id().cloned() else {
            return false;
        };
        if self.pair.world.is_connected(&session) {
            return false;
        }
        self.note(format!("Forget {session}"));
        self.pair.world.log.forget(&session);
        true
    }

    fn stop_server(&mut self, action: Action) -> bool {
        self.note(format!("{action:?}"));
        let pause = self.millis(1, 20_000);
        match action {
            Action::Drain => {
                let window = self.millis(100, 10_000);
                self.pair.go_away(window);
                self.later(window, Later::ShutDown);
                return true;
            }
            Action::CrashAfterCommit => self.pair.crash_after_commit(),
            Action::Replace => {
                self.pair.crash();
                self.pair.world.log.replace();
            }
            Action::LowerLimits => {
                self.pair.crash();
                self.pair.world.config.limits.body_bytes = self.rng.u32(20..500);
            }
            _ => self.pair.crash(),
        }
        self.later(pause, Later::Start);
        true
    }
}
