//! What a full host is booted from: the root as a disk, the kernel unpacked, a ramdisk that finds the
//! root. Made of the tree, its layers and the agent. Depends on mkfs.ext4, unshare and mount. Called by
//! `saved`.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::cpio::Cpio;
use crate::host::HostSpec;
use crate::recipe::AGENT;
use crate::tool;

/// The disk is sparse: this is what the host believes to have.
const ROOT_SIZE: u64 = 8 << 30;

/// Modules that the ramdisk inserts, in this order; what is not there is built in.
const MODULES: &[&str] = &["crc16", "crc32c_generic", "mbcache", "jbd2", "ext4", "virtio_blk"];

/// The first process: it only finds the root. Nothing of the ramdisk is left after it.
const INIT: &str = "\
#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
for module in /modules/*; do /bin/busybox insmod $module; done
for try in 1 2 3 4 5 6 7 8 9; do
    /bin/busybox mount -t ext4 -o rw /dev/vda /root && break
    /bin/busybox sleep 0.2
done
/bin/busybox mount -o move /dev /root/dev
exec /bin/busybox switch_root /root /sbin/init
";

/// Requests for the mirror go to the agent, which has a way out.
const FORWARD: &str = "\
[Service]
ExecStart=
ExecStart=/usr/lib/systemd/systemd-socket-proxyd --exit-idle-time=1min /run/lab-mirror.sock
";

/// Makes a disk, a kernel and a ramdisk in `directory`.
pub(super) fn make(spec: &HostSpec, agent: &[u8], directory: &Path) -> Result<()> {
    kernel(&spec.tree, INIT, directory)?;
    let own = directory.join("own");
    for (path, mode, content) in
        [(AGENT, 0o755, agent), ("etc/systemd/system/lab-mirror.service.d/full.conf", 0o644, FORWARD.as_bytes())]
    {
        let path = own.join(path);
        fs::create_dir_all(path.parent().unwrap_or(&own))?;
        fs::write(&path, content)?;
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(mode))?;
    }
    root(spec, &own, directory)?;
    crate::cache::remove(&own)
}

/// Makes a kernel and a ramdisk with this first process in `directory`.
pub(super) fn kernel(tree: &Path, init: &str, directory: &Path) -> Result<()> {
    fs::write(directory.join("vmlinux"), unpacked(&packed(tree)?)?)?;
    fs::write(directory.join("initrd"), ramdisk(tree, init)?)?;
    Ok(())
}

/// The kernel's file in a tree.
fn packed(tree: &Path) -> Result<PathBuf> {
    let named = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz-"));
    let found = fs::read_dir(tree.join("boot"))?.flatten().map(|entry| entry.path()).find(named);
    found.with_context(|| format!("there is no kernel in {}", tree.display()))
}

/// The kernel as an ELF file, which the emulator starts without unpacking anything itself.
fn unpacked(kernel: &Path) -> Result<Vec<u8>> {
    const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
    let packed = fs::read(kernel)?;
    let mut elf = Vec::new();
    for start in (0..packed.len()).filter(|at| packed[*at..].starts_with(&ZSTD)) {
        elf.clear();
        let whole = zstd::Decoder::new(&packed[start..])?.single_frame().read_to_end(&mut elf);
        if whole.is_ok() && elf.starts_with(b"\x7fELF") {
            return Ok(elf);
        }
    }
    bail!("{} has no kernel packed by zstd in it", kernel.display())
}

fn ramdisk(tree: &Path, init: &str) -> Result<Vec<u8>> {
    let mut archive = Cpio::new(Vec::new());
    for path in ["bin", "dev", "root", "modules"] {
        archive.directory(path)?;
    }
    archive.file("init", 0o755, init.as_bytes())?;
    archive.file("bin/busybox", 0o755, &fs::read(tree.join("usr/bin/busybox"))?)?;
    let releases: Vec<PathBuf> = fs::read_dir(tree.join("usr/lib/modules"))?.flatten().map(|entry| entry.path()).collect();
    for (place, name) in MODULES.iter().enumerate() {
        let file = format!("{name}.ko");
        if let Some(path) = releases.iter().find_map(|release| find(&release.join("kernel"), &file)) {
            archive.file(&format!("modules/{place}-{file}"), 0o644, &fs::read(path)?)?;
        }
    }
    Ok(archive.finish()?)
}

fn find(directory: &Path, name: &str) -> Option<PathBuf> {
    fs::read_dir(directory).ok()?.flatten().find_map(|entry| {
        let path = entry.path();
        if path.is_dir() { find(&path, name) } else { (entry.file_name() == name).then_some(path) }
    })
}

fn root(spec: &HostSpec, own: &Path, directory: &Path) -> Result<()> {
    let image = directory.join("root.img");
    File::create(&image)?.set_len(ROOT_SIZE)?;
    let merged = directory.join("merged");
    fs::create_dir_all(&merged)?;
    let layers = [own.to_owned()].into_iter().chain(spec.layers.iter().rev().cloned()).chain([spec.tree.clone()]);
    let layers: Vec<String> = layers.map(|layer| layer.display().to_string()).collect();
    // The mount is in a namespace that ends with the command.
    let script = "mount -t overlay overlay -o \"lowerdir=$1\" \"$2\"; \
                  exec mkfs.ext4 -q -F -L root -m 0 -O ^metadata_csum,^64bit -E lazy_itable_init=1,lazy_journal_init=1,nodiscard \
                  -J size=16 -d \"$2\" \"$3\"";
    tool::run(
        Command::new("unshare")
            .args(["--mount", "--propagation=private", "--", "sh", "-ec", script, "sh"])
            .arg(layers.join(":"))
            .args([&merged, &image]),
    )
    .context("making the disk of a full host")?;
    crate::cache::remove(&merged)
}
