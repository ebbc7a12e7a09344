//! `lxhost-unpack` in the sandbox: one run, and what it says on standard output. Called by the store of images and by
//! backups.

use crate::image::answer;
use lxhost_engine::ports::{Sandbox, SandboxExit, SandboxSpec};
use lxhost_model::{Error, Kind, Result};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::io::AsyncReadExt;

/// Bytes that what is unpacked leaves free on a large disk.
const LEFT_FREE: u64 = 1 << 30;

/// Told each line of progress.
pub(crate) type Told<'a> = &'a (dyn for<'l> Fn(&'l str) + Send + Sync);

/// What the program is to do.
#[derive(Debug, Default)]
pub(crate) struct Job {
    /// Its arguments.
    pub(crate) arguments: Vec<String>,
    /// Directories that it may write.
    pub(crate) writable: Vec<PathBuf>,
    /// Directories that it may read, and put together.
    pub(crate) readable: Vec<PathBuf>,
    /// Whether it may read and make files of everybody.
    pub(crate) owns_files: bool,
    /// Seconds it has.
    pub(crate) timeout: u32,
    /// Bytes of memory it has.
    pub(crate) memory: u64,
}

/// The program.
pub(crate) struct Program {
    path: PathBuf,
    sandbox: Arc<dyn Sandbox>,
}

impl Program {
    /// Runs `path` in `sandbox`.
    pub(crate) fn new(path: PathBuf, sandbox: Arc<dyn Sandbox>) -> Self {
        Program { path, sandbox }
    }

    /// Has it read `input`; gives its answer.
    ///
    /// # Errors
    /// Those of the sandbox; `Untrusted` for an endless answer.
    pub(crate) async fn ask(&self, input: OwnedFd, job: Job, told: Told<'_>) -> Result<(SandboxExit, Vec<u8>)> {
        let failed = |e: &std::io::Error| Error::io(format!("run {}", self.path.display()), e);
        let (ours, theirs) = std::io::pipe().map_err(|e| failed(&e))?;
        let output = tokio::net::unix::pipe::Receiver::from_owned_fd(ours.into()).map_err(|e| failed(&e))?;
        // Closes its end when it has read enough: the program cannot fill the pipe and wait.
        let read = async move {
            let mut bytes = Vec::new();
            let end = output.take(answer::CAP as u64 + 1).read_to_end(&mut bytes).await;
            end.map(|_| bytes)
        };
        let (exit, bytes) = tokio::join!(self.write(input, theirs.into(), job, told), read);
        let (exit, bytes) = (exit?, bytes.map_err(|e| failed(&e))?);
        if bytes.len() > answer::CAP {
            return Err(Error::new(Kind::Untrusted, "reading it gave an endless answer"));
        }
        Ok((exit, bytes))
    }

    /// Has it read `input` and write into `output`.
    ///
    /// # Errors
    /// Those of the sandbox.
    pub(crate) async fn write(&self, input: OwnedFd, output: OwnedFd, job: Job, told: Told<'_>) -> Result<SandboxExit> {
        let mut argv = vec![self.path.to_string_lossy().into_owned()];
        argv.extend(job.arguments);
        let spec = SandboxSpec {
            unit: "lxhost-unpack".into(),
            argv,
            stdin: Some(input),
            stdout: Some(output),
            owns_files: job.owns_files,
            writable: job.writable,
            served: None,
            mounts: !job.readable.is_empty(),
            readable: job.readable,
            builds: false,
            timeout: job.timeout,
            memory: job.memory,
        };
        self.sandbox.run(spec, told).await
    }
}

/// Bytes that may be unpacked to `target`: what is free, less what the rest of the host is left, a twentieth of the
/// disk, of a large one 1 GiB.
///
/// # Errors
/// `NoSpace` when there are none.
pub(crate) fn room(target: &Path) -> Result<u64> {
    let stat = rustix::fs::statvfs(target).map_err(|e| Error::io("look for room", &e.into()))?;
    match may_take(stat.f_bavail.saturating_mul(stat.f_frsize), stat.f_blocks.saturating_mul(stat.f_frsize)) {
        0 => Err(Error::new(Kind::NoSpace, "the disk is nearly full: no room to unpack anything")),
        room => Ok(room),
    }
}

fn may_take(free: u64, disk: u64) -> u64 {
    free.saturating_sub((disk / 20).min(LEFT_FREE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_little_of_the_disk_is_left() {
        let gib = |number: u64| number << 30;
        assert_eq!(may_take(gib(12), gib(252)), gib(11), "a large disk is not full with 12 GiB free");
        assert_eq!(may_take(1000, 10_000), 500);
        assert_eq!(may_take(400, 10_000), 0);
    }
}
