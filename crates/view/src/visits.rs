//! The rooms that the user visits, and how much is new in each.

use protocol::client::Event;
use protocol::frame::ErrorCode;
use protocol::id::RoomName;
use protocol::position::Offset;

use crate::{Own, Report};

/// How many rooms are remembered; the one that was visited longest ago is forgotten first. A list of more is not looked
/// over at a glance, and each costs a question now and then.
const ROOMS_MAX: usize = 8;

/// The rooms that the user visited last, with the room that is shown, in the order of their names.
///
/// What is new in the room that is shown comes by itself. Of the others a page asks for the newest message, whose offset
/// says how many there are: on its start, when it comes back into view, and then ever more rarely. While it is hidden it
/// asks nothing, and what comes meanwhile in its room is new to the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visits {
    own: Own,
    /// The room that is shown.
    room: RoomName,
    rooms: Vec<Visited>,
    is_hidden: bool,
    /// How many minutes ago it asked last; `None` before it was live.
    minutes: Option<u32>,
}

/// A moment at which a page may ask what is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The connection is live, the first time or again.
    Live,
    /// A minute is over, shown or hidden.
    Minute,
    /// The page is in view again.
    Shown,
    /// The page is hidden.
    Hidden,
}

/// A room that the user visited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visited {
    /// The room.
    pub room: RoomName,
    /// The offset up to which the user has seen it: the largest, where that is not known.
    seen: u64,
    /// Its newest message, as far as is known.
    head: u64,
    /// The number of the last visit: a later one has a higher number.
    visit: u32,
}

impl Visits {
    /// The lobby, and the room that is shown.
    pub fn new(room: &RoomName) -> Self {
        let mut visits = Self {
            own: Own::default(),
            room: room.clone(),
            rooms: Vec::new(),
            is_hidden: false,
            minutes: None,
        };
        visits.find(&RoomName::lobby());
        visits.enter(room);
        visits
    }

    /// Takes what the browser kept, from [`Visits::kept`] of this page or of another one.
    pub fn restore(&mut self, kept: &str) {
        for line in kept.lines() {
            let mut words = line.split(' ');
            let room = words.next().map(RoomName::new);
            let visit = words.next().and_then(|visit| visit.parse().ok());
            if let (Some(Ok(room)), Some(visit)) = (room, visit) {
                let visited = self.find(&room);
                visited.visit = visited.visit.max(visit);
                let seen = words.next().and_then(|seen| seen.parse().ok());
                let known = Some(visited.seen).filter(|seen| *seen != u64::MAX);
                visited.seen = seen.max(known).unwrap_or(u64::MAX);
            }
        }
        self.visit();
    }

    /// What the browser is to keep.
    pub fn kept(&self) -> String {
        let mut kept = String::new();
        for Visited {
            room, seen, visit, ..
        } in &self.rooms
        {
            // Without the machinery of `write!`, which the page would carry for it.
            let seen = Some(*seen).filter(|seen| *seen != u64::MAX);
            let seen = seen.map_or_else(String::new, |seen| seen.to_string());
            for word in [room.as_str(), " ", &visit.to_string(), " ", &seen, "\n"] {
                kept += word;
            }
        }
        kept
    }

    /// The user visits a room.
    pub fn enter(&mut self, room: &RoomName) {
        self.room = room.clone();
        self.visit();
    }

    /// Folds a report. Returns whether anything changed.
    pub fn fold(&mut self, report: &Report) -> bool {
        self.own.fold(report);
        let Report::Event(event) = report else {
            return false;
        };
        match event {
            Event::Joined { joined, .. } if joined.room == self.room => {
                self.reached(&joined.room, joined.head, false)
            }
            Event::Message(message) if message.room == self.room => {
                let is_own = self.own.contains(&message.session);
                self.reached(&message.room, message.offset, is_own)
            }
            Event::History { room, messages, .. } if *room != self.room => {
                let newest = messages.last();
                newest.is_some_and(|newest| self.reached(room, newest.offset, false))
            }
            Event::Refused(refusal) if refusal.code == ErrorCode::ReadDenied => {
                self.deny(refusal.room.as_ref())
            }
            _ => false,
        }
    }

