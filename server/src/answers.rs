//! Answers on their way: what was read for a client and is not written yet, of all connections together, in
//! bytes.
//!
//! Room for an answer is taken before it is read, for the largest that it may be, and given back byte by
//! byte: what it turned out not to need at once, the rest when it is written or its connection ends. What
//! does not fit waits its turn, for a while; then it is for the one who asked to ask again. So those who ask
//! for much and read none of it wait for each other, and hold no more than may be held.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use protocol::id::ConnectionId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tungstenite::Bytes;

use crate::address::Network;

/// How long an answer may wait for room: less than a client waits before it doubts the connection.
const PATIENCE: Duration = Duration::from_secs(4);

/// How many bytes all of them may have together, unless the options say otherwise: room for 256 of the largest
/// pages, where most take a few kB and are written at once.
pub const ANSWER_BYTES: usize = 64 << 20;

/// One address may hold this part of what all hold together, so that one alone locks no other out.
const SHARE: usize = 4;

/// There is no room for an answer now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRoom;

/// The room for answers.
#[derive(Debug)]
pub struct Answers {
    all: Arc<Semaphore>,
    /// As much as one answer may need.
    page: u32,
    /// As much as one address may have.
    share: usize,
    /// Those of the addresses that have some now.
    shares: Mutex<HashMap<Network, Weak<Semaphore>>>,
    /// Those that connections' machines were given and have not sent yet, in that order.
    given: Mutex<HashMap<ConnectionId, VecDeque<Owed>>>,
}

/// Room for one answer. It is given back where this is dropped.
#[derive(Debug)]
pub struct Owed {
    all: OwnedSemaphorePermit,
    share: Option<OwnedSemaphorePermit>,
}

impl Answers {
    /// Room for so many bytes, of which an answer needs at most `page`. There is always room for one.
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

    /// Takes room for one answer, of whatever size it may be, as soon as there is some. Its connection should
    /// have written before what it has to write: others may wait for that.
    ///
    /// # Errors
    /// [`NoRoom`] after some seconds.
    pub async fn room(&self, network: Option<Network>) -> Result<Owed, NoRoom> {
        let share = network.map(|network| self.share_of(network));
        let room = async {
            // First what only those at the same address wait for.
            let share = match share {
                Some(share) => Some(share.acquire_many_owned(self.page).await.ok()?),
                None => None,
            };
            let all = Arc::clone(&self.all);
            let all = all.acquire_many_owned(self.page).await.ok()?;
            Some(Owed { all, share })
        };
        // Neither is ever closed.
        timeout(PATIENCE, room).await.ok().flatten().ok_or(NoRoom)
    }

    /// Keeps room for an answer that a connection's machine is given.
    pub(crate) fn keep(&self, id: ConnectionId, owed: Owed) {
        let mut given = self.given.lock();
        given.entry(id).or_default().push_back(owed);
    }

    /// The first of those that are kept for a connection.
    pub(crate) fn kept(&self, id: ConnectionId) -> Option<Owed> {
        let mut given = self.given.lock();
        let owed = given.get_mut(&id)?.pop_front();
        if given.get(&id).is_some_and(VecDeque::is_empty) {
            given.remove(&id);
        }
        owed
    }

    /// The connection is gone.
    pub(crate) fn forget(&self, id: ConnectionId) {
        self.given.lock().remove(&id);
    }

    /// How many bytes could be taken now.
    pub fn left(&self) -> usize {
        self.all.available_permits()
    }

    fn share_of(&self, network: Network) -> Arc<Semaphore> {
        let mut shares = self.shares.lock();
        let known = shares.get(&network).and_then(Weak::upgrade);
        known.unwrap_or_else(|| {
            // Seldom more than there are addresses with something on its way.
            shares.retain(|_, share| share.strong_count() > 0);
            let share = Arc::new(Semaphore::new(self.share));
            shares.insert(network, Arc::downgrade(&share));
            share
        })
    }
}

impl Owed {
    /// Gives back what the answer does not need: it has so many bytes.
    pub fn shrink(&mut self, bytes: usize) {
        for permit in [Some(&mut self.all), self.share.as_mut()]
            .into_iter()
            .flatten()
        {
            let spare = permit.num_permits().saturating_sub(bytes);
            drop(permit.split(spare));
        }
    }

    /// The answer, which holds its room until it is dropped.
    pub fn hold(mut self, answer: Bytes) -> Bytes {
        self.shrink(answer.len());
        Bytes::from_owner(Held {
            answer,
            _owed: self,
        })
    }
}

/// An answer with its room.
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
        // What answers turned out not to need is there for others; then there is not enough for one.
        assert_eq!(answers.left(), 80);
        assert_eq!(answers.room(None).await.err(), Some(NoRoom));
        // A part that is still to be written holds all of it.
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
        // An address that has nothing on its way is not remembered for long.
        drop(answers.room(there).await);
        drop(answers.share_of(network("192.0.2.3")));
        assert!(answers.shares.lock().len() <= 2);
    }

    /// What a machine is given and does not send is not kept for longer than its connection.
    #[tokio::test]
    async fn what_a_connection_was_given_goes_with_it() {
        let answers = Answers::new(400, PAGE);
        let (one, other) = (ConnectionId(1), ConnectionId(2));
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
