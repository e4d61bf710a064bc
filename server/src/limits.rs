//! What one address, one person and everybody together may do.

use std::collections::HashMap;
use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use parking_lot::Mutex;
use protocol::access::Subject;
use protocol::admission::{Admission, Turn};
use protocol::rate::Bucket;
use protocol::time::Timestamp;

use crate::address::Network;
use crate::config::LimitOptions;
use crate::journal::Journal;
use crate::metrics::Met;

/// How many times its rate of a second an address may ask at once.
const REQUESTS_BURST: u32 = 10;

/// How many requests a page counts for beside its own: it is read, rendered and compressed, which takes ten
/// times as long.
const PAGE_MORE: NonZeroU32 = NonZeroU32::new(9).unwrap();

/// How many times their rate of a second a person may publish at once.
const PUBLISHES_BURST: u32 = 4;

/// How many times their rate of a second a person's frames, or an address's, may cost at once. The largest
/// crowd of one address, 1,000 connections with 3 rooms each, comes back with 31,000 points, and finds 100,000;
/// one with 32 rooms each needs 321,000, which takes 22 s, in which each is served a little.
const FRAMES_BURST: u32 = 10;

/// The limits that hold over more than one connection.
pub struct Limits {
    connections: Arc<Counts<Network>>,
    handshakes: Arc<Counts<()>>,
    handshakes_per_address: Arc<Counts<Network>>,
    requests: Option<Rates<Network>>,
    publishes: Option<Rates<Subject>>,
    publishes_per_address: Option<Rates<Network>>,
    frames: Option<Debts<Subject>>,
    frames_per_address: Option<Debts<Network>>,
    hellos: Option<Mutex<Admission>>,
    journal: Journal,
}

impl Limits {
    /// Limits as the options have them.
    pub fn new(options: &LimitOptions) -> Self {
        let hellos =
            |per_s: NonZeroU32| Mutex::new(Admission::new(per_s.get(), options.hello_line));
        Self {
            connections: Counts::new(options.connections_per_address),
            handshakes: Counts::new(options.handshakes),
            handshakes_per_address: Counts::new(options.handshakes_per_address),
            requests: Rates::new(options.requests_per_address, REQUESTS_BURST),
            publishes: Rates::new(options.publishes_per_person, PUBLISHES_BURST),
            publishes_per_address: Rates::new(options.publishes_per_address, PUBLISHES_BURST),
            frames: Debts::new(options.frames_per_person),
            frames_per_address: Debts::new(options.frames_per_address),
            hellos: NonZeroU32::new(options.hellos).map(hellos),
            journal: Journal::new(options.session_lines),
        }
    }

    /// Counts a connection as long as what is returned lives; none if its address holds too many.
    pub fn connection(&self, network: Network) -> Option<Held<Network>> {
        self.connections.hold(network)
    }

    /// The same for a TCP connection on which no WebSocket has begun; `network` where it counts for its
    /// address, too.
    ///
    /// # Errors
    /// Which limit it would exceed.
    pub fn handshake(&self, network: Option<Network>) -> Result<Handshake, Met> {
        let address = network.map(|network| {
            let held = self.handshakes_per_address.hold(network);
            held.ok_or(Met::HandshakesPerAddress)
        });
        Ok(Handshake {
            _address: address.transpose()?,
            _all: self.handshakes.hold(()).ok_or(Met::Handshakes)?,
        })
    }

    /// The same for a TCP connection that is there, and counted among the connections until now. It counts
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
    /// How long until the address may ask again.
    pub fn request(&self, network: Network) -> Result<(), Duration> {
        take(self.requests.as_ref(), &network)
    }

    /// Counts a request, which was counted already, for what a page costs more than others.
    ///
    /// # Errors
    /// As [`Limits::request`].
    pub fn page(&self, network: Network) -> Result<(), Duration> {
        let Some(rates) = &self.requests else {
            return Ok(());
        };
        let checked = rates.limiter.check_key_n(&network, PAGE_MORE);
        // It fails where there would never be so many at once: each address may ask ten times.
        let checked = checked.unwrap_or(Ok(()));
        checked.map_err(|not_until| not_until.wait_time_from(rates.clock.now()))
    }

