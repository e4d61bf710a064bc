//! Watches for dead ends: a link that died in silence must be noticed within the bound that the heartbeat
//! promises, at each end that receives nothing any more.

use std::time::Duration;

use protocol::client;
use protocol::heartbeat::PUT_OFF_MAX;
use protocol::time::Timestamp;

use crate::link::Way;
use crate::machine::Pace;
use crate::pair::Pair;

/// A timer fires on the millisecond; more than this is late.
const SLACK: Duration = Duration::from_millis(10);

#[derive(Clone, Copy, Debug)]
struct Watch {
    client: usize,
    link: u64,
    /// The node that it leads to.
    node: usize,
    /// The direction that died: its receiver has to notice.
    way: Way,
    deadline: Timestamp,
    /// How long the server had been deaf to this link before (see [`World::deaf_for`]).
    ///
    /// [`World::deaf_for`]: crate::world::World::deaf_for
    deaf_before: Duration,
}

/// The dead ends that were not noticed yet.
#[derive(Debug, Default)]
pub struct Watches {
    open: Vec<Watch>,
    noticed: usize,
}

impl Watches {
    /// Takes a direction of a link that has died.
    pub fn add(&mut self, pair: &Pair, client: usize, link: u64, way: Way) {
        if way == Way::Down && pair.clients[client].pace != Pace::Awake {
            return;
        }
        let node = pair.links.link(link).map_or(0, |link| link.node);
        let server = &pair.node(node).config;
        let (interval, timeout) = (server.heartbeat_interval, server.heartbeat_timeout);
        let bound = match way {
            // HB-3, HB-6. Until the client is live it has deadlines of its own (RC-5).
            Way::Down if pair.clients[client].is_live() => {
                interval + (timeout + behind_max(&pair.client_config)).max(PUT_OFF_MAX)
            }
            Way::Down => {
                let config = &pair.client_config;
                config.connect_timeout + config.welcome_timeout
            }
            // HB-4, where the line moves before the ping; before that RS-1.
            Way::Up => {
                let beat = interval + timeout.max(PUT_OFF_MAX);
                beat.max(server.hello_timeout)
            }
        };
        self.open.push(Watch {
            client,
            link,
            node,
            way,
            deadline: pair.now + bound + SLACK,
            deaf_before: pair.node(node).deaf_for(pair.now, link),
        });
    }

    /// Forgets a page whose timers do not run as they should: it promises nothing.
    pub fn forget(&mut self, client: usize) {
        self.open
            .retain(|watch| watch.client != client || watch.way == Way::Up);
    }

    /// How many dead ends were noticed in time.
    pub const fn noticed(&self) -> usize {
        self.noticed
    }

    /// Fails if a dead end was not noticed in time.
    pub fn check(&mut self, pair: &Pair) {
        let before = self.open.len();
        self.open.retain(|watch| {
            let is_held = match watch.way {
                Way::Down => pair
                    .links
                    .link(watch.link)
                    .is_some_and(|link| pair.clients[watch.client].holds(link.id)),
                Way::Up => pair.node(watch.node).holds(watch.link),
            };
            let deaf = match watch.way {
                Way::Down => Duration::ZERO,
                Way::Up => {
                    let deaf = pair.node(watch.node).deaf_for(pair.now, watch.link);
                    deaf.saturating_sub(watch.deaf_before)
                }
            };
            assert!(
                !is_held || pair.now <= watch.deadline + deaf,
                "a dead end was not noticed: {watch:?}"
            );
            is_held
        });
        self.noticed += before - self.open.len();
    }
}

/// HB-6: how long a ping's deadline may be put off for the bytes before it: a window, one frame more, and the
/// frames whose arrival only a pong proves.
fn behind_max(config: &client::Config) -> Duration {
    const FRAME_MAX: u64 = 4 * 1024;
    let bytes = config.publish_flight + config.draft_flight + 2 * FRAME_MAX;
    Duration::from_secs(1) * u32::try_from(bytes).unwrap_or(u32::MAX) / config.slowest_line
}
