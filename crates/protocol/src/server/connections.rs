//! Rules over all connections of one server: which of two holds a session (RS-4), when each reconnects (RC-3), and where
//! to (RC-8).

use std::time::Duration;

use crate::address::Address;
use crate::id::Holder;

/// Which of two connections holds a session (RS-4), where `C` stands for a connection: the smaller one is the older.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TakeOver<C = Holder> {
    /// Holds the session from now on: the newer of the two.
    pub holder: C,
    /// Gets [`Input::TakenOver`](super::Input::TakenOver): the older of the two.
    pub taken_over: Option<C>,
}

impl<C: Copy + Ord> TakeOver<C> {
    /// Decides between the session's `holder` and the connection for which it was `opened`. The order of the log counts,
    /// as it refuses what an earlier opening sends: the lower generation is the older, also where that is `opened`, as
    /// the log's answers come in any order.
    ///
    /// Before the log is asked, the connections of one server are compared by their numbers: an older one whose `hello`
    /// comes late must not ask after a newer one, whose opening its own would fence.
    pub fn new(holder: Option<C>, opened: C) -> Self {
        let other = holder.filter(|holder| *holder != opened);
        Self {
            holder: other.map_or(opened, |other| other.max(opened)),
            taken_over: other.map(|other| other.min(opened)),
        }
    }
}

/// How long after the end of a drain the next server is there: the last connections are closed, the log is committed, and
/// the next server opens it. Each of the two takes a tenth of a second, or a few on a slow disk.
const HANDOVER: Duration = Duration::from_millis(500);

/// When a client that its server sends away is to reconnect (RC-3), and where to (RC-8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// How long from now until it may come back to this server.
    pub reconnect_after: Duration,
    /// Another node to which it may go instead, and how long from now until then.
    pub elsewhere: Option<(Address, Duration)>,
}

impl Slot {
    /// The same slot, told so much later.
    #[must_use]
    pub fn later(self, by: Duration) -> Self {
        let elsewhere = self.elsewhere;
        Self {
            reconnect_after: self.reconnect_after.saturating_sub(by),
            elsewhere: elsewhere.map(|(address, after)| (address, after.saturating_sub(by))),
        }
    }
}

/// A slot at this server.
impl From<Duration> for Slot {
    fn from(reconnect_after: Duration) -> Self {
        Self {
            reconnect_after,
            elsewhere: None,
        }
    }
}

/// Another node of the server, to which clients may go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherNode {
    /// Its address.
    pub address: Address,
    /// How many clients it has.
    pub clients: u32,
    /// How many more it takes.
    pub free: u32,
}

/// The slots of so many clients that a server sends away.
///
/// Each has one for this server: they are spread over a window that ends with a second drain, and begins when the next
/// server should be there, half a second after the end of the first drain, or half a drain where that is shorter (RC-3).
/// As far as `others` have room, each also has one for another node: these are spread over the drain, as those nodes are
/// there already, and over the nodes so that these end with as many clients each as can be (RC-8).
pub fn reconnect_slots(
    drain: Duration,
    clients: usize,
    others: &[OtherNode],
) -> impl Iterator<Item = Slot> + use<> {
    let clients = u32::try_from(clients).unwrap_or(u32::MAX);
    let handover = HANDOVER.min(drain / 2);
    let share = drain.saturating_sub(handover) / clients.max(1);
    let begin = drain.saturating_add(handover);
    let free = others.iter().map(|node| node.free);
    let moved = free.fold(0, u32::saturating_add).min(clients);
    let step = drain / moved.max(1);
    let mut others = others.to_vec();
    (0..clients).map(move |index| Slot {
        reconnect_after: begin.saturating_add(share.saturating_mul(index)),
        elsewhere: take_place(&mut others).map(|address| (address, step.saturating_mul(index))),
    })
}