    /// Counts a message, for its author and for where they are, as far as these are known. Guests can
    /// make themselves new as often as they like: only their address holds them.
    ///
    /// # Errors
    /// Which limit it exceeds, and how long until the next one may be published.
    pub fn publish(
        &self,
        author: Option<&Subject>,
        network: Option<Network>,
    ) -> Result<(), (Met, Duration)> {
        if let Some(author) = author {
            take(self.publishes.as_ref(), author)
                .map_err(|wait| (Met::PublishesPerPerson, wait))?;
        }
        if let Some(network) = network {
            take(self.publishes_per_address.as_ref(), &network)
                .map_err(|wait| (Met::PublishesPerAddress, wait))?;
        }
        Ok(())
    }

    /// Counts frames that came and cost so many points, for whose they are and for where these are, as far as
    /// that is known.
    ///
    /// # Errors
    /// Which limit they exceed, and how long until they are paid for. They are served all the same, and
    /// counted: it is the next ones that have to wait.
    pub fn frames(
        &self,
        now: Timestamp,
        points: u32,
        sender: Option<&Subject>,
        network: Option<Network>,
    ) -> Result<(), (Met, Duration)> {
        let person = spend(self.frames.as_ref(), sender, points, now);
        let address = spend(
            self.frames_per_address.as_ref(),
            network.as_ref(),
            points,
            now,
        );
        match person.max(address) {
            Duration::ZERO => Ok(()),
            wait if wait == address => Err((Met::FramesPerAddress, wait)),
            wait => Err((Met::FramesPerPerson, wait)),
        }
    }

    /// Somebody says hello (RC-7).
    pub fn hello(&self, now: Timestamp) -> Turn {
        match &self.hellos {
            Some(hellos) => hellos.lock().take(now),
            None => Turn::After(Duration::ZERO),
        }
    }

    /// Which sessions the journal tells of.
    pub const fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Forgets whom no limit is near.
    pub fn sweep(&self, now: Timestamp) {
        self.journal.sweep(now);
        if let Some(frames) = &self.frames {
            frames.sweep(now);
        }
        if let Some(frames) = &self.frames_per_address {
            frames.sweep(now);
        }
        if let Some(requests) = &self.requests {
            requests.sweep();
        }
        if let Some(publishes) = &self.publishes {
            publishes.sweep();
        }
        if let Some(publishes) = &self.publishes_per_address {
            publishes.sweep();
        }
    }
}

/// How many of something each of these has.
#[derive(Debug)]
struct Counts<K: Copy + Eq + Hash> {
    /// 0: no limit.
    limit: usize,
    held: Mutex<HashMap<K, usize>>,
}

/// Something that counts, for its address say.
#[derive(Debug)]
pub struct Held<K: Copy + Eq + Hash> {
    counts: Arc<Counts<K>>,
    key: K,
}

/// A TCP connection that counts.
#[derive(Debug)]
pub struct Handshake {
    _address: Option<Held<Network>>,
    _all: Held<()>,
}

impl<K: Copy + Eq + Hash> Counts<K> {
    fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            held: Mutex::default(),
        })
    }

    fn hold(self: &Arc<Self>, key: K) -> Option<Held<K>> {
        let mut held = self.held.lock();
        let count = held.get(&key).copied().unwrap_or_default();
        if self.limit > 0 && count >= self.limit {
            return None;
        }
        held.insert(key, count + 1);
        drop(held);
        let counts = Arc::clone(self);
        Some(Held { counts, key })
    }

    fn hold_anyway(self: &Arc<Self>, key: K) -> Held<K> {
        *self.held.lock().entry(key).or_default() += 1;
        let counts = Arc::clone(self);
        Held { counts, key }
    }
}

impl Held<Network> {
    /// The address that it counts for.
    pub const fn network(&self) -> Network {
        self.key
    }
}

impl<K: Copy + Eq + Hash> Drop for Held<K> {
    fn drop(&mut self) {
        let mut held = self.counts.held.lock();
        if let Some(count) = held.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.key);
            }
        }
    }
}

/// So many a second for each of these.
struct Rates<K: Clone + Eq + Hash> {
    limiter: DefaultKeyedRateLimiter<K>,
    clock: DefaultClock,
}

impl<K: Clone + Eq + Hash> Rates<K> {
    /// None where nothing is limited.
    fn new(per_s: u32, burst: u32) -> Option<Self> {
        let per_s = NonZeroU32::new(per_s)?;
        let burst = NonZeroU32::new(burst)?.saturating_mul(per_s);
        let quota = Quota::per_second(per_s).allow_burst(burst);
        Some(Self {
            limiter: RateLimiter::keyed(quota),
            clock: DefaultClock::default(),
        })
    }

