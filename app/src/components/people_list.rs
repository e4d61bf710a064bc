//! The list of the room's members.

use leptos::prelude::*;
use view::Person;

use crate::markup::html;
use crate::words::{Word, Words, use_words};

/// The most members that are listed; the others are counted.
const SHOWN_MAX: usize = 100;

/// The list of members, the user first.
#[component]
pub fn PeopleList(
    /// The members that are named.
    members: Memo<Vec<Person>>,
    /// The number of members, named or not.
    count: Memo<usize>,
) -> impl IntoView {
    let words = use_words();
    let shown = move || {
        let listed = |here: &Vec<Person>| {
            let listed = here.iter().take(SHOWN_MAX);
            listed.map(|one| person(one, words)).collect::<Vec<_>>()
        };
        members.with(listed)
    };
    let hidden = move || count.get() - members.with(Vec::len).min(SHOWN_MAX);
    let is_all = Signal::derive(move || hidden() == 0);
    let more = Signal::derive(move || html(&words.count(Word::AndMore, hidden())));
    view! {
        <section class="people" aria-labelledby="people-label">
            <h2 id="people-label">{words.text(Word::PeopleHere)}</h2>
            <ul role="list" aria-labelledby="people-label">
                {shown}
            </ul>
            <p class="more" hidden=is_all inner_html=more></p>
        </section>
    }
}

fn person(person: &Person, words: Words) -> impl IntoView + use<> {
    let mark = match (person.own, person.away) {
        (true, _) => Some(Word::YouMark),
        (false, true) => Some(Word::AwayMark),
        (false, false) => None,
    };
    view! {
        <li class:own=person.own class:away=person.away>
            <bdi class="author" translate="no" inner_html=html(person.name.as_str())></bdi>
            {mark.map(|mark| view! { <span class="you">{words.text(mark)}</span> })}
        </li>
    }
}
