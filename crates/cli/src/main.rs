//! The `safeguard` command line.
fn main() {}
