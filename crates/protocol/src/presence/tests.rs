//! Tests of presence: the members, which of them are named, and when changes are announced.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;
use crate::id::Generation;

const FIRST: ConnectionId = ConnectionId::new(1);
const SECOND: ConnectionId = ConnectionId::new(2);

fn by(connection: ConnectionId) -> Holder {
    let generation = Generation::default();
    Holder {
        connection,
        generation,
    }
}

fn id(text: &str) -> SessionId {
    SessionId::new(text).unwrap()
}

fn seq(number: u64) -> Seq {
    Seq::new(number).unwrap()
}

fn room_with(names: &[&str]) -> Presence {
    let mut presence = Presence::new(usize::MAX);
    for name in names {
        presence.enter(at(0), id(name), Name::tidy(name), by(FIRST));
    }
    presence
}

fn at(s: u64) -> Timestamp {
    Timestamp::from_millis(s * 1000)
}

fn joined(changes: &Changes) -> Vec<String> {
    let members = changes.members.iter().flat_map(|members| &members.joined);
    members.map(|member| member.name.to_string()).collect()
}

/// The members that changed since, and whether they are away.
fn away(presence: &Presence, since: u64) -> Vec<(String, bool)> {
    let members = presence.changes_since(since).unwrap().members;
    let joined = members.into_iter().flat_map(|members| members.joined);
    joined
        .map(|member| (member.name.to_string(), member.away))
        .collect()
}

fn left(changes: &Changes) -> Vec<String> {
    let members = changes.members.iter().flat_map(|members| &members.left);
    members.map(ToString::to_string).collect()
}

fn bodies(changes: &Changes) -> Vec<&str> {
    changes
        .drafts
        .iter()
        .map(|draft| draft.body.as_str())
        .collect()
}

/// That there may be other nodes costs a member nothing.
#[cfg(target_pointer_width = "64")]
#[test]
fn a_member_is_small() {
    assert_eq!(size_of::<Here>(), 32);
}

/// PR-1: a short break shows nothing, a longer one that the member is away, a long one its departure.
#[test]
fn away_is_not_gone_for_thirty_seconds() {
    let mut presence = room_with(&["ada", "bob"]);
    let seen = presence.version();
    presence.disconnect(at(0), &id("ada"), FIRST);
    presence.handle_timeout(at(4));
    presence.enter(at(4), id("ada"), Name::tidy("ada"), by(SECOND));
    presence.handle_timeout(at(31));
    assert_eq!(presence.changes_since(seen).unwrap().members, None);
    presence.disconnect(at(31), &id("ada"), SECOND);
    assert_eq!(presence.poll_timeout(), Some(at(36)));
    presence.handle_timeout(at(36));
    assert_eq!(away(&presence, seen), [("ada".to_owned(), true)]);
    assert_eq!(presence.poll_timeout(), Some(at(61)));
    let seen = presence.version();
    presence.handle_timeout(at(61));
    let changes = presence.changes_since(seen).unwrap();
    assert_eq!(
        (left(&changes), presence.sessions().count()),
        (vec!["ada".to_owned()], 1)
    );
    presence.enter(at(62), id("ada"), Name::tidy("ada"), by(FIRST));
    assert_eq!(away(&presence, seen), [("ada".to_owned(), false)]);
}

/// PR-1: who was told to be away is told to be back, in what follows and in what a new reader gets.
#[test]
fn who_was_away_is_back() {
    let mut presence = room_with(&["ada", "bob"]);
    presence.disconnect(at(0), &id("ada"), FIRST);
    presence.handle_timeout(at(5));
    let all = |presence: &Presence| {
        let (members, _) = presence.members(&id("bob"));
        members.iter().map(|member| member.away).collect::<Vec<_>>()
    };
    assert_eq!(all(&presence), [true, false]);
    let seen = presence.version();
    presence.enter(at(6), id("ada"), Name::tidy("ada"), by(SECOND));
    assert_eq!(away(&presence, seen), [("ada".to_owned(), false)]);
    assert_eq!(all(&presence), [false, false]);
    assert_eq!(presence.poll_timeout(), None);
}

