//! Power cuts: a host whose state lies on a file system that stops in the middle of deeds, or right after one
//! was acknowledged, again and again; what was acknowledged has to be whole when the power is back. `cut.sh`
//! does it, in the host. And a whole machine, whose emulator is killed. Depends on the library and mkfs. Called
//! by `main`.

use std::fs::File;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use lxhost_tests::cache::Cache;
use lxhost_tests::host::Kind;
use lxhost_tests::image::{self, Form};
use lxhost_tests::runner::{Base, Stage};
use lxhost_tests::tool;

use crate::matrix::Sum;

const CUT: &str = include_str!("cut.sh");

/// File systems whose power is cut; `two`: ext4 with the pools on another.
pub(crate) const FILE_SYSTEMS: &[&str] = &["ext4", "xfs", "btrfs", "two", MACHINE];
/// Not a file system, but everything.
const MACHINE: &str = "machine";

/// Bytes of a disk; sparse.
const DISK: u64 = 1 << 30;

/// Cuts the power of one file system so many times.
pub(crate) fn run(cache: &Cache, fs: &str, cuts: usize) -> Result<Sum> {
    if fs == MACHINE {
        // Its boots are emulated.
        return machine(cache, cuts.div_ceil(12));
    }
    let stage = Stage::boot(cache, Kind::Native, Base::Packaged)?;
    disk(&stage, "disk.img", if fs == "two" { "ext4" } else { fs })?;
    if fs == "btrfs" {
        disk(&stage, "outer.img", "xfs")?;
    }
    stage.host.put("/root/cut.sh", 0o755, CUT)?;
    let busybox = image::busybox(cache)?;
    let (meta, root) = (busybox.path_in_host(Form::Metadata)?, busybox.path_in_host(Form::Squashfs)?);
    let cut = |words: &[&str]| {
        let argv = ["sh", "/root/cut.sh"].iter().chain(words).copied();
        stage.host.command(argv).env("FS", fs).env("META", &meta).env("ROOT", &root).timeout(Duration::from_secs(120)).succeed()
    };
    let (start, mut sum) = (Instant::now(), Sum::default());
    let said = cut(&["prepare"])?;
    anyhow::ensure!(said.is_empty(), "preparing {fs}: {said}");
    for round in 0..cuts {
        let number = round.to_string();
        // Ten kinds of deed, each of them the last one now and then; every third time at any moment.
        let (when, much) = match round % 3 {
            2 => ("at", format!("0.{:03}", round * 37 % 700)),
            _ => ("after", (1 + round % 2).to_string()),
        };
        let said = cut(&["round", &number, when, &much]).with_context(|| format!("{fs}, cut {round}"))?;
        found(&mut sum, &format!("{fs}: cut {round}, {when} {much}"), &said);
    }
    println!("{fs}: {cuts} power cuts ({:.1} s)", start.elapsed().as_secs_f64());
    Ok(sum)
}

fn found(sum: &mut Sum, cut: &str, said: &str) {
    sum.cases += 1;
    if !said.is_empty() {
        let text = format!("{cut}:\n    {}", said.trim_end().replace('\n', "\n    "));
        println!("{text}");
        sum.wrong.push(text);
    }
}

/// Cuts the power of a machine so many times, each time right after another number of deeds.
fn machine(cache: &Cache, cuts: usize) -> Result<Sum> {
    let stage = Stage::boot(cache, Kind::Full, Base::Packaged)?.durable()?;
    stage.host.put("/root/cut.sh", 0o755, CUT)?;
    let busybox = image::busybox(cache)?;
    let (meta, root) = (busybox.path_in_host(Form::Metadata)?, busybox.path_in_host(Form::Squashfs)?);
    let cut = |words: &[&str]| {
        let argv = ["sh", "/root/cut.sh"].iter().chain(words).copied();
        let command = stage.host.command(argv).env("FS", MACHINE).env("META", &meta).env("ROOT", &root).env("KEPT", "/lab");
        command.timeout(Duration::from_secs(120))
    };
    let (start, mut sum) = (Instant::now(), Sum::default());
    cut(&["fill"]).succeed()?;
    stage.host.succeed(["sync"])?;
    for round in 0..cuts {
        let deeds = cut(&["deeds", &round.to_string()]).spawn()?;
        let after = 1 + round * 2 % 7;
        deeds.until(&format!("acknowledged {after}\n")).with_context(|| format!("cut {round}"))?;
        stage.host.crash()?;
        drop(deeds);
        stage.host.power_on()?;
        let said = cut(&["verify"]).succeed().with_context(|| format!("cut {round}"))?;
        found(&mut sum, &format!("machine: cut {round}, after {after}"), &said);
    }
    println!("machine: {cuts} power cuts ({:.1} s)", start.elapsed().as_secs_f64());
    Ok(sum)
}

fn disk(stage: &Stage, name: &str, fs: &str) -> Result<()> {
    let path = stage.host.share().join(name);
    File::create(&path)?.set_len(DISK)?;
    tool::run(Command::new(format!("mkfs.{fs}")).arg("-q").arg(path))?;
    Ok(())
}
