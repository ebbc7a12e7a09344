//! The modules of ZFS for the kernel of a tree. Debian has them as source alone, and compiling that takes minutes: it is
//! done when somebody asks for it, and what comes out is kept by the kernel's release and the version of the source. Depends
//! on mmdebstrap, and on dkms inside. Called by `host::zfs` and by lab.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::cache::{self, Cache};
use crate::relay::Relay;
use crate::tool;

/// What is made and unpacked meanwhile takes so much.
const ROOM: u64 = 3 << 30;
/// The modules, those first that others need.
pub(crate) const MODULES: [&str; 2] = ["spl", "zfs"];
/// Kind of the entries.
const KIND: &str = "zfs";

/// Where dkms has put the modules is in its own tree. A package's script has built them already, unless it took the kernel
/// of the machine for one of another kind.
const COLLECT: &str = "\
release=$2; version=$(dpkg-query -W -f '${Version}' zfs-dkms | sed 's/^[0-9]*://; s/-[^-]*$//'); \
found() { find /var/lib/dkms/zfs -path \"*/$release/*\" -name \"$1.ko*\" -not -path '*/build/*' | head -n 1; }; \
test \"$(found zfs)\" || dkms build -m zfs -v \"$version\" -k \"$release\"; \
mkdir /built; for name in spl zfs; do file=$(found $name); cp \"$file\" /built/; done; \
find /built -name '*.xz' -exec unxz -f {} +";

/// Built modules.
#[derive(Debug, Clone)]
pub struct Zfs {
    directory: PathBuf,
    release: String,
}

impl Zfs {
    /// Those for the kernel of `tree` that were built last, if they ever were.
    ///
    /// # Errors
    /// When the tree has no kernel.
    pub fn built(cache: &Cache, tree: &Path) -> Result<Option<Self>> {
        let release = release(tree)?;
        let start = key(&release, "");
        let mut found = Vec::new();
        for entry in fs::read_dir(cache.directory(KIND)?)?.flatten() {
            if entry.file_name().to_string_lossy().starts_with(&start) {
                found.push((entry.metadata()?.modified()?, entry.path()));
            }
        }
        Ok(found.into_iter().max().map(|(_, directory)| Self { directory, release }))
    }

    /// Builds those of the version that Debian has now, unless that was done.
    ///
    /// # Errors
    /// When Debian has no headers of that kernel any more, or the compiler refuses; the message has its last words.
    pub fn build(cache: &Cache, tree: &Path) -> Result<Self> {
        let release = release(tree)?;
        let (_relay, port) = Relay::on_loopback(cache)?;
        let mirror = format!("http://127.0.0.1:{port}/debian");
        let version = version(&mirror)?;
        let directory = cache.entry(KIND, &key(&release, &version), |made| {
            cache::room(&cache.directory(KIND)?, ROOM, "building ZFS")?;
            eprintln!("building ZFS {version} for Linux {release}, which takes minutes");
            let work = made.with_extension("tree");
            let built = compile(&mirror, &release, &work).and_then(|()| keep(&work, made));
            cache::remove(&work)?;
            built
        })?;
        Ok(Self { directory, release })
    }

    /// The file of a module.
    #[must_use]
    pub fn module(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}.ko"))
    }

    /// The release of the kernel that they are for.
    #[must_use]
    pub fn release(&self) -> &str {
        &self.release
    }

    /// What tells them from others.
    #[must_use]
    pub fn name(&self) -> String {
        self.directory.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

fn key(release: &str, version: &str) -> String {
    format!("{release}_{version}")
}

/// The release of a tree's kernel.
fn release(tree: &Path) -> Result<String> {
    let mut all = fs::read_dir(tree.join("usr/lib/modules")).context("looking for a kernel")?.flatten();
    let first = all.next().with_context(|| format!("there is no kernel in {}", tree.display()))?;
    Ok(first.file_name().to_string_lossy().into_owned())
}

/// The version of the source that Debian has.
fn version(mirror: &str) -> Result<String> {
    let work = tempfile::tempdir()?;
    let file = work.path().join("Packages.xz");
    let index = format!("{mirror}/dists/trixie/contrib/binary-amd64/Packages.xz");
    tool::run(
        Command::new("/usr/lib/apt/apt-helper").args(["-q", "-o", "APT::Sandbox::User=root", "download-file", &index]).arg(&file),
    )?;
    let said = tool::run(Command::new("xz").args(["-dc", "--"]).arg(&file))?.stdout;
    version_in(&String::from_utf8_lossy(&said)).context("Debian has no zfs-dkms")
}

fn version_in(index: &str) -> Option<String> {
    let package = index.split("\n\n").find(|package| package.lines().any(|line| line == "Package: zfs-dkms"))?;
    package.lines().find_map(|line| line.strip_prefix("Version: ")).map(str::to_owned)
}

/// Compiles them in a tree of its own.
fn compile(mirror: &str, release: &str, work: &Path) -> Result<()> {
    cache::remove(work)?;
    tool::run(
        Command::new("mmdebstrap")
            .env("INITRD", "No")
            .args(["--mode=root", "--variant=minbase", "--format=directory", "--quiet", "--dpkgopt=force-unsafe-io"])
            .arg("--components=main contrib")
            .arg(format!("--include=linux-headers-{release},dkms,build-essential,zfs-dkms"))
            .arg(format!("--customize-hook=chroot \"$1\" sh -ec '{}' sh sh {release}", COLLECT.replace('\'', "'\\''")))
            .arg("trixie")
            .arg(work)
            .arg(mirror),
    )
    .with_context(|| format!("building ZFS for Linux {release}; a kernel that Debian has no headers of any more has none"))
    .map(drop)
}

/// Moves them out of there.
fn keep(work: &Path, made: &Path) -> Result<()> {
    fs::create_dir(made)?;
    for name in MODULES {
        let file = format!("{name}.ko");
        let from = work.join("built").join(&file);
        if !from.is_file() {
            bail!("building ZFS left no {file}");
        }
        fs::copy(from, made.join(file))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_that_of_the_package_alone() {
        let index =
            "Package: zfs-dracut\nVersion: 1\n\nPackage: zfs-dkms\nSource: zfs-linux\nVersion: 2.3.9-0+deb13u1\n\nPackage: z\n";
        assert_eq!(version_in(index).as_deref(), Some("2.3.9-0+deb13u1"));
        assert_eq!(version_in("Package: zfs-dracut\nVersion: 1\n"), None);
    }

    #[test]
    fn a_tree_has_what_was_built_for_its_kernel() {
        let place = tempfile::tempdir().unwrap();
        let cache = Cache::at(place.path());
        let tree = place.path().join("tree");
        fs::create_dir_all(tree.join("usr/lib/modules/6.12.1-amd64")).unwrap();
        assert!(Zfs::built(&cache, &tree).unwrap().is_none());
        for other in ["6.12.1-amd64-rt_2.3", ".6.12.1-amd64_2.3.partial", "6.12.10-amd64_2.3"] {
            fs::create_dir_all(place.path().join(KIND).join(other)).unwrap();
        }
        assert!(Zfs::built(&cache, &tree).unwrap().is_none());
        fs::create_dir_all(place.path().join(KIND).join("6.12.1-amd64_2.3")).unwrap();
        assert_eq!(Zfs::built(&cache, &tree).unwrap().unwrap().name(), "6.12.1-amd64_2.3");
    }
}
