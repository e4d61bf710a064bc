//! The status page: the figures of now, charts of the last hour, and the connections.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use everbeat_axum::hub::Hub;
use everbeat_axum::hub::inspect::{Kind, Report};
use everbeat_axum::log::cluster::status::ClusterStatus;
use everbeat_axum::metrics::Now;
use leptos::prelude::*;
use protocol::id::{RoomName, SessionId};
use serde::Deserialize;

use crate::samples::{KEPT, Sample, Samples};

/// The most connections that are listed: the newest ones.
const LISTED: usize = 100;

/// The size of a chart, in its own units.
const CHART: (f64, f64) = (360.0, 72.0);

/// The page's policy: no inline code, and nothing from other sites.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
);

/// The colours are the chat page's.
const STYLE: &str = concat!(
    include_str!("../../../style/tokens.css"),
    include_str!("status.css")
);
const SCRIPT: &str = include_str!("status.js");
const ICON: &str = include_str!("../../../public/favicon.svg");

/// The query: the session whose connection is listed.
#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    session: Option<String>,
}

/// `GET /status`: all connections, or with `?session=` the one of that session.
pub(super) async fn page(
    State(hub): State<Arc<Hub>>,
    State(samples): State<Arc<Samples>>,
    Query(wanted): Query<Wanted>,
) -> Response {
    let asked = wanted.session.filter(|text| !text.is_empty());
    let session = match asked.as_deref().map(SessionId::new).transpose() {
        Ok(session) => session,
        Err(error) => return (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    };
    let now = hub.now().await;
    let reports = hub.reports(LISTED, session.as_ref()).await;
    let mut samples = samples.all();
    // The newest sample shows the figures of now, as the numbers above it do.
    if let Some(newest) = samples.last_mut() {
        newest.live = f64::from(u32::try_from(now.live).unwrap_or(u32::MAX));
    }
    let cluster = hub.log().cluster();
    let html = Owner::new().with(|| document(now, cluster, &samples, &reports, asked).to_html());
    let mut response = Html(html).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::CONTENT_SECURITY_POLICY, POLICY);
    response
}

/// The files that the page loads.
pub(super) fn files<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let file = |kind: &'static str, text: &'static str| {
        get(async move || ([(header::CONTENT_TYPE, kind)], text))
    };
    Router::new()
        .route("/status.css", file("text/css; charset=utf-8", STYLE))
        .route("/status.js", file("text/javascript; charset=utf-8", SCRIPT))
        .route("/favicon.svg", file("image/svg+xml", ICON))
}

fn document(
    now: Now,
    cluster: Option<ClusterStatus>,
    samples: &[Sample],
    reports: &[Report],
    asked: Option<String>,
) -> impl IntoView + use<> {
    let live = view! {
        <main id="live">
            {counts(now)}
            {cluster.map(nodes)}
            {charts(samples)}
            {connections(now, reports, asked)}
        </main>
    };
    view! {
        <!DOCTYPE html>
        <html lang="en">
            <head>
                <meta charset="utf-8" />
                <meta name="viewport" content="width=device-width, initial-scale=1" />
                <meta name="color-scheme" content="light dark" />
                <title>"Status · Everbeat"</title>
                <link rel="icon" href="/favicon.svg" type="image/svg+xml" />
                <link rel="stylesheet" href="/status.css" />
                <script src="/status.js" defer="defer"></script>
            </head>
            <body>
                <header>
                    <h1>"Everbeat"</h1>
                    <p id="freshness" role="status"></p>
                </header>
                {live}
            </body>
        </html>
    }
}

