//! The results: figures, stored in one file for each workload, and rendered as one document.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Context;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::{Subject, Traffic, Workload, goals, plot};
use crate::peer::Peer;

/// The better direction of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The smaller the better.
    LessIsBetter,
    /// The larger the better.
    MoreIsBetter,
}

/// One figure of a workload.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its name and unit.
    pub title: &'static str,
    digits: usize,
    order: Order,
    /// The name of the plot of its growth, if there is one.
    pub plot: Option<&'static str>,
}

impl Column {
    /// A figure with this name and unit, shown with so many digits.
    pub const fn new(title: &'static str, digits: usize, order: Order) -> Self {
        Self {
            title,
            digits,
            order,
            plot: None,
        }
    }

    /// The same, with a plot of its growth under this name.
    pub const fn plotted(mut self, plot: &'static str) -> Self {
        self.plot = Some(plot);
        self
    }
}

/// The figures of one workload: a list of runs for each subject, a figure for each column.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Table {
    workload: Workload,
    /// The length of each run, in seconds; 0 where it ended by itself.
    seconds: u64,
    rows: Vec<Row>,
    failures: Vec<Failure>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Row {
    subject: Subject,
    runs: Vec<Vec<f64>>,
}

/// A run without figures, and the reason.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Failure {
    subject: Subject,
    reason: String,
}

impl Table {
    /// A table without figures, of runs of so many seconds.
    pub const fn new(workload: Workload, seconds: u64) -> Self {
        Self {
            workload,
            seconds,
            rows: Vec::new(),
            failures: Vec::new(),
        }
    }

    /// Adds the figures of one run.
    pub fn add(&mut self, subject: Subject, figures: Vec<f64>) {
        match self.rows.iter_mut().find(|row| row.subject == subject) {
            Some(row) => row.runs.push(figures),
            None => self.rows.push(Row {
                subject,
                runs: vec![figures],
            }),
        }
    }

    /// Adds a failed run.
    pub fn add_failure(&mut self, subject: Subject, reason: String) {
        self.failures.push(Failure { subject, reason });
    }

    /// Whether it holds no figures; then it must not replace earlier ones.
    pub const fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The number of failed runs.
    pub const fn failed(&self) -> usize {
        self.failures.len()
    }

    /// Writes it into a directory, with its plots, in place of the earlier figures.
    ///
    /// # Errors
    /// If the files cannot be written.
    pub fn save(&self, directory: &Path) -> anyhow::Result<()> {
        fs::create_dir_all(directory)?;
        let path = directory.join(format!("{}.json", title(self.workload)));
        fs::write(&path, serde_json::to_string_pretty(self)? + "\n")
            .with_context(|| format!("cannot write {}", path.display()))?;
        for (index, plot) in self.plots() {
            let column = &self.workload.about().columns[index];
            let lines = self.growth(index);
            plot::draw(&directory.join(plot), column.title, self.unit(), &lines)?;
        }
        Ok(())
    }

    fn load(directory: &Path, workload: Workload) -> anyhow::Result<Option<Self>> {
        let path = directory.join(format!("{}.json", title(workload)));
        if !path.exists() {
            return Ok(None);
        }
        let text = fs::read_to_string(&path)?;
        let table = serde_json::from_str(&text);
        Ok(Some(table.with_context(|| {
            format!("{} holds no results", path.display())
        })?))
    }

    /// The table as Markdown: what is done, the figures of all subjects, and how their costs grow.
    fn render(&self) -> String {
        let mut text = self.workload.about().text.to_owned();
        if self.seconds > 0 {
            let _ = write!(text, " Watched for {} s.", self.seconds);
        }
        let mut sizes: Vec<usize> = self.rows.iter().map(|row| row.subject.size).collect();
        sizes.sort_unstable();
        sizes.dedup();
        let main = self.workload.about().main;
        let main = if sizes.contains(&main) {
            Some(main)
        } else {
            sizes.last().copied()
        };
        if let Some(main) = main {
            let _ = write!(text, " With {main} {}:\n\n", self.unit());
            self.render_rows(&mut text, main);
        }
        sizes.retain(|&size| Some(size) != main);
        for size in &sizes {
            let _ = write!(text, "\nWith {size} {}:\n\n", self.unit());
            self.render_rows(&mut text, *size);
        }
        if !sizes.is_empty() {
            text.push('\n');
            for (index, plot) in self.plots() {
                let title = self.workload.about().columns[index].title;
                let _ = writeln!(text, "![{title}](results/{plot})");
            }
        }
        for Failure { subject, reason } in &self.failures {
            let (name, size, unit) = (self.name(*subject), subject.size, self.unit());
            let _ = write!(
                text,
                "\nA run of {name} with {size} {unit} failed, and is left out: {reason}\n"
            );
        }
        text
    }

