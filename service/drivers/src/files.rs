//! Files of trees, by safefs. Called by the engine through its port.

use crate::block;
use crate::blocking::blocking;
use async_trait::async_trait;
use lxhost_engine::ports::{FileAccess, FileEntry, FileOwner, Files, Progress, SERVED, Sandbox, SandboxSpec};
use lxhost_model::name::quoted;
use lxhost_model::{Error, Kind, Result};
use lxhost_safefs::tree::{Access, Attributes, Entry, Tree};
use rustix::fs::{FileType, Stat};
use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Where distributions have OpenSSH's server of files.
const SERVERS: &[&str] = &["/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server", "/usr/lib/ssh/sftp-server"];
/// Bytes of memory it has.
const MEMORY: u64 = 256 << 20;

/// The trees of this host.
pub struct HostFiles {
    sandbox: Arc<dyn Sandbox>,
}

impl HostFiles {
    /// Has files served by programs in `sandbox`.
    pub fn new(sandbox: Arc<dyn Sandbox>) -> Self {
        HostFiles { sandbox }
    }
}

/// Nobody waits for a copy that was given up: its thread is told.
struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The first of `servers` that is there.
fn server<'a>(servers: &[&'a str]) -> Result<&'a str> {
    let missing = || {
        let what = "files are served by OpenSSH's sftp-server, which is not installed; it is in package openssh-sftp-server";
        Error::new(Kind::Unsupported, what)
    };
    servers.iter().copied().find(|path| Path::new(path).is_file()).ok_or_else(missing)
}

/// Does `work` in a tree; what goes wrong is said of `path`.
async fn within<T: Send + 'static>(
    tree: &Path,
    path: &str,
    work: impl FnOnce(&Tree, &str) -> io::Result<T> + Send + 'static,
) -> Result<T> {
    let (tree, path): (PathBuf, String) = (tree.to_owned(), path.to_owned());
    blocking("look into a tree", move || {
        let tree = Tree::open(&tree).map_err(|e| Error::io("look into it", &e))?;
        work(&tree, &path).map_err(|e| failed(&path, &e))
    })
    .await
}

fn failed(path: &str, error: &io::Error) -> Error {
    let (kind, what) = match error.kind() {
        io::ErrorKind::NotFound => (Kind::NoSuchFile, "no such file or directory"),
        io::ErrorKind::AlreadyExists => (Kind::AlreadyExists, "something of that name is there already"),
        io::ErrorKind::InvalidInput => (Kind::InvalidArgs, "this can be done to regular files, and to what has a name, alone"),
        io::ErrorKind::NotADirectory => (Kind::InvalidArgs, "something on the way is not a directory"),
        io::ErrorKind::DirectoryNotEmpty => (Kind::InvalidArgs, "the directory is not empty"),
        io::ErrorKind::InvalidFilename => (Kind::InvalidArgs, "the name is too long"),
        io::ErrorKind::CrossesDevices => (Kind::InvalidArgs, "it is on another mount"),
        _ => return Error::io(quoted(path), error),
    };
    Error::new(kind, format!("{}: {what}", quoted(path)))
}

fn attributes(owner: FileOwner) -> Attributes {
    Attributes { mode: owner.mode, uid: owner.uid, gid: owner.gid }
}

fn entry(name: &OsStr, stat: &Stat, target: Option<&OsStr>) -> FileEntry {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => "file",
        FileType::Directory => "directory",
        FileType::Symlink => "symlink",
        FileType::Fifo => "pipe",
        FileType::Socket => "socket",
        FileType::CharacterDevice => "character-device",
        _ => "block-device",
    };
    // A guest may set any time, before the epoch, too.
    let seconds = u64::try_from(stat.st_mtime).unwrap_or(0);
    #[allow(clippy::useless_conversion, clippy::unnecessary_fallible_conversions)] // Types differ between architectures.
    let (size, nanoseconds) = (u64::try_from(stat.st_size).unwrap_or(0), u64::try_from(stat.st_mtime_nsec).unwrap_or(0));
    FileEntry {
        name: name.to_string_lossy().into_owned(),
        kind,
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        size,
        modified: seconds.saturating_mul(1_000_000).saturating_add(nanoseconds / 1000),
        target: target.unwrap_or_default().to_string_lossy().into_owned(),
    }
}

fn entry_of(found: &Entry) -> FileEntry {
    entry(&found.name, &found.stat, found.target.as_deref())
}

