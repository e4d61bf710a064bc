//! The people of a room: its members, and their drafts.

use std::collections::BTreeMap;

use protocol::client::Event;
use protocol::frame::{Draft, Member, RoomDraft};
use protocol::id::{Name, RoomName, SessionId};
use protocol::position::Offset;

use crate::Own;
use crate::Report;

/// The members of the room shown, and the drafts of the other members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct People {
    room: RoomName,
    own: Own,
    /// The user's own name, where a token vouches for it (AC-4).
    vouched: Option<Name>,
    members: BTreeMap<SessionId, Seat>,
    /// How many members there are, if not all are named (PR-3).
    count: Option<u32>,
    /// The newest message when the drafts came with `joined`: it and older ones, though they may
    /// still come, end none of them.
    head: Offset,
    /// In the order in which their authors began to type, so that lines do not jump. At most one for each member.
    drafts: Vec<RoomDraft>,
}

/// What is known of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seat {
    name: Name,
    away: bool,
    user: Option<u32>,
}

/// A member as the list shows it. Sessions of one user under one name, as those of several tabs, are one person (PR-4).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Person {
    /// The member's session; of several the first, or the page's own.
    pub session: SessionId,
    /// The member's name.
    pub name: Name,
    /// Whether this is the page's own session, or one of several of its user.
    pub own: bool,
    /// Whether the connection is gone for a while (PR-1): of several, that of each.
    pub away: bool,
    /// The number of the user in this room.
    user: Option<u32>,
}

impl People {
    /// A room of which nothing is known yet.
    pub fn new(room: RoomName) -> Self {
        Self {
            room,
            own: Own::default(),
            vouched: None,
            members: BTreeMap::new(),
            count: None,
            head: Offset::ZERO,
            drafts: Vec::new(),
        }
    }

    /// Shows another room, of which nothing is known yet.
    pub fn enter(&mut self, room: &RoomName) {
        self.room = room.clone();
        self.members.clear();
        self.count = None;
        self.head = Offset::ZERO;
        self.drafts.clear();
    }

    /// Folds a report. Returns whether anything changed.
    pub fn fold(&mut self, report: &Report) -> bool {
        let claimed = self.own.fold(report);
        let Report::Event(event) = report else {
            return claimed;
        };
        let changed = match event {
            Event::Welcomed { vouched, .. } => {
                let before = std::mem::replace(&mut self.vouched, vouched.clone());
                before != self.vouched
            }
            Event::Joined { joined, .. } if joined.room == self.room => {
                self.head = joined.head;
                self.members.clear();
                // One by one: to collect them would sort them first, with code for just that.
                for member in &joined.members {
                    self.seat(member);
                }
                self.count = joined.count;
                let others = joined.drafts.iter().filter(|draft| !draft.body.is_empty());
                self.drafts = others.cloned().collect();
                true
            }
            Event::Presence {
                room,
                joined,
                left,
                count,
            } if *room == self.room => {
                let before = std::mem::replace(&mut self.count, *count);
                self.presence(joined, left) | (before != *count)
            }
            Event::Draft(draft) if draft.room == self.room => self.draft(draft),
            Event::Message(message) if message.room == self.room && message.offset > self.head => {
                self.clear(&message.session)
            }
            _ => false,
        };
        claimed | changed
    }

    /// All members: the user first, the others by name.
    pub fn here(&self) -> Vec<Person> {
        let mut people = self.people();
        people.sort_by_cached_key(|person| {
            (
                !person.own,
                // Beyond ASCII the page would carry a table of all letters, for the order of a few.
                person.name.as_str().to_ascii_lowercase(),
                person.session.clone(),
            )
        });
        people
    }

    /// The user's own name, where a token vouches for it: the user cannot change it.
    pub const fn vouched(&self) -> Option<&Name> {
        self.vouched.as_ref()
    }

    /// How many people there are, named or not. Of those that are not named each session counts.
    pub fn count(&self) -> usize {
        let count = self.count.map_or(0, |count| count as usize);
        let unnamed = count.saturating_sub(self.members.len());
        self.people().len().saturating_add(unnamed)
    }

    /// The drafts of the other members, in the order in which they began.
    pub fn typing(&self) -> Vec<RoomDraft> {
        let others = self
            .drafts
            .iter()
            .filter(|draft| !self.own.contains(&draft.session));
        others.cloned().collect()
    }

