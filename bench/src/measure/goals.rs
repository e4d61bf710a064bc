//! The goals of the figures, and the causes where one is missed.

use std::fmt::Write as _;

use super::results::{Order, Table};
use super::{Subject, Traffic, Workload};
use crate::peer::Peer;

/// A bound on the medians of a workload.
#[derive(Clone, Copy, Debug)]
pub struct Goal {
    /// The quantity, in words.
    text: &'static str,
    quantity: Quantity,
    /// Whether the bound is a lower or an upper one.
    order: Order,
    bound: f64,
    /// The cause, where it is missed.
    cause: &'static str,
}

#[derive(Clone, Copy, Debug)]
enum Quantity {
    One(Cell),
    /// The ratio of the first to the second.
    Times(Cell, Cell),
}

/// A figure of a table.
#[derive(Clone, Copy, Debug)]
struct Cell {
    subject: Subject,
    /// The title of its column.
    column: &'static str,
}

const IDLE: &[Goal] = &[
    most(4.0, "memory of a session, kB", one(messages(15_000, MEMORY))),
    most(
        2.0,
        "CPU of 100,000, % of one core",
        one(messages(15_000, "CPU of 100,000, % of one core")),
    )
    .because(
        "A heartbeat every 25 s from each of 100,000 is 4,000 exchanges a second, so 2 % are 5 us for a ping and its pong; \
         the kernel's `send` alone takes 6 to 7 on this machine, and none of the servers reaches it.",
    ),
    most(
        1.25,
        "memory of a session with 15,000 over that with 1,000",
        times(messages(15_000, MEMORY), messages(1000, MEMORY)),
    ),
];

const ECHO: &[Goal] = &[
    least(
        1.0,
        "echoes over socketioxide's",
        times(
            texts(Peer::Everbeat, 64, ECHOES),
            texts(Peer::Socketioxide, 64, ECHOES),
        ),
    ),
    least(
        0.8,
        "echoes over uWebSockets'",
        times(
            texts(Peer::Everbeat, 64, ECHOES),
            texts(Peer::Bun, 64, ECHOES),
        ),
    ),
];

const FAN_OUT: &[Goal] = &[
    most(
        1.0,
        "CPU of a draft's delivery over uWebSockets'",
        times(drafts(1000, DELIVERY), texts(Peer::Bun, 1000, DELIVERY)),
    )
    .because(WOKEN),
    most(
        1.2,
        "CPU of a message's delivery over uWebSockets'",
        times(messages(1000, DELIVERY), texts(Peer::Bun, 1000, DELIVERY)),
    )
    .because(WOKEN),
    most(
        1.0,
        "p99 of drafts over uWebSockets'",
        times(drafts(1000, "p99, ms"), texts(Peer::Bun, 1000, "p99, ms")),
    )
    .because(SHARED),
    most(
        1.0,
        "p99 of messages over uWebSockets'",
        times(messages(1000, "p99, ms"), texts(Peer::Bun, 1000, "p99, ms")),
    )
    .because(SHARED),
    most(
        1.25,
        "CPU of a delivery to 10,000 over that to 1,000",
        times(messages(10_000, DELIVERY), messages(1000, DELIVERY)),
    )
    .because("With 10,000 connections on one machine neither processor's caches hold a part of them that counts."),
];

const ROOMS: &[Goal] = &[most(
    1.25,
    "CPU of a message's delivery in 10,000 rooms over that in 1,000",
    times(messages(10_000, DELIVERY), messages(1000, DELIVERY)),
)
.because(
    "The heartbeats of 20,000 connections are in it, and all of them are cold when their turn comes; the peer grows alike.",
)];

const PUBLISH: &[Goal] = &[
    least(
        50_000.0,
        "messages a second from 256",
        one(messages(256, "messages a second")),
    ),
    most(
        2.0,
        "ack p50 of one alone over the disk's fsync",
        times(
            messages(1, "ack p50, ms"),
            messages(1, "the disk's fsync p50, ms"),
        ),
    ),
];

const DROPS: &[Goal] = &[
    least(
        100.0,
        "said that reached the room, %",
        one(messages(50, "said that reached the room, %")),
    ),
    least(
        100.0,
        "deliveries of it, %",
        one(messages(50, "deliveries of it, %")),
    ),
    most(0.0, "doubled, %", one(messages(50, "doubled, %"))),
];

const AVALANCHE: &[Goal] = &[
    least(100.0, "back, %", one(messages(15_000, "back, %"))),
    most(
        5.0,
        "until 99 % are back, s",
        one(messages(15_000, "99 %, s")),
    ),
    most(0.0, "failed twice", one(messages(15_000, "failed twice"))),
];

const RESUME: &[Goal] = &[least(
    500_000.0,
    "messages replayed a second",
    one(messages(10_000, "messages replayed a second")),
)];

const SLOW: &[Goal] = &[
    most(
        1.5,
        "p99 of the others over undisturbed",
        one(messages(2000, "times")),
    )
    .because("The log and the readers' clients share one disk and two cores: single runs lie far apart, undisturbed ones too."),
    most(
        64.0,
        "memory a stopped reader, kB",
        one(messages(2000, "memory a stopped reader, kB (PSS)")),
    ),
];

const PAGE: &[Goal] = &[
    most(
        200.0,
        "download, kB",
        one(messages(10_000, "wasm, JS, CSS and fonts with brotli, kB")),
    ),
    most(
        1000.0,
        "first key takes effect, ms",
        one(messages(10_000, "first key takes effect p50, ms")),
    ),
    most(
        0.0,
        "tasks over 50 ms in a long room",
        one(messages(10_000, "tasks over 50 ms in a long room")),
    ),
    most(
        50.0,
        "key to paint p95, ms",
        one(messages(10_000, "key to paint p95, ms")),
    ),
];

