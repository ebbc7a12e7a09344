//! Hands the target that the environment names (`LXHOST_FUZZ_TARGET`) to libFuzzer. One program for all of them: it
//! is linked once. Built and started by `fuzz/run`.

#![no_main]

use lxhost_fuzz::{MEMORY, Target, find};
use std::sync::OnceLock;

#[global_allocator]
static MEMORY_IN_USE: cap::Cap<std::alloc::System> = cap::Cap::new(std::alloc::System, MEMORY);

static TARGET: OnceLock<&'static Target> = OnceLock::new();

fn chosen() -> &'static Target {
    let name = std::env::var("LXHOST_FUZZ_TARGET").unwrap_or_default();
    find(&name).unwrap_or_else(|| {
        eprintln!("there is no target {name:?}");
        std::process::exit(2)
    })
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| (TARGET.get_or_init(chosen).run)(data));
