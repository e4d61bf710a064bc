//! Faults: what goes wrong with a page's computer, with a connection, with the server.

use std::time::Duration;

use everbeat_log::pack::Pack;
use protocol::client::Network;

use crate::link::{Reach, Way};
use crate::machine::Pace;
use crate::profile::Action;
use crate::run::{Later, Run};

const HALF_A_DAY: Duration = Duration::from_secs(12 * 60 * 60);

/// How many packs are looked through for a text that is to be erased.
const ERASED_WITHIN: u64 = 300;

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
                let node = self.any_node();
                self.pair.node_mut(node).log.is_frozen = true;
                let pause = self.millis(100, 60_000);
                self.later(pause, Later::LogThaws(node));
                true
            }
            Action::Trim | Action::Forget => self.disturb_log(action),
            Action::Crash
            | Action::CrashAfterCommit
            | Action::Drain
            | Action::Replace
            | Action::PowerLoss
            | Action::LowerLimits => {
                let node = self.any_node();
                self.pair.node(node).is_up && self.stop_server(action, node)
            }
            Action::Elect
            | Action::Lag
            | Action::Partition
            | Action::TrimStream
            | Action::Erase
            | Action::LoseTail => self.disturb_engine(action),
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
            let node = self.any_node();
            let (_, head, trimmed) = self.pair.node_mut(node).log.state(&room);
            let kept = self.rng.u64(0..4).pow(3);
            let through = head.back(kept.min(head.get()));
            if through <= trimmed {
                return false;
            }
            self.note(format!("Trim {} through {through:?}", room.as_str()));
            self.pair.trim_at(node, &room, through);
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
        if self.pair.nodes().any(|node| node.is_connected(&session)) {
            return false;
        }
        let node = self.any_node();
        self.note(format!("Forget {session}"));
        self.pair.forget_at(node, &session);
        true
    }

    fn stop_server(&mut self, action: Action, node: usize) -> bool {
        self.note(format!("{action:?} node {node}"));
        let pause = self.millis(1, 20_000);
        match action {
            Action::Drain => {
                let window = self.millis(100, 10_000);
                self.pair.send_away(node, window);
                self.later(window, Later::ShutDown(node));
                return true;
            }
            Action::CrashAfterCommit => self.pair.crash_after_commit(),
            Action::Replace => {
                self.pair.crash();
                self.pair.world.log.replace();
            }
            Action::LowerLimits => {
                self.pair.crash_node(node);
                self.pair.node_mut(node).config.limits.body_bytes = self.rng.u32(20..500);
            }
            Action::PowerLoss => {
                self.pair.crash_node(node);
                self.pair.node_mut(node).log.lose_power();
            }
            _ => self.pair.crash_node(node),
        }
        self.later(pause, Later::Start(node));
        true
    }

    fn disturb_engine(&mut self, action: Action) -> bool {
        let node = self.any_node();
        let applied: Vec<u64> = self.pair.nodes().map(|node| node.log.applied()).collect();
        let (first, last) = match &self.pair.cluster {
            Some(cluster) => (cluster.engine.first(), cluster.engine.last()),
            None => return false,
        };
        self.note(format!(
            "{action:?} node {node}: packs {first} to {last}, applied {applied:?}"
        ));
        match action {
            Action::Elect => {
                self.engine(|engine| engine.elect(true));
                let pause = self.millis(4_000, 9_000);
                self.later(pause, Later::Elected);
            }
            Action::Lag => {
                self.engine(|engine| engine.lag(true));
                let pause = self.millis(100, 20_000);
                self.later(pause, Later::CaughtUp);
            }
            Action::Partition => {
                self.engine(|engine| engine.cut(node, true));
                let pause = self.millis(100, 30_000);
                self.later(pause, Later::Joined(node));
            }
            Action::TrimStream => {
                // Some node has it all for good, and can give a copy.
                let kept = self.pair.nodes().map(|node| node.log.kept_through());
                let first = kept.max().unwrap_or(0) + 1;
                let left = self.rng.u64(0..6).pow(3);
                self.engine(|engine| engine.trim(first.saturating_sub(left)));
            }
            Action::Erase => return self.erase(),
            _ => {
                let lost = self.rng.usize(1..6);
                self.engine(|engine| engine.lose(lost));
                self.pair.lost_tail();
            }
        }
        true
    }

    /// The text of a redacted message is erased from the engine: its pack is replaced by one without it (EO-8).
    fn erase(&mut self) -> bool {
        let room = self.any_room();
        let node = self.any_node();
        let removed = self.pair.node(node).log.removed(&room, usize::MAX);
        let Some(cluster) = &mut self.pair.cluster else {
            return false;
        };
        let (first, last) = (cluster.engine.first(), cluster.engine.last());
        let Some(message) = removed.last() else {
            return false;
        };
        let first = first.max(last.saturating_sub(ERASED_WITHIN));
        for sequence in (first..=last).rev() {
            let pack = cluster.engine.pack(sequence);
            let Some(Ok(mut pack)) = pack.map(|pack| Pack::decode(&pack)) else {
                continue;
            };
            if pack.erase(&message.session, message.seq)
                && let Ok(bytes) = pack.encode()
            {
                cluster.engine.erase(sequence, bytes.into());
                return true;
            }
        }
        false
    }
}
