//! The outcomes of scenarios as a table.

use std::fmt;
use std::time::Duration;

use super::verdict::Verdict;

/// The outcome of one scenario.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The scenario's name.
    pub name: String,
    /// Its verdict.
    pub verdict: Verdict,
    /// How long it took, until all clients had settled.
    pub took: Duration,
    /// How its faults were made, if that depends on the machine; or how long they were felt.
    pub note: Option<String>,
}

/// The columns: the width in characters, and the heading.
const COLUMNS: [(usize, &str); 14] = [
    (9, "scenario"),
    (7, "clients"),
    (11, "connections"),
    (9, "published"),
    (7, "acked"),
    (7, "put off"),
    (7, "refused"),
    (8, "received"),
    (5, "lost"),
    (7, "doubled"),
    (12, "out of order"),
    (5, "gaps"),
    (14, "longest outage"),
    (6, "time"),
];

/// The first line of the table.
pub fn head() -> String {
    line(COLUMNS.map(|(_, name)| name.to_owned()))
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let v = &self.verdict;
        let seconds = |time: Duration| format!("{:.1} s", time.as_secs_f64());
        f.write_str(&line([
            self.name.clone(),
            v.clients.to_string(),
            v.connections.to_string(),
            v.published.to_string(),
            v.acked.to_string(),
            v.held.to_string(),
            v.refused.to_string(),
            v.received.to_string(),
            v.lost.to_string(),
            v.doubled.to_string(),
            v.out_of_order.to_string(),
            v.gaps.to_string(),
            seconds(v.longest_outage),
            seconds(self.took),
        ]))?;
        if let Some(note) = &self.note {
            write!(f, "\n          ({note})")?;
        }
        for complaint in v.told() {
            write!(f, "\n          ! {complaint}")?;
        }
        Ok(())
    }
}

fn line(cells: [String; COLUMNS.len()]) -> String {
    let mut line = String::new();
    for (at, (cell, (width, _))) in cells.iter().zip(COLUMNS).enumerate() {
        line += &if at == 0 {
            format!("{cell:width$}")
        } else {
            format!("  {cell:>width$}")
        };
    }
    line
}
