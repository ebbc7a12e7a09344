//! A full host that has booted, saved in the cache: disk, kernel and the state of the whole machine with
//! everything running. Made once for a tree, its layers and an agent; every host is resumed from one.
//! Depends on `image` and `emulator`. Called by `boot`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;

use super::accelerator::Accelerator;
use super::emulator::{Disk, Emulator, MACHINE, Start};
use super::image;
use crate::cache::{self, Cache};
use crate::host::HostSpec;
use crate::recipe::Qemu;

/// Software emulation boots in ten seconds; on a busy machine it may take many times that.
pub(super) const BOOT_LIMIT: Duration = Duration::from_secs(180);
pub(super) const STATE_LIMIT: Duration = Duration::from_secs(180);
/// What a state, its disk and the changes of a few hosts take.
const ROOM: u64 = 3 << 30;
/// How many states are kept: one for each of the last packages, with and without.
const KEPT: usize = 4;

/// The saved host of `spec`.
pub(super) fn saved(cache: &Cache, qemu: &Qemu, accelerator: &Accelerator, spec: &HostSpec) -> Result<PathBuf> {
    let agent = agent()?;
    let below = format!("{:?} {:?} {qemu:?} {MACHINE:?} {} {}", spec.tree, spec.layers, accelerator.words(), cpu());
    let key = cache::key("full", &[below.as_bytes(), &agent].concat());
    let path = cache.entry("saved", &key, |directory| {
        fs::create_dir(directory)?;
        let made = make(cache, qemu, accelerator, spec, &agent, directory);
        if made.is_err() {
            cache::remove(directory)?;
        }
        made
    })?;
    cache.keep_newest("saved", KEPT, Duration::ZERO)?;
    Ok(path)
}

/// The agent of this build, beside this program.
fn agent() -> Result<Vec<u8>> {
    let path = std::env::current_exe()?.with_file_name("lab-agent");
    fs::read(&path).with_context(|| format!("reading the agent {}: make lab builds it", path.display()))
}

/// A state is of one processor: the emulated one has what the machine's allows.
fn cpu() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    text.lines().find(|line| line.starts_with("model name")).unwrap_or_default().to_owned()
}

fn make(cache: &Cache, qemu: &Qemu, accelerator: &Accelerator, spec: &HostSpec, agent: &[u8], directory: &Path) -> Result<()> {
    cache::room(directory, ROOM, "a full host")?;
    eprintln!("booting a full host once, {accelerator}, to resume it from then on");
    image::make(spec, agent, directory)?;
    let start = Start { files: directory, disk: Disk::Own, accelerator, resumes: false, visible: None, network: None };
    let emulator = Emulator::start(cache, qemu, directory, &start)?;
    emulator.wait_until_up(BOOT_LIMIT)?;
    emulator.say("modprobe -a loop tun 9p 9pnet_virtio; sync; echo 3 >/proc/sys/vm/drop_caches", BOOT_LIMIT)?;
    emulator.port.disconnect();
    emulator.qmp.execute("stop", &json!({}))?;
    capabilities(&emulator)?;
    emulator.qmp.execute("migrate", &json!({ "uri": format!("file:{}", directory.join("state").display()) }))?;
    emulator.qmp.migrated(STATE_LIMIT)?;
    emulator.quit()?;
    for own in ["lab", "console.log", "emulator.log", "lock", "mirror.sock", "port.sock", "qmp.sock"] {
        cache::remove(&directory.join(own))?;
    }
    Ok(())
}

/// Pages have their place in the file, so that it is sparse and read by several threads.
pub(super) fn capabilities(emulator: &Emulator) -> Result<()> {
    let on = |name: &str| json!({ "capability": name, "state": true });
    let wanted = json!({ "capabilities": [on("mapped-ram"), on("multifd")] });
    emulator.qmp.execute("migrate-set-capabilities", &wanted).map(drop)
}
