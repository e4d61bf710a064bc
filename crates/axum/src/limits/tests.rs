use std::net::IpAddr;

use super::*;

/// A time at which no further tokens come.
const AT: Timestamp = Timestamp::ZERO;

fn limits(change: impl FnOnce(&mut LimitsConfig)) -> Arc<Limits> {
    let mut config = LimitsConfig::default();
    change(&mut config);
    Arc::new(Limits::new(config))
}

fn network(address: &str) -> Network {
    Network::from(address.parse::<IpAddr>().unwrap())
}

#[test]
fn an_address_holds_so_many_connections() {
    let limits = limits(|config| config.connections_per_address = 2);
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

/// A connection whose WebSocket or listener ended counts again, also beyond the limit: no other may come before it
/// closed.
#[test]
fn a_connection_that_gives_its_place_up_counts_again() {
    let limits = limits(|config| {
        config.handshakes_per_address = 1;
        config.handshakes = 2;
    });
    let (here, there) = (Some(network("192.0.2.1")), Some(network("192.0.2.2")));
    let one = limits.handshake(here).unwrap();
    drop(one);
    let two = limits.handshake(here).unwrap();
    let one = limits.handshake_again(here);
    assert_eq!(
        limits.handshake(here).unwrap_err(),
        Limit::HandshakesPerAddress
    );
    assert_eq!(limits.handshake(there).unwrap_err(), Limit::Handshakes);
    drop(two);
    assert_eq!(
        limits.handshake(here).unwrap_err(),
        Limit::HandshakesPerAddress
    );
    assert!(limits.handshake(there).is_ok());
    drop(one);
    assert!(limits.handshake(here).is_ok());
    assert!(limits.handshakes.held.lock().is_empty());
}

#[test]
fn rates_are_for_each_alone() {
    let limits = limits(|config| {
        config.requests_per_address = 1;
        config.publishes_per_person = 1;
        config.publishes_per_address = 2;
    });
    let (here, there) = (network("192.0.2.1"), network("192.0.2.2"));
    for _ in 0..REQUESTS_BURST {
        assert_eq!(limits.request(AT, here), Ok(()));
    }
    let wait = Duration::from_secs(1);
    assert_eq!(limits.request(AT, here), Err(wait));
    assert_eq!(limits.request(AT + wait, here), Ok(()));
    assert_eq!(limits.request(AT + wait, here), Err(wait));
    assert_eq!(limits.request(AT, there), Ok(()));
    let [ada, bob] = ["ada", "bob"].map(|name| Subject::new(name).unwrap());
    for _ in 0..PUBLISHES_BURST {
        assert_eq!(limits.publish(AT, Some(&ada), None), Ok(()));
    }
    assert!(limits.publish(AT, Some(&ada), None).is_err());
    assert_eq!(limits.publish(AT, Some(&bob), Some(here)), Ok(()));
    limits.sweep(AT);
    assert!(limits.publish(AT, Some(&ada), None).is_err());
    // A new guest each time, from one address.
    let of_guests = (0..10).map(|_| limits.publish(AT, None, Some(here)));
    assert_eq!(of_guests.filter(Result::is_ok).count(), 7);
    assert_eq!(limits.publish(AT, None, Some(there)), Ok(()));
}

/// The connections of one sender wait for each other, and for no others; of a sender's two limits the
/// stricter one counts.
#[test]
fn frames_are_paid_for_together() {
    let limits = limits(|config| {
        config.frames_per_person = 10;
        config.frames_per_address = 100;
    });
    let (here, there) = (network("192.0.2.1"), network("192.0.2.2"));
    let ada = Subject::new("ada").unwrap();
    let at = Timestamp::from_millis;
    let spent = |ms, points, sender, network| limits.frames(at(ms), points, sender, network);
    assert_eq!(spent(0, 1_000, None, Some(here)), Ok(()));
    let waits = (1..=3).map(|turn: u64| {
        let wait = Duration::from_millis(turn * 100);
        Err((Limit::FramesPerAddress, wait))
    });
    for wait in waits {
        assert_eq!(spent(0, 10, None, Some(here)), wait);
    }
    assert_eq!(spent(0, 100, Some(&ada), Some(there)), Ok(()));
    let wait = Duration::from_millis(500);
    let over = Err((Limit::FramesPerPerson, wait));
    assert_eq!(spent(0, 5, Some(&ada), Some(there)), over);
    assert_eq!(spent(300, 0, None, Some(here)), Ok(()));
    // Only idle entries are dropped.
    let known = |limits: &Limits| limits.frames_per_address.as_ref().unwrap().len();
    limits.sweep(at(2_000));
    assert_eq!(known(&limits), 1);
    limits.sweep(at(60_000));
    assert_eq!(known(&limits), 0);
    assert_eq!(spent(60_000, 1_000_000, None, None), Ok(()));
}

/// Very many addresses take no more memory than the bound: some are evicted, which is counted, but not
/// an address that is being limited meanwhile.
#[test]
fn a_flood_of_addresses_has_a_bound() {
    const BYTES: u64 = 64 * 1024;
    let buckets = Buckets::<Network>::new(1, 10, BYTES).unwrap();
    let busy = network("10.0.0.1");
    let mut taken = 0;
    let mut most = 0;
    for flood in 0..50_000_u32 {
        let address = IpAddr::from((0xc000_0000 | flood).to_be_bytes());
        assert_eq!(buckets.take(AT, &Network::from(address), 1), Ok(()));
        taken += usize::from(buckets.take(AT, &busy, 1).is_ok());
        most = most.max(buckets.memory_used());
    }
    assert_eq!(taken, 10, "its entry is never evicted");
    assert!(most <= BYTES, "{most}");
    let evicted = buckets.sweep(AT);
    assert_eq!(evicted as usize + buckets.len(), 50_000 + 1);
    assert!(buckets.len() > 400, "{}", buckets.len());
    assert!(buckets.take(AT, &busy, 1).is_err());
    assert_eq!(buckets.sweep(AT + Duration::from_secs(60)), 0);
    assert_eq!((buckets.len(), buckets.memory_used()), (0, 0));
}

/// The longest subjects count with their bytes.
#[test]
fn a_flood_of_people_has_a_bound() {
    const BYTES: u64 = 64 * 1024;
    let buckets = Buckets::<Subject>::new(1, 10, BYTES).unwrap();
    for flood in 0..5_000 {
        let person = Subject::new(&format!("{flood:0>255}")).unwrap();
        buckets.spend(AT, &person, 3);
    }
    let held = buckets.len();
    assert!((100..=(BYTES / 255) as usize).contains(&held), "{held}");
    assert!(buckets.memory_used() + held as u64 * 255 <= BYTES);
}

/// Entries that are evicted for want of memory are counted, for the operator.
#[test]
fn what_is_forgotten_for_want_of_room_is_counted() {
    let limits = limits(|config| config.rate_bytes = 65536);
    for flood in 0..1_000_u32 {
        let address = Network::from(IpAddr::from((0xc000_0000 | flood).to_be_bytes()));
        assert_eq!(limits.request(AT, address), Ok(()));
        assert_eq!(limits.frames(AT, 1, None, Some(address)), Ok(()));
    }
    let evicted = limits.sweep(AT);
    assert!((200..2_000).contains(&evicted), "{evicted}");
    assert_eq!(limits.sweep(AT), 0);
}

#[test]
fn pages_count_for_more() {
    let limits = limits(|config| config.requests_per_address = 2);
    let (here, there) = (network("192.0.2.1"), network("192.0.2.2"));
    for _ in 0..2 {
        assert_eq!(
            (limits.request(AT, here), limits.page(AT, here)),
            (Ok(()), Ok(()))
        );
    }
    assert!(limits.page(AT, here).is_err());
    assert_eq!(
        (limits.request(AT, there), limits.page(AT, there)),
        (Ok(()), Ok(()))
    );
}

#[test]
fn zero_is_no_limit() {
    let limits = limits(|config| {
        config.connections_per_address = 0;
        config.requests_per_address = 0;
        config.publishes_per_person = 0;
        config.frames_per_address = 0;
        config.hellos = 0;
    });
    let here = network("192.0.2.1");
    let held: Vec<_> = (0..5_000).map(|_| limits.connection(here)).collect();
    assert!(held.iter().all(Option::is_some));
    for _ in 0..5_000 {
        assert_eq!(limits.request(AT, here), Ok(()));
        let spent = limits.frames(Timestamp::ZERO, 1_000_000, None, Some(here));
        assert_eq!(spent, Ok(()));
        assert_eq!(limits.hello(Timestamp::ZERO), Turn::After(Duration::ZERO));
    }
}
