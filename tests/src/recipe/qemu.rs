//! QEMU of Debian 13, whatever the machine's own is: saving the state of a host in a file needs QEMU 9.
//! It is unpacked into the cache, not installed, and run by its own dynamic linker. Depends on
//! mmdebstrap. Called by `host::full`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::cache::{self, Cache};
use crate::relay::Relay;
use crate::tool;

const PACKAGES: &str = "qemu-system-x86";

/// A QEMU in the cache.
#[derive(Debug, Clone)]
pub struct Qemu {
    tree: PathBuf,
}

impl Qemu {
    /// Unpacks it, the first time in ten seconds.
    ///
    /// # Errors
    /// When mmdebstrap fails, or this is no x86-64 machine.
    pub fn of(cache: &Cache) -> Result<Self> {
        if std::env::consts::ARCH != "x86_64" {
            bail!("full hosts are emulated on x86_64 machines alone, and this is {}", std::env::consts::ARCH);
        }
        let tree = cache.entry("trees", &cache::key("qemu", PACKAGES.as_bytes()), |tree| unpack(cache, tree))?;
        Ok(Self { tree })
    }

    /// The system emulator, as a command to add arguments to.
    #[must_use]
    pub fn command(&self) -> Vec<String> {
        let path = |path: &str| self.tree.join(path).display().to_string();
        let libraries = path("usr/lib/x86_64-linux-gnu");
        let mut argv = vec![format!("{libraries}/ld-linux-x86-64.so.2"), "--library-path".to_owned(), libraries];
        argv.extend([path("usr/bin/qemu-system-x86_64"), "-L".to_owned(), path("usr/share/qemu")]);
        argv.extend(["-L".to_owned(), path("usr/share/seabios")]);
        argv
    }
}

fn unpack(cache: &Cache, tree: &Path) -> Result<()> {
    let (_relay, port) = Relay::on_loopback(cache)?;
    tool::run(
        Command::new("mmdebstrap")
            .args(["--mode=root", "--variant=extract", "--format=directory", "--quiet"])
            .arg(format!("--include={PACKAGES}"))
            .arg("trixie")
            .arg(tree)
            .arg(format!("http://127.0.0.1:{port}/debian")),
    )?;
    Ok(())
}
