//! The verdict: what was published and received, compared with the log.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::time::Duration;

use protocol::id::RoomName;

use super::log::Logs;
use super::mark::Mark;
use super::member::{Account, Outage, Published, Received, Told};

/// The most complaints of one kind that are printed.
const EXAMPLES: usize = 3;

/// The verdict on a scenario.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// The number of clients.
    pub clients: usize,
    /// Connections that they opened or tried to open.
    pub connections: u64,
    /// Messages published.
    pub published: u64,
    /// Messages acked.
    pub acked: u64,
    /// Messages refused for now.
    pub held: u64,
    /// Messages refused for good.
    pub refused: u64,
    /// Messages received, by all clients together.
    pub received: u64,
    /// Published and not refused, but not in the log; or in the log, and not received by a client.
    pub lost: u64,
    /// In the log more than once, or received more than once.
    pub doubled: u64,
    /// Not in the order of their author, or not received in the order of the log.
    pub out_of_order: u64,
    /// Places where a client's run of messages is interrupted, or reported as such.
    pub gaps: u64,
    /// The longest time that a client was not live.
    pub longest_outage: Duration,
    /// The faults in words: a few examples of each kind.
    pub complaints: Vec<String>,
    /// The count of each kind. A broken server may cause thousands.
    kinds: BTreeMap<&'static str, usize>,
}

impl Verdict {
    /// Compares the final logs with the accounts of all clients.
    pub fn of(logs: &Logs, accounts: &[Account]) -> Self {
        let mut verdict = Self::without_logs(accounts);
        let published = accounts.iter().flat_map(|account| &account.published);
        let places = verdict.examine_logs(logs, &published.clone().map(|p| (p.mark, p)).collect());
        for account in accounts {
            verdict.examine_published(account, &places);
            for (room, received) in &account.received {
                let log = logs.get(room).map_or(&[][..], Vec::as_slice);
                verdict.examine_received(account.number, room, log, received);
            }
        }
        verdict
    }

    /// The verdict of the accounts alone, where the log could not be read.
    pub fn without_logs(accounts: &[Account]) -> Self {
        let mut verdict = Self {
            clients: accounts.len(),
            ..Self::default()
        };
        for account in accounts {
            verdict.add_up(account);
        }
        verdict
    }

    /// Whether all is well.
    pub fn is_good(&self) -> bool {
        let Self {
            lost,
            doubled,
            out_of_order,
            gaps,
            complaints,
            ..
        } = self;
        *lost + *doubled + *out_of_order + *gaps == 0 && complaints.is_empty()
    }

    /// Checks the log itself: dense, each message once, each author's in order. Returns each message's offset.
    fn examine_logs(
        &mut self,
        logs: &Logs,
        published: &HashMap<Mark, &Published>,
    ) -> HashMap<Mark, u64> {
        let mut places = HashMap::new();
        for (room, log) in logs {
            let mut newest: HashMap<u32, u32> = HashMap::new();
            for (expected, entry) in (1..).zip(log) {
                if entry.offset != expected {
                    self.gaps += 1;
                    self.complain("a log is not dense", format!("{room} at {expected}"));
                    break;
                }
            }
            for entry in log {
                let Some(mark) = entry.mark else {
                    self.complain("published by no client", format!("{room} {}", entry.offset));
                    continue;
                };
                if published.get(&mark).is_none_or(|p| p.room != *room) {
                    self.complain("not published here", format!("{mark} in {room}"));
                }
                if let Some(first) = places.insert(mark, entry.offset) {
                    self.doubled += 1;
                    let both = format!("{mark} in {room}, {first} and {}", entry.offset);
                    self.complain("twice in the log", both);
                } else if newest.insert(mark.client, mark.number) > Some(mark.number) {
                    self.out_of_order += 1;
                    self.complain("not in its author's order", format!("{mark} in {room}"));
                }
            }
        }
        places
    }

