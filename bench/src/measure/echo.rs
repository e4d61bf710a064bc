//! A workload: texts that the server sends back to their sender, one at a time.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::results::{Column, Order};
use super::{About, PLAIN, Subject, Traffic};
use crate::line::Line;
use crate::peer::{Peer, Programs, Running};
use crate::usage::Usage;

/// The description of the workload.
pub const ABOUT: About = About {
    text: "64 connections send a text of 64 bytes each, and the next one when it is back. Everbeat speaks the \
           tutorial's dialect here, in a room for each connection: it shows each text to the room, too.",
    columns: &[
        Column::new("echoes a second", 0, Order::MoreIsBetter),
        Column::new("server's CPU an echo, us", 2, Order::LessIsBetter),
    ],
    cast: &[
        (Peer::Everbeat, Traffic::Texts),
        PLAIN[0],
        PLAIN[1],
        PLAIN[2],
        PLAIN[3],
        PLAIN[4],
    ],
    growing: &[],
    unit: "connections",
    main: 64,
    others: &[],
    seconds: 10,
};

pub(super) async fn run(
    subject: Subject,
    programs: &Programs,
    seconds: u64,
) -> anyhow::Result<Vec<f64>> {
    let peer = subject.peer;
    let server = Running::start(peer, programs, &[]).await?;
    let mut lines = Vec::new();
    for number in 0..subject.size {
        lines.push(connect(server.address, peer, number).await?);
    }
    let pid = server.pid()?;
    let before = Usage::of(pid)?;
    let begun = Instant::now();
    let end = begun + Duration::from_secs(seconds);
    let mut tasks = JoinSet::new();
    for line in lines {
        tasks.spawn(exchange(line, end));
    }
    let mut echoes = 0;
    while let Some(count) = tasks.join_next().await {
        echoes += count??;
    }
    let took = begun.elapsed();
    let after = Usage::of(pid)?;
    let echoes = f64::from(echoes);
    Ok(vec![
        echoes / took.as_secs_f64(),
        (after.cpu - before.cpu).as_secs_f64() * 1e6 / echoes,
    ])
}

async fn connect(address: SocketAddr, peer: Peer, number: usize) -> anyhow::Result<Line> {
    let path = match peer {
        Peer::Everbeat => format!("/ws?room=echo-{number}"),
        _ => "/echo".to_owned(),
    };
    Line::connect(address, &path, peer.dialect()).await
}

async fn exchange(mut line: Line, end: Instant) -> anyhow::Result<u32> {
    let mut count = 0;
    while Instant::now() < end {
        let text = format!("{count:-<64}");
        line.send("echo", &text).await?;
        let back = line.receive().await?;
        anyhow::ensure!(back.as_str() == text, "another text came back: {back}");
        count += 1;
    }
    Ok(count)
}
