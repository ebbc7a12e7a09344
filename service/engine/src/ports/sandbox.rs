//! Programs that touch hostile input run in a transient unit that can do nothing else.
//! On a real host: `StartTransientUnit` of a service with everything taken away, in `host/sandbox`.

use async_trait::async_trait;
use lxhost_model::Result;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// Where a program finds the tree that it serves.
pub const SERVED: &str = "/volume";

/// What to run and what it may see. Everything not named here is denied.
#[derive(Debug)]
pub struct SandboxSpec {
    /// First part of the unit's name, such as `lxhost-unpack`.
    pub unit: String,
    /// Program (absolute path) and arguments.
    pub argv: Vec<String>,
    /// Standard input; /dev/null when `None`.
    pub stdin: Option<OwnedFd>,
    /// Standard output; the journal when `None`.
    pub stdout: Option<OwnedFd>,
    /// Directories it may write; everything else is read-only.
    pub writable: Vec<PathBuf>,
    /// Directories it may read.
    pub readable: Vec<PathBuf>,
    /// A tree whose files it serves: it sees it at [`SERVED`] and may write it. It has no /proc and no /sys, and its user
    /// database knows root alone.
    pub served: Option<PathBuf>,
    /// Whether it puts layers of these together by mounts of its own (`CAP_SYS_ADMIN`, `@mount`).
    pub mounts: bool,
    /// Whether it keeps the capabilities to own files as any user and make device nodes' stand-ins
    /// (`CAP_CHOWN`, `CAP_FOWNER`, `CAP_DAC_OVERRIDE`, `CAP_FSETID`, `CAP_SETFCAP`, `CAP_MKNOD`).
    pub owns_files: bool,
    /// Whether it may use the network, and mount (mmdebstrap); never both with hostile input.
    pub builds: bool,
    /// Seconds it may run.
    pub timeout: u32,
    /// Bytes of memory it may use.
    pub memory: u64,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SandboxExit {
    /// Exit status; 128 + signal when killed.
    pub status: i32,
    /// Last lines of its standard error, at most 4 KiB, control characters removed.
    pub stderr: String,
}

/// Runs confined programs.
#[async_trait]
pub trait Sandbox: Send + Sync {
    /// Runs `spec` to its end; dropping the future stops the unit. Each line of its standard error
    /// that starts with `progress ` is passed to `progress` without that word; with `builds`, every
    /// line is passed as it is.
    ///
    /// # Errors
    /// `Timeout`; `Failed` when the unit could not be started. A non-zero exit is not an error here.
    async fn run(&self, spec: SandboxSpec, progress: &(dyn for<'l> Fn(&'l str) + Send + Sync)) -> Result<SandboxExit>;
}
