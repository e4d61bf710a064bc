//! Everbeat's own machines on a virtual clock and a virtual network.
//!
//! [`pair::Pair`] holds clients, links, a server and its log, and checks after every step what must
//! always hold. The rule tests of `protocol` script it by hand.

#![expect(
    clippy::unwrap_used,
    reason = "a harness of tests: what it cannot unwrap is a failed test"
)]

pub mod link;
pub mod log;
pub mod machine;
pub mod pair;
pub mod world;
