//! Faults on real hosts: the crash matrix, power cuts, system calls that fail, a server that lies. Depends on
//! the library of this crate, and on the daemon with failpoints that `make faults` builds. Called by
//! `make check`, with `--all` by `make check-full`.

mod calls;
mod cuts;
mod deeds;
mod fetch;
mod liar;
mod matrix;
mod rare;
mod world;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Mutex;
use std::thread;

use anyhow::{Error, Result, bail};
use lxhost_tests::cache::Cache;
use lxhost_tests::host;

use matrix::{Extent, Sum};

/// Power cuts of each file system in a check, and in a whole run.
const CUTS: usize = 12;
const MANY_CUTS: usize = 60;

const HELP: &str = "usage: lxhost-fault-tests [--all] [WORDS...]
WORDS choose: matrix, cuts, calls or fetch; overlay, btrfs, dir or lvm; ext4, xfs, btrfs or two; and, else, deeds of the
matrix by parts of their names. --all: every error at every point, deaths on the way back, lvm, and many power cuts.
For example: lxhost-fault-tests matrix lvm snapshot";

/// What one host is for: its kind, and the driver or file system.
type Work = (&'static str, &'static str);

fn main() -> ExitCode {
    host::keeper::run_if_asked();
    let words: Vec<String> = std::env::args().skip(1).collect();
    let ended = match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--lie", port, how] => liar::serve(port, how),
        ["--help" | "-h", ..] => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        _ => run(&words),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[String]) -> Result<()> {
    let whole = words.iter().any(|word| word == "--all");
    let names = |word: &str| all().any(|(kind, place)| word == kind || word == place);
    let (places, deeds): (Vec<String>, Vec<String>) =
        words.iter().filter(|word| !word.starts_with("--")).cloned().partition(|word| names(word));
    let emulated = |work: &Work| matrix::EMULATED.contains(&work.1) && !whole && places.iter().all(|word| word != work.1);
    let chosen = |work: &Work| !emulated(work) && places.iter().all(|word| word == work.0 || word == work.1);
    let extent = Extent { whole, wanted: &deeds };
    let works: Mutex<Vec<Work>> =
        Mutex::new(all().filter(chosen).filter(|(kind, _)| deeds.is_empty() || *kind == "matrix").collect());
    let cache = Cache::open()?;
    host::sweep(&cache)?;
    let next = || works.lock().ok().and_then(|mut works| works.pop());
    let work = || -> Vec<(&str, Sum)> {
        let mut sums = vec![];
        while let Some((kind, place)) = next() {
            let sum = match kind {
                "matrix" => matrix::run(&cache, place, extent),
                "cuts" => cuts::run(&cache, place, if whole { MANY_CUTS } else { CUTS }),
                "calls" => calls::run(&cache, whole),
                _ => fetch::run(&cache),
            };
            sums.push((kind, sum.unwrap_or_else(|error| given_up(kind, place, &error))));
        }
        sums
    };
    // Three hosts at a time: of each, much of the time is a disk's.
    let ended = thread::scope(|scope| [(); 3].map(|()| scope.spawn(work)).map(thread::ScopedJoinHandle::join));
    let mut all: BTreeMap<&str, Sum> = BTreeMap::new();
    for sums in ended {
        let Ok(sums) = sums else { bail!("a thread of the tests panicked") };
        sums.into_iter().for_each(|(kind, sum)| all.entry(kind).or_default().add(sum));
    }
    all.values().flat_map(|sum| &sum.wrong).take(20).for_each(|wrong| println!("wrong: {wrong}"));
    all.iter().for_each(|(kind, sum)| println!("{kind}: {} cases, {} wrong", sum.cases, sum.wrong.len()));
    match all.values().map(|sum| sum.wrong.len()).sum::<usize>() {
        0 => Ok(()),
        wrong => bail!("{wrong} cases are wrong"),
    }
}

/// A host that was given up is wrong too; the others go on.
fn given_up(kind: &str, place: &str, error: &Error) -> Sum {
    let text = format!("{kind} {place}: given up: {error:#}");
    println!("{text}");
    Sum { cases: 0, wrong: vec![text] }
}

/// Everything there is, the longest last, for it is taken first.
fn all() -> impl Iterator<Item = Work> {
    let cuts = cuts::FILE_SYSTEMS.iter().map(|fs| ("cuts", *fs));
    let matrices = matrix::DRIVERS.iter().rev().chain(matrix::EMULATED).map(|driver| ("matrix", *driver));
    [("fetch", "")].into_iter().chain(cuts).chain([("calls", "")]).chain(matrices)
}
