//! Who is in a room and what stands in their input boxes: the part of a room that is never stored.
//!
//! Readers pull. Every change gets a version; a reader asks for what changed since the version it
//! has, and so takes only the latest draft of each author, however slowly it reads.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::frame::{Author, Member};
use crate::id::{ConnectionId, Name, SessionId};
use crate::time::Timestamp;

/// How long a member whose connection is gone still counts as here (PR-1).
pub const AWAY_AFTER: Duration = Duration::from_secs(30);

/// How many departures are remembered for slow readers; a reader further behind takes a snapshot.
pub const DEPARTURES_MAX: usize = 256;

/// The members of one room.
#[derive(Debug, Default)]
pub struct Presence {
    members: BTreeMap<SessionId, Here>,
    departures: VecDeque<(u64, SessionId)>,
    version: u64,
    /// Departures at or before this version are forgotten.
    forgotten: u64,
}

#[derive(Debug)]
struct Here {
    name: Name,
    /// The version at which the name or the arrival changed.
    since: u64,
    place: Place,
    draft: Option<DraftText>,
}

#[derive(Debug)]
enum Place {
    Connected(ConnectionId),
    Away { until: Timestamp },
}

#[derive(Debug)]
struct DraftText {
    version: u64,
    body: String,
    /// Its message is on the way to the log: the draft goes when the message shows (PR-2).
    published: bool,
}

/// What changed between two versions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Who came, or goes by another name.
    pub joined: Vec<Member>,
    /// Who left.
    pub left: Vec<SessionId>,
    /// The latest drafts; an empty body clears one.
    pub drafts: Vec<Author>,
}

impl Presence {
    /// A session enters, comes back, or changes its name.
    pub fn enter(&mut self, session: SessionId, name: Name, connection: ConnectionId) {
        let place = Place::Connected(connection);
        if let Some(here) = self.members.get_mut(&session) {
            here.place = place;
            if here.name != name {
                self.version += 1;
                here.since = self.version;
                here.name = name;
            }
            return;
        }
        self.version += 1;
        self.members.insert(
            session,
            Here {
                name,
                since: self.version,
                place,
                draft: None,
            },
        );
    }

    /// A session leaves for good.
    pub fn leave(&mut self, session: &SessionId) {
        if self.members.remove(session).is_none() {
            return;
        }
        self.version += 1;
        self.departures.push_back((self.version, session.clone()));
        if self.departures.len() > DEPARTURES_MAX
            && let Some((version, _)) = self.departures.pop_front()
        {
            self.forgotten = version;
        }
    }

    /// A member's connection is gone: it counts as away, and its draft ends (PR-1, PR-2). The end of
    /// a connection that the session no longer uses changes nothing (PU-3).
    pub fn disconnect(&mut self, now: Timestamp, session: &SessionId, connection: ConnectionId) {
        let Some(here) = self.members.get_mut(session) else {
            return;
        };
        if !matches!(here.place, Place::Connected(id) if id == connection) {
            return;
        }
        here.place = Place::Away {
            until: now + AWAY_AFTER,
        };
        self.draft(session, String::new());
    }

    /// A member's input box changed. Sessions that are not members have no drafts.
    pub fn draft(&mut self, session: &SessionId, body: String) {
        let Some(here) = self.members.get_mut(session) else {
            return;
        };
        let before = here.draft.as_ref().map_or("", |draft| &draft.body);
        if before == body && here.draft.as_ref().is_none_or(|draft| !draft.published) {
            return;
        }
        self.version += 1;
        here.draft = Some(DraftText {
            version: self.version,
            body,
            published: false,
        });
    }

    /// A member published: what stood in its box goes when the message shows.
    pub fn published(&mut self, session: &SessionId) {
        if let Some(draft) = self
            .members
            .get_mut(session)
            .and_then(|here| here.draft.as_mut())
        {
            draft.published = true;
        }
    }

    /// What a member published did not get into the log: the draft that it came from ends all the same.
    pub fn publish_failed(&mut self, session: &SessionId) {
        let draft = self
            .members
            .get(session)
            .and_then(|here| here.draft.as_ref());
        if draft.is_some_and(|draft| draft.published) {
            self.draft(session, String::new());
        }
    }

    /// A member's message is in the log and about to be seen. Its reader takes the draft for ended;
    /// a draft typed since is therefore sent again.
    pub fn message_shown(&mut self, session: &SessionId) {
        let Some(here) = self.members.get_mut(session) else {
            return;
        };
        match &mut here.draft {
            Some(draft) if draft.published || draft.body.is_empty() => here.draft = None,
            Some(draft) => {
                self.version += 1;
                draft.version = self.version;
            }
            None => {}
        }
    }

