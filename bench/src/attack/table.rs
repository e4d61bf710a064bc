//! The outcome of an attack, compared with its bounds, as a table.

use std::fmt;
use std::time::Duration;

use clap::ValueEnum;

use super::Attack;

/// The bound on the rise of the server's memory.
pub(super) const RISE_BYTES: u64 = 256 << 20;

/// How close the memory must come back to its size before, in time.
pub(super) const BACK_BYTES: u64 = 64 << 20;

/// The bound on a bystander's ack under attack, as a multiple of an undisturbed one (p50).
const SLOWER: f64 = 10.0;

/// The measurements of an attack.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// The server's memory before it, in bytes.
    pub before: u64,
    /// Its largest memory, in bytes.
    pub peak: u64,
    /// Its memory once it had given enough back, or after 60 s, in bytes.
    pub after: u64,
    /// How long that took.
    pub took: Duration,
    /// A bystander's ack before the attack (p50).
    pub undisturbed: Option<Duration>,
    /// The same during the attack.
    pub disturbed: Option<Duration>,
}

impl Measured {
    const fn rise(&self) -> u64 {
        self.peak.saturating_sub(self.before)
    }

    const fn rest(&self) -> u64 {
        self.after.saturating_sub(self.before)
    }

    fn slower(&self) -> Option<f64> {
        let undisturbed = self.undisturbed?.as_secs_f64().max(f64::EPSILON);
        Some(self.disturbed?.as_secs_f64() / undisturbed)
    }

    /// The bounds that the attack broke, in words.
    fn complaints(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        if self.rise() > RISE_BYTES {
            complaints.push(format!("memory rose by more than {}", mb(RISE_BYTES)));
        }
        if self.rest() > BACK_BYTES {
            complaints.push(format!(
                "memory did not fall back to within {} in 60 s",
                mb(BACK_BYTES)
            ));
        }
        match self.slower() {
            Some(slower) if slower <= SLOWER => {}
            Some(_) => complaints.push(format!(
                "a bystander's ack took over {SLOWER} times as long"
            )),
            None => complaints.push("no ack of a bystander could be timed".to_owned()),
        }
        complaints
    }
}

/// The outcome of one attack.
#[derive(Clone, Debug)]
pub struct Outcome {
    attack: Attack,
    did: String,
    measured: Measured,
    complaints: Vec<String>,
}

impl Outcome {
    pub(super) fn new(
        attack: Attack,
        did: String,
        measured: Measured,
        mut complaints: Vec<String>,
    ) -> Self {
        complaints.extend(measured.complaints());
        Self {
            attack,
            did,
            measured,
            complaints,
        }
    }

    /// Whether the attack broke no bound.
    pub const fn is_good(&self) -> bool {
        self.complaints.is_empty()
    }
}

/// The first lines of the table.
pub fn head() -> String {
    "| attack | bounded by | memory's rise | after it, in | ack p50 undisturbed | disturbed | times |\n\
     | --- | --- | ---: | ---: | ---: | ---: | ---: |"
        .to_owned()
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let m = &self.measured;
        let name = self.attack.to_possible_value();
        let name = name.as_ref().map_or("?", |name| name.get_name());
        let times = m
            .slower()
            .map_or_else(|| "-".to_owned(), |s| format!("{s:.1}"));
        write!(
            f,
            "| {name}: {} | {} | {} | {}, {:.0} s | {} | {} | {times} |",
            self.did,
            self.attack.bound(),
            mb(m.rise()),
            mb(m.rest()),
            m.took.as_secs_f64(),
            ms(m.undisturbed),
            ms(m.disturbed),
        )?;
        for complaint in &self.complaints {
            write!(f, "\n  ! {name}: {complaint}")?;
        }
        Ok(())
    }
}

fn mb(bytes: u64) -> String {
    format!("{} MB", bytes >> 20)
}

fn ms(time: Option<Duration>) -> String {
    time.map_or_else(
        || "-".to_owned(),
        |time| format!("{:.1} ms", time.as_secs_f64() * 1000.0),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Measured = Measured {
        before: 50 << 20,
        peak: (50 << 20) + RISE_BYTES,
        after: (50 << 20) + BACK_BYTES,
        took: Duration::from_secs(1),
        undisturbed: Some(Duration::from_millis(2)),
        disturbed: Some(Duration::from_millis(20)),
    };

    fn complaints(measured: Measured) -> usize {
        let outcome = Outcome::new(Attack::Tails, String::new(), measured, Vec::new());
        assert_eq!(outcome.is_good(), outcome.complaints.is_empty());
        outcome.complaints.len()
    }

    #[test]
    fn each_bound_can_be_broken() {
        assert_eq!(complaints(GOOD), 0);
        let (peak, after) = (GOOD.peak + 1, GOOD.after + 1);
        assert_eq!(complaints(Measured { peak, ..GOOD }), 1);
        assert_eq!(complaints(Measured { after, ..GOOD }), 1);
        let disturbed = Some(Duration::from_millis(21));
        assert_eq!(complaints(Measured { disturbed, ..GOOD }), 1);
        let disturbed = None;
        assert_eq!(complaints(Measured { disturbed, ..GOOD }), 1);
        // A server that has ended has no memory, and answers no request.
        let gone = Measured {
            after: 0,
            disturbed: None,
            ..GOOD
        };
        assert_eq!(complaints(gone), 1);
    }
}
