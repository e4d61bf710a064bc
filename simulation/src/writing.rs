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

/// The frames that tell the changes of a room's members and drafts.
pub(crate) fn of_changes(
    room: &RoomName,
    changes: Changes,
) -> impl Iterator<Item = ServerFrame> + use<> {
    let presence = {
        let room = room.clone();
        changes.members.map(
            |MemberChanges {
                 joined,
                 left,
                 count,
             }| ServerFrame::Presence {
                room,
                joined,
                left,
                count,
            },
        )
    };
    let room = room.clone();
    let drafts = changes.drafts.into_iter().map(move |author| {
        ServerFrame::Draft(Draft {
            room: room.clone(),
            session: author.session,
            name: author.name,
            body: author.body,
        })
    });
    presence.into_iter().chain(drafts)
}
