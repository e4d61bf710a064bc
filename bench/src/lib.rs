//! The benchmark program's parts: measurements beside other servers, chaos tests with real faults, and
//! attacks; all by native clients, which run the same machine as the browser.

#![forbid(unsafe_code)]

pub mod attack;
pub mod chaos;
pub mod cluster;
pub mod disk;
pub mod http;
pub mod line;
pub mod measure;
pub mod nats;
pub mod peer;
#[cfg(target_os = "linux")]
pub mod power;
pub mod server;
pub mod session;
pub mod usage;
