//! The charts: what the server counted in the last minutes, or in the last hour.

use std::fmt::Write as _;

use everbeat_axum::metrics::Cause;
use leptos::prelude::*;

use super::view::View;
use crate::admin::words::{Word, Words};
use crate::samples::{Sample, Span};

/// The size of a chart, in its own units.
const WIDTH: f64 = 360.0;
const HEIGHT: f64 = 96.0;

/// The room for a line's width at the top and at the bottom.
const MARGIN: f64 = 1.0;

/// A chart: what it shows, and its lines.
struct Chart {
    id: &'static str,
    title: Word,
    lines: Vec<Line>,
}

/// A line of a chart.
struct Line {
    what: Word,
    values: Vec<Option<f64>>,
    /// What its legend tells beside the line.
    told: Told,
}

/// What a legend tells.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    /// The newest value.
    Newest,
    /// The sum of all values, as of counts.
    Sum,
}

/// The charts, and the choice of their span.
pub(super) fn view(words: Words, view: &View, samples: &[Sample]) -> AnyView {
    let spans = [
        (Span::Minutes, Word::FiveMinutes),
        (Span::Hour, Word::OneHour),
    ];
    let spans = spans.map(|(span, what)| {
        let link = format!("{}#charts", view.over(span).link());
        let current = (span == view.span).then_some("true");
        view! {
            <a href=link aria-current=current>
                {words.text(what)}
            </a>
        }
    });
    let charts = charts(samples).map(|chart| figure(words, view.span, &chart));
    view! {
        <section id="charts">
            <div class="title">
                <h2 id="charts-title">{words.text(Word::Charts)}</h2>
                <nav aria-labelledby="charts-title">{spans.collect_view()}</nav>
            </div>
            <div class="charts">{charts.collect_view()}</div>
        </section>
    }
    .into_any()
}

fn charts(samples: &[Sample]) -> [Chart; 6] {
    let chart = |id, title, lines| Chart { id, title, lines };
    let values = |what, value: fn(&Sample) -> Option<f64>| {
        let values = samples.iter().map(value).collect();
        let told = Told::Newest;
        Line { what, values, told }
    };
    let counts = |what, count: fn(&Sample) -> u64| {
        let values = samples.iter().map(count);
        Line::of_counts(what, values)
    };
    let returns = Cause::ALL.map(|cause| {
        let values = samples.iter().map(|sample| sample.returns[cause as usize]);
        Line::of_counts(Word::of_cause(cause), values)
    });
    [
        chart(
            "chart-sessions",
            Word::ChartSessions,
            vec![
                values(Word::Live, |sample| Some(sample.live)),
                values(Word::AwayNow, |sample| sample.away),
            ],
        ),
        chart("chart-returns", Word::ChartReturns, returns.into()),
        chart(
            "chart-round-trip",
            Word::ChartRoundTrip,
            vec![
                values(Word::Median, |sample| Some(sample.round_trip?.middle_ms)),
                values(Word::Of95, |sample| Some(sample.round_trip?.high_ms)),
            ],
        ),
        chart(
            "chart-commit",
            Word::ChartCommit,
            vec![
                values(Word::Median, |sample| Some(sample.commit?.middle_ms)),
                values(Word::Of99, |sample| Some(sample.commit?.high_ms)),
            ],
        ),
        chart(
            "chart-messages",
            Word::ChartMessages,
            vec![
                values(Word::Stored, |sample| Some(sample.stored_per_s)),
                values(Word::Delivered, |sample| Some(sample.deliveries_per_s)),
            ],
        ),
        chart(
            "chart-refusals",
            Word::ChartRefusals,
            vec![
                counts(Word::Errors, |sample| sample.refused),
                counts(Word::LimitsMet, |sample| sample.limited),
            ],
        ),
    ]
}

fn figure(words: Words, span: Span, chart: &Chart) -> impl IntoView + use<> {
    let values = chart.lines.iter().flat_map(|line| &line.values);
    let top = nice(values.flatten().copied().fold(0.0, f64::max));
    let title = words.text(chart.title);
    let told: Vec<String> = chart
        .lines
        .iter()
        .map(|line| line.in_words(words))
        .collect();
    let caption = words.fill(
        Word::ChartInWords,
        &[("what", title), ("lines", &told.join("; "))],
    );
    let numbered = || chart.lines.iter().zip(1..);
    let lines = numbered().map(|(line, number)| {
        view! { <path class=format!("line-{number}") d=path(&line.values, top, span.kept()) /> }
    });
    let legend = numbered().map(|(line, number)| {
        view! {
            <li>
                <svg class="swatch" viewBox="0 0 24 4" aria-hidden="true">
                    <path class=format!("line-{number}") d="M0 2H24" />
                </svg>
                {words.text(line.what)}
                " "
                <strong>{line.told()}</strong>
            </li>
        }
    });
    let ticks = ticks(words, span).map(|tick| view! { <span>{tick}</span> });
    let ticks: Vec<_> = ticks.collect();
    let grid = format!(
        "M0 {MARGIN}H{WIDTH}M0 {}H{WIDTH}M0 {}H{WIDTH}",
        HEIGHT / 2.0,
        HEIGHT - MARGIN
    );
    let box_ = format!("0 0 {WIDTH} {HEIGHT}");
    view! {
        <figure id=chart.id>
            <figcaption>
                <h3>{title}</h3>
                <ul class="legend">{legend.collect_view()}</ul>
            </figcaption>
            <div class="plot">
                <div class="y" aria-hidden="true">
                    <span>{short(top)}</span>
                    <span>{short(top / 2.0)}</span>
                    <span>"0"</span>
                </div>
                <svg viewBox=box_ preserveAspectRatio="none" role="img" aria-label=caption>
                    <path class="grid" d=grid />
                    {lines.collect_view()}
                </svg>
                <div class="x" aria-hidden="true">
                    {ticks}
                </div>
            </div>
        </figure>
    }
}