#[async_trait]
impl Files for HostFiles {
    async fn open(&self, tree: &Path, path: &str, access: FileAccess, owner: FileOwner) -> Result<(OwnedFd, FileEntry)> {
        let (access, attributes) = match access {
            FileAccess::Read => (Access::Read, None),
            FileAccess::Write { create } => (Access::Write, create.then(|| attributes(owner))),
            FileAccess::Append => (Access::Append, Some(attributes(owner))),
        };
        within(tree, path, move |tree, path| {
            let file = tree.open_file(path, access, attributes)?;
            let stat = rustix::fs::fstat(&file)?;
            Ok((file.into(), entry(Path::new(path).file_name().unwrap_or_default(), &stat, None)))
        })
        .await
    }

    async fn look(&self, tree: &Path, path: &str, follow: bool) -> Result<FileEntry> {
        within(tree, path, move |tree, path| tree.look(path, follow).map(|found| entry_of(&found))).await
    }

    async fn list(&self, tree: &Path, path: &str, after: &str, limit: usize) -> Result<Vec<FileEntry>> {
        let after = after.to_owned();
        let listed = within(tree, path, move |tree, path| tree.list(path, OsStr::new(&after), limit)).await?;
        Ok(listed.iter().map(entry_of).collect())
    }

    async fn make_dir(&self, tree: &Path, path: &str, owner: FileOwner, parents: bool) -> Result<()> {
        within(tree, path, move |tree, path| tree.make_dir(path, attributes(owner), parents)).await
    }

    async fn make_link(&self, tree: &Path, path: &str, target: &str, owner: FileOwner) -> Result<()> {
        let target = target.to_owned();
        within(tree, path, move |tree, path| tree.make_link(path, &target, attributes(owner))).await
    }

    async fn block(&self, tree: &Path, bytes: u64, exactly: bool) -> Result<()> {
        let tree = tree.to_owned();
        blocking("make a disk", move || block::set(&tree, bytes, exactly)).await
    }

    async fn copy_block(&self, from: &Path, to: &Path, progress: &dyn Progress) -> Result<()> {
        let (from, to) = (from.to_owned(), to.to_owned());
        let stop = Stop(Arc::default());
        let (stopped, (tell, mut told)) = (Arc::clone(&stop.0), tokio::sync::watch::channel(0.0));
        let copying = blocking("copy a disk", move || {
            block::copy(&from, &to, &stopped, &|part| {
                tell.send_replace(part);
            })
        });
        let mut copying = std::pin::pin!(copying);
        loop {
            tokio::select! {
                biased;
                copied = &mut copying => return copied,
                Ok(()) = told.changed() => progress.report("copying disk", *told.borrow_and_update()),
            }
        }
    }

    fn can_serve(&self) -> Result<()> {
        server(SERVERS).map(drop)
    }

    async fn serve(&self, tree: &Path, socket: OwnedFd) -> Result<()> {
        let argv = [server(SERVERS)?, "-d", SERVED].map(str::to_owned).to_vec();
        let output = socket.try_clone().map_err(|e| Error::io("serve files", &e))?;
        let spec = SandboxSpec {
            unit: "lxhost-sftp".into(),
            argv,
            stdin: Some(socket),
            stdout: Some(output),
            readable: vec![],
            writable: vec![],
            served: Some(tree.to_owned()),
            mounts: false,
            owns_files: true,
            builds: false,
            // It ends with the socket.
            timeout: u32::MAX,
            memory: MEMORY,
        };
        let exit = self.sandbox.run(spec, &|_| ()).await?;
        match exit.status {
            0 => Ok(()),
            // How it says that the other end was closed in the middle of something.
            255 if exit.stderr.is_empty() => Ok(()),
            status => Err(Error::failed(format!("sftp-server ended with status {status}: {}", exit.stderr))),
        }
    }

    async fn remove(&self, tree: &Path, path: &str, recursive: bool) -> Result<()> {
        within(tree, path, move |tree, path| tree.remove(path, recursive)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_is_missing_is_named_with_its_package() {
        let refused = server(&["/nowhere/sftp-server"]).unwrap_err();
        assert_eq!(refused.kind, Kind::Unsupported);
        assert!(refused.message.contains("openssh-sftp-server"), "{refused}");
        assert_eq!(server(&["/nowhere/sftp-server", "/proc/self/exe"]), Ok("/proc/self/exe"));
    }
}