fn counts(now: Now) -> impl IntoView + use<> {
    let away = now
        .away
        .map_or_else(|| "unknown".to_owned(), |away| away.to_string());
    let all = [
        ("connected sessions", now.live.to_string()),
        ("sessions that may come back", away),
        ("connections", now.connections.to_string()),
        ("rooms in use", now.rooms.to_string()),
    ];
    let each = all.map(|(what, count)| {
        view! {
            <div>
                <dt>{what}</dt>
                <dd>{count}</dd>
            </div>
        }
    });
    let draining = now.is_draining.then(|| {
        view! { <p class="draining">"Draining: no new connections are taken."</p> }
    });
    view! {
        <section aria-label="Now">
            {draining}
            <dl class="counts">{each.collect_view()}</dl>
        </section>
    }
}

/// The nodes of the cluster, as this one knows them.
fn nodes(cluster: ClusterStatus) -> impl IntoView + use<> {
    let ClusterStatus {
        node,
        phase,
        trouble,
        applied,
        last,
        nodes,
        ..
    } = cluster;
    let summary = format!("This is node {node}, {phase}: pack {applied} of {last} is folded.");
    let rows = nodes.into_iter().map(|node| {
        let state = if node.is_draining { "draining" } else { "live" };
        view! {
            <tr>
                <td>{node.name.to_string()}</td>
                <td>{state}</td>
                <td>{node.applied}</td>
                <td>{node.connections}</td>
                <td>{node.address}</td>
            </tr>
        }
    });
    let rows = rows.collect_view();
    view! {
        <section>
            <h2 id="nodes">"Nodes"</h2>
            <p>{summary}</p>
            {trouble.map(|trouble| view! { <p class="draining">{format!("Not ready: {trouble}.")}</p> })}
            <div class="scrolled" tabindex="0" role="region" aria-labelledby="nodes">
                <table>
                    <thead>
                        <tr>
                            <th scope="col">"node"</th>
                            <th scope="col">"state"</th>
                            <th scope="col">"folded"</th>
                            <th scope="col">"connections"</th>
                            <th scope="col">"address"</th>
                        </tr>
                    </thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
        </section>
    }
}

/// How a chart reads its figure from a sample.
type Seen = fn(&Sample) -> f64;

fn charts(samples: &[Sample]) -> impl IntoView + use<> {
    let all: [(&str, Seen); 3] = [
        ("connected sessions", |sample| sample.live),
        ("messages stored per second", |sample| sample.stored_per_s),
        ("deliveries per second", |sample| sample.deliveries_per_s),
    ];
    let each = all.map(|(what, seen)| {
        let values: Vec<f64> = samples.iter().map(seen).collect();
        chart(what, &values)
    });
    view! { <section class="charts" aria-label="The last hour">{each.collect_view()}</section> }
}

fn chart(what: &'static str, values: &[f64]) -> impl IntoView + use<> {
    let top = values.iter().copied().fold(0.0, f64::max);
    let newest = values.last().copied().unwrap_or_default();
    let (width, height) = CHART;
    let caption = format!(
        "{what}: {} now, at most {} in the last hour",
        short(newest),
        short(top)
    );
    view! {
        <figure>
            <figcaption>
                {what} <strong>{short(newest)}</strong> <span>"at most " {short(top)}</span>
            </figcaption>
            <svg viewBox=format!("0 0 {width} {height}") preserveAspectRatio="none" role="img" aria-label=caption>
                <polyline points=points(values, top) />
            </svg>
        </figure>
    }
}

/// The line of a chart, the newest value at the right.
#[expect(clippy::cast_precision_loss, reason = "at most an hour of samples")]
fn points(values: &[f64], top: f64) -> String {
    let (width, height) = CHART;
    let step = width / (KEPT - 1) as f64;
    let first = KEPT.saturating_sub(values.len());
    let point = |(index, value): (usize, &f64)| {
        let share = if top > 0.0 { value / top } else { 0.0 };
        let (x, y) = (
            (first + index) as f64 * step,
            (height - 2.0) * (1.0 - share) + 1.0,
        );
        format!("{x:.1},{y:.1}")
    };
    let points: Vec<String> = values.iter().enumerate().map(point).collect();
    points.join(" ")
}