    /// Takes a moment. Returns the rooms of which to ask for the newest message now.
    pub fn pass(&mut self, moment: Moment) -> Vec<RoomName> {
        let minutes = self.minutes;
        let is_due = match moment {
            Moment::Live => {
                // Not at each return: all clients of a server that restarts come back together.
                self.minutes = Some(u32::from(self.is_hidden));
                minutes.is_none()
            }
            Moment::Minute => {
                self.minutes = minutes.map(|minutes| minutes.saturating_add(1));
                self.minutes.is_some_and(u32::is_power_of_two)
            }
            Moment::Shown => {
                self.is_hidden = false;
                let room = self.room.clone();
                let here = self.find(&room);
                here.seen = here.seen.max(here.head);
                self.minutes = minutes.map(|_| 0);
                minutes > Some(0)
            }
            Moment::Hidden => {
                self.is_hidden = true;
                false
            }
        };
        let others = self.rooms.iter().filter(|_| is_due && !self.is_hidden);
        let others = others.map(|visited| visited.room.clone());
        others.filter(|room| *room != self.room).collect()
    }

    /// The rooms.
    pub fn rooms(&self) -> &[Visited] {
        &self.rooms
    }

    /// How much is new in the room that is shown: what came while the page was hidden.
    pub fn unseen(&self) -> u64 {
        self.unread(true)
    }

    /// How much is new in all other rooms, as far as is known.
    pub fn elsewhere(&self) -> u64 {
        self.unread(false)
    }

    fn unread(&self, is_here: bool) -> u64 {
        let meant = |visited: &&Visited| (visited.room == self.room) == is_here;
        self.rooms.iter().filter(meant).map(Visited::unread).sum()
    }

    /// The newest message of a room is known.
    fn reached(&mut self, room: &RoomName, head: Offset, is_own: bool) -> bool {
        let is_shown = *room == self.room && !self.is_hidden;
        let Some(visited) = self.rooms.iter_mut().find(|visited| visited.room == *room) else {
            return false;
        };
        let before = visited.unread();
        visited.head = head.get();
        visited.seen = if is_shown || (is_own && before == 0) {
            visited.head
        } else {
            // A room that was not seen yet has nothing new; nor has the log of another epoch, which is shorter.
            visited.seen.min(visited.head)
        };
        visited.unread() != before
    }

    /// The user may not read that room: it is not worth a link. (The lobby always has one.)
    fn deny(&mut self, room: Option<&RoomName>) -> bool {
        let before = self.rooms.len();
        let lobby = RoomName::lobby();
        if room != Some(&self.room) && room != Some(&lobby) {
            self.rooms.retain(|visited| Some(&visited.room) != room);
        }
        self.rooms.len() != before
    }

    /// The room that is shown is the one that was visited last.
    fn visit(&mut self) {
        let last = self.rooms.iter().map(|visited| visited.visit).max();
        let room = self.room.clone();
        self.find(&room).visit = last.unwrap_or(0).saturating_add(1);
        while self.rooms.len() > ROOMS_MAX {
            // The first is the lobby.
            let others = self.rooms.iter().enumerate().skip(1);
            let oldest = others.min_by_key(|(_, visited)| visited.visit);
            if let Some((oldest, _)) = oldest {
                self.rooms.remove(oldest);
            }
        }
    }

    /// The place of a room in the list, where it is put if it is new.
    fn find(&mut self, room: &RoomName) -> &mut Visited {
        let known = self.rooms.iter().position(|visited| visited.room == *room);
        let at = known.unwrap_or_else(|| {
            let is_lobby = *room == RoomName::lobby();
            let is_after = |(at, visited): (usize, &Visited)| at > 0 && visited.room > *room;
            let at = self.rooms.iter().enumerate().position(is_after);
            let at = if is_lobby {
                0
            } else {
                at.unwrap_or(self.rooms.len())
            };
            let visited = Visited {
                room: room.clone(),
                seen: u64::MAX,
                head: 0,
                visit: 0,
            };
            self.rooms.insert(at, visited);
            at
        });
        &mut self.rooms[at]
    }
}