    /// Renders medians, least and most, and the ratio of the others' figures to Everbeat's.
    fn render_rows(&self, text: &mut String, size: usize) {
        let columns = self.workload.about().columns;
        text.push_str("| |");
        for column in columns {
            let better = match column.order {
                Order::LessIsBetter => "less is better",
                Order::MoreIsBetter => "more is better",
            };
            let _ = write!(text, " {} ({better}) |", column.title);
        }
        *text += "\n| --- |";
        *text += &" --- |".repeat(columns.len());
        text.push('\n');
        let mut rows: Vec<&Row> = self.rows.iter().collect();
        rows.retain(|row| row.subject.size == size);
        rows.sort_by_key(|row| row.subject);
        let ours = rows.iter().find(|row| row.subject.peer == Peer::Everbeat);
        for row in &rows {
            let _ = write!(text, "| {} |", self.name(row.subject));
            for (index, column) in columns.iter().enumerate() {
                let Some(figure) = Figure::of(row, index) else {
                    *text += " |";
                    continue;
                };
                let _ = write!(text, " {}", figure.text(column.digits));
                let base = ours.and_then(|ours| Figure::of(ours, index));
                if let Some(base) = base.filter(|base| base.median > 0.0)
                    && row.subject.peer != Peer::Everbeat
                {
                    let _ = write!(text, " × {:.2}", figure.median / base.median);
                }
                *text += " |";
            }
            text.push('\n');
        }
    }

    /// The median of a figure; `None` if it was not measured.
    pub(super) fn median(&self, subject: Subject, title: &str) -> Option<f64> {
        let mut columns = self.workload.about().columns.iter();
        let column = columns.position(|column| column.title == title)?;
        let row = self.rows.iter().find(|row| row.subject == subject)?;
        Some(Figure::of(row, column)?.median)
    }

    /// The columns that are plotted, with the names of the files.
    fn plots(&self) -> impl Iterator<Item = (usize, String)> {
        let name = title(self.workload);
        let columns = self.workload.about().columns.iter().enumerate();
        columns.filter_map(move |(index, column)| {
            Some((index, format!("{name}-{}.svg", column.plot?)))
        })
    }

    /// The growth of a figure, for each subject that was measured at more than one size.
    fn growth(&self, column: usize) -> Vec<plot::Line> {
        let mut rows: Vec<&Row> = self.rows.iter().collect();
        rows.sort_by_key(|row| row.subject);
        let mut lines: Vec<plot::Line> = Vec::new();
        for row in rows {
            let Some(figure) = Figure::of(row, column) else {
                continue;
            };
            let (name, point) = (self.name(row.subject), (row.subject.size, figure.median));
            match lines.iter_mut().find(|line| line.name == name) {
                Some(line) => line.points.push(point),
                None => lines.push(plot::Line {
                    name,
                    points: vec![point],
                }),
            }
        }
        lines.retain(|line| line.points.len() > 1);
        lines
    }

    const fn unit(&self) -> &'static str {
        self.workload.about().unit
    }

    /// A subject's name; for Everbeat with its kind of frames, where the workload has several.
    fn name(&self, subject: Subject) -> String {
        let name = subject.peer.name();
        let cast = self.workload.about().cast;
        let ours = cast.iter().filter(|(peer, _)| *peer == Peer::Everbeat);
        match subject.traffic {
            Traffic::Drafts => format!("{name}, drafts"),
            Traffic::Messages if ours.count() > 1 => format!("{name}, messages"),
            Traffic::Messages | Traffic::Texts => name.to_owned(),
        }
    }
}

/// Median, least and most of the runs.
struct Figure {
    median: f64,
    least: f64,
    most: f64,
}

impl Figure {
    fn of(row: &Row, column: usize) -> Option<Self> {
        let mut runs: Vec<f64> = row
            .runs
            .iter()
            .filter_map(|run| run.get(column).copied())
            .collect();
        runs.sort_by(f64::total_cmp);
        let middle = runs.len() / 2;
        let median = match runs.len() % 2 {
            0 => (runs.get(middle.checked_sub(1)?)? + runs.get(middle)?) / 2.0,
            _ => *runs.get(middle)?,
        };
        Some(Self {
            median,
            least: *runs.first()?,
            most: *runs.last()?,
        })
    }