    fn sweep(&self) {
        self.limiter.retain_recent();
        self.limiter.shrink_to_fit();
    }
}

/// So many points a second for each of these, also beyond what there is: whoever is in debt has to wait.
/// (The limiter of [`Rates`] takes nothing where it refuses, so a thousand connections that wait for the same
/// point would all go on with it.)
struct Debts<K> {
    per_s: u32,
    buckets: Mutex<HashMap<K, Bucket>>,
}

impl<K: Clone + Eq + Hash> Debts<K> {
    /// None where nothing is limited.
    fn new(per_s: u32) -> Option<Self> {
        (per_s > 0).then(|| Self {
            per_s,
            buckets: Mutex::default(),
        })
    }

    fn spend(&self, key: &K, points: u32, now: Timestamp) -> Duration {
        let mut buckets = self.buckets.lock();
        if let Some(bucket) = buckets.get_mut(key) {
            return bucket.spend(now, points);
        }
        let burst = self.per_s.saturating_mul(FRAMES_BURST);
        let mut bucket = Bucket::new(now, self.per_s, burst);
        let wait = bucket.spend(now, points);
        buckets.insert(key.clone(), bucket);
        wait
    }

    fn sweep(&self, now: Timestamp) {
        let mut buckets = self.buckets.lock();
        buckets.retain(|_, bucket| !bucket.is_full(now));
        buckets.shrink_to_fit();
    }
}

fn spend<K: Clone + Eq + Hash>(
    debts: Option<&Debts<K>>,
    key: Option<&K>,
    points: u32,
    now: Timestamp,
) -> Duration {
    match (debts, key) {
        (Some(debts), Some(key)) => debts.spend(key, points, now),
        _ => Duration::ZERO,
    }
}

