//! A disk whose power can be cut: a file system of our own that tells apart what was written and what was synced.

mod model;
mod mount;

pub use self::mount::PowerDisk;
