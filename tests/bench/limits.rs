//! What the kernel and the smallest of runtimes take for the same, measured in the same run in a host of the same
//! recipe: a process in new namespaces (`unshare`), and an OCI container by `crun` of Debian 13. No manager can be
//! faster. Depends on `stopwatch`. Called by `main`.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use lxhost_tests::cache::Cache;
use lxhost_tests::host::{Host, HostSpec};
use lxhost_tests::recipe::Recipe;
use serde_json::{Value, json};

use crate::rows::{Figures, time};

/// Name, and the timed command.
const ROWS: &[(&str, &[&str])] = &[
    ("process", &["true"]),
    ("new namespaces", &["unshare", "--fork", "--pid", "--mount", "--uts", "--ipc", "--net", "--cgroup", "true"]),
    ("crun run", &["crun", "--cgroup-manager=disabled", "run", "--bundle", BUNDLE, "limit"]),
];
const BUNDLE: &str = "/var/lib/lxhost/bundle";

/// Measures every limit.
pub(crate) fn measure(cache: &Cache, rounds: u32) -> Result<Figures> {
    eprintln!("limits: preparing a host");
    let host = Host::boot(cache, &HostSpec::over(&Recipe::host().tree(cache)?))?;
    std::fs::copy(std::env::current_exe()?, host.share().join("bench"))?;
    host.succeed(["apt-get", "update", "-q"])?;
    host.succeed(["apt-get", "install", "-q", "-y", "--no-install-recommends", "crun", "busybox-static"])?;
    bundle(&host)?;
    let mut rows = BTreeMap::new();
    for (name, argv) in ROWS {
        let argv = argv.iter().map(|word| (*word).to_owned()).collect();
        rows.insert((*name).to_owned(), time(&host, argv, rounds * 3).with_context(|| format!("limits: {name}"))?);
    }
    Ok(Figures { version: host.succeed(["dpkg-query", "-W", "-f=${Version}", "crun"])?, rows })
}

/// A bundle whose container says `true` and ends; its specification is crun's own, without a terminal.
fn bundle(host: &Host) -> Result<()> {
    const ROOT: &str = r"
        mkdir -p $1/rootfs/bin $1/rootfs/proc $1/rootfs/sys $1/rootfs/dev
        cp /usr/bin/busybox $1/rootfs/bin/true
        crun spec --bundle $1";
    host.succeed(["sh", "-eu", "-c", ROOT, "bundle", BUNDLE])?;
    let path = format!("{BUNDLE}/config.json");
    let mut spec: Value = serde_json::from_slice(&host.get(&path)?).context("reading what crun specifies")?;
    spec["process"]["terminal"] = json!(false);
    spec["process"]["args"] = json!(["true"]);
    // A host of the tests has no cgroups of its own to show.
    if let Some(mounts) = spec["mounts"].as_array_mut() {
        mounts.retain(|mount| mount["type"] != "cgroup");
    }
    host.put(&path, 0o644, spec.to_string().into_bytes())
}
