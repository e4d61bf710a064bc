//! A room whose messages are values of the app's own type.

use std::marker::PhantomData;

use protocol::frame::Message;
use protocol::id::RoomName;
use view::{Body, BodyError, Read};

use crate::commands::Busy;
use crate::room::{Room, use_room};

/// A [`Room`] whose messages are values of `B`. Signals and the other commands are those of [`TypedRoom::room`]; a row,
/// a draft or a message of it is read by [`Read`].
pub struct TypedRoom<B> {
    room: Room,
    body: PhantomData<fn() -> B>,
}

/// The error of a value that is not published; the caller keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotPublished {
    /// The session takes no more commands now.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// The value has no text.
    #[error(transparent)]
    Body(#[from] BodyError),
}

/// [`use_room`], for messages that are values of `B`.
///
/// # Panics
/// As [`use_room`].
pub fn use_typed_room<B: Body + 'static>(name: RoomName) -> TypedRoom<B> {
    use_room(name).typed()
}

impl Room {
    /// The same view, for messages that are values of `B`.
    pub const fn typed<B: Body + 'static>(self) -> TypedRoom<B> {
        let body = PhantomData;
        TypedRoom { room: self, body }
    }
}

impl<B: Body + 'static> TypedRoom<B> {
    /// The view, with bodies as text.
    pub const fn room(&self) -> Room {
        self.room
    }

    /// [`Room::publish`] of a value.
    ///
    /// # Errors
    /// [`NotPublished`] if it is not taken.
    pub fn publish(&self, body: &B) -> Result<(), NotPublished> {
        Ok(self.room.publish(body.to_text()?)?)
    }

    /// [`Room::draft`] of a value; `None` clears the draft. A value without a text is dropped.
    pub fn draft(&self, body: Option<&B>) {
        if let Ok(text) = body.map_or_else(|| Ok(String::new()), Body::to_text) {
            self.room.draft(text);
        }
    }

    /// [`Room::on_message`], with the value of the message. One that cannot be read comes, too: as
    /// [`Read::Unreadable`].
    pub fn on_message(&self, callback: impl Fn(&Message, Read<B>) + Send + Sync + 'static) {
        self.room
            .on_message(move |message| callback(message, Read::of_message(message)));
    }
}

// Derived ones would require `B: Clone` and `B: Copy`.
impl<B> Clone for TypedRoom<B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B> Copy for TypedRoom<B> {}
