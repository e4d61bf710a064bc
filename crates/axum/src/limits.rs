//! The limits over more than one connection: for an address, for a user, for all together.

mod buckets;
mod counts;
#[cfg(test)]
mod tests;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use protocol::access::Subject;
use protocol::admission::{Admission, Turn};
use protocol::time::Timestamp;

use self::buckets::Buckets;
use self::counts::Counts;
pub use self::counts::{Handshake, Held};
use crate::address::Network;
use crate::journal::Journal;
use crate::metrics::Limit;

/// The burst of an address's requests, in seconds of its rate.
const REQUESTS_BURST: u32 = 10;

/// How many more requests a page counts for: it is read, rendered and compressed, which takes ten
/// times as long. With the request itself no more than the burst for a rate of 1.
const PAGE_MORE: u32 = REQUESTS_BURST - 1;

/// The burst of a user's or an address's publishes, in seconds of their rate.
const PUBLISHES_BURST: u32 = 4;

/// The burst of the points that the frames of a user, or of an address, cost, in seconds of their rate. The largest
/// crowd of one address, 1,000 connections with 3 rooms each, costs 31,000 points when it reconnects, of 100,000;
/// one with 32 rooms each costs 321,000, which takes 22 s, in which each connection is served a little.
const FRAMES_BURST: u32 = 10;

/// The limits' configuration. 0 is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitsConfig {
    /// Connections held at once from one address.
    pub connections_per_address: usize,
    /// TCP connections on which no WebSocket has begun.
    pub handshakes: usize,
    /// The same from one address.
    pub handshakes_per_address: usize,
    /// Requests a second from one address.
    pub requests_per_address: u32,
    /// Messages a second of one user.
    pub publishes_per_person: u32,
    /// Messages a second from one address.
    pub publishes_per_address: u32,
    /// Points a second that the frames of one user may cost.
    pub frames_per_person: u32,
    /// The same for one address.
    pub frames_per_address: u32,
    /// The most bytes of entries that each of these rates keeps.
    pub rate_bytes: u64,
    /// Sessions of one address in a minute that have lines in the journal.
    pub session_lines: u32,
    /// Sessions that are admitted in a second (RC-7).
    pub hellos: u32,
    /// The longest wait of a session for its admission.
    pub hello_queue: Duration,
}

impl LimitsConfig {
    /// No limit at all, and no line of the journal left out.
    pub const NONE: Self = Self {
        connections_per_address: 0,
        handshakes: 0,
        handshakes_per_address: 0,
        requests_per_address: 0,
        publishes_per_person: 0,
        publishes_per_address: 0,
        frames_per_person: 0,
        frames_per_address: 0,
        rate_bytes: 0,
        session_lines: 0,
        hellos: 0,
        hello_queue: Duration::ZERO,
    };
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            // An office or a mobile network may share an address.
            connections_per_address: 1_000,
            // So that there are descriptors left for sessions.
            handshakes: 20_000,
            handshakes_per_address: 200,
            // Each connection begins with one.
            requests_per_address: 200,
            publishes_per_person: 200,
            // Guests have nothing else that holds them all together.
            publishes_per_address: 1_000,
            frames_per_person: 2_000,
            // A thousand people who come back at once and join three rooms each stay below it.
            frames_per_address: 10_000,
            // Holds more addresses than there may be connections, at 120 bytes for one.
            rate_bytes: 8 << 20,
            session_lines: 100,
            hellos: 10_000,
            // Clients wait for `welcome` for 10 s (RC-5).
            hello_queue: Duration::from_secs(2),
        }
    }
}

/// The limits that hold over more than one connection.
pub struct Limits {
    connections: Arc<Counts<Network>>,
    handshakes: Arc<Counts<()>>,
    handshakes_per_address: Arc<Counts<Network>>,
    requests: Option<Buckets<Network>>,
    publishes: Option<Buckets<Subject>>,
    publishes_per_address: Option<Buckets<Network>>,
    frames: Option<Buckets<Subject>>,
    frames_per_address: Option<Buckets<Network>>,
    hellos: Option<Mutex<Admission>>,
    journal: Journal,
}

impl Limits {
    /// Limits of this configuration.
    pub fn new(config: LimitsConfig) -> Self {
        let hellos =
            |per_s: NonZeroU32| Mutex::new(Admission::new(per_s.get(), config.hello_queue));
        let bytes = config.rate_bytes;
        Self {
            connections: Counts::new(config.connections_per_address),
            handshakes: Counts::new(config.handshakes),
            handshakes_per_address: Counts::new(config.handshakes_per_address),
            requests: Buckets::new(config.requests_per_address, REQUESTS_BURST, bytes),
            publishes: Buckets::new(config.publishes_per_person, PUBLISHES_BURST, bytes),
            publishes_per_address: Buckets::new(
                config.publishes_per_address,
                PUBLISHES_BURST,
                bytes,
            ),
            frames: Buckets::new(config.frames_per_person, FRAMES_BURST, bytes),
            frames_per_address: Buckets::new(config.frames_per_address, FRAMES_BURST, bytes),
            hellos: NonZeroU32::new(config.hellos).map(hellos),
            journal: Journal::new(config.session_lines),
        }
    }

