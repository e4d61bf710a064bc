//! The tutorial's dialect: see [`protocol_fuzz::tutorial`].
#![no_main]

libfuzzer_sys::fuzz_target!(
    |plan: protocol_fuzz::tutorial::Plan| protocol_fuzz::tutorial::run(plan)
);