    /// Compares one client's messages in the log with their reported fates.
    fn examine_published(&mut self, account: &Account, places: &HashMap<Mark, u64>) {
        for Published { mark, told, .. } in &account.published {
            let place = places.get(mark).copied();
            match (told.as_slice(), place) {
                ([Told::Durable(Some(told))], Some(place)) if told.get() != place => {
                    let both = format!("{mark}: told {told}, is {place}");
                    self.complain("acked with a wrong offset", both);
                }
                ([Told::Durable(_)], Some(_)) | ([Told::Refused], None) => {}
                ([Told::Durable(_)], None) => {
                    self.lost += 1;
                    self.complain("acked, but not in the log", mark.to_string());
                }
                ([Told::Refused], Some(_)) => {
                    self.complain("refused for good, but in the log", mark.to_string());
                }
                ([Told::Uncertain], _) => {
                    // No scenario loses the log, so no session may be lost either (RS-9).
                    self.complain("uncertain", mark.to_string());
                    self.lost += u64::from(place.is_none());
                }
                ([], place) => {
                    self.complain("without a fate", mark.to_string());
                    self.lost += u64::from(place.is_none());
                }
                (several, _) => {
                    self.complain("told more than one fate", format!("{mark}: {several:?}"));
                }
            }
        }
    }

    /// Compares what one client received in one room with the log.
    fn examine_received(
        &mut self,
        client: u32,
        room: &RoomName,
        log: &[Received],
        received: &[Received],
    ) {
        let who = format!("client {client} in {room}");
        let mut seen: HashMap<u64, u64> = HashMap::new();
        let mut last = 0;
        for entry in received {
            let offset = entry.offset;
            let times = seen.entry(offset).or_default();
            *times += 1;
            if *times > 1 {
                self.doubled += 1;
                self.complain("received twice", format!("{who}: {offset}"));
            } else if offset < last {
                self.out_of_order += 1;
                self.complain("received out of order", format!("{who}: {offset}"));
            } else if offset > last + 1 {
                self.gaps += 1;
                let places = format!("{who}: {offset} after {last}");
                self.complain("received with a gap", places);
            }
            last = last.max(offset);
        }
        let by_offset: HashMap<u64, Option<Mark>> =
            log.iter().map(|entry| (entry.offset, entry.mark)).collect();
        for entry in received {
            if by_offset.get(&entry.offset) != Some(&entry.mark) {
                let place = format!("{who}: {}", entry.offset);
                self.complain("received what the log does not hold", place);
            }
        }
        for entry in log.iter().filter(|entry| !seen.contains_key(&entry.offset)) {
            self.lost += 1;
            self.complain("never received", format!("{who}: {}", entry.offset));
        }
    }

    fn add_up(&mut self, account: &Account) {
        let told = |wanted: fn(&Told) -> bool| {
            let all = account.published.iter().flat_map(|p| &p.told);
            all.filter(|told| wanted(told)).count() as u64
        };
        self.connections += account.connections;
        self.held += account.held;
        self.published += account.published.len() as u64;
        self.acked += told(|told| matches!(told, Told::Durable(_)));
        self.refused += told(|told| matches!(told, Told::Refused));
        self.received += account.received.values().map(Vec::len).sum::<usize>() as u64;
        if account.gaps > 0 {
            self.gaps += account.gaps;
            self.complain("told of a gap", format!("client {}", account.number));
        }
        if let Some(why) = &account.unsettled {
            self.complain(
                "did not settle",
                format!("client {}: {why}", account.number),
            );
        }
        let lasted = account.outages.iter().map(Outage::lasted);
        self.longest_outage = lasted.fold(self.longest_outage, Duration::max);
    }

    /// Notes a fault.
    pub fn complain(&mut self, kind: &'static str, example: impl fmt::Display) {
        let count = self.kinds.entry(kind).or_default();
        *count += 1;
        if *count <= EXAMPLES {
            self.complaints.push(format!("{kind}: {example}"));
        }
    }

    /// The complaints, and the number of further ones of each kind.
    pub fn told(&self) -> impl Iterator<Item = String> {
        let many = self.kinds.iter().filter(|(_, count)| **count > EXAMPLES);
        let more = many.map(|(kind, count)| format!("{kind}: {} more", count - EXAMPLES));
        self.complaints.iter().cloned().chain(more)
    }
}

#[cfg(test)]
mod tests {
    use protocol::position::Offset;

    use super::*;

    /// Three messages of one author in one room.
    fn marks() -> [Mark; 3] {
        [0, 1, 2].map(|number| Mark { client: 0, number })
    }

    fn run(marks: &[Mark]) -> Vec<Received> {
        (1..)
            .zip(marks)
            .map(|(offset, &mark)| Received {
                offset,
                mark: Some(mark),
            })
            .collect()
    }

    fn told(offset: u64) -> Vec<Told> {
        vec![Told::Durable(Some(Offset::new(offset).unwrap()))]
    }