/// The marks of a time axis, in minutes before now.
fn ticks(words: Words, span: Span) -> impl Iterator<Item = String> {
    let minutes = span.seconds() / 60;
    let step = match span {
        Span::Minutes => 1,
        Span::Hour => 15,
    };
    (0..=minutes / step).map(move |passed| match minutes - passed * step {
        all if passed == 0 => words.count(Word::Minutes, all),
        0 => words.text(Word::Now).to_owned(),
        left => left.to_string(),
    })
}

impl Line {
    /// A line of counts.
    #[expect(clippy::cast_precision_loss, reason = "for eyes")]
    fn of_counts(what: Word, counts: impl Iterator<Item = u64>) -> Self {
        Self {
            what,
            values: counts.map(|count| Some(count as f64)).collect(),
            told: Told::Sum,
        }
    }

    /// What the legend tells.
    fn told(&self) -> String {
        let known = self.values.iter().flatten().copied();
        match self.told {
            Told::Newest => known.last().map_or_else(|| "–".to_owned(), short),
            Told::Sum => short(known.sum()),
        }
    }

    /// The line for those who do not see it.
    fn in_words(&self, words: Words) -> String {
        let (what, told) = (words.text(self.what), self.told());
        let top = self.values.iter().flatten().copied().fold(0.0, f64::max);
        let top = short(top);
        match self.told {
            Told::Newest => words.fill(
                Word::LineInWords,
                &[("what", what), ("n", &told), ("top", &top)],
            ),
            Told::Sum => format!("{what} {told}"),
        }
    }
}

/// The least of 1, 2, 5, 10, 20, … that is not below a number, also of 0.1, 0.2, …: a number that an axis can end with.
fn nice(number: f64) -> f64 {
    if number <= 0.0 {
        return 1.0;
    }
    let power = 10.0_f64.powf(number.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
    // The last step is not below it but by rounding.
    steps
        .into_iter()
        .find(|step| *step >= number)
        .unwrap_or(number)
}

/// The line through the values, the newest at the right of `kept` places; it is interrupted where values are unknown.
#[expect(clippy::cast_precision_loss, reason = "some hundred values")]
fn path(values: &[Option<f64>], top: f64, kept: usize) -> String {
    let step = WIDTH / kept.saturating_sub(1).max(1) as f64;
    let first = kept.saturating_sub(values.len());
    let (mut path, mut is_drawing) = (String::new(), false);
    for (index, value) in values.iter().enumerate() {
        let Some(value) = value else {
            is_drawing = false;
            continue;
        };
        let x = (first + index) as f64 * step;
        let y = MARGIN + (HEIGHT - 2.0 * MARGIN) * (1.0 - value / top);
        // A value alone is a point: a line of no length, with round ends.
        let (command, end) = if is_drawing { ('L', "") } else { ('M', "h0") };
        // Writing to a text cannot fail.
        let _ = write!(path, "{command}{x:.0} {y:.0}{end}");
        is_drawing = true;
    }
    path
}

/// A number for people: 7, 0.4, 12.3k.
fn short(number: f64) -> String {
    match number {
        number if number >= 10_000.0 => format!("{:.1}k", number / 1000.0),
        number if number >= 10.0 || number.fract() == 0.0 => format!("{number:.0}"),
        number if number >= 0.1 => format!("{number:.1}"),
        number => format!("{number:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use app::words::Language;

    use super::*;

    #[test]
    fn the_newest_value_stands_at_the_right() {
        assert_eq!(path(&[], 1.0, 150), "");
        let line = path(&[Some(0.0), Some(4.0)], 4.0, 150);
        assert_eq!(line, "M358 95h0L360 1");
    }

    #[test]
    fn a_line_is_interrupted_where_values_are_unknown() {
        let line = path(&[Some(1.0), None, None, Some(1.0), Some(0.0)], 1.0, 5);
        assert_eq!(line, "M0 1h0M270 1h0L360 95");
    }

    #[test]
    fn axes_end_with_plain_numbers() {
        let ends = [0.0, 0.03, 0.7, 1.0, 1.1, 4.0, 7.0, 51.0, 1_200.0].map(nice);
        assert_eq!(
            ends.map(short),
            ["1", "0.05", "1", "1", "2", "5", "10", "100", "2000"]
        );
    }

    #[test]
    fn a_time_axis_ends_now() {
        let ticks = |span| ticks(Words(Language::En), span).collect::<Vec<_>>();
        assert_eq!(ticks(Span::Minutes), ["5 min", "4", "3", "2", "1", "now"]);
        assert_eq!(ticks(Span::Hour), ["60 min", "45", "30", "15", "now"]);
    }

    #[test]
    fn numbers_are_short() {
        let shown = [0.0, 0.04, 0.44, 7.0, 12.6, 9_999.0, 64_707.0].map(short);
        assert_eq!(shown, ["0", "0.04", "0.4", "7", "13", "9999", "64.7k"]);
    }

    /// Each chart has lines, and a legend tells the newest value or the sum.
    #[test]
    fn six_charts_are_drawn() {
        let sample = Sample {
            live: 3.0,
            away: None,
            returns: [0, 2, 0, 0, 0, 1],
            ..Sample::default()
        };
        let charts = charts(&[sample, sample]);
        let told = |chart: &Chart| -> Vec<String> { chart.lines.iter().map(Line::told).collect() };
        assert_eq!(told(&charts[0]), ["3", "–"]);
        assert_eq!(told(&charts[1]), ["0", "4", "0", "0", "0", "2"]);
        assert_eq!(told(&charts[2]), ["–", "–"]);
    }
}
