//! Who is in the room.

use leptos::prelude::*;

use crate::state::{People, Person};

/// How many people are listed; the others are counted.
const SHOWN_MAX: usize = 100;

/// Who is here, oneself first.
#[component]
pub fn PeopleList(
    /// Who is here.
    people: ReadSignal<People>,
) -> impl IntoView {
    let here = Memo::new(move |_| people.with(People::here));
    let shown = move || here.with(|here| here.iter().take(SHOWN_MAX).cloned().collect::<Vec<_>>());
    let count = Memo::new(move |_| people.with(People::count));
    let hidden = move || count.get() - here.with(Vec::len).min(SHOWN_MAX);
    view! {
        <section class="people" aria-labelledby="people-label">
            <h2 id="people-label">"People here"</h2>
            <ul role="list" aria-labelledby="people-label">
                <For each=shown key=Person::clone let:person>
                    <li class:own=person.own>
                        <bdi class="author">{person.name.to_string()}</bdi>
                        {person.own.then(|| view! { <span class="you">" (you)"</span> })}
                    </li>
                </For>
            </ul>
            <Show when=move || { hidden() > 0 }>
                <p class="more">{move || format!("and {} more", hidden())}</p>
            </Show>
        </section>
    }
}
