//! What carries out a full host's instructions: the processor by KVM, where a kernel that was tried runs there,
//! else software. A device file says nothing: there are machines that have one on which every kernel hangs. It is
//! tried once for each boot of the machine. Depends on QEMU of the cache and on `watch`. Called by `Full`.

use std::fmt;
use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};

use super::image;
use crate::cache::{self, Cache};
use crate::host::watch;
use crate::recipe::Qemu;
use crate::tool;

/// A kernel that runs says so in less than one.
const LIMIT: Duration = Duration::from_secs(3);
/// What the first process of the tried kernel says.
const WORD: &str = "a kernel runs here";

/// What carries out instructions.
#[derive(Debug, Clone)]
pub(super) enum Accelerator {
    Kvm,
    /// And why not KVM.
    Software(String),
}

impl Accelerator {
    /// The best that works here; the kernel of `tree` is tried.
    pub(super) fn of(cache: &Cache, qemu: &Qemu, tree: &Path) -> Result<Self> {
        if let Err(error) = File::options().read(true).write(true).open("/dev/kvm") {
            return Ok(Self::Software(format!("/dev/kvm: {error}")));
        }
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let key = cache::key("kvm", format!("{boot} {qemu:?} {tree:?}").as_bytes());
        let verdict = cache.entry("tried", &key, |path| {
            let why = tried(cache, qemu, tree, "kvm", LIMIT)?;
            fs::write(path, why.unwrap_or_default()).context("writing down what was tried")
        })?;
        cache.keep_newest("tried", 4, Duration::ZERO)?;
        let why = fs::read_to_string(verdict)?;
        Ok(if why.is_empty() { Self::Kvm } else { Self::Software(why) })
    }

    /// QEMU's words for it.
    pub(super) fn words(&self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Software(_) => "tcg,thread=multi",
        }
    }
}

impl fmt::Display for Accelerator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kvm => f.write_str("with KVM"),
            Self::Software(why) => write!(f, "in software ({why})"),
        }
    }
}

/// Boots the kernel of a tree with an accelerator; why it does not run.
fn tried(cache: &Cache, qemu: &Qemu, tree: &Path, accelerator: &str, limit: Duration) -> Result<Option<String>> {
    // Beside the hosts: what a killed program leaves there is swept.
    let place = tempfile::tempdir_in(cache.directory("hosts")?)?;
    let at = |name: &str| place.path().join(name);
    let init = format!(
        "#!/bin/busybox sh\n/bin/busybox mount -t devtmpfs dev /dev\necho {WORD} >/dev/ttyS0\n/bin/busybox poweroff -f\n"
    );
    image::kernel(tree, &init, place.path())?;
    let mut command = watch::command(place.path(), limit, None)?;
    command
        .args(qemu.command())
        .args(["-machine", "q35,sata=off,smbus=off,vmport=off,usb=off", "-cpu", "max", "-m", "512", "-nodefaults"])
        .args(["-no-user-config", "-display", "none", "-no-reboot", "-accel", accelerator])
        .args(["-append", "console=ttyS0 quiet panic=-1 mitigations=off no_timer_check cryptomgr.notests nokaslr"])
        .arg("-kernel")
        .arg(at("vmlinux"))
        .arg("-initrd")
        .arg(at("initrd"))
        .arg("-serial")
        .arg(format!("file:{}", at("console").display()))
        // It lives no longer than this; nobody closes it before.
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut watcher = tool::start(&mut command)?;
    // wait(2) of the library closes the input first.
    let owner = watcher.stdin.take();
    let ended = watcher.wait()?;
    drop(owner);
    let said = fs::read(at("console")).unwrap_or_default();
    Ok(match String::from_utf8_lossy(&said).contains(WORD) {
        true => None,
        false if ended.success() => Some(format!("{accelerator} runs no kernel here")),
        false => Some(format!("{accelerator} ran no kernel here within {} s", limit.as_secs())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_it_is_software_is_said() {
        let software = Accelerator::Software("/dev/kvm: no such file".to_owned());
        assert_eq!(format!("{software}, {}", software.words()), "in software (/dev/kvm: no such file), tcg,thread=multi");
        assert_eq!(format!("{}, {}", Accelerator::Kvm, Accelerator::Kvm.words()), "with KVM, kvm");
    }
}
