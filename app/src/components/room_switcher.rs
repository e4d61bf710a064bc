//! The way to other rooms.

use leptos::ev::SubmitEvent;
use leptos::prelude::*;
use protocol::id::RoomName;

use super::lobby_link::LobbyLink;
use crate::hooks::RoomsHandle;

/// A link to the lobby and a way to any other room. Without a script the link still works.
#[component]
pub fn RoomSwitcher(
    /// Where one is and can go.
    rooms: RoomsHandle,
    /// Whether the page is alive.
    ready: ReadSignal<bool>,
) -> impl IntoView {
    let wanted = RwSignal::new(String::new());
    let is_odd = RwSignal::new(false);
    let go = move |event: SubmitEvent| {
        event.prevent_default();
        match RoomName::new(&plain(&wanted.get_untracked())) {
            Ok(room) => {
                wanted.set(String::new());
                rooms.go.run(room);
            }
            Err(_) => is_odd.set(true),
        }
    };
    let is_starting = Signal::derive(move || !ready.get());
    let is_invalid = Signal::derive(move || is_odd.get().then(|| "true".to_owned()));
    let hint = Signal::derive(move || {
        is_odd
            .get()
            .then(|| "A room's name is 1 to 64 of a-z 0-9 - _".to_owned())
    });
    view! {
        <nav class="rooms" aria-labelledby="rooms-label">
            <h2 id="rooms-label">"Rooms"</h2>
            <LobbyLink rooms text="Lobby" />
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
                        aria-invalid=is_invalid
                        disabled=is_starting
                        prop:value=wanted
                        on:input=move |event| {
                            is_odd.set(false);
                            wanted.set(event_target_value(&event));
                        }
                    />
                </div>
                <button type="submit" class="quiet" disabled=is_starting>
                    "Go"
                </button>
            </form>
            <p id="room-hint" class="hint" aria-live="polite">
                {hint}
            </p>
        </nav>
    }
}

/// What a person most likely means: rooms have no capitals and no spaces.
fn plain(text: &str) -> String {
    text.split_whitespace()
        .collect::<Vec<_>>()
        .join("-")
        .to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_type_becomes_a_room() {
        assert_eq!(plain("  Tea Room "), "tea-room");
    }
}
