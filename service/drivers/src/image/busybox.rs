//! `busybox:`: one tiny image made of the host's static busybox, with an init that brings up eth0 by
//! DHCP and stops when asked. For tests and for looking around. Called by the engine as a source.

use super::pack::{self, Node, Packer};
use crate::blocking::blocking;
use async_trait::async_trait;
use lxhost_engine::ports::{ImageFiles, ImageSource, Progress, SourceImage};
use lxhost_model::name::quoted;
use lxhost_model::{Error, Kind, Result};
use std::collections::BTreeMap;
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where distributions put it.
const PROGRAMS: &[&str] = &["/bin/busybox", "/usr/bin/busybox", "/bin/busybox-static", "/usr/lib/busybox/bin/busybox"];

/// Directories with their modes.
const DIRECTORIES: &[(&str, u32)] = &[
    ("", 0o755),
    ("bin", 0o755),
    ("dev", 0o755),
    ("etc", 0o755),
    ("home", 0o755),
    ("proc", 0o555),
    ("root", 0o700),
    ("run", 0o755),
    ("sbin", 0o755),
    ("sys", 0o555),
    ("tmp", 0o1777),
    ("usr", 0o755),
    ("usr/bin", 0o755),
    ("usr/sbin", 0o755),
    ("var", 0o755),
    ("var/log", 0o755),
];

/// Files with their modes. busybox's init stops on SIGUSR1, SIGUSR2, SIGPWR and restarts on SIGTERM.
const FILES: &[(&str, u32, &str)] = &[
    ("etc/group", 0o644, "root:x:0:\nnogroup:x:65534:\n"),
    ("etc/hosts", 0o644, "127.0.0.1\tlocalhost\n::1\tlocalhost\n"),
    ("etc/inittab", 0o644, "::sysinit:/etc/init.d/rcS\n::ctrlaltdel:/sbin/reboot\n::shutdown:/etc/init.d/rcK\n"),
    ("etc/init.d/rcS", 0o755, RCS),
    ("etc/init.d/rcK", 0o755, "#!/bin/sh\nkillall udhcpc 2>/dev/null\nexit 0\n"),
    ("etc/os-release", 0o644, "ID=busybox\nNAME=BusyBox\nPRETTY_NAME=\"BusyBox\"\n"),
    ("etc/passwd", 0o644, "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"),
    ("etc/profile", 0o644, "export PATH=/sbin:/bin:/usr/sbin:/usr/bin\n"),
    ("etc/shadow", 0o600, "root:*:::::::\nnobody:*:::::::\n"),
    ("etc/udhcpc.script", 0o755, UDHCPC),
];

const RCS: &str = "#!/bin/sh\n\
    export PATH=/sbin:/bin:/usr/sbin:/usr/bin\n\
    [ -s /etc/hostname ] && hostname -F /etc/hostname\n\
    ip link set lo up\n\
    if [ -e /sys/class/net/eth0 ]; then\n\
    \tip link set eth0 up\n\
    \tudhcpc -b -S -i eth0 -s /etc/udhcpc.script -x hostname:\"$(hostname)\" >/dev/null 2>&1 &\n\
    fi\n\
    exit 0\n";

const UDHCPC: &str = "#!/bin/sh\n\
    case \"$1\" in\n\
    deconfig) ip -4 addr flush dev \"$interface\"; ip link set \"$interface\" up ;;\n\
    bound|renew)\n\
    \tip addr replace \"$ip/${mask:-24}\" broadcast + dev \"$interface\"\n\
    \tfor r in $router; do ip route replace default via \"$r\" dev \"$interface\"; done\n\
    \t: >/etc/resolv.conf.new\n\
    \t[ -n \"$domain\" ] && echo \"search $domain\" >>/etc/resolv.conf.new\n\
    \tfor d in $dns; do echo \"nameserver $d\" >>/etc/resolv.conf.new; done\n\
    \tmv /etc/resolv.conf.new /etc/resolv.conf ;;\n\
    esac\n\
    exit 0\n";

/// The source.
pub struct Busybox {
    state: PathBuf,
}

impl Busybox {
    /// Temporary files lie in `state`.
    pub fn new(state: &Path) -> Self {
        Busybox { state: state.to_owned() }
    }
}

#[async_trait]
impl ImageSource for Busybox {
    fn name(&self) -> &'static str {
        "busybox"
    }

    async fn list(&self) -> Result<Vec<SourceImage>> {
        Ok(vec![SourceImage {
            alias: "latest".parse()?,
            also: vec!["busybox".parse()?],
            description: "BusyBox, from this host".into(),
            architecture: pack::architecture(),
        }])
    }

    async fn fetch(&self, image: &str, progress: &dyn Progress) -> Result<ImageFiles> {
        if !matches!(image, "latest" | "busybox" | "busybox/latest" | "default") {
            let message = format!("busybox: has no image {}; there is only busybox:latest", quoted(image));
            return Err(Error::new(Kind::NoSuchImage, message));
        }
        progress.report("packing", -1.0);
        let state = self.state.clone();
        blocking("pack busybox", move || build(&state)).await
    }
}