/// Takes a place at the node that has the fewest clients of those with room.
fn take_place(others: &mut [OtherNode]) -> Option<Address> {
    let with_room = others.iter_mut().filter(|node| node.free > 0);
    let node = with_room.min_by_key(|node| node.clients)?;
    node.free = node.free.saturating_sub(1);
    node.clients = node.clients.saturating_add(1);
    Some(node.address.clone())
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::id::{ConnectionId, Generation};

    /// RS-4: the connection whose session was opened first is older, also where its `hello` is answered last, or the
    /// server met it later.
    #[test]
    fn the_older_connection_is_taken_over() {
        for [old, new] in [[(3, 1), (7, 2)], [(7, 1), (3, 2)]] {
            let [old, new] = [old, new].map(|(connection, generation)| Holder {
                connection: ConnectionId::new(connection),
                generation: Generation(generation),
            });
            let first = TakeOver::new(None, old);
            assert_eq!((first.holder, first.taken_over), (old, None));
            for (holder, opened) in [(old, new), (new, old)] {
                let both = TakeOver::new(Some(holder), opened);
                assert_eq!(both.holder, new);
                assert_eq!(both.taken_over, Some(old));
            }
            assert_eq!(TakeOver::new(Some(old), old), first);
        }
    }

    fn node(name: &str, clients: u32, free: u32) -> OtherNode {
        OtherNode {
            address: Address::new(&format!("wss://{name}/ws")).unwrap(),
            clients,
            free,
        }
    }

    /// The slots at this server, in milliseconds.
    fn here(drain_ms: u64, clients: usize) -> Vec<u128> {
        let slots = reconnect_slots(Duration::from_millis(drain_ms), clients, &[]);
        slots
            .inspect(|slot| assert_eq!(slot.elsewhere, None))
            .map(|slot| slot.reconnect_after.as_millis())
            .collect()
    }

    /// RC-3: each client has a slot of its own, none before the server has ended and the next one could begin, and all
    /// within one more drain.
    #[test]
    fn slots_begin_when_the_next_server_is_there() {
        assert_eq!(here(10_000, 4), [10_500, 12_875, 15_250, 17_625]);
        assert_eq!(here(200, 2), [300, 350]);
        assert_eq!(here(10_000, 0), []);
        assert_eq!(here(0, 2), [0, 0]);
    }

    /// The clients that each node ends with, after so many came from a draining one.
    fn spread(clients: usize, others: &[OtherNode]) -> Vec<u32> {
        let mut ends: Vec<u32> = others.iter().map(|node| node.clients).collect();
        for slot in reconnect_slots(Duration::from_secs(2), clients, others) {
            let Some((address, _)) = slot.elsewhere else {
                continue;
            };
            let index = others.iter().position(|node| node.address == address);
            ends[index.unwrap()] += 1;
        }
        ends
    }

    /// RC-8: the other nodes end with as many clients each as can be, and none with more than it takes.
    #[test]
    fn the_other_nodes_share_the_clients() {
        let many = u32::MAX;
        assert_eq!(
            spread(10, &[node("a", 0, many), node("b", 0, many)]),
            [5, 5]
        );
        let unlike = [node("a", 7, many), node("b", 0, many), node("c", 2, many)];
        assert_eq!(spread(3, &unlike), [7, 3, 2]);
        assert_eq!(spread(9, &unlike), [7, 6, 5]);
        assert_eq!(spread(12, &unlike), [7, 7, 7]);
        let small = [node("a", 0, 2), node("b", 5, 1)];
        assert_eq!(spread(9, &small), [2, 6]);
        assert_eq!(spread(9, &[]), Vec::<u32>::new());
    }

    /// RC-8: clients go to other nodes within the drain; those for which there is no room come back here, and so can the
    /// others.
    #[test]
    fn slots_elsewhere_are_within_the_drain() {
        let others = [node("a", 0, 3), node("b", 0, 1)];
        let drain = Duration::from_secs(2);
        let slots: Vec<Slot> = reconnect_slots(drain, 6, &others).collect();
        let elsewhere = slots.iter().filter_map(|slot| slot.elsewhere.as_ref());
        let times: Vec<u128> = elsewhere.map(|(_, after)| after.as_millis()).collect();
        assert_eq!(times, [0, 500, 1_000, 1_500]);
        let back: Vec<u128> = slots
            .iter()
            .map(|slot| slot.reconnect_after.as_millis())
            .collect();
        assert_eq!(back, here(2_000, 6));
    }

    /// RC-3: a slot that is sent later is at the same moment.
    #[test]
    fn a_slot_told_later_is_the_same_moment() {
        let address = node("a", 0, 1).address;
        let slot = Slot {
            elsewhere: Some((address.clone(), Duration::from_secs(1))),
            ..Duration::from_secs(3).into()
        };
        let later = slot.later(Duration::from_secs(2));
        assert_eq!(later.reconnect_after, Duration::from_secs(1));
        assert_eq!(later.elsewhere, Some((address, Duration::ZERO)));
    }
}
