//! The client's machine: see [`protocol_fuzz::client`].
#![no_main]

libfuzzer_sys::fuzz_target!(|plan: protocol_fuzz::client::Plan| protocol_fuzz::client::run(plan));
