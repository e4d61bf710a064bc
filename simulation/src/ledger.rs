//! The ledger: what must become of each message that was published.

use std::collections::BTreeMap;

use protocol::client::Fate;
use protocol::frame::ErrorCode;
use protocol::id::RoomName;
use protocol::outbox::{EntryId, Stage};

use crate::log::Log;
use crate::machine::Machine;

/// One message, from the moment when the outbox or a program took it.
#[derive(Clone, Debug)]
pub struct Published {
    /// The text, unlike any other.
    pub body: String,
    /// Its room.
    pub room: RoomName,
    /// Its author: pages that inherit a storage go on as the same author.
    pub author: usize,
    /// Its fate.
    pub outcome: Outcome,
    /// How often it was sent again after it was uncertain, or in another database: so many more times it may be
    /// in the log, and late.
    pub repeats: usize,
}

/// The fate of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// In this page's outbox, under this id.
    Waiting(usize, EntryId),
    /// A program has no answer yet.
    Posting,
    /// Its author knows that it is durable.
    Durable,
    /// Its author knows that it is refused for good.
    Refused,
    /// The user dropped it, or its storage is lost.
    GivenUp,
}

/// All messages of a run.
#[derive(Debug, Default)]
pub struct Ledger {
    published: Vec<Published>,
}

impl Ledger {
    /// The outbox took a message.
    pub fn publish(
        &mut self,
        (client, id): (usize, EntryId),
        author: usize,
        room: &RoomName,
        body: &str,
    ) {
        self.published.push(Published {
            body: body.to_owned(),
            room: room.clone(),
            author,
            outcome: Outcome::Waiting(client, id),
            repeats: 0,
        });
    }

    /// Takes a program's post, with its fate.
    pub fn posted(&mut self, post: &Published) {
        self.published.push(post.clone());
    }

    /// The user had an uncertain message sent again.
    pub fn send_again(&mut self, client: usize, id: EntryId) {
        for published in self.waiting(client, id) {
            published.repeats += 1;
        }
    }

    /// The user dropped an uncertain message.
    pub fn discard(&mut self, client: usize, id: EntryId) {
        for published in self.waiting(client, id) {
            published.outcome = Outcome::GivenUp;
        }
    }

    /// Takes the fates that were reported to a page.
    pub fn settle(&mut self, client: usize, machine: &Machine) {
        for published in &mut self.published {
            let Outcome::Waiting(holder, id) = published.outcome else {
                continue;
            };
            if holder == client {
                match machine.fate(id) {
                    Some(Fate::Durable { .. }) => published.outcome = Outcome::Durable,
                    Some(Fate::Refused { code }) => {
                        // Nothing else is refused for good here (EO-7).
                        assert_eq!(code, ErrorCode::BodyTooLarge, "{published:?}");
                        published.outcome = Outcome::Refused;
                    }
                    _ => {}
                }
            }
        }
    }

    /// A page is closed; `heir` found its storage.
    pub fn pass_on(&mut self, client: usize, machine: &Machine, heir: Option<usize>) {
        self.settle(client, machine);
        for published in &mut self.published {
            if let Outcome::Waiting(holder, id) = published.outcome
                && holder == client
            {
                published.outcome = match heir {
                    Some(heir) => Outcome::Waiting(heir, id),
                    None => Outcome::GivenUp,
                };
            }
        }
    }

    /// At the end: nothing lost, nothing doubled, nothing out of order, in any database.
    pub fn check(&self, log: &Log) {
        let mut found: BTreeMap<&str, usize> = BTreeMap::new();
        for message in log.ever() {
            *found.entry(&message.body).or_default() += 1;
        }
        for published in &self.published {
            let count = found.remove(published.body.as_str()).unwrap_or(0);
            let most = 1 + published.repeats;
            assert!(count <= most, "doubled: {published:?}");
            match published.outcome {
                Outcome::Durable => assert!(count > 0, "lost: {published:?}"),
                Outcome::Refused => assert!(count < most, "refused, but there: {published:?}"),
                Outcome::Waiting(..) | Outcome::Posting => panic!("still waiting: {published:?}"),
                Outcome::GivenUp => {}
            }
        }
        assert!(found.is_empty(), "no author wrote these: {found:?}");
        self.check_order(log);
    }

    /// How many messages there were, and how many of them are known to be durable.
    pub fn counts(&self) -> (usize, usize) {
        let durable = self.published.iter();
        let durable = durable.filter(|published| published.outcome == Outcome::Durable);
        (self.published.len(), durable.count())
    }

    /// The messages of one author in one room are in the order in which they were written.
    fn check_order(&self, log: &Log) {
        let places: BTreeMap<&str, usize> = self
            .published
            .iter()
            .enumerate()
            .filter(|(_, published)| published.repeats == 0)
            .map(|(place, published)| (published.body.as_str(), place))
            .collect();
        let mut last: BTreeMap<(usize, &RoomName), usize> = BTreeMap::new();
        let rooms: std::collections::BTreeSet<&RoomName> = self
            .published
            .iter()
            .map(|published| &published.room)
            .collect();
        for message in rooms.into_iter().flat_map(|room| log.messages(room)) {
            let Some(place) = places.get(message.body.as_str()) else {
                continue;
            };
            let published = &self.published[*place];
            let before = last.insert((published.author, &published.room), *place);
            assert!(before < Some(*place), "out of order: {published:?}");
        }
    }

    fn waiting(&mut self, client: usize, id: EntryId) -> impl Iterator<Item = &mut Published> {
        let is_it =
            move |published: &&mut Published| published.outcome == Outcome::Waiting(client, id);
        self.published.iter_mut().filter(is_it)
    }
}

/// The messages of a page that wait for the user, each with how far it has got.
pub fn aside(machine: &Machine) -> Vec<(EntryId, Stage)> {
    let outbox = machine.session.outbox();
    outbox
        .filter(|entry| entry.stage.is_aside())
        .map(|entry| (entry.id, entry.stage))
        .collect()
}
