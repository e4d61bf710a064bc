//! Fuzz targets: what the fuzzer plays with Everbeat's pure core, and what must stay true meanwhile.
//!
//! Each target is a module with a `run`: [`codec`] takes bytes; [`client`], [`server`] and [`tutorial`]
//! take a list of steps, play the driver and the other end, and check the machine after each step.
//! Most lists make sense by design: random steps alone would never get behind
//! `hello`.

#![forbid(unsafe_code)]

pub mod client;
pub mod codec;
pub mod frames;
pub mod page;
pub mod server;
pub mod time;
pub mod tutorial;
