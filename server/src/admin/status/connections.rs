//! The table of connections: a search, sorting, pages.

use everbeat_axum::hub::inspect::{Kind, Report, Vitals};
use leptos::prelude::*;

use super::desk::{Scope, session_path};
use super::gather::{Found, SHOWN_MAX};
use super::view::{Column, View};
use crate::admin::words::{Word, Words};

/// The most rooms of a connection that the table names.
const ROOMS_NAMED: usize = 5;

/// The connections.
pub(super) fn view(words: Words, view: &View, found: &Found) -> AnyView {
    let text = move |word| words.text(word);
    let rows = found.rows.iter().map(|report| row(words, report));
    let rows = rows.collect_view();
    let heads = [
        (Word::Session, Some(Column::Opened)),
        (Word::Name, Some(Column::Name)),
        (Word::State, None),
        (Word::Address, Some(Column::Address)),
        (Word::RoundTrip, Some(Column::RoundTrip)),
        (Word::LastSeen, Some(Column::Quiet)),
        (Word::OpenFor, Some(Column::Opened)),
        (Word::Rooms, None),
    ];
    // The age stands in two columns: it sorts from that which shows it.
    let heads = heads.map(|(word, column)| {
        let column = column.filter(|_| word != Word::Session);
        head(words, view, word, column)
    });
    view! {
        <section id="connections">
            <h2 id="connections-title">{text(Word::Connections)}</h2>
            {search(words, view)} <p>{note(words, view, found)}</p>
            <div class="scrolled" tabindex="0" role="region" aria-labelledby="connections-title">
                <table>
                    <thead>
                        <tr>{heads.collect_view()}</tr>
                    </thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
            {pages(words, view, found)}
        </section>
    }
    .into_any()
}

/// The form that looks for connections. It keeps the order.
fn search(words: Words, view: &View) -> impl IntoView + use<> {
    let kept = view.on_page(0).parts().into_iter();
    let kept = kept.filter(|(name, _)| *name != "find");
    let kept = kept.map(|(name, value)| view! { <input type="hidden" name=name value=value /> });
    let all = view.finding("");
    view! {
        <form class="find" role="search" action="/status#connections">
            <label>
                {words.text(Word::FindWhat)} " "
                <input name="find" value=view.find.clone() maxlength="64" spellcheck="false" autocomplete="off" />
            </label>
            {kept.collect_view()}
            <button>{words.text(Word::Find)}</button>
            <a href=format!("{}#connections", all.link())>{words.text(Word::All)}</a>
        </form>
    }
}

/// How many match, where that is not plain.
fn note(words: Words, view: &View, found: &Found) -> Option<String> {
    if found.matching == 0 && found.asked == found.all {
        return Some(
            words
                .text(if view.find.is_empty() {
                    Word::NoConnections
                } else {
                    Word::NoneFound
                })
                .to_owned(),
        );
    }
    let (n, all) = (found.matching.to_string(), found.all.to_string());
    let matching =
        (!view.find.is_empty()).then(|| words.fill(Word::Found, &[("n", &n), ("all", &all)]));
    let capped = (found.matching > SHOWN_MAX).then(|| words.count(Word::Capped, SHOWN_MAX));
    let asked = (found.asked < found.all).then(|| words.count(Word::AskedInTime, found.asked));
    let notes = matching.into_iter().chain(capped).chain(asked);
    let notes: Vec<String> = notes.collect();
    (!notes.is_empty()).then(|| notes.join(" "))
}

fn head(words: Words, view: &View, word: Word, column: Option<Column>) -> AnyView {
    let what = words.text(word);
    let Some(column) = column else {
        return view! { <th scope="col">{what}</th> }.into_any();
    };
    let sorted = (view.column == column).then_some(if view.is_descending {
        "descending"
    } else {
        "ascending"
    });
    let link = format!("{}#connections", view.sorted_by(column).link());
    let label = words.fill(Word::SortBy, &[("column", what)]);
    view! {
        <th scope="col" aria-sort=sorted>
            <a href=link title=label>
                {what}
            </a>
        </th>
    }
    .into_any()
}