    /// Members that were away too long leave (PR-1).
    pub fn handle_timeout(&mut self, now: Timestamp) {
        let gone: Vec<SessionId> = self
            .members
            .iter()
            .filter(|(_, here)| matches!(here.place, Place::Away { until } if until <= now))
            .map(|(session, _)| session.clone())
            .collect();
        for session in gone {
            self.leave(&session);
        }
    }

    /// When to call [`Presence::handle_timeout`] next.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let until = |here: &Here| match here.place {
            Place::Away { until } => Some(until),
            Place::Connected(_) => None,
        };
        self.members.values().filter_map(until).min()
    }

    /// When an away member has to leave; `None` for everybody else.
    pub fn away_until(&self, session: &SessionId) -> Option<Timestamp> {
        match self.members.get(session)?.place {
            Place::Away { until } => Some(until),
            Place::Connected(_) => None,
        }
    }

    /// The version of the latest change.
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// Whether nobody is here.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Everybody here.
    pub fn members(&self) -> Vec<Member> {
        self.members
            .iter()
            .map(|(session, here)| member(session, here))
            .collect()
    }

    /// What stands in everybody's input box, empty ones left out.
    pub fn drafts(&self) -> Vec<Author> {
        self.authors(|draft| !draft.body.is_empty())
    }

    /// What changed after `version`; `None` if that is too long ago and a snapshot is needed.
    pub fn changes_since(&self, version: u64) -> Option<Changes> {
        if version < self.forgotten {
            return None;
        }
        let arrived = self.members.iter().filter(|(_, here)| here.since > version);
        let departed = self.departures.iter().filter(|(at, _)| *at > version);
        Some(Changes {
            joined: arrived
                .map(|(session, here)| member(session, here))
                .collect(),
            left: departed
                .filter(|(_, session)| !self.members.contains_key(session))
                .map(|(_, session)| session.clone())
                .collect(),
            drafts: self.authors(|draft| draft.version > version),
        })
    }

    fn authors(&self, wanted: impl Fn(&DraftText) -> bool) -> Vec<Author> {
        let author = |(session, here): (&SessionId, &Here)| {
            let draft = here.draft.as_ref().filter(|draft| wanted(draft))?;
            Some(Author {
                session: session.clone(),
                name: here.name.clone(),
                body: draft.body.clone(),
            })
        };
        self.members.iter().filter_map(author).collect()
    }
}

