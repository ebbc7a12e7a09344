//! Faults below the ports: system calls of the daemon that fail, or that are its last, by strace(1). Each kind
//! of call that leaves something behind, one after the other. Depends on `world`. Called by `main`.

use std::time::Instant;

use anyhow::{Result, ensure};
use lxhost_tests::cache::Cache;

use crate::deeds::DEEDS;
use crate::matrix::{DRIVERS, Sum};
use crate::world::World;

/// What leaves something on a disk, or keeps it there.
const CALLS: &[&str] = &[
    "mkdir,mkdirat",
    "rename,renameat,renameat2",
    "symlink,symlinkat",
    "fsync,fdatasync,syncfs",
    "unlink,unlinkat,rmdir",
    "pwrite64",
];
/// What a call may meet with; the first always, the others in a whole run.
const FAULTS: &[&str] = &["signal=KILL", "error=EIO", "error=ENOSPC"];
/// Deeds that are tried.
const TRIED: &[&str] = &["create", "delete", "image import", "start"];
/// Calls of a kind that are tried, each of a thread: those of a whole run, and of a short one.
const MANY: usize = 24;
const FEW: usize = 4;

/// Tries all kinds of calls on pools of the first driver.
pub(crate) fn run(cache: &Cache, whole: bool) -> Result<Sum> {
    let mut world = World::boot(cache, DRIVERS[0])?;
    let mut sum = Sum::default();
    for deed in DEEDS.iter().filter(|deed| TRIED.contains(&deed.name)) {
        let (start, before) = (Instant::now(), sum.cases);
        for calls in CALLS {
            for fault in FAULTS.iter().take(if whole { FAULTS.len() } else { 1 }) {
                for number in 1..=if whole { MANY } else { FEW } {
                    let fault = format!("{fault}:when={number}");
                    let Some(wrong) = world.inject(deed, calls, &fault)? else { break };
                    sum.cases += 1;
                    sum.note(&world, deed, &[vec![(*calls, &fault)]], wrong)?;
                }
                let left = world.left()?;
                sum.note(&world, deed, &[vec![(*calls, *fault)]], left)?;
            }
        }
        println!("system calls: {}: {} cases ({:.1} s)", deed.name, sum.cases - before, start.elapsed().as_secs_f64());
        ensure!(sum.cases > before, "{}: no call was met", deed.name);
    }
    Ok(sum)
}
