//! How lxhost's figures grow: `list` and `launch` with the number of instances that run, `image import` and `launch`
//! with the size of the image, `delete` with what the guest has written. Depends on `engine` and `rows`. Called by
//! `main`; Incus would take hours for the same.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use lxhost_tests::cache::Cache;
use lxhost_tests::host::Host;

use crate::engine::Engine;
use crate::rows::{Row, median, run};

/// By name of a series: what there was, and the median in seconds.
pub(crate) type Series = BTreeMap<String, Vec<(f64, f64)>>;

/// Megabytes of an image beside its system, and of an upper layer.
const MEGABYTES: &[u32] = &[1, 16, 256];

const LIST: Row = Row { timed: "@ list", ..Row::NOTHING };
const LAUNCH: Row = Row { timed: "@ launch small c1", after: &["@ delete --force c1"], ..Row::NOTHING };
const LAUNCH_SIZED: Row = Row { timed: "@ launch sized c1", after: &["@ delete --force c1"], ..Row::NOTHING };
const SNAPSHOT: Row = Row { timed: "@ snapshot create c1 s", after: &["@ snapshot delete c1 s"], ..Row::NOTHING };
const COPY: Row = Row { timed: "@ copy c1 c9", after: &["@ delete c9"], ..Row::NOTHING };
/// What a guest writes before it is stopped, how much of it, and the script that does.
const ROOTS: &[(&str, &[u32], &str)] = &[
    ("MB written", &[100, 500, 2000], "dd if=/dev/zero of=/filling bs=1M count=$1"),
    ("files", &[10_000, 50_000, 200_000], "mkdir /many; cd /many; i=0; while [ $i -lt $1 ]; do echo $i >$i; i=$((i+1)); done"),
];
const IMPORT: Row =
    Row { timed: "@ image import /var/lib/lxhost/sized.tar --alias sized", after: &["@ image delete sized"], ..Row::NOTHING };

/// Measures every series, with up to `instances` that run.
pub(crate) fn measure(cache: &Cache, engine: &Engine, rounds: u32, instances: u32) -> Result<Series> {
    eprintln!("growth: preparing a host");
    let host = engine.boot(cache)?;
    std::fs::copy(std::env::current_exe()?, host.share().join("bench"))?;
    let mut series = Series::new();
    small(&host)?;
    for megabytes in MEGABYTES {
        sized(&host, engine, rounds, *megabytes, &mut series).with_context(|| format!("an image of {megabytes} MB"))?;
    }
    let mut there = 0;
    for until in [10, 100, 1000].into_iter().filter(|until| *until <= instances) {
        const MORE: &str = "for i in $(seq $1 $2); do lxctl launch small g$i >/dev/null; done";
        script(&host, MORE, &[&(there + 1).to_string(), &until.to_string()])?;
        there = until;
        note(&mut series, "list, by instances that run", until, &run(&host, engine, &LIST, rounds)?);
        note(&mut series, "launch, by instances that run", until, &run(&host, engine, &LAUNCH, rounds)?);
    }
    Ok(series)
}

/// Measures how snapshots and copies of a stopped instance grow with what it has written: megabytes, and small files.
pub(crate) fn of_roots(cache: &Cache, engine: &Engine, rounds: u32) -> Result<Series> {
    eprintln!("growth of roots: preparing a host");
    let host = engine.boot(cache)?;
    std::fs::copy(std::env::current_exe()?, host.share().join("bench"))?;
    let mut series = Series::new();
    small(&host)?;
    for (of, until, write) in ROOTS {
        for count in *until {
            script(&host, "lxctl launch small c1 >/dev/null", &[])?;
            script(&host, &format!("lxctl exec c1 -- sh -c '{write}' sh $1; lxctl stop --force c1"), &[&count.to_string()])?;
            note(&mut series, &format!("snapshot create, by {of}"), *count, &run(&host, engine, &SNAPSHOT, rounds)?);
            note(&mut series, &format!("copy, by {of}"), *count, &run(&host, engine, &COPY, rounds)?);
            script(&host, "lxctl delete c1", &[])?;
        }
    }
    Ok(series)
}

fn note(series: &mut Series, name: &str, of: u32, seconds: &[f64]) {
    eprintln!("growth: {name}: {of}: {:.4} s", median(seconds));
    series.entry(name.to_owned()).or_default().push((f64::from(of), median(seconds)));
}

fn script(host: &Host, text: &str, arguments: &[&str]) -> Result<String> {
    let argv = ["sh", "-eu", "-c", text, "script"].into_iter().chain(arguments.iter().copied());
    host.command(argv).timeout(std::time::Duration::from_secs(1200)).succeed()
}

/// The smallest system, by the alias `small`, and an instance of it that makes pool and network.
fn small(host: &Host) -> Result<()> {
    script(host, "lxctl image copy busybox:latest --alias small; lxctl launch small first; lxctl delete --force first", &[])
        .map(drop)
}

/// Import and launch of an image with a file of so many megabytes, and delete of an instance that has written as much.
fn sized(host: &Host, engine: &Engine, rounds: u32, megabytes: u32, series: &mut Series) -> Result<()> {
    const PACK: &str = r"
        rm -rf /var/lib/lxhost/sized && mkdir /var/lib/lxhost/sized && cd /var/lib/lxhost/sized
        lxctl image export small image >/dev/null
        mkdir unpacked && tar -xf image* -C unpacked
        head -c $1M /dev/urandom >unpacked/rootfs/filling
        tar -C unpacked -cf ../sized.tar metadata.yaml rootfs";
    script(host, PACK, &[&megabytes.to_string()])?;
    note(series, "image import, by MB", megabytes, &run(host, engine, &IMPORT, rounds)?);
    script(host, "lxctl image import /var/lib/lxhost/sized.tar --alias sized", &[])?;
    note(series, "launch, by MB of the image", megabytes, &run(host, engine, &LAUNCH_SIZED, rounds)?);
    script(host, "lxctl image delete sized", &[])?;
    let fill = format!("@ exec c1 -- dd if=/dev/zero of=/filling bs=1M count={megabytes}");
    let before = ["@ launch small c1", &fill];
    let delete = Row { before: &before, timed: "@ delete --force c1", ..Row::NOTHING };
    note(series, "delete, by MB written", megabytes, &run(host, engine, &delete, rounds)?);
    Ok(())
}
