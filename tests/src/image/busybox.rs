//! The tiny image: the machine's static busybox with its own init, which starts in milliseconds. Depends
//! on busybox and `pack`. Called by suites.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::pack::{Metadata, pack};
use super::{Image, image};
use crate::cache::{self, Cache};
use crate::tool;

const BUSYBOX: &str = "/bin/busybox";

/// Path and content of the files beside busybox itself.
const FILES: &[(&str, &str)] = &[
    ("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home/user:/bin/sh\n"),
    ("etc/group", "root:x:0:\nuser:x:1000:\n"),
    ("etc/os-release", "ID=busybox\nNAME=busybox\nVERSION_ID=1\n"),
    ("etc/inittab", "::sysinit:/etc/rc\n::shutdown:/bin/true\n::ctrlaltdel:/sbin/poweroff\n"),
    ("etc/rc", "#!/bin/sh\nip link set lo up\nudhcpc -b -q -i eth0 -s /etc/udhcpc >/dev/null 2>&1 &\n"),
    ("etc/udhcpc", UDHCPC),
];

const UDHCPC: &str = "#!/bin/sh\n[ \"$1\" = bound ] || [ \"$1\" = renew ] || exit 0\nip addr replace \"$ip/$mask\" dev \"$interface\"\n\
    ip link set \"$interface\" up\nfor r in $router; do ip route replace default via \"$r\"; done\n\
    : >/etc/resolv.conf\nfor d in $dns; do echo \"nameserver $d\" >>/etc/resolv.conf; done\n";

/// The busybox image.
///
/// # Errors
/// When the machine has no static busybox, or a form cannot be made.
pub fn busybox(cache: &Cache) -> Result<Image> {
    let program = fs::read(BUSYBOX).context("reading /bin/busybox (package busybox-static)")?;
    let key = cache::key("busybox", &[&program[..], format!("{FILES:?}").as_bytes()].concat());
    let metadata = Metadata { os: "busybox", release: "1", variant: "default", templates: &[] };
    image(cache, &key, |directory| {
        let work = tempfile::tempdir()?;
        let root = work.path().join("root");
        tree(&root)?;
        pack(&root, &metadata, directory)
    })
}

fn tree(root: &Path) -> Result<()> {
    for name in ["bin", "sbin", "usr/bin", "usr/sbin", "etc", "root", "home/user", "dev", "proc", "sys", "run", "tmp", "var/log"]
    {
        fs::create_dir_all(root.join(name))?;
    }
    fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777))?;
    fs::set_permissions(root.join("root"), fs::Permissions::from_mode(0o700))?;
    std::os::unix::fs::chown(root.join("home/user"), Some(1000), Some(1000))?;
    fs::copy(BUSYBOX, root.join("bin/busybox"))?;
    let applets = tool::run(Command::new(BUSYBOX).arg("--list-full"))?;
    for applet in String::from_utf8_lossy(&applets.stdout).lines().filter(|applet| *applet != "bin/busybox") {
        let path = root.join(applet);
        fs::create_dir_all(path.parent().context("an applet is below a directory")?)?;
        symlink("/bin/busybox", &path).with_context(|| format!("linking {applet}"))?;
    }
    for (path, content) in FILES {
        fs::write(root.join(path), content)?;
        let mode = if content.starts_with("#!") { 0o755 } else { 0o644 };
        fs::set_permissions(root.join(path), fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}