    /// The median, with the least and the most where they differ.
    fn text(&self, digits: usize) -> String {
        let Self {
            median,
            least,
            most,
        } = self;
        let mut text = format!("**{median:.digits$}**");
        if least < most {
            let _ = write!(text, " ({least:.digits$} to {most:.digits$})");
        }
        text
    }
}

/// Renders all results in a directory.
///
/// # Errors
/// If a file there is no result.
pub fn render(directory: &Path) -> anyhow::Result<String> {
    let mut text = format!(
        "# Results\n\n\
         Written by `make bench`; `make bench ONLY=idle` measures one workload anew. Each figure is the median of its\n\
         runs, with the least and the most; × tells how many times Everbeat's figure a peer's is (its drafts, where there are two). Server and clients\n\
         share the machine: {}\n\n\
         None of the other servers keeps sessions, makes messages durable or replays anything.\n",
        machine()
    );
    for workload in Workload::value_variants() {
        if let Some(table) = Table::load(directory, *workload)? {
            let _ = write!(text, "\n## {}\n\n{}", title(*workload), table.render());
            text += &goals::render(*workload, &table);
        }
    }
    Ok(text)
}

fn title(workload: Workload) -> String {
    workload
        .to_possible_value()
        .map(|value| value.get_name().to_owned())
        .unwrap_or_default()
}

/// The machine, in a few words.
fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let fields: BTreeMap<&str, &str> = info
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(key, value)| (key.trim(), value.trim()))
        .collect();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = read("/proc/meminfo");
    let kb = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok())
        .unwrap_or_default();
    format!(
        "{cores} cores ({}), {} GiB, Linux {}.",
        fields.get("model name").unwrap_or(&"unknown"),
        kb.div_ceil(1 << 20),
        read("/proc/sys/kernel/osrelease").trim()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn subject(peer: Peer, traffic: Traffic, size: usize) -> Subject {
        Subject {
            peer,
            traffic,
            size,
        }
    }

    #[test]
    fn a_table_shows_medians_spread_and_ratios() {
        let mut table = Table::new(Workload::Echo, 10);
        let ours = subject(Peer::Everbeat, Traffic::Texts, 64);
        for figures in [[100.0, 5.0], [300.0, 4.0], [200.0, 6.0]] {
            table.add(ours, figures.to_vec());
        }
        let theirs = subject(Peer::Ws, Traffic::Texts, 64);
        table.add(theirs, vec![50.0, 10.0]);
        table.add(theirs, vec![150.0, 10.0]);
        table.add_failure(theirs, "it did not start".to_owned());
        let text = table.render();
        assert!(text.contains("Watched for 10 s."), "{text}");
        let rows: Vec<&str> = text.lines().skip(4).collect();
        assert_eq!(
            rows,
            [
                "| Everbeat | **200** (100 to 300) | **5.00** (4.00 to 6.00) |",
                "| ws (Node) | **100** (50 to 150) × 0.50 | **10.00** × 2.00 |",
                "",
                "A run of ws (Node) with 64 connections failed, and is left out: it did not start",
            ]
        );
    }

    #[test]
    fn results_are_kept_with_their_plots() {
        let directory = tempfile::tempdir().unwrap();
        let mut table = Table::new(Workload::FanOut, 0);
        for size in [10, 1000] {
            table.add(
                subject(Peer::Everbeat, Traffic::Messages, size),
                vec![1.0; 5],
            );
            table.add(subject(Peer::Everbeat, Traffic::Drafts, size), vec![2.0; 5]);
        }
        table.save(directory.path()).unwrap();
        let text = render(directory.path()).unwrap();
        assert!(text.contains("## fan-out"), "{text}");
        assert!(text.contains("With 10 listeners"), "{text}");
        assert!(text.contains("| Everbeat, drafts | **2.00**"), "{text}");
        assert!(text.contains("| Everbeat, messages | **1.00**"), "{text}");
        assert!(text.contains("](results/fan-out-p99.svg)"), "{text}");
        assert!(!text.contains("## idle"));
        let plot = fs::read_to_string(directory.path().join("fan-out-p99.svg")).unwrap();
        assert!(plot.contains("Everbeat, drafts"), "{plot}");
    }
}
