//! lxctl
fn main() {}
