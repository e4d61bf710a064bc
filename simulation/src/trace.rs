//! The trace of a run, for a reader: what was done, and what each page's driver did and received, by time.

use std::fmt::Write as _;

use protocol::codec;
use protocol::time::Timestamp;

use crate::machine::{Machine, Step};

/// The actions of the simulation, by time.
#[derive(Debug, Default)]
pub struct Trace {
    lines: Vec<(Timestamp, String)>,
}

impl Trace {
    /// Remembers an action.
    pub fn note(&mut self, now: Timestamp, line: String) {
        self.lines.push((now, line));
    }

    /// The whole trace: the actions, the steps of the pages' drivers, and other notes.
    pub fn render(&self, machines: &[Machine], notes: &[&[(Timestamp, String)]]) -> String {
        let mut lines: Vec<(Timestamp, String)> = self.lines.clone();
        lines.extend(notes.concat());
        for (number, machine) in machines.iter().enumerate() {
            for (at, id, step) in &machine.steps {
                let text = match step {
                    Step::Open => "opens a connection".to_owned(),
                    Step::Opened => "is connected".to_owned(),
                    Step::Sent(frame) => format!("-> {}", codec::encode(frame)),
                    Step::Received(frame) => format!("<- {}", codec::encode(frame)),
                    Step::Dropped(code) => format!("lets go: {code}"),
                    Step::Closed(code) => format!("lost its connection: {code:?}"),
                };
                lines.push((*at, format!("page {number} #{}: {text}", id.get())));
            }
        }
        // Stable: what happened at one time stays in its order, actions first.
        lines.sort_by_key(|(at, _)| *at);
        let mut text = String::new();
        for (at, line) in lines {
            let at = at.since_origin().as_secs_f64();
            // Writing into a string does not fail.
            let _ = writeln!(text, "{at:>10.3} {line}");
        }
        text
    }
}
