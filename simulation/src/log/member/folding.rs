//! A node's fold, and its store: what a power loss leaves of it, and copies for other nodes.

use std::collections::BTreeSet;

use everbeat_log::command::Command;
use everbeat_log::fold::{Changes, Store};
use everbeat_log::memory::MemoryStore;
use everbeat_log::order::{Applied, Digest, PackStore, Verdict, fold_pack};
use everbeat_log::pack::{Pack, PackId};
use everbeat_log::sender::{self, Sender, Ticket};
use protocol::id::SessionId;
use protocol::time::Timestamp;

use super::CatchUp;
use crate::log::ever::Ever;
use crate::log::{Done, Log};

/// The packs after which a power loss leaves the store as it was by then, at the most.
const CHECKPOINT_EVERY: u64 = 40;

/// A pack that a node folded, for the judge.
#[derive(Clone, Debug)]
pub(crate) struct Folded {
    pub(crate) sequence: u64,
    pub(crate) id: PackId,
    pub(crate) is_applied: bool,
    pub(crate) digest: Digest,
}

/// A copy of a node's store, for one that is too far behind.
#[derive(Clone, Debug)]
pub(crate) struct Copy {
    store: MemoryStore,
    sessions: BTreeSet<SessionId>,
    ever: Ever,
}

impl Log {
    /// The node's machine loses its power: the newest part of the store is lost with it.
    pub(crate) fn lose_power(&mut self) {
        let Ok(rooms) = self.store.rooms(None, usize::MAX);
        for room in rooms {
            let through = self.trimmed(&room);
            let before = self.trimmed_once.entry(room).or_default();
            *before = through.max(*before);
        }
        if let Some(member) = &self.member {
            self.store = member.kept.clone();
        }
        self.count();
    }

    /// What was folded since.
    pub(crate) fn poll_folded(&mut self) -> Vec<Folded> {
        let member = self.member.as_mut();
        member.map_or_else(Vec::new, |member| std::mem::take(&mut member.folded))
    }

    /// A copy for a peer.
    pub(crate) fn copy(&self) -> Copy {
        Copy {
            store: self.store.clone(),
            sessions: self.sessions.clone(),
            ever: self.ever.clone(),
        }
    }

    /// Takes a peer's copy instead of its own store.
    pub(crate) fn take_copy(&mut self, copy: Copy) {
        self.ever.merge(&copy.ever);
        (self.store, self.sessions) = (copy.store, copy.sessions);
        self.count();
        if let Some(member) = &mut self.member {
            (member.kept, member.kept_through) = (self.store.clone(), member.applied);
        }
    }

    /// Folds the next pack whose time has come; and takes what the sender gave up.
    pub(in crate::log) fn fold(&mut self, now: Timestamp) -> Option<Done> {
        let is_frozen = self.is_frozen;
        let mut changes = Changes::default();
        let member = self.member.as_mut()?;
        let first = member.folding.front();
        let is_folded = first.is_some_and(|(due, ..)| *due <= now && !is_frozen);
        if is_folded && let Some((_, sequence, pack)) = member.folding.pop_front() {
            self.fold_pack(now, sequence, pack, &mut changes);
        }
        let epoch = self.epoch();
        let member = self.member.as_mut()?;
        let refused = std::mem::take(&mut member.refused).into_iter();
        let mut answers: Vec<_> = refused
            .map(|(asker, asked)| (asker, asked.unavailable()))
            .collect();
        while let Some(event) = member.sender.as_mut().and_then(Sender::poll_event) {
            let (Ticket(ticket), result) = match event {
                sender::Event::Folded { ticket, result } => (ticket, Some(result)),
                sender::Event::NotSent { ticket } => (ticket, None),
                sender::Event::Ready => {
                    member.catches_up = CatchUp::Done;
                    member.announce(now, epoch.clone());
                    continue;
                }
                sender::Event::Fenced => {
                    member.alarm = Some("fenced".to_owned());
                    continue;
                }
            };
            let awaited = member.tickets.remove(&ticket);
            let Some(awaited) = awaited else {
                panic!("the command of ticket {ticket} came to two ends: {result:?}");
            };
            let Some((asker, asked)) = awaited else {
                continue;
            };
            let answer = match result {
                Some(result) => asked.answer(result),
                None => asked.unavailable(),
            };
            answers.push((asker, answer));
        }
        (is_folded || !answers.is_empty()).then_some(Done { changes, answers })
    }

    /// The places of commands of sessions that were opened again since (RS-4).
    fn earlier(&mut self, pack: &Pack) -> Vec<usize> {
        let mut is_earlier = |command: &Command| {
            let (session, generation) = match command {
                Command::Append(new) => (&new.session, new.generation),
                Command::Refuse(new) => (&new.session, new.generation),
                _ => return false,
            };
            self.generation(session)
                .is_some_and(|newest| newest > generation)
        };
        let commands = pack.commands.iter().enumerate();
        let earlier = commands.filter(|(_, command)| is_earlier(command));
        earlier.map(|(index, _)| index).collect()
    }

    /// Reads in the store how far it is.
    fn count(&mut self) {
        let Ok(applied) = self.store.applied();
        if let Some(member) = &mut self.member {
            member.applied = applied.sequence;
        }
    }

    fn fold_pack(&mut self, now: Timestamp, sequence: u64, pack: Pack, changes: &mut Changes) {
        let id = pack.id();
        let earlier = self.earlier(&pack);
        let verdict = fold_pack(&mut self.store, sequence, pack, changes).unwrap();
        if let Verdict::Applied(results) = &verdict {
            let is_done = |index: usize| results.get(index).is_some_and(Result::is_ok);
            let done = earlier.into_iter().find(|index| is_done(*index));
            assert_eq!(
                done, None,
                "RS-4: an earlier opening still writes: {results:?}"
            );
        }
        let epoch = self.epoch();
        self.ever.learn(&epoch, changes);
        let opened = changes.opened.iter().map(|(session, _)| session.clone());
        self.sessions.extend(opened);
        let Ok(Applied { digest, .. }) = self.store.applied();
        if let Some(member) = &mut self.member {
            member.applied = sequence;
            member.folded.push(Folded {
                sequence,
                id: id.clone(),
                is_applied: matches!(verdict, Verdict::Applied(_)),
                digest,
            });
            if sequence.is_multiple_of(CHECKPOINT_EVERY) {
                (member.kept, member.kept_through) = (self.store.clone(), sequence);
            }
            if let Some(follower) = &mut member.follower {
                follower.applied(now, sequence);
            }
            if let Some(nodes) = &mut member.nodes {
                nodes.applied(now, sequence, digest);
            }
            if let Some(sender) = &mut member.sender {
                sender.folded(now, &id, verdict);
            }
        }
    }
}