    /// The members that are named, those of one user as one (PR-4).
    fn people(&self) -> Vec<Person> {
        let mut people: Vec<Person> = Vec::new();
        for member in &self.members {
            let person = self.person(member);
            let is_same = |known: &&mut Person| known.user.is_some() && known.user == person.user;
            match people.iter_mut().find(is_same) {
                Some(known) => known.join(person),
                None => people.push(person),
            }
        }
        people
    }

    fn person(&self, (session, seat): (&SessionId, &Seat)) -> Person {
        Person {
            session: session.clone(),
            name: seat.name.clone(),
            own: self.own.current() == Some(session),
            away: seat.away,
            user: seat.user,
        }
    }

    /// Takes what is known of a member. Returns whether that is new.
    fn seat(&mut self, member: &Member) -> bool {
        let seat = Seat {
            name: member.name.clone(),
            away: member.away,
            user: member.user,
        };
        let before = self.members.insert(member.session.clone(), seat.clone());
        before != Some(seat)
    }

    fn presence(&mut self, joined: &[Member], left: &[SessionId]) -> bool {
        let mut changed = false;
        for session in left {
            changed |= self.members.remove(session).is_some();
            changed |= self.clear(session);
        }
        for member in joined {
            changed |= self.seat(member);
            if let Some(draft) = self
                .drafts
                .iter_mut()
                .find(|draft| draft.session == member.session)
            {
                draft.name = member.name.clone();
            }
        }
        changed
    }

    fn draft(&mut self, draft: &Draft) -> bool {
        if draft.body.is_empty() {
            return self.clear(&draft.session);
        }
        let shown = RoomDraft {
            session: draft.session.clone(),
            name: draft.name.clone(),
            body: draft.body.clone(),
        };
        match self
            .drafts
            .iter_mut()
            .find(|known| known.session == draft.session)
        {
            Some(known) if *known == shown => return false,
            Some(known) => *known = shown,
            None => self.drafts.push(shown),
        }
        true
    }

    fn clear(&mut self, session: &SessionId) -> bool {
        let before = self.drafts.len();
        self.drafts.retain(|draft| draft.session != *session);
        self.drafts.len() != before
    }
}