fn member(session: &SessionId, here: &Here) -> Member {
    Member {
        session: session.clone(),
        name: here.name.clone(),
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    const FIRST: ConnectionId = ConnectionId(1);
    const SECOND: ConnectionId = ConnectionId(2);

    fn id(text: &str) -> SessionId {
        SessionId::new(text).unwrap()
    }

    fn room_with(names: &[&str]) -> Presence {
        let mut presence = Presence::default();
        for name in names {
            presence.enter(id(name), Name::tidy(name), FIRST);
        }
        presence
    }

    fn at(s: u64) -> Timestamp {
        Timestamp::from_millis(s * 1000)
    }

    fn bodies(changes: &Changes) -> Vec<&str> {
        changes
            .drafts
            .iter()
            .map(|draft| draft.body.as_str())
            .collect()
    }

    /// PR-1: a short break shows nobody leaving; a long one does.
    #[test]
    fn away_is_not_gone_for_thirty_seconds() {
        let mut presence = room_with(&["ada", "bob"]);
        let seen = presence.version();
        presence.disconnect(at(0), &id("ada"), FIRST);
        presence.handle_timeout(at(29));
        assert_eq!(presence.members().len(), 2);
        presence.enter(id("ada"), Name::tidy("ada"), SECOND);
        presence.handle_timeout(at(31));
        assert_eq!(presence.changes_since(seen).unwrap().left, []);
        presence.disconnect(at(31), &id("ada"), SECOND);
        assert_eq!(presence.poll_timeout(), Some(at(61)));
        assert_eq!(presence.away_until(&id("ada")), Some(at(61)));
        assert_eq!(presence.away_until(&id("bob")), None);
        presence.handle_timeout(at(61));
        let changes = presence.changes_since(seen).unwrap();
        assert_eq!(
            (changes.left, presence.members().len()),
            (vec![id("ada")], 1)
        );
    }

    /// PU-3: the end of an older connection does not send anybody away.
    #[test]
    fn the_end_of_an_older_connection_is_ignored() {
        let mut presence = room_with(&["ada"]);
        presence.enter(id("ada"), Name::tidy("ada"), SECOND);
        presence.disconnect(at(0), &id("ada"), FIRST);
        assert_eq!(presence.poll_timeout(), None);
    }

    /// PR-2: a draft ends by clearing and by going away; slow readers see only the latest.
    #[test]
    fn drafts_are_coalesced_and_end() {
        let mut presence = room_with(&["ada"]);
        let seen = presence.version();
        for body in ["h", "he", "hel"] {
            presence.draft(&id("ada"), body.into());
        }
        assert_eq!(bodies(&presence.changes_since(seen).unwrap()), ["hel"]);
        let seen = presence.version();
        presence.disconnect(at(0), &id("ada"), FIRST);
        assert_eq!(bodies(&presence.changes_since(seen).unwrap()), [""]);
        assert_eq!(presence.drafts(), []);
    }

    /// PR-2: publishing ends the draft without a frame of its own; what is typed meanwhile is shown
    /// again after the message.
    #[test]
    fn a_message_ends_its_draft_and_spares_a_newer_one() {
        let mut presence = room_with(&["ada"]);
        presence.draft(&id("ada"), "one".into());
        presence.published(&id("ada"));
        let seen = presence.version();
        presence.message_shown(&id("ada"));
        assert_eq!(presence.changes_since(seen), Some(Changes::default()));
        assert_eq!(presence.drafts(), []);

        presence.draft(&id("ada"), "two".into());
        presence.published(&id("ada"));
        presence.draft(&id("ada"), "t".into());
        let seen = presence.version();
        presence.message_shown(&id("ada"));
        assert_eq!(bodies(&presence.changes_since(seen).unwrap()), ["t"]);
    }

    /// PU-4: departures are bounded; a reader further behind is told to take a snapshot.
    #[test]
    fn departures_are_bounded() {
        let mut presence = room_with(&["ada"]);
        let seen = presence.version();
        for n in 0..=DEPARTURES_MAX {
            let guest = id(&format!("g{n}"));
            presence.enter(guest.clone(), Name::guest(&guest), FIRST);
            presence.leave(&guest);
        }
        assert_eq!(presence.changes_since(seen), None);
        assert!(presence.changes_since(presence.version()).is_some());
    }

    #[test]
    fn a_new_name_counts_as_a_change() {
        let mut presence = room_with(&["ada"]);
        let seen = presence.version();
        presence.enter(id("ada"), Name::tidy("Ada L."), FIRST);
        assert_eq!(
            presence.changes_since(seen).unwrap().joined[0]
                .name
                .as_str(),
            "Ada L."
        );
    }

    /// PR-2: the same text is no change, unless it was published meanwhile and typed again.
    #[test]
    fn a_text_typed_again_is_a_draft_again() {
        let mut presence = room_with(&["ada"]);
        let ada = id("ada");
        presence.draft(&ada, "hm".into());
        let typed = presence.version();
        presence.draft(&ada, "hm".into());
        assert_eq!(presence.version(), typed);
        presence.published(&ada);
        presence.draft(&ada, "hm".into());
        assert_eq!(presence.version(), typed + 1);
        presence.message_shown(&ada);
        assert_eq!(presence.drafts().len(), 1);
    }

    /// PR-2: a message that did not get into the log ends the draft that it came from, and no newer one.
    #[test]
    fn a_failed_publish_ends_its_draft() {
        let mut presence = room_with(&["ada"]);
        let ada = id("ada");
        presence.draft(&ada, "newer".into());
        presence.publish_failed(&ada);
        assert_eq!(presence.drafts().len(), 1);
        presence.published(&ada);
        presence.publish_failed(&ada);
        assert!(presence.drafts().is_empty());
    }

    /// PU-4: exactly so many departures are remembered.
    #[test]
    fn the_oldest_departure_is_forgotten_first() {
        let names: Vec<String> = (0..=DEPARTURES_MAX).map(|n| format!("s{n}")).collect();
        let mut presence = room_with(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let before = presence.version();
        for name in &names[1..] {
            presence.leave(&id(name));
        }
        let left = |presence: &Presence, since| presence.changes_since(since).map(|c| c.left.len());
        assert_eq!(left(&presence, before), Some(DEPARTURES_MAX));
        presence.leave(&id("s0"));
        assert_eq!(left(&presence, before), None);
        assert_eq!(left(&presence, before + 1), Some(DEPARTURES_MAX));
    }

    /// PR-1: whoever has a version has what came with it, and is told of the next ones only.
    #[test]
    fn nothing_is_told_twice() {
        let mut presence = room_with(&[]);
        assert!(presence.is_empty());
        presence.enter(id("ada"), Name::tidy("ada"), FIRST);
        assert!(!presence.is_empty());
        let none = Some(Changes::default());
        assert_eq!(presence.changes_since(presence.version()), none);
        presence.draft(&id("ada"), "hm".into());
        assert_eq!(presence.changes_since(presence.version()), none);
        presence.leave(&id("ada"));
        assert_eq!(presence.changes_since(presence.version()), none);
        assert!(presence.is_empty());
    }
}
