//! lxhost-bench: the rows of the budget table, measured for lxhost and for Incus in two hosts of the same
//! recipe, one after the other, with the same image. Depends on the library of this crate; runs itself
//! inside the hosts as the stopwatch. Beside them the kernel's own limits, and how ours grow. Called by `make bench`; writes docs/bench/.

mod engine;
mod growth;
mod limits;
mod networks;
mod plot;
mod report;
mod rows;
mod stopwatch;
mod storage;

use std::path::Path;

use anyhow::{Context, Result, bail};
use lxhost_tests::cache::Cache;
use lxhost_tests::host;

const USAGE: &str = "\
usage: lxhost-bench [--rounds N] [--only incus|lxhost|networks|storage|limits|growth] [--instances N] [--to DIRECTORY]
Measures N rounds of each row (10), growth up to N instances (1000), and writes bench.txt, bench.json and
bench.svg (docs/bench). With --only the other figures are kept as they are in the file.";

fn main() {
    host::keeper::run_if_asked();
    stopwatch::run_if_asked();
    if let Err(error) = measure() {
        eprintln!("lxhost-bench: {error:#}");
        std::process::exit(1);
    }
}

fn measure() -> Result<()> {
    let (mut rounds, mut instances, mut only, mut to) = (10, 1000, None::<String>, "docs/bench".to_owned());
    let mut arguments = std::env::args().skip(1);
    while let Some(option) = arguments.next() {
        let value = arguments.next().context(USAGE)?;
        match option.as_str() {
            "--rounds" => rounds = value.parse().context(USAGE)?,
            "--instances" => instances = value.parse().context(USAGE)?,
            "--only" => only = Some(value),
            "--to" => to = value,
            _ => bail!("{USAGE}"),
        }
    }
    let cache = Cache::open()?;
    host::sweep(&cache)?;
    let mut report = report::Report::open(Path::new(&to), rounds)?;
    let wanted = |part: &str| only.as_deref().is_none_or(|only| only == part);
    for engine in engine::ALL.iter().filter(|engine| wanted(engine.name)) {
        report.add(engine.name, rows::measure(&cache, engine, rounds)?);
    }
    // Else they are among those of each engine.
    for engine in engine::ALL.iter().filter(|_| only.as_deref() == Some("networks")) {
        report.more(engine.name, rows::of_networks(&cache, engine, rounds)?);
    }
    for engine in engine::ALL.iter().filter(|_| wanted("storage")) {
        report.more(engine.name, storage::measure(&cache, engine, rounds)?);
    }
    let ours = engine::ALL.iter().find(|engine| engine.name == "lxhost").context("lxhost is not measured")?;
    if wanted("storage") {
        report.write(Path::new(&to))?;
        report.grow(growth::of_roots(&cache, ours, rounds)?);
    }
    if wanted("limits") {
        report.add("limits", limits::measure(&cache, rounds)?);
    }
    if wanted("growth") {
        report.grow(growth::measure(&cache, ours, rounds, instances)?);
    }
    report.write(Path::new(&to))
}
