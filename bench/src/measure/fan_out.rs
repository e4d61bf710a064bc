//! A workload: one client sends, many listen.

use std::time::Duration;

use protocol::id::RoomName;

use super::talk::{self, Assembly, Party, Speech};
use super::{About, PLAIN, Subject, Traffic};
use crate::peer::{Peer, Programs, Running};

/// The description of the workload.
pub const ABOUT: About = About {
    text: "One sends 20 texts of 128 bytes a second to a room; each of the others notes how long after the moment at \
           which a text was to be sent it came. Everbeat's are drafts, or durable messages; a draft may be replaced by the \
           next one.",
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
    unit: "listeners",
    main: 1000,
    others: &[10, 100, 10_000],
    seconds: 10,
};

/// The texts a second. Fewer to very many listeners, so that the machine can keep up.
const fn rate(listeners: usize) -> u64 {
    if listeners > 2000 { 2 } else { 20 }
}

pub(super) async fn run(
    subject: Subject,
    programs: &Programs,
    seconds: u64,
) -> anyhow::Result<Vec<f64>> {
    let server = Running::start(subject.peer, programs, talk::OPTIONS).await?;
    let rate = rate(subject.size);
    let speech = Speech {
        every: Duration::from_secs(1) / u32::try_from(rate)?,
        count: rate * seconds,
        bytes: 128,
    };
    let parties = audience(RoomName::new("fan-out")?, subject.size);
    let assembly = Assembly::gather(&[server.address], subject, parties, speech).await?;
    Ok(assembly.talk(&[server.pid()?]).await?.figures())
}

/// One client that sends in a room, and so many that listen.
pub(super) fn audience(room: RoomName, listeners: usize) -> Vec<Party> {
    let party = |first: Option<Duration>| Party {
        rooms: vec![room.clone()],
        talkers: usize::from(first.is_none()),
        first,
    };
    let talker = party(Some(Duration::ZERO));
    std::iter::repeat_with(|| party(None))
        .take(listeners)
        .chain([talker])
        .collect()
}
