//! Entries: what is written to readers, encoded once for all of them.

use protocol::codec;
use protocol::frame::{Draft, Message, RoomDraft, ServerFrame};
use protocol::id::{RoomName, SessionId};
use protocol::position::Offset;
use protocol::presence::MemberChanges;

use crate::text_frame::TextFrame;

/// The memory of an entry beside its bytes: its place in a queue, which grows by doubling, and for each of its two
/// texts a reference count and the allocator's overhead.
const ENTRY_BYTES: usize = 2 * size_of::<Entry>() + 2 * 48;

/// An entry: a message, a draft or a change of members, encoded in both dialects.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The offset of a message, also where this is its redaction; zero for anything else.
    pub offset: Offset,
    /// The frame.
    pub frame: TextFrame,
    /// The bare text for a tutorial page; `None` where the dialect has nothing for it.
    pub text: Option<TextFrame>,
    /// The session whose draft it is: it does not get its own.
    pub author: Option<SessionId>,
}

impl Entry {
    /// A message of the log.
    pub fn message(message: Message) -> Self {
        let text = (!message.removed).then(|| TextFrame::new(message.body.as_str()));
        let offset = message.offset;
        let frame = TextFrame::new(codec::encode(&ServerFrame::Message(message)));
        Self {
            offset,
            frame,
            text,
            author: None,
        }
    }

    pub(super) fn draft(room: &RoomName, draft: RoomDraft) -> Self {
        let RoomDraft {
            session,
            name,
            body,
        } = draft;
        let text = Some(TextFrame::new(body.as_str()));
        let draft = Draft {
            room: room.clone(),
            session: session.clone(),
            name,
            body,
        };
        let frame = TextFrame::new(codec::encode(&ServerFrame::Draft(draft)));
        Self {
            offset: Offset::ZERO,
            frame,
            text,
            author: Some(session),
        }
    }

    pub(super) fn presence(room: &RoomName, changes: MemberChanges) -> Self {
        let frame = ServerFrame::Presence {
            room: room.clone(),
            joined: changes.joined,
            left: changes.left,
            count: changes.count,
        };
        let frame = TextFrame::new(codec::encode(&frame));
        Self {
            offset: Offset::ZERO,
            frame,
            text: None,
            author: None,
        }
    }

    /// The memory that the entry takes, in bytes.
    pub(super) fn bytes(&self) -> usize {
        ENTRY_BYTES + self.frame.len() + self.text.as_ref().map_or(0, TextFrame::len)
    }
}
