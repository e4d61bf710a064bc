//! The profile of a run: what a seed draws of numbers and faults.

use std::time::Duration;

use fastrand::Rng;
use protocol::outbox::OutboxLimit;
use protocol::redactions::REDACTED_MAX;
use protocol::{client, server};

use crate::engine::Odds;

/// The faults of an engine and of its nodes.
const ENGINE_FAULTS: &[Action] = &[
    Action::Elect,
    Action::Lag,
    Action::Partition,
    Action::PowerLoss,
    Action::TrimStream,
    Action::Erase,
];

/// An action of a user, or a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// A user publishes a message.
    Publish,
    /// A user types.
    Draft,
    /// A user changes their name.
    Rename,
    /// A user enters a room.
    Join,
    /// A user leaves a room.
    Leave,
    /// A user scrolls back.
    History,
    /// A moderator redacts a message (EO-8).
    Remove,
    /// A user decides about an uncertain message.
    Decide,
    /// A user opens a page.
    OpenPage,
    /// A user closes a page, and its storage goes with it.
    ClosePage,
    /// A user presses "Try now".
    TryNow,
    /// A page is loaded again.
    Reload,
    /// A page is loaded again where nothing was stored.
    ReloadBare,
    /// A tab is duplicated: its storage is copied, its lock is not (RS-8).
    Duplicate,
    /// The browser believes that there is no network; it may be wrong.
    Offline,
    /// A tab is hidden: its timers fire once a minute.
    Throttle,
    /// A tab is frozen, and the browser reports it (RC-6).
    Freeze,
    /// A computer sleeps, and nothing reports it.
    Sleep,
    /// A page's clock jumps forward by 12 hours.
    Jump,
    /// A connection breaks.
    Cut,
    /// A connection is silent for a while.
    Stall,
    /// A connection dies in silence, one way or both.
    HalfOpen,
    /// A page does not read for long.
    SlowReader,
    /// New connections vanish for a while.
    BlackHole,
    /// The server dies, and what was not committed with it.
    Crash,
    /// The server dies between a commit and its acks.
    CrashAfterCommit,
    /// The server drains and starts again (RC-3).
    Drain,
    /// The server dies and starts again with an empty database: new epochs.
    Replace,
    /// The log refuses everything for a while: a full disk.
    Unavailable,
    /// The log answers nothing for a while: a disk that hangs.
    LogFrozen,
    /// No user gets a token for a while (AC-6).
    NoTokens,
    /// Old messages are trimmed.
    Trim,
    /// The server forgets a session (RS-9).
    Forget,
    /// The server starts again with a smaller limit for bodies (EO-7).
    LowerLimits,
    /// The engine elects another leader: nothing is stored meanwhile.
    Elect,
    /// A server of the engine lags behind the others.
    Lag,
    /// A node does not reach the engine for a while.
    Partition,
    /// A node's machine loses its power, and the node the tail of its store.
    PowerLoss,
    /// The engine drops old packs, maybe more than a node has folded.
    TrimStream,
    /// The text of a redacted message is erased from the engine.
    Erase,
    /// The engine loses packs that it acked.
    LoseTail,
}

/// The actions that users do all the time.
const EVERYDAY: &[(Action, u32)] = &[
    (Action::Publish, 60),
    (Action::Draft, 30),
    (Action::Rename, 1),
    (Action::Join, 3),
    (Action::Leave, 2),
    (Action::History, 2),
    (Action::Remove, 4),
    (Action::Decide, 5),
    (Action::OpenPage, 1),
    (Action::ClosePage, 1),
    (Action::TryNow, 1),
];

/// The faults. Each seed has only some of these: faults that hide each other meet in some
/// runs, and are alone in others.
const FAULTS: &[Action] = &[
    Action::Reload,
    Action::ReloadBare,
    Action::Duplicate,
    Action::Offline,
    Action::Throttle,
    Action::Freeze,
    Action::Sleep,
    Action::Jump,
    Action::Cut,
    Action::Stall,
    Action::HalfOpen,
    Action::SlowReader,
    Action::BlackHole,
    Action::Crash,
    Action::CrashAfterCommit,
    Action::Drain,
    Action::Replace,
    Action::Unavailable,
    Action::NoTokens,
    Action::Trim,
    Action::Forget,
    Action::LowerLimits,
];

/// Faults that were added later: drawn apart, so that the seeds from before stay what they were.
const LATER_FAULTS: &[Action] = &[Action::LogFrozen];

/// The numbers of one run.
#[derive(Clone, Debug)]
pub struct Profile {
    /// How many pages there are at first.
    pub pages: usize,
    /// How many rooms there are.
    pub rooms: usize,
    /// How long faults happen.
    pub duration: Duration,
    /// The mean time between two actions.
    pub pause: Duration,
    /// How often each action is chosen.
    pub weights: Vec<(Action, u32)>,
    /// The least time that a packet takes.
    pub latency: Duration,
    /// How much more it may take.
    pub jitter: Duration,
    /// How long a commit takes.
    pub commit_latency: Duration,
    /// How long a read of the log takes.
    pub read_latency: Duration,
    /// How many of a room's newest messages are in memory, without reading the log.
    pub tail: u64,
    /// How many bytes a link holds towards a client.
    pub buffer_bytes: usize,
    /// How many bytes a second a link carries to the server, if it is slow.
    pub up_bytes_per_s: Option<u32>,
    /// How many bytes on their way to the server are in buffers that no page sees.
    pub hidden_bytes: u64,
    /// How long the texts in input boxes are at least.
    pub draft_bytes: usize,
    /// A proxy cuts a link that is silent for so long.
    pub idle_cut: Option<Duration>,
    /// How long tokens are good, where they are needed.
    pub token_ttl: Option<Duration>,
    /// How many redactions are kept for readers.
    pub removed_max: usize,
    /// How many nodes there are.
    pub nodes: usize,
    /// How often publishes and deliveries of the engine go wrong.
    pub odds: Odds,
    /// How many messages a full room of several nodes keeps.
    pub history: u64,
    /// How many programs use the HTTP API.
    pub callers: usize,
    /// The mean time between two errands of one of them.
    pub caller_pause: Duration,
    /// The pages' configuration.
    pub client: client::Config,
    /// The server's configuration.
    pub server: server::Config,
}

