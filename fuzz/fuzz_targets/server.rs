//! The server's machine: see [`protocol_fuzz::server`].
#![no_main]

libfuzzer_sys::fuzz_target!(|plan: protocol_fuzz::server::Plan| protocol_fuzz::server::run(plan));
