//! The rows of storage on other file systems than the default's: btrfs, and XFS, whose trees share blocks. Depends on
//! `engine` and `rows`. Called by `main`, for each engine in hosts of its own.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use lxhost_tests::cache::Cache;
use lxhost_tests::host::{Host, State};

use crate::engine::Engine;
use crate::rows::{Row, run, time};

/// A file system for the state, and the driver of both engines' pools on it.
const PLACES: &[(&str, State, &str)] = &[("btrfs", State::Btrfs, "btrfs"), ("xfs", State::Xfs, "dir")];

/// In this order; c1 lies on the pool, stopped, from the second on.
const ROWS: &[Row<'static>] = &[
    Row { name: "launch", timed: "@ launch debian c0 -s fast", after: &["@ delete --force c0"], ..Row::NOTHING },
    Row { name: "snapshot create", timed: "@ snapshot create c1 s", after: &["@ snapshot delete c1 s"], ..Row::NOTHING },
    Row {
        name: "snapshot restore",
        before: &["@ snapshot create c1 s"],
        timed: "@ snapshot restore c1 s",
        after: &["@ snapshot delete c1 s"],
        ..Row::NOTHING
    },
    Row { name: "copy", timed: "@ copy c1 c9", after: &["@ delete c9"], ..Row::NOTHING },
    Row { name: "delete", before: &["@ copy c1 c9"], timed: "@ delete c9", ..Row::NOTHING },
    Row { name: "export", timed: "@ export c1 /tmp/backup", after: &["rm /tmp/backup"], ..Row::NOTHING },
];
/// So many snapshots of one instance, one after the other.
const HUNDRED: &str = "for i in $(seq 100); do $0 snapshot create c1 n$i; done";

/// Measures every row on every file system.
pub(crate) fn measure(cache: &Cache, engine: &Engine, rounds: u32) -> Result<BTreeMap<String, Vec<f64>>> {
    let mut rows = BTreeMap::new();
    // Trees of Incus share no blocks on XFS either: its rows on ext4 are the same.
    for (place, state, driver) in PLACES.iter().filter(|(place, ..)| engine.packaged || *place != "xfs") {
        eprintln!("{}: preparing a host on {place}", engine.name);
        let host = engine.boot_on(cache, *state)?;
        std::fs::copy(std::env::current_exe()?, host.share().join("bench"))?;
        on_one(&host, engine, rounds, driver, |name, seconds| drop(rows.insert(format!("{place}: {name}"), seconds)))
            .with_context(|| format!("{} on {place}", engine.name))?;
    }
    Ok(rows)
}

fn on_one(host: &Host, engine: &Engine, rounds: u32, driver: &str, mut note: impl FnMut(&str, Vec<f64>)) -> Result<()> {
    host.command(engine.pool("fast", driver)).timeout(Duration::from_secs(60)).succeed()?;
    // This also unpacks the image where that is done once.
    host.command([engine.command, "init", "debian", "c1", "-s", "fast"]).timeout(Duration::from_secs(120)).succeed()?;
    for row in ROWS {
        note(row.name, run(host, engine, row, rounds)?);
    }
    let hundred = ["sh", "-eu", "-c", HUNDRED, engine.command].map(str::to_owned).to_vec();
    note("100 snapshots", time(host, hundred, 1)?);
    Ok(())
}
