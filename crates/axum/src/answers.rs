//! The memory budget of answers, in bytes: what was read for clients and is not written yet, over all connections.
//!
//! Memory for an answer is reserved before the answer is read, for the largest that it may be, and given back byte
//! by byte: at once what the answer did not need, the rest when it is written or its connection closes. A
//! reservation that does not fit waits its turn, for a while; then it fails, and the client has to ask again. So
//! clients that ask for much and read none of it wait for each other, and never hold more than the budget.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use protocol::id::ConnectionId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tungstenite::Bytes;

use crate::address::Network;

/// The longest wait for a reservation: shorter than a client waits before it doubts the connection.
const PATIENCE: Duration = Duration::from_secs(4);

/// The budget by default: 256 of the largest pages, where most answers take a few kB and are written at once.
pub const ANSWER_BYTES: usize = 64 << 20;

/// One address may hold one part in this many of the budget, so that it cannot lock others out.
const SHARE: usize = 4;

/// The error that no memory is free for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRoom;

/// The budget.
#[derive(Debug)]
pub struct Answers {
    all: Arc<Semaphore>,
    /// The most bytes that one answer may need.
    page: u32,
    /// The most bytes that one address may hold.
    share: usize,
    /// The shares of the addresses that hold some now.
    shares: Mutex<HashMap<Network, Weak<Semaphore>>>,
    /// The reservations of answers that connections' machines were given and have not sent yet, in that order.
    given: Mutex<HashMap<ConnectionId, VecDeque<Owed>>>,
}

/// A reservation for one answer. Dropping it gives it back.
#[derive(Debug)]
pub struct Owed {
    all: OwnedSemaphorePermit,
    share: Option<OwnedSemaphorePermit>,
}

impl Answers {
    /// A budget of so many bytes, of which an answer needs at most `page`. It always has room for one answer.
    pub fn new(bytes: usize, page: u32) -> Self {
        let bytes = bytes.clamp(page as usize, Semaphore::MAX_PERMITS);
        Self {
            all: Arc::new(Semaphore::new(bytes)),
            page,
            share: (bytes / SHARE).max(page as usize),
            shares: Mutex::default(),
            given: Mutex::default(),
        }
    }

    /// Reserves memory for one answer, of whatever size, as soon as some is free. The connection should
    /// have written all that it had to write: others may wait for that memory.
    ///
    /// # Errors
    /// [`NoRoom`] after some seconds.
    pub async fn room(&self, network: Option<Network>) -> Result<Owed, NoRoom> {
        let share = network.map(|network| self.share_of(network));
        let room = async {
            // First the address's share, for which only the same address waits.
            let share = match share {
                Some(share) => Some(share.acquire_many_owned(self.page).await.ok()?),
                None => None,
            };
            let all = Arc::clone(&self.all);
            let all = all.acquire_many_owned(self.page).await.ok()?;
            Some(Owed { all, share })
        };
        // Neither semaphore is ever closed.
        timeout(PATIENCE, room).await.ok().flatten().ok_or(NoRoom)
    }

    /// Keeps the reservation of an answer that a connection's machine was given.
    pub fn keep(&self, id: ConnectionId, owed: Owed) {
        let mut given = self.given.lock();
        given.entry(id).or_default().push_back(owed);
    }

    /// Takes the oldest reservation that is kept for a connection.
    pub fn kept(&self, id: ConnectionId) -> Option<Owed> {
        let mut given = self.given.lock();
        let owed = given.get_mut(&id)?.pop_front();
        if given.get(&id).is_some_and(VecDeque::is_empty) {
            given.remove(&id);
        }
        owed
    }

    /// Drops the reservations of a closed connection.
    pub fn forget(&self, id: ConnectionId) {
        self.given.lock().remove(&id);
    }

    /// How many bytes could be reserved now.
    pub fn left(&self) -> usize {
        self.all.available_permits()
    }

    fn share_of(&self, network: Network) -> Arc<Semaphore> {
        let mut shares = self.shares.lock();
        let known = shares.get(&network).and_then(Weak::upgrade);
        known.unwrap_or_else(|| {
            // Few entries: those of addresses that hold a reservation.
            shares.retain(|_, share| share.strong_count() > 0);
            let share = Arc::new(Semaphore::new(self.share));
            shares.insert(network, Arc::downgrade(&share));
            share
        })
    }
}

