//! A program that runs in a host: awaited within its limit, killed with all it started. Depends on
//! `stream` and on the machine that started it. Called by `command` and by suites that spawn.

use std::io::{self, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::command::Output;
use super::stream::Stream;

/// A program as a machine has started it.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) stdin: Option<Input>,
    pub(super) stdout: Stream,
    pub(super) stderr: Stream,
    pub(super) life: Box<dyn Life>,
}

/// The way to a running program's end.
pub(super) trait Life: std::fmt::Debug + Send {
    /// Waits for its end; nothing when the limit passes before.
    ///
    /// # Errors
    /// When the machine loses sight of it.
    fn end(&mut self, limit: Duration) -> Result<Option<ExitStatus>>;

    /// Kills it and everything in its process group. Gone already is as good.
    fn kill(&mut self);
}

/// The standard input of a program; it ends where this is dropped.
pub struct Input(pub(super) Box<dyn Write + Send>);

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Input")
    }
}

impl Write for Input {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// A command that is running; killed when dropped.
#[derive(Debug)]
pub struct Running {
    /// Its standard input, until it is taken or closed.
    pub stdin: Option<Input>,
    stdout: Stream,
    stderr: Stream,
    life: Box<dyn Life>,
    ended: bool,
    started: Instant,
    limit: Duration,
    what: String,
}

impl Running {
    pub(super) fn new(process: Process, started: Instant, limit: Duration, what: String) -> Self {
        let Process { stdin, stdout, stderr, life } = process;
        Self { stdin, stdout, stderr, life, ended: false, started, limit, what }
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When the limit kills it, or processes it left behind hold its output open.
    pub fn wait(mut self) -> Result<Output> {
        let left = self.limit.saturating_sub(self.started.elapsed());
        let Some(status) = self.life.end(left).with_context(|| self.what.clone())? else {
            self.kill();
            bail!(
                "{}: killed after {} s; it said: {}{}",
                self.what,
                self.limit.as_secs(),
                self.stdout.text(),
                self.stderr.text()
            );
        };
        self.ended = true;
        let elapsed = self.started.elapsed();
        let (Some(stdout), Some(stderr)) = (self.stdout.whole(), self.stderr.whole()) else {
            bail!("{} ended ({status}) but left processes that hold its output open", self.what);
        };
        Ok(Output { code: status.code(), signal: status.signal(), stdout, stderr, elapsed })
    }

    /// Waits until its standard output contains `text`, and gives the output so far.
    ///
    /// # Errors
    /// When the limit passes or the output ends before.
    pub fn until(&self, text: &str) -> Result<String> {
        let left = self.limit.saturating_sub(self.started.elapsed());
        self.stdout.until(text, left).with_context(|| format!("{}: its errors: {}", self.what, self.stderr.text()))
    }

    /// What it has written to its standard output so far.
    #[must_use]
    pub fn said(&self) -> String {
        self.stdout.text()
    }

    /// Kills it and everything in its process group.
    pub fn kill(&mut self) {
        self.life.kill();
        self.ended = true;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended {
            self.kill();
        }
    }
}
