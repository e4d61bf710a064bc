//! The page's components, one element each: signals in, callbacks out.

pub mod composer;
pub mod connection_indicator;
pub mod inspector;
pub mod language_switch;
pub mod message_list;
pub mod message_row;
pub mod name_field;
pub mod people_list;
pub mod received_line;
pub mod room_link;
pub mod room_switcher;
pub mod typing_list;
