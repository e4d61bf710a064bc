//! What the tests of the real server share.

use std::path::PathBuf;

/// The server's binary in the folder that this test was built into.
pub(crate) fn server() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().unwrap().parent().unwrap();
    let server = profile.join("everbeat");
    assert!(
        server.exists(),
        "run `cargo build -p server` first: there is no {}",
        server.display()
    );
    server
}
