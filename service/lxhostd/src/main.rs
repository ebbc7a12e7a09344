//! lxhostd
fn main() {}