/// Packs the image as one tarball.
fn build(state: &Path) -> Result<ImageFiles> {
    let (program, bytes) = program()?;
    let applets = Command::new(&program).arg("--list-full").output().map_err(|e| Error::io(&program, &e))?;
    let applets = String::from_utf8_lossy(&applets.stdout).into_owned();
    let failed = |e: std::io::Error| Error::io("pack busybox", &e);
    let properties = BTreeMap::from([
        ("os", "BusyBox".to_owned()),
        ("release", "latest".to_owned()),
        ("description", "BusyBox, from this host".to_owned()),
    ]);
    let metadata = pack::metadata(&pack::architecture(), &properties)?;
    let mut file = pack::unnamed(state)?;
    let encoder = zstd::stream::write::Encoder::new(&mut file, 3).map_err(failed)?;
    let mut packer = Packer::new(encoder);
    packer.add("metadata.yaml", &Node::File(0o644, metadata.into_bytes())).map_err(failed)?;
    for (path, node) in nodes(bytes, &applets) {
        packer.add(&format!("rootfs/{path}"), &node).map_err(failed)?;
    }
    packer.finish().and_then(zstd::stream::write::Encoder::finish).and_then(|file| file.flush()).map_err(failed)?;
    file.rewind().map_err(failed)?;
    Ok(ImageFiles { meta: file.into(), rootfs: None })
}

/// The host's busybox, if it runs without libraries.
fn program() -> Result<(String, Vec<u8>)> {
    for path in PROGRAMS {
        let Ok(bytes) = std::fs::read(path) else { continue };
        if is_static(&bytes) {
            return Ok(((*path).to_owned(), bytes));
        }
    }
    Err(Error::new(Kind::Unsupported, "this host has no static busybox (Debian: apt install busybox-static)"))
}

/// Whether an ELF program names no interpreter (elf(5): no program header of type `PT_INTERP`).
fn is_static(elf: &[u8]) -> bool {
    let number = |at: usize, bytes: usize| -> Option<usize> {
        let field = elf.get(at..at.checked_add(bytes)?)?;
        Some(field.iter().rev().fold(0, |n, byte| n << 8 | usize::from(*byte)))
    };
    let headers = || -> Option<bool> {
        // Only 64-bit little-endian programs: what lxhost runs on.
        if elf.get(..6)? != b"\x7fELF\x02\x01" {
            return None;
        }
        let (offset, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
        for n in 0..count {
            if number(offset.checked_add(n * size)?, 4)? == 3 {
                return Some(false);
            }
        }
        Some(true)
    };
    headers().unwrap_or(false)
}

/// Everything in the root, parents first.
fn nodes(busybox: Vec<u8>, applets: &str) -> Vec<(String, Node)> {
    let mut nodes: BTreeMap<String, Node> = BTreeMap::new();
    for (path, mode) in DIRECTORIES {
        nodes.insert((*path).to_owned(), Node::Directory(*mode));
    }
    nodes.insert("etc/init.d".into(), Node::Directory(0o755));
    for (path, mode, text) in FILES {
        nodes.insert((*path).to_owned(), Node::File(*mode, text.as_bytes().to_vec()));
    }
    let known = ["bin/", "sbin/", "usr/bin/", "usr/sbin/"];
    for applet in applets.lines().filter(|path| known.iter().any(|dir| path.starts_with(dir))) {
        nodes.entry(applet.to_owned()).or_insert_with(|| Node::Link("/bin/busybox".into()));
    }
    nodes.insert("sbin/init".into(), Node::Link("/bin/busybox".into()));
    nodes.insert("bin/sh".into(), Node::Link("/bin/busybox".into()));
    nodes.insert("bin/busybox".into(), Node::File(0o755, busybox));
    nodes.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_come_before_what_is_in_them() {
        let nodes = nodes(b"program".to_vec(), "bin/ls\nsbin/init\nusr/bin/wc\nlinuxrc\n../x\n");
        let place = |path: &str| nodes.iter().position(|(known, _)| known == path);
        for (parent, child) in [("", "bin"), ("etc", "etc/init.d"), ("etc/init.d", "etc/init.d/rcS"), ("usr/bin", "usr/bin/wc")] {
            assert!(place(parent).unwrap() < place(child).unwrap(), "{child}");
        }
        assert!(place("linuxrc").is_none() && place("../x").is_none());
    }

    #[test]
    fn a_program_with_an_interpreter_is_not_static() {
        let mut elf = vec![0; 64 + 56];
        elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
        (elf[32], elf[54], elf[56], elf[64]) = (64, 56, 1, 1);
        assert!(is_static(&elf));
        elf[64] = 3;
        assert!(!is_static(&elf));
        elf[56] = 200;
        assert!(!is_static(&elf), "headers beyond the end");
        assert!(!is_static(b"#!/bin/sh\n"));
    }

    #[tokio::test]
    async fn a_misspelt_image_names_the_one_there_is() {
        struct Quiet;
        impl Progress for Quiet {
            fn report(&self, _: &str, _: f64) {}
        }
        let state = tempfile::tempdir().unwrap();
        let error = Busybox::new(state.path()).fetch("lastest", &Quiet).await.unwrap_err();
        assert!(error.kind == Kind::NoSuchImage && error.message.contains("busybox:latest"));
        assert_eq!(std::fs::read_dir(state.path()).unwrap().count(), 0);
    }
}
