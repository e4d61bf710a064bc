//! The engine on NATS, against real servers: killed, frozen, full, misconfigured.
//!
//! `scripts/nats.sh` installs the servers' program.

#![expect(clippy::print_stderr, reason = "how long recoveries took")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod admission;
mod erasure;
mod faults;
mod kit;