impl Visited {
    /// How many messages are new to the user, as far as is known.
    pub const fn unread(&self) -> u64 {
        self.head.saturating_sub(self.seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{joined, message, welcomed};
    use protocol::frame::Refusal;

    fn room(name: &str) -> RoomName {
        RoomName::new(name).unwrap()
    }

    fn names(visits: &Visits) -> Vec<&str> {
        let rooms = visits.rooms().iter();
        rooms.map(|visited| visited.room.as_str()).collect()
    }

    fn unread(visits: &Visits) -> Vec<u64> {
        visits.rooms().iter().map(Visited::unread).collect()
    }

    /// The answer to a question for the newest message.
    fn newest(name: &str, at: u64) -> Report {
        let mut newest = message("ada", at, at, "x");
        newest.room = room(name);
        Report::Event(Event::History {
            room: room(name),
            messages: vec![newest],
            more: true,
        })
    }

    fn said(author: &str, at: u64) -> Report {
        Report::Event(Event::Message(message(author, at, at, "x")))
    }

    #[test]
    fn the_rooms_visited_last_are_listed_after_the_lobby_by_name() {
        let mut visits = Visits::new(&room("tea"));
        visits.enter(&room("all"));
        assert_eq!(names(&visits), ["lobby", "all", "tea"]);
        for name in ["b", "c", "d", "e", "all", "f", "g"] {
            visits.enter(&room(name));
        }
        // The room of the oldest visit is forgotten, but never the lobby.
        assert_eq!(
            names(&visits),
            ["lobby", "all", "b", "c", "d", "e", "f", "g"]
        );
        let mut later = Visits::new(&room("h"));
        later.restore(&visits.kept());
        assert_eq!(
            names(&later),
            ["lobby", "all", "c", "d", "e", "f", "g", "h"]
        );
    }

    #[test]
    fn what_came_since_the_last_visit_is_new() {
        let mut visits = Visits::new(&RoomName::lobby());
        visits.fold(&joined(&[], "e", 7, false));
        visits.enter(&room("tea"));
        // It was never seen: nothing is known to be new.
        assert!(!visits.fold(&newest("all", 3)));
        assert!(visits.fold(&newest("lobby", 9)) && !visits.fold(&newest("lobby", 9)));
        assert_eq!((unread(&visits), visits.elsewhere()), (vec![2, 0], 2));
        let mut later = Visits::new(&room("tea"));
        later.restore(&visits.kept());
        later.restore("lobby 1 8\nbad room 1\n-\n");
        assert!(later.fold(&newest("lobby", 12)));
        assert_eq!(unread(&later), [4, 0]);
        later.enter(&RoomName::lobby());
        assert!(later.fold(&joined(&[], "e", 12, false)));
        assert_eq!(unread(&later), [0, 0]);
        // The log of another epoch.
        assert!(!later.fold(&joined(&[], "f", 2, true)));
        later.enter(&room("tea"));
        assert!(later.fold(&newest("lobby", 5)));
        assert_eq!(unread(&later), [3, 0]);
    }

    #[test]
    fn what_comes_while_the_page_is_hidden_is_new() {
        let mut visits = Visits::new(&RoomName::lobby());
        visits.fold(&welcomed("me"));
        visits.fold(&joined(&[], "e", 7, false));
        assert!(!visits.fold(&said("ada", 8)));
        visits.pass(Moment::Hidden);
        // The user's own messages are not.
        assert!(!visits.fold(&said("me", 9)));
        assert!(visits.fold(&said("ada", 10)) && visits.fold(&said("me", 11)));
        assert_eq!(visits.unseen(), 2);
        visits.pass(Moment::Shown);
        assert_eq!(visits.unseen(), 0);
    }

    #[test]
    fn a_page_in_view_asks_ever_more_rarely_and_a_hidden_one_never() {
        let mut visits = Visits::new(&room("tea"));
        let mut asks = |moment| !visits.pass(moment).is_empty();
        // Before it is live, there is nothing to ask.
        assert!(!asks(Moment::Minute) && !asks(Moment::Shown));
        assert!(asks(Moment::Live));
        let minutes: Vec<u32> = (1..100).filter(|_| asks(Moment::Minute)).collect();
        assert_eq!(minutes, [1, 2, 4, 8, 16, 32, 64]);
        assert!(!asks(Moment::Live) && !asks(Moment::Shown));
        assert!(!asks(Moment::Hidden));
        assert!(!asks(Moment::Minute) && !asks(Moment::Minute) && !asks(Moment::Live));
        assert!(asks(Moment::Shown) && !asks(Moment::Shown));
        assert!(asks(Moment::Minute));
        assert_eq!(visits.pass(Moment::Minute), [RoomName::lobby()]);
    }

    #[test]
    fn a_room_that_may_not_be_read_is_not_listed() {
        let mut visits = Visits::new(&room("tea"));
        visits.enter(&room("all"));
        for (name, is_dropped) in [
            ("tea", true),
            ("tea", false),
            ("all", false),
            ("lobby", false),
        ] {
            let refusal = Refusal {
                code: ErrorCode::ReadDenied,
                message: "no".into(),
                seq: None,
                unsettled: None,
                room: Some(room(name)),
                retry_after_ms: None,
            };
            assert_eq!(
                visits.fold(&Report::Event(Event::Refused(refusal))),
                is_dropped
            );
        }
        assert_eq!(names(&visits), ["lobby", "all"]);
    }
}
