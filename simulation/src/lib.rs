//! Everbeat's own machines on a virtual clock and a virtual network.
//!
//! [`pair::Pair`] holds clients, links, a server and its log, and checks after every step what must
//! always hold. The rule tests of `protocol` script it by hand; [`run::Run`] draws the script from a
//! seed, makes faults happen, then lets all recover, and checks the outcome.

#![expect(
    clippy::unwrap_used,
    reason = "a harness of tests: what it cannot unwrap is a failed test"
)]

mod arrows;
pub mod callers;
pub mod cluster;
pub mod engine;
mod faults;
pub mod issuer;
pub mod ledger;
pub mod link;
pub mod log;
pub mod machine;
pub mod outage;
pub mod pair;
mod people;
pub mod profile;
pub mod run;
pub mod seeds;
pub mod shown;
mod tape;
pub mod trace;
pub mod watch;
pub mod world;
mod writing;
