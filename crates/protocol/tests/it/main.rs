//! The rules of the protocol, with one test or more for each, on a virtual clock.
//!
//! [`simulation::pair::Pair`] holds clients, links, a server and its log; [`solo`] holds one machine alone, for
//! rules about numbers. The same tests run on wasm32 (PU-6).

// `cfg(test)` tells clippy that these modules are tests, helpers included.
#[cfg(test)]
mod access;
#[cfg(test)]
mod edges;
#[cfg(test)]
mod edges_server;
#[cfg(test)]
mod exactly_once;
#[cfg(test)]
mod feed;
#[cfg(test)]
mod found;
#[cfg(test)]
mod gaps;
#[cfg(test)]
mod handshake;
#[cfg(test)]
mod heartbeat;
#[cfg(test)]
mod heirs;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod nodes;
#[cfg(test)]
mod one_pass;
#[cfg(test)]
mod outage;
#[cfg(test)]
mod presence;
#[cfg(test)]
mod pure;
#[cfg(test)]
mod reconnect;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod refused_handshakes;
#[cfg(test)]
mod request;
#[cfg(test)]
mod resume;
#[cfg(test)]
mod rules;
#[cfg(test)]
mod solo;
#[cfg(test)]
mod tokens;
#[cfg(test)]
mod tutorial;
#[cfg(test)]
mod unfit;
#[cfg(test)]
mod uplink;
#[cfg(test)]
mod waiting;
#[cfg(test)]
mod wire;
