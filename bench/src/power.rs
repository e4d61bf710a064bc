//! A disk whose power can be cut: a file system of our own, which knows what was written and what was synced.

mod model;
mod mount;

pub use self::mount::PowerDisk;
