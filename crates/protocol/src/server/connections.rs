//! Rules over all connections of one server: which of two holds a session (RS-4), and when each reconnects (RC-3).

use std::time::Duration;

use crate::id::ConnectionId;

/// Which connection holds a session, once it was opened for a further one (RS-4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TakeOver {
    /// Holds the session from now on: the newer of the two.
    pub holder: ConnectionId,
    /// Gets [`Input::TakenOver`](super::Input::TakenOver): the older of the two.
    pub taken_over: Option<ConnectionId>,
}

impl TakeOver {
    /// Decides between the session's `holder` and the connection for which it was `opened`. A server numbers its
    /// connections as they come: the smaller number is the older, also where that is `opened`, as the log answers in
    /// any order.
    pub fn new(holder: Option<ConnectionId>, opened: ConnectionId) -> Self {
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

/// The slots of so many clients that a server sends away: how long from now each waits to reconnect (RC-3). They are
/// spread over a window that ends with a second drain, and begins when the next server should be there: half a second
/// after the end of the first drain, or half a drain where that is shorter.
pub fn reconnect_slots(drain: Duration, clients: usize) -> impl Iterator<Item = Duration> {
    let clients = u32::try_from(clients).unwrap_or(u32::MAX);
    let handover = HANDOVER.min(drain / 2);
    let share = drain.saturating_sub(handover) / clients.max(1);
    let begin = drain.saturating_add(handover);
    (0..clients).map(move |index| begin.saturating_add(share.saturating_mul(index)))
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    /// RS-4: the connection that was opened first is older, also where its `hello` is answered last.
    #[test]
    fn the_older_connection_is_taken_over() {
        let [old, new] = [ConnectionId::new(3), ConnectionId::new(7)];
        let first = TakeOver::new(None, old);
        assert_eq!((first.holder, first.taken_over), (old, None));
        for (holder, opened) in [(old, new), (new, old)] {
            let both = TakeOver::new(Some(holder), opened);
            assert_eq!((both.holder, both.taken_over), (new, Some(old)));
        }
        assert_eq!(TakeOver::new(Some(old), old), first);
    }

    /// RC-3: each client has a slot of its own, none before the server has ended and the next one could begin, and all
    /// within one more drain.
    #[test]
    fn slots_begin_when_the_next_server_is_there() {
        let drain = Duration::from_secs(10);
        let slots: Vec<_> = reconnect_slots(drain, 4).collect();
        assert_eq!(
            slots,
            [10_500, 12_875, 15_250, 17_625].map(Duration::from_millis)
        );
        let short = Duration::from_millis(200);
        let slots: Vec<_> = reconnect_slots(short, 2).collect();
        assert_eq!(slots, [300, 350].map(Duration::from_millis));
        assert_eq!(reconnect_slots(drain, 0).count(), 0);
        assert_eq!(
            reconnect_slots(Duration::ZERO, 2).collect::<Vec<_>>(),
            [Duration::ZERO; 2]
        );
    }
}