impl Person {
    /// Adds another session of the same user.
    fn join(&mut self, other: Self) {
        if other.own {
            self.session = other.session;
        }
        self.own |= other.own;
        self.away &= other.away;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{draft, joined, member, message, session, welcomed};

    fn here(people: &People) -> Vec<String> {
        people
            .here()
            .iter()
            .map(|person| person.name.as_str().to_owned())
            .collect()
    }

    fn presence(joined: &[&str], left: &[&str]) -> Report {
        crowd(joined, left, None)
    }

    fn crowd(joined: &[&str], left: &[&str], count: Option<u32>) -> Report {
        Report::Event(Event::Presence {
            room: RoomName::lobby(),
            joined: joined.iter().map(|name| member(name)).collect(),
            left: left.iter().map(|name| session(name)).collect(),
            count,
        })
    }

    fn bodies(people: &People) -> Vec<&str> {
        people
            .drafts
            .iter()
            .map(|draft| draft.body.as_str())
            .collect()
    }

    #[test]
    fn joined_replaces_and_presence_changes_who_is_here() {
        let mut people = People::new(RoomName::lobby());
        assert!(people.fold(&welcomed("me")));
        assert!(people.fold(&joined(&["zoe", "me", "Bob"], "e", 0, false)));
        assert_eq!(here(&people), ["me", "Bob", "zoe"]);
        assert!(people.fold(&presence(&["ada"], &["zoe"])));
        assert!(!people.fold(&presence(&["ada"], &["zoe"])));
        assert_eq!(here(&people), ["me", "ada", "Bob"]);
        assert!(people.fold(&joined(&["me"], "e", 0, false)));
        assert_eq!(here(&people), ["me"]);
    }

    /// PR-3: of a crowd some members are named and all are counted.
    #[test]
    fn a_crowd_is_counted() {
        let mut people = People::new(RoomName::lobby());
        people.fold(&joined(&["ada", "me"], "e", 0, false));
        assert_eq!(people.count(), 2);
        assert!(people.fold(&crowd(&[], &[], Some(900))));
        assert!(!people.fold(&crowd(&[], &[], Some(900))));
        assert_eq!((people.count(), people.here().len()), (900, 2));
        assert!(people.fold(&presence(&[], &["ada"])));
        assert_eq!(people.count(), 1);
        people.fold(&crowd(&["zoe"], &[], Some(900)));
        people.enter(&RoomName::new("tea").unwrap());
        assert_eq!(people.count(), 0);
    }

    /// PR-4: sessions of one user are one person, here as long as one of them is.
    #[test]
    fn several_tabs_are_one_person() {
        let mut people = People::new(RoomName::lobby());
        people.fold(&welcomed("t2"));
        let tab = |session: &str, user, away| {
            let mut tab = member(session);
            tab.name = Name::tidy("Ada");
            Member { user, away, ..tab }
        };
        let mut fold = |joined: &[Member], left: &[&str]| {
            let changed = people.fold(&Report::Event(Event::Presence {
                room: RoomName::lobby(),
                joined: joined.to_vec(),
                left: left.iter().map(|name| session(name)).collect(),
                count: None,
            }));
            let here = people.here();
            assert_eq!(here.len(), people.count());
            let all = here.into_iter().map(|one| (one.own, one.away));
            (changed, all.collect::<Vec<_>>())
        };
        let tabs = [tab("t1", Some(1), false), tab("t2", Some(1), false)];
        assert_eq!(fold(&tabs, &[]), (true, vec![(true, false)]));
        assert!(!fold(&tabs, &[]).0);
        // Another user of that name, and sessions whose users are not known.
        let others = [
            tab("x", Some(2), false),
            tab("y", None, false),
            tab("z", None, false),
        ];
        assert_eq!(fold(&others, &[]).1.len(), 4);
        let away = fold(&[tab("t1", Some(1), true), tab("x", Some(2), true)], &["y"]);
        let expected = vec![(true, false), (false, true), (false, false)];
        assert_eq!(away, (true, expected));
        assert_eq!(fold(&[], &["t2"]).1[0], (false, true));
        assert_eq!(fold(&tabs[..1], &[]).1.len(), 3);
    }

    #[test]
    fn a_draft_lives_until_its_message_its_end_or_its_author_leaves() {
        let mut people = People::new(RoomName::lobby());
        for author in ["ada", "bob", "cid"] {
            assert!(people.fold(&draft(author, "he")));
            assert!(people.fold(&draft(author, "hello")));
            assert!(!people.fold(&draft(author, "hello")));
        }
        assert_eq!(bodies(&people), ["hello", "hello", "hello"]);
        assert!(people.fold(&Report::Event(Event::Message(message(
            "ada", 1, 1, "hello"
        )))));
        assert!(people.fold(&draft("bob", "")));
        assert!(people.fold(&presence(&[], &["cid"])));
        assert!(bodies(&people).is_empty());
        assert!(!people.fold(&draft("bob", "")));
    }

    /// PR-2: replayed messages are older than the drafts that came with `joined`.
    #[test]
    fn a_replayed_message_ends_no_draft() {
        let mut people = People::new(RoomName::lobby());
        let Report::Event(Event::Joined { mut joined, gap }) = joined(&["ada"], "e", 2, false)
        else {
            unreachable!("that is what it makes");
        };
        joined.from = Offset::ZERO;
        joined.drafts.push(RoomDraft {
            session: session("ada"),
            name: Name::tidy("ada"),
            body: "newer".into(),
        });
        people.fold(&Report::Event(Event::Joined { joined, gap }));
        let mut said = |number| {
            let message = message("ada", number, number, "hello");
            people.fold(&Report::Event(Event::Message(message)))
        };
        assert!(!said(1) && !said(2));
        assert!(said(3));
        assert!(bodies(&people).is_empty());
    }

    #[test]
    fn ones_own_draft_is_not_shown() {
        let mut people = People::new(RoomName::lobby());
        people.fold(&welcomed("me"));
        people.fold(&draft("me", "psst"));
        assert!(people.typing().is_empty());
    }

    #[test]
    fn other_rooms_do_not_matter() {
        let mut people = People::new(RoomName::lobby());
        people.fold(&joined(&["ada"], "e", 0, false));
        people.enter(&RoomName::new("tea").unwrap());
        assert!(!people.fold(&draft("ada", "hello")));
        assert!(people.here().is_empty());
    }
}
