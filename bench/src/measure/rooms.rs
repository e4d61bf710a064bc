//! A workload: many small rooms.

use std::time::Duration;

use protocol::id::RoomName;

use super::talk::{self, Assembly, Party, Speech};
use super::{About, PLAIN, Subject, Traffic};
use crate::peer::{Peer, Programs, Running};

/// The description of the workload.
pub const ABOUT: About = About {
    text: "Rooms of two. Two share two rooms, and each talks in one of them; all of them together send 1,000 texts of \
           128 bytes a second, at even intervals.",
    columns: talk::COLUMNS,
    cast: &[
        (Peer::Everbeat, Traffic::Drafts),
        (Peer::Everbeat, Traffic::Messages),
        PLAIN[0],
        PLAIN[1],
        PLAIN[2],
        PLAIN[3],
        PLAIN[4],
    ],
    growing: &[
        (Peer::Everbeat, Traffic::Drafts),
        (Peer::Everbeat, Traffic::Messages),
        (Peer::Bun, Traffic::Texts),
    ],
    unit: "rooms",
    main: 10_000,
    others: &[1, 1000],
    seconds: 20,
};

/// Texts a second, in all.
const RATE: u32 = 1000;

pub(super) async fn run(
    subject: Subject,
    programs: &Programs,
    seconds: u64,
) -> anyhow::Result<Vec<f64>> {
    let server = Running::start(subject.peer, programs, talk::OPTIONS).await?;
    let rooms = u32::try_from(subject.size)?;
    let every = Duration::from_secs(1) * rooms / RATE;
    // Each member sends at least one text; in few rooms, many.
    let count = (seconds * u64::from(RATE)).div_ceil(u64::from(rooms));
    let speech = Speech {
        every,
        count: count.max(2),
        bytes: 128,
    };
    let name = |number: u32| RoomName::new(&format!("rooms-{number}"));
    let mut parties = Vec::new();
    // With a single room, the partner only listens.
    for number in 0..rooms.next_multiple_of(2) {
        let partner = number ^ 1;
        let mut shared = Vec::new();
        for room in [number, partner] {
            if room < rooms {
                shared.push(name(room)?);
            }
        }
        parties.push(Party {
            rooms: shared,
            first: (number < rooms).then(|| Duration::from_secs(1) * number / RATE),
            talkers: usize::from(partner < rooms),
        });
    }
    let assembly = Assembly::gather(&[server.address], subject, parties, speech).await?;
    Ok(assembly.talk(&[server.pid()?]).await?.figures())
}
