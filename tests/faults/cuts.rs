//! Power cuts: a host whose state lies on a file system that stops in the middle of deeds, or right after one
//! was acknowledged, again and again; what was acknowledged has to be whole when the power is back. `cut.sh`
//! does it, in the host. Depends on the library and mkfs. Called by `main`.

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
pub(crate) const FILE_SYSTEMS: &[&str] = &["ext4", "xfs", "btrfs", "two"];

/// Bytes of a disk; sparse.
const DISK: u64 = 1 << 30;

/// Cuts the power of one file system so many times.
pub(crate) fn run(cache: &Cache, fs: &str, cuts: usize) -> Result<Sum> {
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
        sum.cases += 1;
        if !said.is_empty() {
            let text = format!("{fs}: cut {round}, {when} {much}:\n    {}", said.trim_end().replace('\n', "\n    "));
            println!("{text}");
            sum.wrong.push(text);
        }
    }
    println!("{fs}: {cuts} power cuts ({:.1} s)", start.elapsed().as_secs_f64());
    Ok(sum)
}

fn disk(stage: &Stage, name: &str, fs: &str) -> Result<()> {
    let path = stage.host.share().join(name);
    File::create(&path)?.set_len(DISK)?;
    tool::run(Command::new(format!("mkfs.{fs}")).arg("-q").arg(path))?;
    Ok(())
}
