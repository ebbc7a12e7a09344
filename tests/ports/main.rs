//! Tests of the engine's ports against a real systemd: run as root inside a test host, one by name, by
//! the suites of `tests/host`. A failure is a panic, as in any test.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod images;

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("tree") => images::a_tree_is_taken_in_unpacked_and_used_from_every_pool().await,
        Some("sandbox") => images::the_sandbox_sees_nothing_of_the_host_and_cannot_leave().await,
        Some("refused") => images::what_is_no_image_is_refused_and_leaves_nothing().await,
        Some("sources") => images::a_debian_is_built_from_the_host_s_mirror_and_a_busybox_from_the_host().await,
        Some("packings") => images::every_packing_gives_the_same_tree().await,
        _ => return ExitCode::from(64),
    }
    ExitCode::SUCCESS
}