impl Owed {
    /// Gives back what the answer does not need; it has so many bytes.
    pub fn shrink(&mut self, bytes: usize) {
        for permit in [Some(&mut self.all), self.share.as_mut()]
            .into_iter()
            .flatten()
        {
            let spare = permit.num_permits().saturating_sub(bytes);
            drop(permit.split(spare));
        }
    }

    /// The answer, which holds its reservation until it is dropped.
    pub fn hold(mut self, answer: Bytes) -> Bytes {
        self.shrink(answer.len());
        Bytes::from_owner(Held {
            answer,
            _owed: self,
        })
    }
}

/// An answer with its reservation.
struct Held {
    answer: Bytes,
    _owed: Owed,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.answer
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use futures_util::FutureExt;

    use super::*;

    const PAGE: u32 = 100;

    fn network(address: &str) -> Network {
        Network::from(address.parse::<IpAddr>().unwrap())
    }

    fn answer(bytes: usize) -> Bytes {
        Bytes::from(vec![b'x'; bytes])
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_is_held_than_may_be() {
        let answers = Answers::new(400, PAGE);
        let mut held = Vec::new();
        for _ in 0..8 {
            let owed = answers.room(None).await.unwrap();
            held.push(owed.hold(answer(40)));
        }
        // What answers did not need is free again; what is left is not enough for one more.
        assert_eq!(answers.left(), 80);
        assert_eq!(answers.room(None).await.err(), Some(NoRoom));
        // A part that is still to be written holds the reservation of the whole.
        let rest = held[0].split_off(30);
        held.truncate(1);
        assert_eq!(answers.left(), 360);
        drop(held);
        assert_eq!(answers.left(), 360);
        drop(rest);
        assert_eq!(answers.left(), 400);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_waits_its_turn() {
        let answers = Answers::new(200, PAGE);
        let first = answers.room(None).await.unwrap();
        let _second = answers.room(None).await.unwrap();
        let mut third = Box::pin(answers.room(None));
        assert!((&mut third).now_or_never().is_none());
        drop(first);
        assert!(third.await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn one_address_locks_nobody_out() {
        let answers = Answers::new(1000, PAGE);
        let (here, there) = (Some(network("192.0.2.1")), Some(network("192.0.2.2")));
        let first = answers.room(here).await.unwrap().hold(answer(100));
        let second = answers.room(here).await.unwrap().hold(answer(100));
        assert_eq!(answers.room(here).await.err(), Some(NoRoom));
        assert!(
            answers
                .room(there)
                .now_or_never()
                .is_some_and(|room| room.is_ok())
        );
        drop((first, second));
        assert!(
            answers
                .room(here)
                .now_or_never()
                .is_some_and(|room| room.is_ok())
        );
        assert_eq!(answers.left(), 1000);
        // An address without a reservation is forgotten soon.
        drop(answers.room(there).await);
        drop(answers.share_of(network("192.0.2.3")));
        assert!(answers.shares.lock().len() <= 2);
    }

    /// The reservations of answers that a machine was given and did not send go with its connection.
    #[tokio::test]
    async fn what_a_connection_was_given_goes_with_it() {
        let answers = Answers::new(400, PAGE);
        let (one, other) = (ConnectionId::new(1), ConnectionId::new(2));
        for id in [one, one, other] {
            answers.keep(id, answers.room(None).await.unwrap());
        }
        assert_eq!(answers.left(), 100);
        drop(answers.kept(one));
        assert_eq!(answers.left(), 200);
        answers.forget(one);
        assert_eq!((answers.left(), answers.kept(one).is_none()), (300, true));
        drop(answers.kept(other));
        assert!(answers.left() == 400 && answers.given.lock().is_empty());
    }

    #[tokio::test]
    async fn there_is_always_room_for_one() {
        let answers = Answers::new(1, PAGE);
        assert!(answers.room(Some(network("192.0.2.1"))).await.is_ok());
    }
}
