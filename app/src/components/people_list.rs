//! The list of the room's members.

use leptos::prelude::*;
use view::Person;

use crate::markup::html;

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
    let shown =
        move || members.with(|here| here.iter().take(SHOWN_MAX).map(person).collect::<Vec<_>>());
    let hidden = move || count.get() - members.with(Vec::len).min(SHOWN_MAX);
    let is_all = Signal::derive(move || hidden() == 0);
    let more = Signal::derive(move || html(&format!("and {} more", hidden())));
    view! {
        <section class="people" aria-labelledby="people-label">
            <h2 id="people-label">"People here"</h2>
            <ul role="list" aria-labelledby="people-label">
                {shown}
            </ul>
            <p class="more" hidden=is_all inner_html=more></p>
        </section>
    }
}

fn person(person: &Person) -> impl IntoView + use<> {
    view! {
        <li class:own=person.own>
            <bdi class="author" translate="no" inner_html=html(person.name.as_str())></bdi>
            {person.own.then(|| view! { <span class="you">" (you)"</span> })}
        </li>
    }
}
