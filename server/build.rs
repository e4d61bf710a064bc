//! The feature `embed`: which files there are is part of the program, and not only what is in them.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var_os("CARGO_FEATURE_EMBED").is_some() {
        println!("cargo::rerun-if-changed=../target/embed");
    }
}