    /// The logs and accounts of an author and a reader, without faults.
    fn good() -> (Logs, Vec<Account>) {
        let room = RoomName::lobby();
        let marks = marks();
        let received = BTreeMap::from([(room.clone(), run(&marks))]);
        let published = (1..).zip(marks).map(|(offset, mark)| Published {
            told: told(offset),
            ..Published::new(mark, room.clone())
        });
        let author = Account {
            published: published.collect(),
            received: received.clone(),
            ..Account::default()
        };
        let reader = Account {
            number: 1,
            received: received.clone(),
            ..Account::default()
        };
        (received, vec![author, reader])
    }

    /// The verdict's counts after one change: lost, doubled, out of order, gaps; and whether it is
    /// good.
    fn after(change: impl FnOnce(&mut Vec<Received>, &mut Vec<Account>)) -> ([u64; 4], bool) {
        let (mut logs, mut accounts) = good();
        change(logs.get_mut(&RoomName::lobby()).unwrap(), &mut accounts);
        let v = Verdict::of(&logs, &accounts);
        ([v.lost, v.doubled, v.out_of_order, v.gaps], v.is_good())
    }

    fn heard(account: &mut Account) -> &mut Vec<Received> {
        account.received.get_mut(&RoomName::lobby()).unwrap()
    }

    #[test]
    fn nothing_wrong_is_good() {
        assert_eq!(after(|_, _| ()), ([0; 4], true));
        let (logs, accounts) = good();
        let v = Verdict::of(&logs, &accounts);
        assert_eq!((v.published, v.acked, v.received), (3, 3, 6));
    }

    #[test]
    fn an_acked_message_that_is_not_in_the_log_is_lost() {
        let lost = after(|log, accounts| {
            log.pop();
            accounts
                .iter_mut()
                .for_each(|account| heard(account).truncate(2));
        });
        assert_eq!(lost, ([1, 0, 0, 0], false));
    }

    #[test]
    fn a_message_twice_in_the_log_is_doubled() {
        let doubled = after(|log, accounts| {
            let again = Received {
                offset: 4,
                ..log[2]
            };
            log.push(again);
            accounts
                .iter_mut()
                .for_each(|account| heard(account).push(again));
        });
        assert_eq!(doubled, ([0, 1, 0, 0], false));
    }

    #[test]
    fn an_author_whose_messages_change_places_is_out_of_order() {
        let swapped = after(|log, accounts| {
            let [first, second, third] = marks();
            *log = run(&[second, first, third]);
            accounts
                .iter_mut()
                .for_each(|account| *heard(account) = log.clone());
            accounts[0].published[0].told = told(2);
            accounts[0].published[1].told = told(1);
        });
        assert_eq!(swapped, ([0, 0, 1, 0], false));
    }

    #[test]
    fn what_a_reader_misses_is_lost_and_a_gap() {
        let missed = after(|_, accounts| heard(&mut accounts[1]).retain(|entry| entry.offset != 2));
        assert_eq!(missed, ([1, 0, 0, 1], false));
        let at_the_end = after(|_, accounts| heard(&mut accounts[1]).truncate(2));
        assert_eq!(at_the_end, ([1, 0, 0, 0], false));
    }

    #[test]
    fn what_a_reader_gets_twice_or_late_is_seen() {
        let twice = after(|_, accounts| {
            let again = heard(&mut accounts[1])[0];
            heard(&mut accounts[1]).push(again);
        });
        assert_eq!(twice, ([0, 1, 0, 0], false));
        let late = after(|_, accounts| heard(&mut accounts[1]).swap(1, 2));
        assert_eq!(late, ([0, 0, 1, 1], false));
    }

    #[test]
    fn a_wrong_word_about_a_message_is_not_good() {
        for word in [
            told(2),
            vec![Told::Refused],
            vec![Told::Uncertain],
            vec![],
            [told(1), told(1)].concat(),
        ] {
            let wrong = after(|_, accounts| accounts[0].published[0].told.clone_from(&word));
            assert_eq!(wrong, ([0; 4], false), "{word:?}");
        }
    }

    #[test]
    fn a_log_with_a_hole_or_a_foreign_text_is_not_good() {
        let hole = after(|log, _| log[2].offset = 4);
        assert!(!hole.1 && hole.0[3] == 1, "{hole:?}");
        let foreign = after(|log, _| log[1].mark = None);
        assert!(!foreign.1, "{foreign:?}");
    }

    #[test]
    fn a_client_that_did_not_settle_is_reported() {
        let stuck = after(|_, accounts| accounts[1].unsettled = Some("waiting".to_owned()));
        assert_eq!(stuck, ([0; 4], false));
    }
}