impl Profile {
    /// Draws the numbers of a run.
    pub fn draw(rng: &mut Rng) -> Self {
        let millis = Duration::from_millis;
        let mut later = Rng::with_seed(rng.clone().u64(..));
        let mut server = server::Config {
            heartbeat_interval: millis(rng.u64(1_000..25_000)),
            heartbeat_timeout: millis(rng.u64(1_000..5_000)),
            ..server::Config::default()
        };
        server.publish_burst = rng.u32(2..200);
        server.limits.publishes_per_s = rng.u32(5..50);
        server.limits.history = rng.u32(3..200);
        server.limits.rooms = rng.u32(1..4);
        server.token_warning = millis(rng.u64(1_000..60_000));
        server.token_grace = millis(rng.u64(1_000..30_000));
        if rng.bool() {
            server.members_named = rng.usize(0..4);
        }
        let seed = rng.u64(..);
        let client = client::Config {
            window: rng.usize(1..32),
            outbox: OutboxLimit {
                entries: rng.usize(5..200),
                bytes: rng.usize(1_000..100_000),
            },
            join_limit: rng.u32(1..50),
            fetches_tokens: true,
            ..client::Config::new(seed)
        };
        let mut line = Rng::with_seed(client.seed);
        let is_slow = line.u8(..4) == 0;
        let mut profile = Self {
            // 32 and 96 kbit/s, and long texts: soon more is typed than the line carries.
            up_bytes_per_s: is_slow.then(|| if line.bool() { 4_000 } else { 12_000 }),
            hidden_bytes: if line.bool() { 0 } else { 64 * 1024 },
            draft_bytes: if is_slow { line.usize(0..2_000) } else { 0 },
            pages: rng.usize(1..=4),
            rooms: rng.usize(1..=3),
            duration: Duration::from_secs(rng.u64(60..600)),
            pause: millis(rng.u64(100..5_000)),
            weights: weights(rng),
            read_latency: Duration::ZERO,
            tail: u64::MAX,
            latency: millis(rng.u64(1..150)),
            jitter: millis(if rng.bool() { rng.u64(0..400) } else { 0 }),
            commit_latency: millis(rng.u64(0..60)),
            buffer_bytes: if rng.bool() {
                rng.usize(200..4_000)
            } else {
                64 * 1024
            },
            token_ttl: rng.bool().then(|| millis(rng.u64(2_000..200_000))),
            removed_max: if rng.bool() {
                rng.usize(1..6)
            } else {
                REDACTED_MAX
            },
            nodes: 1,
            odds: Odds::default(),
            history: u64::MAX,
            callers: 0,
            caller_pause: Duration::ZERO,
            idle_cut: (rng.u8(..4) == 0).then_some(Duration::from_secs(60)),
            client,
            server,
        };
        profile.server.takes_tokens = profile.token_ttl.is_some();
        profile.draw_later(&mut later);
        if is_slow {
            // A long draft over a lower limit is dropped, and no page shows it.
            let weights = &mut profile.weights;
            weights.retain(|(action, _)| *action != Action::LowerLimits);
        }
        profile
    }

    /// Draws whether there are several nodes, and what befalls them: from numbers of its own, so that the other runs
    /// stay what they were.
    pub fn draw_nodes(&mut self, rng: &mut Rng) {
        if rng.u8(..4) != 0 {
            return;
        }
        self.nodes = rng.usize(2..=4);
        // A database is replaced, or full, on one node alone: that is not meant to go on.
        self.weights.retain(|(action, _)| {
            !matches!(
                action,
                Action::Replace | Action::Unavailable | Action::CrashAfterCommit
            )
        });
        draw_faults(rng, ENGINE_FAULTS, &mut self.weights);
        if rng.u8(..12) == 0 {
            self.weights.push((Action::LoseTail, 2));
        }
        if rng.u8(..4) == 0 {
            self.history = rng.u64(..100);
        }
        let mut odds = |most: u8| if rng.bool() { rng.u8(1..most) } else { 0 };
        self.odds = Odds {
            lost: odds(20),
            ack_lost: odds(30),
            late: odds(10),
            dropped: odds(30),
            doubled: odds(30),
            slow: odds(30),
        };
    }

    /// Draws what was added later, each after what was there: so the seeds from before stay what they were.
    fn draw_later(&mut self, later: &mut Rng) {
        if later.bool() {
            self.read_latency = Duration::from_millis(later.u64(0..2_000));
            self.tail = later.u64(0..20);
        }
        draw_faults(later, LATER_FAULTS, &mut self.weights);
        if later.u8(..3) == 0 {
            self.callers = later.usize(1..=3);
            self.caller_pause = Duration::from_millis(later.u64(200..5_000));
        }
    }
}

fn weights(rng: &mut Rng) -> Vec<(Action, u32)> {
    let mut weights = EVERYDAY.to_vec();
    draw_faults(rng, FAULTS, &mut weights);
    weights
}

fn draw_faults(rng: &mut Rng, faults: &[Action], weights: &mut Vec<(Action, u32)>) {
    for fault in faults {
        if rng.u8(..3) == 0 {
            weights.push((*fault, rng.u32(1..6)));
        }
    }
}
