//! A session's page: what is known of it, and what an operator can do.

use everbeat_axum::hub::inspect::{Report, Vitals};
use leptos::prelude::*;

use super::connections::{ago, rooms, state};
use super::desk::{Look, Scope};
use crate::admin::words::{Word, Words};

/// What is known of a session, or of a connection.
pub(super) fn view(words: Words, scope: &Scope, look: &Look) -> AnyView {
    let title = match scope {
        Scope::All(_) => String::new(),
        Scope::Session(session) => words.fill(Word::SessionTitle, &[("session", session.as_str())]),
        Scope::Connection(id) => words.count(Word::Connection, id),
    };
    let report = look.found.rows.first();
    let known = match report {
        Some(report) => known(words, report).into_any(),
        None => view! { <p>{words.text(Word::NotConnected)}</p> }.into_any(),
    };
    view! {
        <section id="session">
            <p>
                <a href="/status#connections">{words.text(Word::Back)}</a>
            </p>
            <h2>{title}</h2>
            {known}
            {report.map(|_| actions(words, scope))}
        </section>
    }
    .into_any()
}

fn known(words: Words, report: &Report) -> impl IntoView + use<> {
    let vitals = report.vitals.as_ref();
    let text = |of: fn(&Vitals) -> Option<String>| vitals.and_then(of);
    let facts = [
        (Word::State, Some(words.text(state(vitals)).to_owned())),
        (
            Word::Name,
            text(|vitals| vitals.name.as_ref().map(ToString::to_string)),
        ),
        (Word::Subject, text(|vitals| vitals.subject.clone())),
        (
            Word::Session,
            text(|vitals| vitals.session.as_ref().map(ToString::to_string)),
        ),
        (Word::OnConnection, Some(report.connection.to_string())),
        (
            Word::Address,
            text(|vitals| vitals.network.map(|network| network.to_string())),
        ),
        (
            Word::RoundTrip,
            vitals.and_then(|vitals| vitals.round_trip.map(|took| words.short_time(took))),
        ),
        (Word::LastSeen, vitals.and_then(|vitals| ago(words, vitals))),
        (Word::OpenFor, vitals.map(|vitals| words.time(vitals.open))),
        (
            Word::Rooms,
            vitals.map(|vitals| rooms(words, vitals, usize::MAX)),
        ),
    ];
    let facts = facts.into_iter().filter_map(|(what, fact)| {
        let fact = fact.filter(|fact| !fact.is_empty())?;
        Some(view! {
            <div>
                <dt>{words.text(what)}</dt>
                <dd>{fact}</dd>
            </div>
        })
    });
    view! { <dl class="facts">{facts.collect_view()}</dl> }
}

/// The two ways to close the connection, each with its meaning, and a second press that confirms it.
fn actions(words: Words, scope: &Scope) -> impl IntoView + use<> {
    let page = scope.path();
    let all = [
        (
            "reconnect",
            Word::Reconnect,
            Word::ReconnectMeaning,
            Word::ReconnectNow,
        ),
        ("remove", Word::Remove, Word::RemoveMeaning, Word::RemoveNow),
    ];
    let all = all.map(|(path, what, meaning, now)| {
        let action = format!("{page}/{path}");
        view! {
            <details id=path>
                <summary>{words.text(what)}</summary>
                <p>{words.text(meaning)}</p>
                <form method="post" action=action>
                    <button>{words.text(now)}</button>
                </form>
            </details>
        }
    });
    view! {
        <h3>{words.text(Word::Actions)}</h3>
        {all.collect_view()}
    }
}