const MEMORY: &str = "memory a connection, kB (PSS)";
const ECHOES: &str = "echoes a second";
const DELIVERY: &str = "server's CPU a delivery, us";
const SHARED: &str = "It follows from the CPU, as the clients share the two cores with the server.";
const WOKEN: &str = "60 % is the kernel's `send`, nearly all that uWebSockets does; the rest is the first touch of a task, its \
                     session and its cursor for each listener (docs/performance.md).";

impl Goal {
    /// The goals of a workload.
    pub const fn of(workload: Workload) -> &'static [Self] {
        match workload {
            Workload::Idle => IDLE,
            Workload::Echo => ECHO,
            Workload::FanOut => FAN_OUT,
            Workload::Rooms => ROOMS,
            Workload::Publish => PUBLISH,
            Workload::Drops => DROPS,
            Workload::Avalanche => AVALANCHE,
            Workload::Resume => RESUME,
            Workload::Slow => SLOW,
            Workload::Page => PAGE,
            Workload::Cluster => &[],
        }
    }

    const fn because(mut self, cause: &'static str) -> Self {
        self.cause = cause;
        self
    }

    /// A row of Markdown; none if a figure for it was not measured.
    fn render(&self, table: &Table) -> Option<String> {
        let measured = match self.quantity {
            Quantity::One(cell) => cell.read(table)?,
            Quantity::Times(cell, base) => cell.read(table)? / base.read(table)?,
        };
        let (bound, is_met) = match self.order {
            Order::LessIsBetter => ("at most", measured <= self.bound),
            Order::MoreIsBetter => ("at least", measured >= self.bound),
        };
        let verdict = match is_met {
            true => "met".to_owned(),
            false => format!("**missed.** {}", self.cause),
        };
        let digits = if self.bound < 10.0 { 2 } else { 0 };
        Some(format!(
            "| {} | {bound} {} | {measured:.digits$} | {verdict} |\n",
            self.text, self.bound
        ))
    }
}

impl Cell {
    fn read(self, table: &Table) -> Option<f64> {
        table.median(self.subject, self.column)
    }
}

/// The goals of a workload beside its figures, as Markdown.
pub(super) fn render(workload: Workload, table: &Table) -> String {
    let mut text = String::new();
    for row in Goal::of(workload)
        .iter()
        .filter_map(|goal| goal.render(table))
    {
        if text.is_empty() {
            text.push_str("\n| goal | | median | |\n| --- | --- | --- | --- |\n");
        }
        let _ = write!(text, "{row}");
    }
    text
}

const fn most(bound: f64, text: &'static str, quantity: Quantity) -> Goal {
    Goal {
        text,
        quantity,
        order: Order::LessIsBetter,
        bound,
        cause: "",
    }
}

const fn least(bound: f64, text: &'static str, quantity: Quantity) -> Goal {
    Goal {
        order: Order::MoreIsBetter,
        ..most(bound, text, quantity)
    }
}

const fn one(cell: Cell) -> Quantity {
    Quantity::One(cell)
}

const fn times(cell: Cell, base: Cell) -> Quantity {
    Quantity::Times(cell, base)
}

const fn messages(size: usize, column: &'static str) -> Cell {
    cell(Peer::Everbeat, Traffic::Messages, size, column)
}

const fn drafts(size: usize, column: &'static str) -> Cell {
    cell(Peer::Everbeat, Traffic::Drafts, size, column)
}

const fn texts(peer: Peer, size: usize, column: &'static str) -> Cell {
    cell(peer, Traffic::Texts, size, column)
}

const fn cell(peer: Peer, traffic: Traffic, size: usize, column: &'static str) -> Cell {
    let subject = Subject {
        peer,
        traffic,
        size,
    };
    Cell { subject, column }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    /// Each goal names a figure that is measured.
    #[test]
    fn goals_are_about_figures() {
        for &workload in Workload::value_variants() {
            let about = workload.about();
            for goal in Goal::of(workload) {
                let cells = match goal.quantity {
                    Quantity::One(cell) => vec![cell],
                    Quantity::Times(cell, base) => vec![cell, base],
                };
                for Cell { subject, column } in cells {
                    let Subject {
                        peer,
                        traffic,
                        size,
                    } = subject;
                    let cast = if size == about.main {
                        about.cast
                    } else {
                        about.growing
                    };
                    assert!(cast.contains(&(peer, traffic)), "{}", goal.text);
                    assert!(
                        size == about.main || about.others.contains(&size),
                        "{}",
                        goal.text
                    );
                    let mut columns = about.columns.iter();
                    assert!(columns.any(|it| it.title == column), "{}", goal.text);
                }
            }
        }
    }

    #[test]
    fn a_missed_goal_says_why() {
        let mut table = Table::new(Workload::Echo, 0);
        for (peer, echoes) in [
            (Peer::Everbeat, 90.0),
            (Peer::Socketioxide, 100.0),
            (Peer::Bun, 100.0),
        ] {
            table.add(texts(peer, 64, ECHOES).subject, vec![echoes, 1.0]);
        }
        let text = render(Workload::Echo, &table);
        let rows: Vec<&str> = text.lines().skip(3).collect();
        assert_eq!(
            rows,
            [
                "| echoes over socketioxide's | at least 1 | 0.90 | **missed.**  |",
                "| echoes over uWebSockets' | at least 0.8 | 0.90 | met |",
            ]
        );
        assert_eq!(render(Workload::Idle, &Table::new(Workload::Idle, 0)), "");
    }
}
