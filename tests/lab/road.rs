//! `try`: the road of the README, in a throw-away host, with every command shown; ends in a shell of
//! the host when there is a terminal. Depends on the library. Called by `main`.

use std::io::IsTerminal;

use anyhow::{Context, Result, bail};
use lxhost_tests::cache::Cache;
use lxhost_tests::host::{HostSpec, Native, enter};
use lxhost_tests::recipe::Recipe;
use lxhost_tests::{image, package};

/// The first image is built from Debian's packages, which takes a minute.
const ROAD: &[&[&str]] = &[
    &["lxctl", "launch", "debian:13", "c1", "--wait"],
    &["lxctl", "exec", "c1", "--", "systemctl", "is-system-running"],
    &["lxctl", "list"],
];

const FAREWELL: &str = "\
This is a shell in the throw-away host. Some things to do:
  lxctl shell c1        lxctl launch debian:13 c2        machinectl        systemctl status lxhost-c1.scope
The host and everything in it goes when you leave.";

/// Walks the road in a new host.
pub(crate) fn walk(cache: &Cache) -> Result<()> {
    let mut spec = HostSpec::over(&Recipe::host().tree(cache)?);
    "try".clone_into(&mut spec.name);
    spec.visible = Some(image::images_of(cache)?);
    let package = package::find()?;
    println!("booting a Debian 13 host and installing {} in it", package.display());
    let host = Native::boot(cache, &package::installed(cache, &spec, &package)?)?;
    for argv in ROAD {
        println!("\n# {}", argv.join(" "));
        let status = step(&host, argv)?;
        if status != Some(0) {
            bail!("{} ended with {status:?}", argv.join(" "));
        }
    }
    if std::io::stdin().is_terminal() && std::io::stdout().is_terminal() {
        println!("\n{FAREWELL}\n");
        step(&host, &["bash", "-l"])?;
    }
    Ok(())
}

/// Runs a command in the host on the terminal of this process.
fn step(host: &Native, argv: &[&str]) -> Result<Option<i32>> {
    let argv: Vec<String> = argv.iter().map(|word| (*word).to_owned()).collect();
    let status = enter(host.leader()?, None, &[], &argv).status().context("starting nsenter")?;
    Ok(status.code())
}
