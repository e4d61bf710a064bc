//! The way to other rooms.

use leptos::ev::SubmitEvent;
use leptos::prelude::*;
use leptos_router::NavigateOptions;
use leptos_router::components::A;
use leptos_router::hooks::use_navigate;
use protocol::id::RoomName;

/// A link to the lobby and a way to any other room. Without a script the link still works.
#[component]
pub fn RoomSwitcher(
    /// Whether the page is alive.
    ready: ReadSignal<bool>,
) -> impl IntoView {
    let wanted = RwSignal::new(String::new());
    let is_odd = RwSignal::new(false);
    let navigate = use_navigate();
    let go = move |event: SubmitEvent| {
        event.prevent_default();
        match RoomName::new(&plain(&wanted.get_untracked())) {
            Ok(room) => {
                wanted.set(String::new());
                navigate(&path(&room), NavigateOptions::default());
            }
            Err(_) => is_odd.set(true),
        }
    };
    view! {
        <nav class="rooms" aria-labelledby="rooms-label">
            <h2 id="rooms-label">"Rooms"</h2>
            <A href="/">"Lobby"</A>
            <form aria-label="Go to room" autocomplete="off" on:submit=go>
                <div class="field">
                    <label for="room">"Room"</label>
                    <input
                        id="room"
                        type="text"
                        autocapitalize="none"
                        autocomplete="off"
                        spellcheck="false"
                        placeholder="garden"
                        aria-describedby="room-hint"
                        aria-invalid=move || is_odd.get().then_some("true")
                        disabled=move || !ready.get()
                        prop:value=wanted
                        on:input=move |event| {
                            is_odd.set(false);
                            wanted.set(event_target_value(&event));
                        }
                    />
                </div>
                <button type="submit" class="quiet" disabled=move || !ready.get()>
                    "Go"
                </button>
            </form>
            <p id="room-hint" class="hint" aria-live="polite">
                {move || is_odd.get().then_some("A room's name is 1 to 64 of a-z 0-9 - _")}
            </p>
        </nav>
    }
}

/// What a person most likely means: rooms have no capitals and no spaces.
fn plain(text: &str) -> String {
    text.split_whitespace()
        .collect::<Vec<_>>()
        .join("-")
        .to_lowercase()
}

fn path(room: &RoomName) -> String {
    if *room == RoomName::lobby() {
        "/".to_owned()
    } else {
        format!("/r/{room}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_type_becomes_a_room() {
        assert_eq!(plain("  Tea Room "), "tea-room");
        assert_eq!(path(&RoomName::lobby()), "/");
        assert_eq!(path(&RoomName::new("tea").unwrap()), "/r/tea");
    }
}
