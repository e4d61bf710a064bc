//! Several nodes over a virtual engine, on a virtual clock.

// `cfg(test)` tells clippy that these modules are tests, helpers included.
#[cfg(test)]
mod agree;
#[cfg(test)]
mod any_input;
#[cfg(test)]
mod engine;
#[cfg(test)]
mod node;
