//! Backups, written and read by `lxhost-unpack` in the sandbox. Called by the engine.

use crate::blocking::blocking;
use crate::image::answer;
use crate::program::{Job, Program, room};
use async_trait::async_trait;
use lxhost_engine::ports::{Backups, Progress, Sandbox};
use lxhost_model::backup::{About, Request, Tree};
use lxhost_model::{Error, Kind, Result};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

/// Seconds for writing or reading a backup: whoever reads a pipe may be slow.
const TIME: u32 = 24 * 3600;
/// Seconds for reading an index.
const INDEX_TIME: u32 = 60;
/// Bytes of memory for each: xz alone takes 100 MB.
const MEMORY: u64 = 1 << 30;

/// Backups of this host.
pub struct SandboxedBackups {
    program: Program,
}

impl SandboxedBackups {
    /// Has the program `unpacker` do it in `sandbox`.
    pub fn new(unpacker: PathBuf, sandbox: Arc<dyn Sandbox>) -> Self {
        SandboxedBackups { program: Program::new(unpacker, sandbox) }
    }
}

#[async_trait]
impl Backups for SandboxedBackups {
    async fn pack(&self, request: &Request, to: OwnedFd, progress: &dyn Progress) -> Result<()> {
        let failed = |e: std::io::Error| Error::io("write the backup", &e);
        let text = serde_json::to_vec(request).map_err(|e| Error::failed(format!("write the backup: {e}")))?;
        let stdin = rustix::fs::memfd_create("lxhost-backup", rustix::fs::MemfdFlags::CLOEXEC).map_err(|e| failed(e.into()))?;
        File::from(stdin.try_clone().map_err(failed)?).write_all(&text).map_err(failed)?;
        let layers: BTreeSet<PathBuf> = request.trees.iter().flat_map(|tree| tree.layers.iter().cloned()).collect();
        let job = Job {
            arguments: vec!["pack".into()],
            readable: layers.into_iter().collect(),
            owns_files: true,
            timeout: TIME,
            memory: MEMORY,
            ..Job::default()
        };
        let told = |line: &str| {
            if let Ok(bytes) = line.parse::<u64>() {
                progress.report(&format!("writing backup, {} MB", bytes / 1_000_000), -1.0);
            }
        };
        let exit = self.program.write(reopened(&stdin)?, to, job, &told).await?;
        answer::check_exit("write the backup", &exit)
    }

    async fn index(&self, file: &OwnedFd) -> Result<About> {
        let job = Job { arguments: vec!["index".into()], timeout: INDEX_TIME, memory: MEMORY, ..Job::default() };
        let (exit, bytes) = self.program.ask(reopened(file)?, job, &|_: &str| ()).await?;
        answer::check_exit("backup", &exit)?;
        serde_json::from_slice(&bytes).map_err(|_| Error::new(Kind::Untrusted, "backup: its index could not be read"))
    }

    async fn unpack(&self, file: &OwnedFd, trees: &[Tree], progress: &dyn Progress) -> Result<()> {
        self.receive(reopened(file)?, trees, progress).await
    }

    async fn receive(&self, from: OwnedFd, trees: &[Tree], progress: &dyn Progress) -> Result<()> {
        let mut targets = Vec::new();
        for tree in trees {
            let top = tree.layers.first().ok_or_else(|| Error::failed("a root without a directory"))?;
            let shifts = serde_json::to_string(&tree.shifts).map_err(|e| Error::failed(format!("unpack the backup: {e}")))?;
            targets.push((tree.name.clone(), top.clone(), shifts));
        }
        let Some((_, first, _)) = targets.first() else { return Ok(()) };
        let mut arguments = vec!["restore".to_owned(), "--max-bytes".into(), room(first)?.to_string(), "--".into()];
        arguments.extend(
            targets.iter().flat_map(|(name, top, shifts)| [name.clone(), top.to_string_lossy().into_owned(), shifts.clone()]),
        );
        let writable: Vec<PathBuf> = targets.iter().map(|(_, top, _)| top.clone()).collect();
        let (synced, timeout, memory) = (writable[0].clone(), TIME, MEMORY);
        let job = Job { arguments, writable, owns_files: true, timeout, memory, ..Job::default() };
        let told = |line: &str| {
            if let Some(fraction) = answer::fraction(line) {
                progress.report("unpacking backup", fraction);
            }
        };
        let (exit, _) = self.program.ask(from, job, &told).await?;
        answer::check_exit("backup", &exit)?;
        // All of them lie on one file system.
        blocking("unpack the backup", move || {
            let failed = |e: std::io::Error| Error::io("unpack the backup", &e);
            let dir = lxhost_safefs::Dir::open(&synced).and_then(|dir| dir.readable()).map_err(failed)?;
            rustix::fs::syncfs(&dir).map_err(|e| failed(e.into()))
        })
        .await
    }
}

/// A regular file open again, to be read from its beginning, wherever the one that was handed over stands.
fn reopened(file: &OwnedFd) -> Result<OwnedFd> {
    let failed = |e: std::io::Error| Error::io("open the backup", &e);
    let stat = rustix::fs::fstat(file).map_err(|e| failed(e.into()))?;
    if rustix::fs::FileType::from_raw_mode(stat.st_mode) != rustix::fs::FileType::RegularFile {
        return Err(Error::new(Kind::InvalidArgs, "a backup is read from a regular file; write what comes from a pipe into one"));
    }
    // Who may not read it has not opened it for reading.
    let flags = rustix::fs::fcntl_getfl(file).map_err(|e| failed(e.into()))?;
    if flags.contains(rustix::fs::OFlags::PATH) || flags & rustix::fs::OFlags::RWMODE == rustix::fs::OFlags::WRONLY {
        return Err(Error::new(Kind::InvalidArgs, "the file of the backup is not open for reading"));
    }
    let again = File::open(format!("/proc/self/fd/{}", file.as_raw_fd())).map_err(failed)?;
    Ok(again.into())
}