fn take<K: Clone + Eq + Hash>(rates: Option<&Rates<K>>, key: &K) -> Result<(), Duration> {
    let Some(rates) = rates else { return Ok(()) };
    let checked = rates.limiter.check_key(key);
    checked.map_err(|not_until| not_until.wait_time_from(rates.clock.now()))
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use clap::Parser;

    use super::*;
    use crate::config::Config;

    fn limits(options: &[&str]) -> Arc<Limits> {
        let config = Config::parse_from([&["everbeat"], options].concat());
        Arc::new(Limits::new(&config.limits))
    }

    fn network(address: &str) -> Network {
        Network::from(address.parse::<IpAddr>().unwrap())
    }

    #[test]
    fn an_address_holds_so_many_connections() {
        let limits = limits(&["--connections-per-address", "2"]);
        let (here, there) = (network("192.0.2.1"), network("192.0.2.2"));
        let one = limits.connection(here);
        let two = limits.connection(here);
        assert!(one.is_some() && two.is_some() && limits.connection(here).is_none());
        assert!(limits.connection(there).is_some());
        drop(one);
        assert!(limits.connection(here).is_some());
        drop(two);
        assert!(limits.connections.held.lock().is_empty());
    }

    /// Whoever held a place meanwhile is back, and counts: nobody else comes until it has gone.
    #[test]
    fn a_connection_that_gives_its_place_up_counts_again() {
        let limits = limits(&["--handshakes-per-address", "1", "--handshakes", "2"]);
        let (here, there) = (Some(network("192.0.2.1")), Some(network("192.0.2.2")));
        let one = limits.handshake(here).unwrap();
        drop(one);
        let two = limits.handshake(here).unwrap();
        let one = limits.handshake_again(here);
        assert_eq!(
            limits.handshake(here).unwrap_err(),
            Met::HandshakesPerAddress
        );
        assert_eq!(limits.handshake(there).unwrap_err(), Met::Handshakes);
        drop(two);
        assert_eq!(
            limits.handshake(here).unwrap_err(),
            Met::HandshakesPerAddress
        );
        assert!(limits.handshake(there).is_ok());
        drop(one);
        assert!(limits.handshake(here).is_ok());
        assert!(limits.handshakes.held.lock().is_empty());
    }

    #[test]
    fn rates_are_for_each_alone() {
        let limits = limits(&[
            "--requests-per-address",
            "1",
            "--publishes-per-person",
            "1",
            "--publishes-per-address",
            "2",
        ]);
        let (here, there) = (network("192.0.2.1"), network("192.0.2.2"));
        for _ in 0..REQUESTS_BURST {
            assert_eq!(limits.request(here), Ok(()));
        }
        let wait = limits.request(here).unwrap_err();
        assert!(
            wait > Duration::ZERO && wait <= Duration::from_secs(1),
            "{wait:?}"
        );
        assert_eq!(limits.request(there), Ok(()));
        let [ada, bob] = ["ada", "bob"].map(|name| Subject::new(name).unwrap());
        for _ in 0..PUBLISHES_BURST {
            assert_eq!(limits.publish(Some(&ada), None), Ok(()));
        }
        assert!(limits.publish(Some(&ada), None).is_err());
        assert_eq!(limits.publish(Some(&bob), Some(here)), Ok(()));
        limits.sweep(Timestamp::ZERO);
        assert!(limits.publish(Some(&ada), None).is_err());
        // Somebody new each time, from one address.
        let mut nobody = (0..10).map(|_| limits.publish(None, Some(here)));
        assert!(nobody.any(|published| published.is_err()));
        assert_eq!(limits.publish(None, Some(there)), Ok(()));
    }

    /// Many connections of one sender wait for each other; nobody else does, and who is known by both is held
    /// by the stricter one.
    #[test]
    fn frames_are_paid_for_together() {
        let options = ["--frames-per-person", "10", "--frames-per-address", "100"];
        let limits = limits(&options);
        let (here, there) = (network("192.0.2.1"), network("192.0.2.2"));
        let ada = Subject::new("ada").unwrap();
        let at = Timestamp::from_millis;
        let spent = |ms, points, sender, network| limits.frames(at(ms), points, sender, network);
        assert_eq!(spent(0, 1_000, None, Some(here)), Ok(()));
        let waits = (1..=3).map(|turn: u64| {
            let wait = Duration::from_millis(turn * 100);
            Err((Met::FramesPerAddress, wait))
        });
        for wait in waits {
            assert_eq!(spent(0, 10, None, Some(here)), wait);
        }
        assert_eq!(spent(0, 100, Some(&ada), Some(there)), Ok(()));
        let wait = Duration::from_millis(500);
        let over = Err((Met::FramesPerPerson, wait));
        assert_eq!(spent(0, 5, Some(&ada), Some(there)), over);
        assert_eq!(spent(300, 0, None, Some(here)), Ok(()));
        // Whoever was quiet for long is forgotten, and nobody else.
        limits.sweep(at(2_000));
        let known = |limits: &Limits| {
            limits
                .frames_per_address
                .as_ref()
                .unwrap()
                .buckets
                .lock()
                .len()
        };
        assert_eq!(known(&limits), 1);
        limits.sweep(at(60_000));
        assert_eq!(known(&limits), 0);
        assert_eq!(spent(60_000, 1_000_000, None, None), Ok(()));
    }

    #[test]
    fn pages_count_for_more() {
        let limits = limits(&["--requests-per-address", "2"]);
        let (here, there) = (network("192.0.2.1"), network("192.0.2.2"));
        for _ in 0..2 {
            assert_eq!((limits.request(here), limits.page(here)), (Ok(()), Ok(())));
        }
        assert!(limits.page(here).is_err());
        assert_eq!(
            (limits.request(there), limits.page(there)),
            (Ok(()), Ok(()))
        );
    }

    #[test]
    fn zero_is_no_limit() {
        let limits = limits(&[
            "--connections-per-address",
            "0",
            "--requests-per-address",
            "0",
            "--publishes-per-person",
            "0",
            "--frames-per-address",
            "0",
            "--hellos",
            "0",
        ]);
        let here = network("192.0.2.1");
        let held: Vec<_> = (0..5_000).map(|_| limits.connection(here)).collect();
        assert!(held.iter().all(Option::is_some));
        for _ in 0..5_000 {
            assert_eq!(limits.request(here), Ok(()));
            let spent = limits.frames(Timestamp::ZERO, 1_000_000, None, Some(here));
            assert_eq!(spent, Ok(()));
            assert_eq!(limits.hello(Timestamp::ZERO), Turn::After(Duration::ZERO));
        }
    }
}