    /// Counts a connection until what is returned is dropped; `None` if its address has too many.
    pub fn connection(&self, network: Network) -> Option<Held<Network>> {
        self.connections.hold(network)
    }

    /// Counts a TCP connection on which no WebSocket has begun, until what is returned is dropped; also for its
    /// address, where `network` is given.
    ///
    /// # Errors
    /// The limit that it would exceed.
    pub fn handshake(&self, network: Option<Network>) -> Result<Handshake, Limit> {
        let address = network.map(|network| {
            let held = self.handshakes_per_address.hold(network);
            held.ok_or(Limit::HandshakesPerAddress)
        });
        Ok(Handshake {
            _address: address.transpose()?,
            _all: self.handshakes.hold(()).ok_or(Limit::Handshakes)?,
        })
    }

    /// Counts such a connection again that counted among the WebSockets or listeners until now. It counts
    /// whatever the limits say: further ones have to wait for it.
    pub fn handshake_again(&self, network: Option<Network>) -> Handshake {
        Handshake {
            _address: network.map(|network| self.handshakes_per_address.hold_anyway(network)),
            _all: self.handshakes.hold_anyway(()),
        }
    }

    /// Counts a request.
    ///
    /// # Errors
    /// The wait until the address may ask again.
    pub fn request(&self, now: Timestamp, network: Network) -> Result<(), Duration> {
        take(self.requests.as_ref(), now, &network, 1)
    }

    /// Counts what a page costs more than another request; its request was counted already.
    ///
    /// # Errors
    /// As [`Limits::request`].
    pub fn page(&self, now: Timestamp, network: Network) -> Result<(), Duration> {
        take(self.requests.as_ref(), now, &network, PAGE_MORE)
    }

    /// Counts a message for its author and for its address, as far as these are known. Guests can make
    /// new identities at will: only their address bounds them.
    ///
    /// # Errors
    /// The limit that it exceeds, and the wait until the next one may be published.
    pub fn publish(
        &self,
        now: Timestamp,
        author: Option<&Subject>,
        network: Option<Network>,
    ) -> Result<(), (Limit, Duration)> {
        if let Some(author) = author {
            take(self.publishes.as_ref(), now, author, 1)
                .map_err(|wait| (Limit::PublishesPerPerson, wait))?;
        }
        if let Some(network) = network {
            take(self.publishes_per_address.as_ref(), now, &network, 1)
                .map_err(|wait| (Limit::PublishesPerAddress, wait))?;
        }
        Ok(())
    }

    /// Counts the points of received frames for their sender and for their address, as far as
    /// these are known.
    ///
    /// # Errors
    /// The limit that they exceed, and the wait until they are paid for. They are served and counted all the same:
    /// the next ones have to wait.
    pub fn frames(
        &self,
        now: Timestamp,
        points: u32,
        sender: Option<&Subject>,
        network: Option<Network>,
    ) -> Result<(), (Limit, Duration)> {
        let person = spend(self.frames.as_ref(), now, sender, points);
        let address = spend(
            self.frames_per_address.as_ref(),
            now,
            network.as_ref(),
            points,
        );
        match person.max(address) {
            Duration::ZERO => Ok(()),
            wait if wait == address => Err((Limit::FramesPerAddress, wait)),
            wait => Err((Limit::FramesPerPerson, wait)),
        }
    }

    /// Counts a `hello`. Returns when its turn is (RC-7).
    pub fn hello(&self, now: Timestamp) -> Turn {
        match &self.hellos {
            Some(hellos) => hellos.lock().take(now),
            None => Turn::After(Duration::ZERO),
        }
    }

    /// The bound on the journal's lines about sessions.
    pub const fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Drops idle rate-limiter entries. Returns how many others were evicted for want of memory since the last
    /// sweep.
    pub fn sweep(&self, now: Timestamp) -> u64 {
        self.journal.sweep(now);
        let people = [&self.publishes, &self.frames];
        let addresses = [
            &self.requests,
            &self.publishes_per_address,
            &self.frames_per_address,
        ];
        let people = people.into_iter().flatten().map(|rate| rate.sweep(now));
        let addresses = addresses.into_iter().flatten().map(|rate| rate.sweep(now));
        people.chain(addresses).sum()
    }
}

/// Takes tokens, where there is a limit.
fn take<K: buckets::Key>(
    rate: Option<&Buckets<K>>,
    now: Timestamp,
    key: &K,
    tokens: u32,
) -> Result<(), Duration> {
    rate.map_or(Ok(()), |rate| rate.take(now, key, tokens))
}

/// Spends tokens, where there is a limit and the key is known.
fn spend<K: buckets::Key>(
    rate: Option<&Buckets<K>>,
    now: Timestamp,
    key: Option<&K>,
    tokens: u32,
) -> Duration {
    match (rate, key) {
        (Some(rate), Some(key)) => rate.spend(now, key, tokens),
        _ => Duration::ZERO,
    }
}