/// PR-3: a crowd hears of arrivals and departures alone.
#[test]
fn a_crowd_hears_of_no_one_away() {
    let mut presence = Presence::new(1);
    for name in ["ada", "bob"] {
        presence.enter(at(0), id(name), Name::tidy(name), by(FIRST));
    }
    presence.handle_timeout(at(2));
    let seen = presence.version();
    presence.disconnect(at(2), &id("ada"), FIRST);
    presence.handle_timeout(at(8));
    assert_eq!(away(&presence, seen), []);
    assert_eq!(presence.poll_timeout(), Some(at(32)));
}

/// PR-4: sessions of one user under one name have one number, which says nothing else.
#[test]
fn sessions_of_one_user_are_known_as_such() {
    let mut presence = Presence::new(usize::MAX);
    let [ada, bob] = ["ada", "bob"].map(|user| Subject::new(user).unwrap());
    let mut enter = |session: &str, name: &str, user: Option<&Subject>| {
        let member = (id(session), Name::tidy(name));
        presence.enter_as(at(0), member, user, by(FIRST));
        let (members, _) = presence.members(&id("s1"));
        members.iter().map(|member| member.user).collect::<Vec<_>>()
    };
    assert_eq!(enter("s1", "Ada", Some(&ada)), [Some(1)]);
    assert_eq!(enter("s2", "Ada", Some(&ada)), [Some(1), Some(1)]);
    assert_eq!(enter("s3", "Ada", Some(&bob)), [Some(1), Some(1), Some(2)]);
    assert_eq!(enter("s3", "Ada", None), [Some(1), Some(1), None]);
    // Another name is another number, as long as it lasts.
    let seen = presence.version();
    presence.enter(at(1), id("s2"), Name::tidy("Eve"), by(FIRST));
    let (members, _) = presence.members(&id("s1"));
    assert_eq!(members[1].user, Some(3));
    presence.enter(at(2), id("s2"), Name::tidy("Ada"), by(FIRST));
    let changes = presence.changes_since(seen).unwrap().members.unwrap();
    assert_eq!((changes.joined.len(), changes.joined[0].user), (1, Some(1)));
    for session in ["s1", "s2"] {
        presence.leave(at(3), &id(session));
    }
    presence.enter_as(at(4), (id("s1"), Name::tidy("Ada")), Some(&ada), by(FIRST));
    assert_eq!(presence.members(&id("s1")).0[0].user, Some(4));
}

/// PU-3: the end of an older connection lets no member leave.
#[test]
fn the_end_of_an_older_connection_is_ignored() {
    let mut presence = room_with(&["ada"]);
    presence.enter(at(0), id("ada"), Name::tidy("ada"), by(SECOND));
    presence.disconnect(at(0), &id("ada"), FIRST);
    assert_eq!(presence.poll_timeout(), None);
}

/// PR-2: a draft ends by clearing and by going away; slow readers see only the latest.
#[test]
fn drafts_are_coalesced_and_end() {
    let mut presence = room_with(&["ada"]);
    let seen = presence.version();
    for body in ["h", "he", "hel"] {
        presence.draft(&id("ada"), body.into(), 0);
    }
    assert_eq!(bodies(&presence.changes_since(seen).unwrap()), ["hel"]);
    let seen = presence.version();
    presence.disconnect(at(0), &id("ada"), FIRST);
    assert_eq!(bodies(&presence.changes_since(seen).unwrap()), [""]);
    assert_eq!(presence.drafts(), []);
}

/// PR-2: publishing ends the draft without a frame of its own; text typed meanwhile is shown
/// again after the message.
#[test]
fn a_message_ends_its_draft_and_spares_a_newer_one() {
    let mut presence = room_with(&["ada"]);
    presence.draft(&id("ada"), "one".into(), 0);
    let seen = presence.version();
    presence.message_shown(&id("ada"), seq(1));
    assert_eq!(presence.changes_since(seen), Some(Changes::default()));
    assert_eq!(presence.drafts(), []);

    presence.draft(&id("ada"), "two".into(), 1);
    presence.draft(&id("ada"), "t".into(), 2);
    let seen = presence.version();
    presence.message_shown(&id("ada"), seq(2));
    assert_eq!(bodies(&presence.changes_since(seen).unwrap()), ["t"]);
}