fn pages(words: Words, view: &View, found: &Found) -> Option<impl IntoView + use<>> {
    let (page, pages) = (found.page, found.pages());
    let link = |page: usize, word: Word| {
        let href = format!("{}#connections", view.on_page(page).link());
        view! { <a href=href>{words.text(word)}</a> }
    };
    let previous = page.checked_sub(1).map(|page| link(page, Word::Previous));
    let next = (page + 1 < pages).then(|| link(page + 1, Word::Next));
    let (n, all) = ((page + 1).to_string(), pages.to_string());
    let here = words.fill(Word::PageOf, &[("n", &n), ("pages", &all)]);
    (pages > 1).then(|| {
        view! {
            <nav class="pages" aria-label=words.text(Word::Pages)>
                {previous}
                <span>{here}</span>
                {next}
            </nav>
        }
    })
}

fn row(words: Words, report: &Report) -> impl IntoView + use<> {
    let vitals = report.vitals.as_ref();
    let session = vitals.and_then(|vitals| vitals.session.as_ref());
    let title = match session {
        Some(session) => session.to_string(),
        None => words.count(Word::Connection, report.connection),
    };
    // Only sessions of the whole protocol outlive their connections.
    let is_lasting = vitals.is_some_and(|vitals| vitals.kind == Kind::Session);
    let link = match session.filter(|_| is_lasting) {
        Some(session) => session_path(session),
        None => Scope::Connection(report.connection).path(),
    };
    let name = vitals.and_then(|vitals| vitals.name.as_ref());
    let subject = vitals.and_then(|vitals| vitals.subject.clone());
    view! {
        <tr id=format!("connection-{}", report.connection)>
            <td>
                <a href=link>
                    <code>{title}</code>
                </a>
            </td>
            <td title=subject class="name">
                {name.map(ToString::to_string)}
            </td>
            <td>{words.text(state(vitals))}</td>
            <td>{vitals.and_then(|vitals| vitals.network).map(|network| network.to_string())}</td>
            <td>{vitals.and_then(|vitals| vitals.round_trip).map(|took| words.short_time(took))}</td>
            <td>{vitals.and_then(|vitals| ago(words, vitals))}</td>
            <td>{vitals.map(|vitals| words.time(vitals.open))}</td>
            <td class="rooms">{vitals.map(|vitals| rooms(words, vitals, ROOMS_NAMED))}</td>
        </tr>
    }
}

/// For how long nothing was received.
pub(super) fn ago(words: Words, vitals: &Vitals) -> Option<String> {
    let quiet = words.time(vitals.quiet?);
    Some(words.fill(Word::Ago, &[("time", &quiet)]))
}

/// The rooms of a connection, as many as are named, and how many more.
pub(super) fn rooms(words: Words, vitals: &Vitals, named: usize) -> String {
    let first = vitals.rooms.iter().take(named);
    let first: Vec<&str> = first.map(protocol::id::RoomName::as_str).collect();
    let first = first.join(", ");
    match vitals.rooms.len().saturating_sub(named) {
        0 => first,
        more => {
            let more = more.to_string();
            words.fill(Word::MoreRooms, &[("rooms", &first), ("n", &more)])
        }
    }
}

/// The state of a connection; its task did not answer in time where nothing is known.
pub(super) fn state(vitals: Option<&Vitals>) -> Word {
    match vitals {
        None => Word::Busy,
        Some(vitals) => match vitals.kind {
            Kind::Session if vitals.session.is_none() => Word::BeforeHello,
            Kind::Session => Word::Live,
            Kind::Tutorial => Word::Tutorial,
            Kind::Events => Word::Events,
            Kind::Trace => Word::Trace,
        },
    }
}
