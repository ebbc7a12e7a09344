//! lxhost-runtime
fn main() {}