fn connections(now: Now, reports: &[Report], asked: Option<String>) -> impl IntoView + use<> {
    let rows = reports.iter().map(row).collect_view();
    let more = now.connections.saturating_sub(reports.len());
    let note = match (&asked, more) {
        (Some(_), _) => (reports.is_empty()).then(|| "This session is not connected.".to_owned()),
        (None, 0) => None,
        (None, more) => Some(format!("The newest {}; {more} more.", reports.len())),
    };
    view! {
        <section>
            <h2 id="connections">"Connections"</h2>
            <form class="find" role="search">
                <label>
                    "Session " <input name="session" value=asked spellcheck="false" autocomplete="off" />
                </label>
                <button>"Find"</button>
                <a href="/status">"All"</a>
            </form>
            <p>{note}</p>
            <div class="scrolled" tabindex="0" role="region" aria-labelledby="connections">
                <table>
                    <thead>
                        <tr>
                            <th scope="col">"session"</th>
                            <th scope="col">"name"</th>
                            <th scope="col">"state"</th>
                            <th scope="col">"round trip"</th>
                            <th scope="col">"last seen"</th>
                            <th scope="col">"rooms"</th>
                            <th scope="col">"action"</th>
                        </tr>
                    </thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
        </section>
    }
}

fn row(report: &Report) -> impl IntoView + use<> {
    let id = report.connection.get();
    let vitals = report.vitals.as_ref();
    let session = vitals.and_then(|vitals| vitals.session.as_ref());
    let session = session.map_or_else(|| "–".to_owned(), ToString::to_string);
    let name = vitals
        .and_then(|vitals| vitals.name.as_ref())
        .map(ToString::to_string);
    let subject = vitals.and_then(|vitals| vitals.subject.clone());
    let state = match vitals {
        None => "busy",
        Some(vitals) => match vitals.kind {
            Kind::Session if vitals.session.is_none() => "before hello",
            Kind::Session => "live",
            Kind::Tutorial => "tutorial",
            Kind::Events => "events",
        },
    };
    let round_trip = vitals.and_then(|vitals| vitals.round_trip);
    let round_trip = round_trip.map(|took| format!("{} ms", took.as_millis()));
    let quiet = vitals.and_then(|vitals| vitals.quiet);
    let quiet = quiet.map(|quiet| format!("{} s ago", quiet.as_secs()));
    let rooms = vitals.map_or(&[][..], |vitals| &vitals.rooms);
    let rooms: Vec<&str> = rooms.iter().map(RoomName::as_str).collect();
    let rooms = rooms.join(", ");
    view! {
        <tr>
            <td>
                <code>{session}</code>
            </td>
            <td title=subject>{name}</td>
            <td>{state}</td>
            <td>{round_trip}</td>
            <td>{quiet}</td>
            <td>{rooms}</td>
            <td>
                <form method="post" action=format!("/status/connections/{id}/disconnect")>
                    <button aria-label=format!("Disconnect connection {id}")>"Disconnect"</button>
                </form>
            </td>
        </tr>
    }
}

/// A number for people: 7, 0.4, 12.3k.
fn short(number: f64) -> String {
    match number {
        number if number >= 10_000.0 => format!("{:.1}k", number / 1000.0),
        number if number >= 10.0 || number.fract() == 0.0 => format!("{number:.0}"),
        number => format!("{number:.1}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_value_stands_at_the_right() {
        assert_eq!(points(&[], 0.0), "");
        let line = points(&[0.0, 4.0], 4.0);
        assert_eq!(line, "359.0,71.0 360.0,1.0");
    }

    #[test]
    fn numbers_are_short() {
        let shown = [0.0, 0.44, 7.0, 12.6, 9_999.0, 64_707.0].map(short);
        assert_eq!(shown, ["0", "0.4", "7", "13", "9999", "64.7k"]);
    }
}
