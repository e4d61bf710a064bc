//! Which connection has a session (RS-4).

use protocol::id::{ConnectionId, Credentials, Generation, Holder, SessionId};
use protocol::server::{Input, SessionOpened, TakeOver};
use protocol::time::Timestamp;

use super::World;

impl World {
    /// A connection gets its session.
    pub(super) fn session_opened(
        &mut self,
        now: Timestamp,
        link: u64,
        opened: Option<(SessionOpened, Generation)>,
    ) {
        let mut is_older = self.is_opened_since(opened.as_ref());
        if let Some((opened, generation)) = &opened
            && let Some(desk) = self.desks.get_mut(&link)
        {
            let owner = Some(opened.credentials.id.clone());
            desk.owner.clone_from(&owner);
            desk.asks = None;
            desk.generation = *generation;
            desk.tape.attach(&opened.credentials.id);
            let mut others = self.desks.iter().filter(|(other, _)| **other != link);
            let other = others.find(|(_, desk)| desk.owner == owner);
            let holder = |link: u64, generation: Generation| Holder {
                connection: ConnectionId::new(link),
                generation,
            };
            let other = other.map(|(other, desk)| holder(*other, desk.generation));
            let opened = holder(link, *generation);
            let TakeOver { taken_over, .. } = TakeOver::new(other, opened);
            is_older |= taken_over == Some(opened);
            if let Some(other) = taken_over.filter(|_| !is_older) {
                // Before the newer one goes on.
                self.answer(now, other.connection.get(), Input::TakenOver);
            }
        }
        let opened = opened.map(|(opened, _)| opened);
        self.answer(now, link, Input::SessionOpened(opened));
        if is_older {
            self.answer(now, link, Input::TakenOver);
        }
    }

    /// Whether a newer connection has a session, or asks for it: then this one must not ask (RS-4).
    pub(super) fn has_newer(&self, link: u64, wanted: Option<&Credentials>) -> bool {
        let Some(wanted) = wanted else {
            return false;
        };
        let others = self.desks.iter().filter(|(_, desk)| {
            desk.owner.as_ref() == Some(&wanted.id) || desk.asks.as_ref() == Some(wanted)
        });
        let newest = others.map(|(other, _)| *other).max();
        TakeOver::new(newest, link).taken_over == Some(link)
    }

    /// A session was opened, at one of several nodes: connections here that have an earlier opening are over (RS-4). On
    /// one node that is decided when the newer one gets its answer.
    pub(super) fn opened(&mut self, now: Timestamp, session: &SessionId, generation: Generation) {
        if self.log.member.is_none() {
            return;
        }
        let desks = self.desks.iter();
        let earlier = desks.filter(|(_, desk)| {
            desk.owner.as_ref() == Some(session) && desk.generation < generation
        });
        for link in earlier.map(|(link, _)| *link).collect::<Vec<_>>() {
            self.answer(now, link, Input::TakenOver);
        }
    }

    /// Whether a session was opened again, maybe at another node, while the answer to this opening waited.
    pub(super) fn is_opened_since(&mut self, opened: Option<&(SessionOpened, Generation)>) -> bool {
        let is_one_of_several = self.log.member.is_some();
        opened
            .filter(|_| is_one_of_several)
            .is_some_and(|(opened, generation)| {
                self.log.generation(&opened.credentials.id) > Some(*generation)
            })
    }
}
