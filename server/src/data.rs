//! The data directory.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

/// Makes the data directory if it is missing: other users of this machine must not read it. If this
/// fails, opening the database says why.
pub(crate) fn make_directory(data: &Path) {
    let mut builder = DirBuilder::new();
    let _ = builder.recursive(true).mode(0o700).create(data);
}
