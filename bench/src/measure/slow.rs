//! A workload: half of the readers stop reading.

use std::time::Duration;

use protocol::id::RoomName;

use super::fan_out::audience;
use super::results::{Column, Order};
use super::talk::{self, Assembly, Seat, Speech};
use super::{About, PLAIN, Subject, Traffic};
use crate::peer::{Peer, Programs, Running};
use crate::usage::Usage;

/// The description of the workload.
pub const ABOUT: About = About {
    text: "One sends 20 texts of 4 kB a second to a room where half of the readers have stopped reading, though their \
           connections are there; before that, the same to the other half alone. Memory is what the server takes more \
           with the stopped ones, after they were sent everything, for each of them.",
    columns: &[
        Column::new("p99 undisturbed, ms", 2, Order::LessIsBetter),
        Column::new("p99 beside stopped readers, ms", 2, Order::LessIsBetter),
        Column::new("times", 2, Order::LessIsBetter),
        Column::new("memory a stopped reader, kB (PSS)", 1, Order::LessIsBetter),
        Column::new("delivered to the others, %", 3, Order::MoreIsBetter),
    ],
    cast: &[
        (Peer::Everbeat, Traffic::Messages),
        PLAIN[0],
        PLAIN[1],
        PLAIN[2],
        PLAIN[3],
        PLAIN[4],
    ],
    growing: &[],
    unit: "readers",
    main: 2000,
    others: &[],
    seconds: 10,
};

pub(super) async fn run(
    subject: Subject,
    programs: &Programs,
    seconds: u64,
) -> anyhow::Result<Vec<f64>> {
    let server = Running::start(subject.peer, programs, talk::OPTIONS).await?;
    let speech = Speech {
        every: Duration::from_millis(50),
        count: 20 * seconds,
        bytes: 4000,
    };
    let half = subject.size / 2;
    let room = RoomName::new("slow")?;
    let talk = async |room: &RoomName| {
        let readers = audience(room.clone(), half);
        let assembly = Assembly::gather(&[server.address], subject, readers, speech).await?;
        assembly.talk(&[server.pid()?]).await
    };
    // In a room of its own, so that its texts are not replayed later.
    let undisturbed = talk(&RoomName::new("undisturbed")?).await?;
    let before = Usage::of(server.pid()?)?;
    let mut stopped = Vec::new();
    for number in 0..half {
        let seed = 1_000_000 + number as u64;
        let rooms = std::slice::from_ref(&room);
        stopped.push(Seat::take(server.address, subject, seed, rooms).await?);
    }
    let disturbed = talk(&room).await?;
    let after = Usage::of(server.pid()?)?;
    #[expect(clippy::cast_precision_loss, reason = "figures of a few digits")]
    let memory = after.pss_bytes.saturating_sub(before.pss_bytes) as f64 / stopped.len() as f64;
    let (p99, share) = (disturbed.ms(0.99), disturbed.figures().pop());
    Ok(vec![
        undisturbed.ms(0.99),
        p99,
        p99 / undisturbed.ms(0.99),
        memory / 1000.0,
        share.unwrap_or_default(),
    ])
}
