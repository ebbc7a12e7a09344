//! Every target over its corpus and over mutations of it, in a fixed order, within limits of time and memory. An
//! input that breaks a promise is kept in `target/fuzz-finds`: put it into the corpus with its fix.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use lxhost_fuzz::mutate::Mutator;
use lxhost_fuzz::{INPUT, MEMORY, TARGETS, Target};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

#[global_allocator]
static MEMORY_IN_USE: cap::Cap<std::alloc::System> = cap::Cap::new(std::alloc::System, MEMORY);

/// Longest one input may take; on an idle machine they take microseconds.
const HANG: Duration = Duration::from_secs(20);

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// The target's corpus by name, so that the order is the same everywhere.
fn corpus(target: &Target) -> Vec<Vec<u8>> {
    let folder = top().join("corpus").join(target.name);
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} is empty", folder.display());
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// Keeps an input for whoever looks into it.
fn keep(target: &Target, input: &[u8]) -> PathBuf {
    let finds = top().join("../target/fuzz-finds");
    std::fs::create_dir_all(&finds).unwrap();
    let path = finds.join(target.name);
    std::fs::write(&path, input).unwrap();
    path
}

fn run(target: &Target, input: &[u8]) {
    let began = Instant::now();
    let panicked = catch_unwind(AssertUnwindSafe(|| (target.run)(input))).is_err();
    assert!(!panicked, "target {}: see {}", target.name, keep(target, input).display());
    let took = began.elapsed();
    assert!(took < HANG, "target {}: {took:?} for {}", target.name, keep(target, input).display());
}

/// `LXHOST_MUTATIONS=NUMBER` asks for so many of each target, others than those of every run: a search where there is no
/// libFuzzer.
fn more() -> Option<(u32, u64)> {
    let number: u32 = std::env::var("LXHOST_MUTATIONS").ok()?.parse().ok()?;
    Some((number, number.into()))
}

/// Runs a target in a thread and gives up when one input never ends.
fn replay(target: &'static Target) {
    let (send, inputs) = channel::<Vec<u8>>();
    let work = std::thread::spawn(move || {
        let corpus = corpus(target);
        let (mutations, seed) = more().unwrap_or((target.mutations, 0));
        let mut mutator = Mutator::new(target.name.bytes().map(u64::from).sum::<u64>() + seed);
        let mutations = (0..mutations).map(|_| mutator.input(&corpus, INPUT));
        for input in corpus.iter().cloned().chain(mutations) {
            send.send(input.clone()).unwrap();
            run(target, &input);
        }
    });
    let mut last = Vec::new();
    loop {
        match inputs.recv_timeout(2 * HANG) {
            Ok(input) => last = input,
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => panic!("target {} hangs: see {}", target.name, keep(target, &last).display()),
        }
    }
    if let Err(panic) = work.join() {
        std::panic::resume_unwind(panic);
    }
}

macro_rules! replays {
    ($($test:ident => $target:literal,)*) => {
        $( #[test] fn $test() { replay(lxhost_fuzz::find($target).unwrap()); } )*

        #[test]
        fn every_target_is_replayed_and_every_folder_has_a_target() {
            assert_eq!([$($target),*].as_slice(), TARGETS.iter().map(|target| target.name).collect::<Vec<_>>());
            for folder in std::fs::read_dir(top().join("corpus")).unwrap() {
                let name = folder.unwrap().file_name().into_string().unwrap();
                assert!(lxhost_fuzz::find(&name).is_some(), "corpus/{name} has no target");
            }
        }
    };
}

replays! {
    lists_of_access_keep_their_order => "acl",
    addresses_of_the_kernel_lie_in_the_datagram => "addresses",
    answers_of_a_sandboxed_program_are_believed_only_when_clean => "answer",
    archives_are_checked_or_refused_in_a_line => "archive",
    backups_that_are_verified_can_be_unpacked => "backup",
    indexes_of_backups_are_read_within_the_caps => "backup-index",
    keys_of_a_network_cannot_leave_their_line => "bridge",
    arguments_of_calls_are_taken_or_refused_in_a_line => "call",
    keys_of_an_instance_are_checked => "config",
    messages_of_the_contract_say_the_same_again => "contract",
    compressed_files_end_at_the_cap => "decompress",
    definitions_are_read_back => "definition",
    records_of_an_end_are_read_as_far_as_they_go => "exit-record",
    hosts_of_an_image_get_one_line => "hosts",
    leases_are_read_as_hostile => "leases",
    listings_are_added_up_within_the_caps => "listing",
    metadata_is_read_within_the_caps => "metadata",
    names_are_safe_or_refused => "names",
    rules_of_network_acls_become_words_of_ours_or_are_refused => "network-acl",
    forwards_become_words_of_ours_or_are_refused => "network-forward",
    interfaces_get_one_line_of_dnsmasq => "nic",
    words_of_an_init_are_plain => "notify",
    users_of_a_guest_have_real_ids => "passwd",
    preseeds_are_read_back => "preseed",
    rules_of_nft_are_counted => "rules",
    last_words_are_short_and_clean => "said",
    schedules_and_lifetimes_are_read_or_refused_in_a_line => "schedule",
    states_of_a_process_are_read => "status",
    what_is_checked_is_what_is_unpacked => "unpack",
}