/// PU-4: departures are bounded; a reader further behind needs a snapshot.
#[test]
fn departures_are_bounded() {
    let mut presence = room_with(&["ada"]);
    let seen = presence.version();
    for n in 0..=DEPARTURES_MAX {
        let guest = id(&format!("g{n}"));
        presence.enter(at(0), guest.clone(), Name::guest(&guest), by(FIRST));
        presence.leave(at(0), &guest);
    }
    assert_eq!(presence.changes_since(seen), None);
    assert!(presence.changes_since(presence.version()).is_some());
}

#[test]
fn a_new_name_counts_as_a_change() {
    let mut presence = room_with(&["ada"]);
    let seen = presence.version();
    presence.enter(at(0), id("ada"), Name::tidy("Ada L."), by(FIRST));
    let changes = presence.changes_since(seen).unwrap();
    assert_eq!(joined(&changes), ["Ada L."]);
}

/// PR-2: the same text is no change, unless it was published meanwhile and typed again.
#[test]
fn a_text_typed_again_is_a_draft_again() {
    let mut presence = room_with(&["ada"]);
    let ada = id("ada");
    presence.draft(&ada, "hm".into(), 0);
    let typed = presence.version();
    presence.draft(&ada, "hm".into(), 0);
    assert_eq!(presence.version(), typed);
    presence.draft(&ada, "hm".into(), 1);
    assert_eq!(presence.version(), typed + 1);
    presence.message_shown(&ada, seq(1));
    assert_eq!(presence.drafts().len(), 1);
}

/// PR-2: a message that did not get into the log ends the draft that it came from, and no newer one.
#[test]
fn a_failed_publish_ends_its_draft() {
    let mut presence = room_with(&["ada"]);
    let ada = id("ada");
    presence.draft(&ada, "newer".into(), 1);
    presence.publish_failed(&ada, seq(1));
    assert_eq!(presence.drafts().len(), 1);
    presence.publish_failed(&ada, seq(2));
    assert!(presence.drafts().is_empty());
}

