//! Frames as the server's driver writes them.

use protocol::codec;
use protocol::frame::{Draft, ServerFrame};
use protocol::id::RoomName;
use protocol::presence::{Changes, MemberChanges};
use protocol::time::Timestamp;

use crate::link::{Links, Packet, Way};

/// Sends a frame down a link.
pub(crate) fn write(now: Timestamp, link: u64, frame: &ServerFrame, links: &mut Links) {
    links.send(now, link, Way::Down, Packet::Text(codec::encode(frame)));
}

/// Sends the changes of a room's members and drafts.
pub(crate) fn write_changes(
    now: Timestamp,
    link: u64,
    room: &RoomName,
    changes: Changes,
    links: &mut Links,
) {
    if let Some(MemberChanges {
        joined,
        left,
        count,
    }) = changes.members
    {
        let presence = ServerFrame::Presence {
            room: room.clone(),
            joined,
            left,
            count,
        };
        write(now, link, &presence, links);
    }
    for author in changes.drafts {
        let draft = Draft {
            room: room.clone(),
            session: author.session,
            name: author.name,
            body: author.body,
        };
        write(now, link, &ServerFrame::Draft(draft), links);
    }
}
