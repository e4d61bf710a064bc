//! Pages of history that are owed (HB-6).
//!
//! A page is one frame of up to 256 KiB: on a slow line nothing comes for seconds until it is whole, and the answer to a
//! ping comes after it. So a wait for a page is no silence, for a while.

use crate::frame::{ErrorCode, Refusal};
use crate::heartbeat::{Heartbeat, PUT_OFF_MAX};
use crate::id::RoomName;
use crate::time::Timestamp;

/// How many pages are counted. A server owes a connection no more answers at once.
const PAGES_MAX: usize = 64;

/// The pages that are owed on one connection.
#[derive(Debug, Default)]
pub(super) struct Pages {
    /// Their rooms, in the order of the requests.
    rooms: Vec<RoomName>,
    /// When the wait for the first of them began.
    since: Timestamp,
}

impl Pages {
    /// A page is asked for.
    pub(super) fn asked(&mut self, now: Timestamp, room: &RoomName) {
        if self.rooms.is_empty() {
            self.since = now;
        }
        if self.rooms.len() < PAGES_MAX {
            self.rooms.push(room.clone());
        }
    }

    /// A page of this room came, or none will.
    pub(super) fn answered(&mut self, now: Timestamp, room: &RoomName) {
        if let Some(index) = self.rooms.iter().position(|owed| owed == room) {
            self.rooms.remove(index);
            self.since = now;
        }
    }

    /// As [`Pages::answered`], where this refusal may be the answer.
    pub(super) fn refused(&mut self, now: Timestamp, refusal: &Refusal) {
        let is_answer = matches!(refusal.code, ErrorCode::ReadDenied | ErrorCode::Unavailable);
        if let Some(room) = refusal.room.as_ref().filter(|_| is_answer) {
            self.answered(now, room);
        }
    }

    /// Puts off the verdict on a ping whose answer comes after a page that is owed.
    pub(super) fn put_off(&self, heartbeat: &mut Heartbeat) {
        if !self.rooms.is_empty() {
            heartbeat.put_off(self.since, self.since + PUT_OFF_MAX);
        }
    }
}
