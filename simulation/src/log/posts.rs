//! The operations of the test world's log for requests over HTTP.

use protocol::frame::Message;
use protocol::id::RoomName;
use protocol::position::Offset;
use protocol::server::{PostError, PostKey, Posted, Redaction, repeated_post};

use super::Log;

impl Log {
    /// Appends a message, or finds the one that was posted under its key.
    pub(super) fn post(&mut self, key: PostKey, new: &Message) -> Result<Posted, PostError> {
        if !self.is_available {
            return Err(PostError::Unavailable);
        }
        let epoch = self.room(&new.room).epoch.clone();
        if let Some((room, body, offset)) = self.posts.get(&key) {
            let is_same = *room == new.room && *body == new.body;
            return Ok(repeated_post(epoch, *offset, is_same)?);
        }
        let first = (new.room.clone(), new.body.clone(), new.offset);
        self.posts.insert(key, first);
        Ok(Posted {
            epoch,
            offset: self.keep(new),
            is_repeat: false,
        })
    }

    /// Redacts a message. Returns the result, and the message if it changed; none while nothing can be stored.
    pub(super) fn removed_for(
        &mut self,
        room: &RoomName,
        offset: Offset,
    ) -> (Option<Redaction>, Option<Message>) {
        if !self.is_available {
            return (None, None);
        }
        if let Some(gone) = self.remove(room, offset) {
            return (Some(Redaction::Done), Some(gone));
        }
        let is_there = self.messages(room).iter().any(|m| m.offset == offset);
        let removal = match is_there {
            true => Redaction::Before,
            false => Redaction::Missing,
        };
        (Some(removal), None)
    }
}
