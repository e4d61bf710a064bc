//! What the pages are made of: signals in, callbacks out.

pub mod composer;
pub mod connection_indicator;
pub mod lobby_link;
pub mod message_list;
pub mod message_row;
#[expect(
    deprecated,
    reason = "leptos-use 0.20 would have one crate for each function; it still re-exports them"
)]
pub mod name_field;
pub mod people_list;
pub mod received_line;
pub mod room_switcher;
pub mod typing_list;
