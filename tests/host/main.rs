//! The host suites: what an installed lxhost does on a real Debian 13 with systemd, D-Bus and Polkit.
//! Depends on the library of this crate. Called by `make check`; with words as arguments it runs the
//! tests whose `suite: sentence` contains one of them; `--in native` or `--in full` says where, instead
//! of the cheapest host that has what a test needs.

mod acls;
mod backups;
mod blocks;
mod bus;
mod busctl;
mod copies;
mod dhcp6;
mod disks;
mod doctor;
mod firewalls;
mod forwards;
mod full_disk;
mod harness;
mod image_verbs;
mod images;
mod inits;
mod inside;
mod isolation;
mod journal;
mod limits;
mod load;
mod lvm;
mod machine;
mod misfortune;
mod networks;
mod nics;
mod outliving;
mod package;
mod parts;
mod polkit;
mod pools;
mod power;
mod proxies;
mod publish;
mod quotas;
mod recover;
mod refusal;
mod road;
mod seeds;

mod snapshots;
mod terminal;
mod trash;
mod trials;
mod volume_files;
mod volumes;
mod zfs;

use lxhost_tests::cache::Cache;
use lxhost_tests::host::{self, Kind};
use lxhost_tests::raw;
use lxhost_tests::runner::{self, Places, Suite};

const SUITES: &[Suite] = &[
    road::SUITE,
    power::SUITE,
    inits::SUITE,
    inside::SUITE,
    terminal::SUITE,
    image_verbs::SUITE,
    journal::SUITE,
    parts::SUITE,
    networks::SUITE,
    acls::SUITE,
    firewalls::SUITE,
    forwards::SUITE,
    trials::SUITE,
    pools::SUITE,
    volume_files::SUITE,
    lvm::SUITE,
    zfs::SUITE,
    volumes::SUITE,
    blocks::SUITE,
    disks::SUITE,
    seeds::SUITE,
    busctl::SUITE,
    nics::SUITE,
    proxies::SUITE,
    dhcp6::SUITE,
    doctor::SUITE,
    outliving::SUITE,
    polkit::SUITE,
    backups::SUITE,
    bus::SUITE,
    refusal::SUITE,
    isolation::SUITE,
    limits::SUITE,
    machine::SUITE,
    images::SUITE,
    package::SUITE,
    snapshots::SUITE,
    copies::SUITE,
    publish::SUITE,
    quotas::SUITE,
    trash::SUITE,
    recover::SUITE,
    full_disk::SUITE,
    harness::SUITE,
    misfortune::SUITE,
    load::SUITE,
];

fn main() {
    host::keeper::run_if_asked();
    raw::run_if_asked();
    let mut wanted: Vec<String> = std::env::args().skip(1).collect();
    let places = match places(&mut wanted) {
        Ok(places) => places,
        Err(word) => {
            eprintln!("--in takes native or full, not {word:?}");
            std::process::exit(2);
        }
    };
    if wanted.iter().any(|word| word == "--list") {
        for suite in SUITES {
            for test in suite.tests {
                println!("{}: {}", suite.name, test.name.replace('_', " "));
            }
        }
        return;
    }
    // What fails, for a test of what is done then.
    let suites = if wanted.iter().any(|word| word == misfortune::ARGUMENT) { misfortune::SUITES } else { SUITES };
    wanted.retain(|word| word != misfortune::ARGUMENT);
    let prepared = Cache::open().and_then(|cache| host::sweep(&cache).map(|()| cache));
    let passed = match prepared {
        Ok(cache) => runner::run(&cache, suites, &wanted, places, 2).finish(),
        Err(error) => {
            eprintln!("{error:#}");
            false
        }
    };
    std::process::exit(i32::from(!passed));
}

/// Takes `--in KIND` out of the words.
fn places(words: &mut Vec<String>) -> Result<Places, String> {
    let Some(at) = words.iter().position(|word| word == "--in") else { return Ok(Places::Cheapest) };
    let mut taken = words.drain(at..(at + 2).min(words.len())).skip(1);
    let word = taken.next().unwrap_or_default();
    Kind::ALL.into_iter().find(|kind| kind.name() == word).map(Places::Only).ok_or(word)
}
