//! Fuzz targets: one for every parser of input that nobody has vouched for, as plain functions that panic when a
//! promise is broken. `tests/replay.rs` runs them over the corpus and a fixed number of mutations of it, with every
//! `cargo test`; `main.rs` hands one to libFuzzer (`make fuzz TARGET=name`). Depends on the `hostile` doors of the
//! crates; nothing depends on it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod contract;
pub mod host;
pub mod image;
pub mod mutate;
pub mod network;
pub mod text;

/// Most bytes all of a target's work may hold at once. What needs more was made to need it.
pub const MEMORY: usize = 512 << 20;
/// Most bytes of one input.
pub const INPUT: usize = 64 << 10;

/// A parser and what it promises.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, and that of its folder of the corpus.
    pub name: &'static str,
    /// Runs it once.
    pub run: fn(&[u8]),
    /// Mutations that a test runs; less for what is slow.
    pub mutations: u32,
}

const fn target(name: &'static str, run: fn(&[u8]), mutations: u32) -> Target {
    Target { name, run, mutations }
}

/// All there are.
pub const TARGETS: &[Target] = &[
    target("acl", image::acl, 20_000),
    target("addresses", host::addresses, 20_000),
    target("answer", image::answer, 10_000),
    target("archive", image::archive, 10_000),
    target("backup", image::backup, 500),
    target("backup-index", image::backup_index, 2_000),
    target("bridge", network::bridge, 5_000),
    target("call", text::call, 20_000),
    target("config", text::config, 10_000),
    target("contract", contract::message, 20_000),
    target("decompress", image::decompress, 2_000),
    target("definition", text::definition, 2_000),
    target("exit-record", contract::exit_record, 20_000),
    target("hosts", host::hosts, 10_000),
    target("leases", network::leases, 10_000),
    target("listing", image::listing, 10_000),
    target("metadata", image::metadata, 2_000),
    target("names", text::names, 20_000),
    target("network-acl", network::network_acl, 5_000),
    target("network-forward", network::network_forward, 5_000),
    target("nic", network::nic, 5_000),
    target("notify", host::notify, 20_000),
    target("passwd", host::passwd, 10_000),
    target("preseed", text::preseed, 2_000),
    target("rules", network::rules, 10_000),
    target("said", host::said, 10_000),
    target("schedule", text::schedule, 10_000),
    target("status", host::status, 10_000),
    target("unpack", image::unpack, 500),
];

/// The target of that name.
pub fn find(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

/// Asserts that a message can stand in a line of a terminal or journal.
#[track_caller]
pub(crate) fn is_a_line(message: &str) {
    assert!(message.len() < 2000, "{} bytes: {message}", message.len());
    assert!(!message.is_empty() && !message.chars().any(char::is_control), "no line: {message:?}");
}

/// The parts of an input between NULs.
pub(crate) fn parts(data: &[u8]) -> impl Iterator<Item = String> + '_ {
    data.split(|byte| *byte == 0).map(|part| String::from_utf8_lossy(part).into_owned())
}