/// PU-4: exactly so many departures are remembered.
#[test]
fn the_oldest_departure_is_forgotten_first() {
    let names: Vec<String> = (0..=DEPARTURES_MAX).map(|n| format!("s{n}")).collect();
    let mut presence = room_with(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let before = presence.version();
    for name in &names[1..] {
        presence.leave(at(0), &id(name));
    }
    let left = |presence: &Presence, since| presence.changes_since(since).map(|c| left(&c).len());
    assert_eq!(left(&presence, before), Some(DEPARTURES_MAX));
    presence.leave(at(0), &id("s0"));
    assert_eq!(left(&presence, before), None);
    assert_eq!(left(&presence, before + 1), Some(DEPARTURES_MAX));
}

/// PR-1: a reader at a version has everything up to it, and gets only the next changes.
#[test]
fn nothing_is_told_twice() {
    let mut presence = room_with(&[]);
    assert!(presence.is_empty());
    presence.enter(at(0), id("ada"), Name::tidy("ada"), by(FIRST));
    assert!(!presence.is_empty());
    let none = Some(Changes::default());
    assert_eq!(presence.changes_since(presence.version()), none);
    presence.draft(&id("ada"), "hm".into(), 0);
    assert_eq!(presence.changes_since(presence.version()), none);
    presence.leave(at(0), &id("ada"));
    assert_eq!(presence.changes_since(presence.version()), none);
    assert!(presence.is_empty());
}

/// A room that names two members, and in which these came at second 0.
fn crowd(names: &[&str]) -> Presence {
    let mut presence = Presence::new(2);
    for name in names {
        presence.enter(at(0), id(name), Name::tidy(name), by(FIRST));
    }
    presence.handle_timeout(at(1));
    presence
}

fn count(changes: &Changes) -> Option<u32> {
    changes.members.as_ref().unwrap().count
}

fn known(presence: &Presence, session: &str) -> (Vec<String>, Option<u32>) {
    let (members, count) = presence.members(&id(session));
    let names = members.iter().map(|member| member.name.to_string());
    (names.collect(), count)
}

/// PR-3: some members are named, each one knows itself, the others are counted.
#[test]
fn a_crowd_is_counted() {
    let presence = crowd(&["ada", "bob"]);
    assert_eq!(known(&presence, "bob"), (strings(&["ada", "bob"]), None));
    let presence = crowd(&["ada", "bob", "cid", "dan"]);
    assert_eq!(known(&presence, "ada"), (strings(&["ada", "bob"]), Some(4)));
    assert_eq!(
        known(&presence, "dan"),
        (strings(&["ada", "bob", "dan"]), Some(4))
    );
    let presence = crowd(&["ada", "bob", "cid"]);
    assert_eq!(
        known(&presence, "cid"),
        (strings(&["ada", "bob", "cid"]), None)
    );
}

fn strings(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// PR-3: however many members come at once, it is announced once a second.
#[test]
fn a_crowd_comes_without_a_word_each() {
    let mut presence = crowd(&["ada", "bob", "cid"]);
    let seen = presence.version();
    for number in 0..100 {
        let guest = id(&format!("g{number}"));
        presence.enter(at(1), guest.clone(), Name::guest(&guest), by(FIRST));
    }
    assert_eq!(presence.version(), seen);
    assert_eq!(presence.poll_timeout(), Some(at(2)));
    presence.handle_timeout(at(2));
    assert_eq!(presence.version(), seen + 1);
    let changes = presence.changes_since(seen).unwrap();
    assert_eq!((joined(&changes), count(&changes)), (vec![], Some(103)));
    // After a quiet second the next change is announced at once.
    presence.leave(at(3), &id("g0"));
    assert_eq!(presence.version(), seen + 2);
    assert_eq!(presence.poll_timeout(), None);
}

/// PR-3: a member that came between two announcements got another count: that the count is as before is
/// announced to it.
#[test]
fn who_came_meanwhile_hears_that_the_count_is_as_before() {
    let mut presence = crowd(&["ada", "bob", "cid"]);
    presence.enter(at(1), id("dan"), Name::tidy("dan"), by(FIRST));
    assert_eq!(known(&presence, "dan").1, Some(4));
    let seen = presence.version();
    presence.leave(at(1), &id("cid"));
    presence.handle_timeout(at(2));
    let changes = presence.changes_since(seen).unwrap();
    assert_eq!(count(&changes), Some(3));
    // Also if it was a crowd for a moment only.
    let mut presence = Presence::new(2);
    for name in ["ada", "bob", "cid", "ada"] {
        presence.enter(at(0), id(name), Name::tidy(name), by(FIRST));
    }
    assert_eq!(known(&presence, "ada").1, Some(3));
    let seen = presence.version();
    presence.leave(at(0), &id("cid"));
    let changes = presence.changes_since(seen).unwrap();
    assert_eq!(changes.members, Some(MemberChanges::default()));
}

/// PR-3: a count is not announced again if no reader got another one meanwhile.
#[test]
fn the_same_count_is_no_news() {
    let mut presence = crowd(&["ada", "bob", "cid", "dan"]);
    presence.leave(at(1), &id("dan"));
    presence.enter(at(1), id("dan"), Name::tidy("dan"), by(FIRST));
    let seen = presence.version();
    presence.handle_timeout(at(2));
    assert_eq!(presence.version(), seen);
}

/// PR-3: a named member that leaves makes room for another; in the end all are named again.
#[test]
fn a_crowd_becomes_a_room_again() {
    let mut presence = crowd(&["ada", "bob", "cid", "dan"]);
    let seen = presence.version();
    presence.leave(at(2), &id("ada"));
    let changes = presence.changes_since(seen).unwrap();
    assert_eq!(left(&changes), ["ada"]);
    assert_eq!(
        (joined(&changes), count(&changes)),
        (strings(&["cid"]), Some(3))
    );
    let seen = presence.version();
    presence.leave(at(4), &id("dan"));
    let changes = presence.changes_since(seen).unwrap();
    assert_eq!(changes.members, Some(MemberChanges::default()));
    assert_eq!(known(&presence, "bob"), (strings(&["bob", "cid"]), None));
    // No crowd any more: announced at once.
    presence.leave(at(4), &id("cid"));
    assert_eq!(presence.poll_timeout(), None);
}

/// PR-3: a named member that leaves and returns before that was announced never left.
#[test]
fn back_before_it_was_told() {
    let mut presence = crowd(&["ada", "bob", "cid"]);
    let seen = presence.version();
    presence.leave(at(1), &id("ada"));
    presence.enter(at(1), id("ada"), Name::tidy("Ada L."), by(SECOND));
    presence.handle_timeout(at(2));
    let changes = presence.changes_since(seen).unwrap();
    assert_eq!(
        (joined(&changes), left(&changes)),
        (strings(&["Ada L."]), vec![])
    );
    assert_eq!(count(&changes), Some(3));
}

/// PR-3, PR-2: a member that is typing leaves with its draft, named or not.
#[test]
fn a_draft_goes_with_its_author() {
    let mut presence = crowd(&["ada", "bob", "cid"]);
    presence.draft(&id("cid"), "hm".into(), 0);
    assert_eq!(presence.drafts().len(), 1);
    let seen = presence.version();
    presence.leave(at(1), &id("cid"));
    assert_eq!(left(&presence.changes_since(seen).unwrap()), ["cid"]);
    assert!(presence.drafts().is_empty());
    // A member that is not named changes nothing.
    presence.enter(at(1), id("cid"), Name::tidy("cid"), by(SECOND));
    presence.handle_timeout(at(2));
    let seen = presence.version();
    presence.enter(at(2), id("cid"), Name::tidy("Cid"), by(SECOND));
    assert_eq!(presence.version(), seen);
}

/// PU-4: the drafts that a reader gets at once are bounded in bytes, as they are sent; it goes on from there.
#[test]
fn drafts_are_told_in_pieces() {
    let names: Vec<String> = (0..20).map(|n| format!("s{n:02}")).collect();
    let mut presence = room_with(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let seen = presence.version();
    for name in &names {
        presence.draft(&id(name), "\u{1}".repeat(4096), 0);
    }
    let each = 6 * 4096;
    let drafts = presence.drafts();
    assert_eq!(drafts.len(), DRAFTS_BYTES / each);
    assert_eq!(drafts.last().unwrap().session, id("s19"));

    let (mut since, mut seen_drafts) = (seen, Vec::new());
    loop {
        let changes = presence.changes_since(since).unwrap();
        assert!(changes.drafts.len() <= DRAFTS_BYTES / each);
        seen_drafts.extend(changes.drafts.into_iter().map(|draft| draft.session));
        let Some(until) = changes.until else { break };
        assert!(until > since);
        since = until;
    }
    assert_eq!(
        seen_drafts,
        names.iter().map(|name| id(name)).collect::<Vec<_>>()
    );

    // One draft is always sent, however large.
    presence.draft(&id("s00"), "\u{1}".repeat(DRAFTS_BYTES), 0);
    assert_eq!(presence.drafts().len(), 1);
    let changes = presence.changes_since(presence.version() - 1).unwrap();
    assert_eq!((changes.drafts.len(), changes.until), (1, None));

    // And all of them end where there is no room to keep them.
    let seen = presence.version();
    assert_eq!(presence.draft_bytes(), 19 * 4096 + DRAFTS_BYTES);
    presence.clear_drafts();
    assert_eq!((presence.draft_bytes(), presence.drafts()), (0, Vec::new()));
    assert_eq!(presence.changes_since(seen).unwrap().drafts.len(), 20);
}

/// PR-2, PR-3: a client that joins gets the newest drafts, in the order in which they were typed.
#[test]
fn the_newest_drafts_are_told() {
    let names: Vec<String> = (0..=DRAFTS_MAX).map(|n| format!("s{n}")).collect();
    let mut presence = room_with(&names.iter().map(String::as_str).collect::<Vec<_>>());
    for name in &names {
        presence.draft(&id(name), name.clone(), 0);
    }
    let drafts = presence.drafts();
    assert_eq!(drafts.len(), DRAFTS_MAX);
    assert_eq!(
        (drafts[0].body.as_str(), drafts[1].body.as_str()),
        ("s1", "s2")
    );
}
