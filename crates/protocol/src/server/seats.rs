//! The seats of one connection in its rooms. Most connections are in one room, and there are many connections:
//! so this is a sorted list, where a map would reserve room for a dozen.

use super::rooms::Seat;
use crate::id::RoomName;

/// One seat for each room, sorted by the rooms' names.
#[derive(Debug, Default)]
pub(super) struct Seats(Vec<(RoomName, Seat)>);

impl Seats {
    pub(super) const fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn contains(&self, room: &RoomName) -> bool {
        self.find(room).is_ok()
    }

    pub(super) fn get_mut(&mut self, room: &RoomName) -> Option<&mut Seat> {
        let index = self.find(room).ok()?;
        self.0.get_mut(index).map(|(_, seat)| seat)
    }

    /// Takes a seat, in place of the one that the connection had in this room.
    pub(super) fn insert(&mut self, room: RoomName, seat: Seat) {
        match self.find(&room) {
            Ok(index) => {
                if let Some((_, taken)) = self.0.get_mut(index) {
                    *taken = seat;
                }
            }
            Err(index) => {
                self.0.reserve_exact(1);
                self.0.insert(index, (room, seat));
            }
        }
    }

    /// Gives a seat up; returns whether there was one.
    pub(super) fn remove(&mut self, room: &RoomName) -> bool {
        let found = self.find(room);
        if let Ok(index) = found {
            self.0.remove(index);
        }
        found.is_ok()
    }

    pub(super) fn rooms(&self) -> impl Iterator<Item = &RoomName> {
        self.0.iter().map(|(room, _)| room)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Seat> {
        self.0.iter().map(|(_, seat)| seat)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&RoomName, &mut Seat)> {
        self.0.iter_mut().map(|(room, seat)| (&*room, seat))
    }

    /// Uses the room's own copy of its name: one copy for all members, and cheap to compare with
    /// itself.
    pub(super) fn share_name(&mut self, room: &RoomName) {
        let found = self.find(room).ok();
        if let Some((name, _)) = found.and_then(|index| self.0.get_mut(index)) {
            *name = room.clone();
        }
    }

    /// The index of the room's seat, or the index where it would be.
    fn find(&self, room: &RoomName) -> Result<usize, usize> {
        if let [(only, _)] = &self.0[..]
            && only == room
        {
            return Ok(0);
        }
        self.0.binary_search_by(|(known, _)| known.cmp(room))
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::super::RequestId;
    use super::*;

    #[test]
    fn each_room_has_one_seat() {
        let room = |name| RoomName::new(name).unwrap();
        let mut seats = Seats::default();
        for name in ["garden", "attic", "lobby", "cellar", "garden"] {
            seats.insert(room(name), Seat::new(None, 1, RequestId(1)));
        }
        let names =
            |seats: &Seats| -> Vec<String> { seats.rooms().map(RoomName::to_string).collect() };
        assert_eq!(names(&seats), ["attic", "cellar", "garden", "lobby"]);
        assert_eq!(
            (seats.len(), seats.iter().count(), seats.iter_mut().count()),
            (4, 4, 4)
        );

        assert!(seats.contains(&room("cellar")) && !seats.contains(&room("hall")));
        assert!(seats.get_mut(&room("lobby")).is_some() && seats.get_mut(&room("hall")).is_none());
        assert!(seats.remove(&room("cellar")) && !seats.remove(&room("cellar")));
        assert_eq!(names(&seats), ["attic", "garden", "lobby"]);
    }
}
