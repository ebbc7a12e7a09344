//! Runs programs in a host: exact exit status and signals, output streams apart, standard input, a
//! limit of time, a kill that takes the whole process group. Depends on nsenter(1) and, for ordinary
//! users, setpriv(1). Called by every suite.

use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::Host;

const DEFAULT_LIMIT: Duration = Duration::from_secs(60);
/// How long output may stay open after a program's end before that is an error of its own.
const HELD_LIMIT: Duration = Duration::from_secs(3);

/// A command to run in a host.
#[derive(Debug, Clone)]
pub struct Cmd<'host> {
    host: &'host Host,
    argv: Vec<String>,
    user: Option<String>,
    env: Vec<(String, String)>,
    stdin: Option<Vec<u8>>,
    limit: Duration,
}

/// How a command ended and what it said.
#[derive(Debug, Clone)]
pub struct Output {
    /// Exit status, if it exited.
    pub code: Option<i32>,
    /// Signal, if one ended it.
    pub signal: Option<i32>,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
    /// From before the start until after the end.
    pub elapsed: Duration,
}

/// A command that is running; killed when dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    /// Its standard input, until it is taken or closed.
    pub stdin: Option<ChildStdin>,
    stdout: Stream,
    stderr: Stream,
    started: Instant,
    limit: Duration,
    what: String,
}

/// What a program has written so far, and whether it closed the stream.
#[derive(Debug, Clone, Default)]
struct Stream(Arc<(Mutex<Written>, Condvar)>);

/// The bytes, and whether they are all.
type Written = (Vec<u8>, bool);

impl Host {
    /// A command, run as root, with a limit of one minute.
    #[must_use]
    pub fn command<S: Into<String>>(&self, argv: impl IntoIterator<Item = S>) -> Cmd<'_> {
        let argv = argv.into_iter().map(Into::into).collect();
        Cmd { host: self, argv, user: None, env: Vec::new(), stdin: None, limit: DEFAULT_LIMIT }
    }

    /// Runs a command as root and gives its standard output.
    ///
    /// # Errors
    /// When it does not exit with 0; the message has its standard error.
    pub fn succeed<S: Into<String>>(&self, argv: impl IntoIterator<Item = S>) -> Result<String> {
        self.command(argv).succeed()
    }
}

impl Cmd<'_> {
    /// Runs it as this user, with the user's groups and home.
    #[must_use]
    pub fn user(mut self, name: &str) -> Self {
        self.user = Some(name.to_owned());
        self
    }

    /// Sets a variable of its environment, which otherwise has PATH, HOME, USER, TERM and LANG alone.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Gives it these bytes as standard input; without, that is empty.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(bytes.into());
        self
    }

    /// Kills it after this time.
    #[must_use]
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Starts it with a standard input to write to.
    ///
    /// # Errors
    /// When the host is off or nsenter cannot be started.
    pub fn spawn(&self) -> Result<Running> {
        let mut command = self.entered()?;
        let started = Instant::now();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .context("starting nsenter")?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(stdout), Some(stderr)) = (stdout, stderr) else { bail!("nsenter has no pipes") };
        let (stdout, stderr) = (Stream::read(stdout), Stream::read(stderr));
        Ok(Running { child, stdin, stdout, stderr, started, limit: self.limit, what: self.argv.join(" ") })
    }

    /// Runs it to its end, whatever that is.
    ///
    /// # Errors
    /// When it cannot be started, is killed by the limit, or leaves its output open behind it.
    pub fn output(&self) -> Result<Output> {
        let mut running = self.spawn()?;
        let stdin = running.stdin.take();
        let input = self.stdin.clone().unwrap_or_default();
        let feeder = std::thread::spawn(move || stdin.map(|mut pipe| pipe.write_all(&input)));
        let output = running.wait();
        // A program that does not read its input to the end is in its right.
        drop(feeder.join());
        output
    }

    /// Runs it and gives its standard output.
    ///
    /// # Errors
    /// When it does not exit with 0; the message has its standard error.
    pub fn succeed(&self) -> Result<String> {
        let output = self.output()?;
        if output.code != Some(0) {
            bail!("{} {}", self.argv.join(" "), output.describe());
        }
        Ok(output.stdout_text())
    }

    /// Runs it and gives how it failed.
    ///
    /// # Errors
    /// When it exits with 0 or a signal ends it.
    pub fn fail(&self) -> Result<Output> {
        let output = self.output()?;
        if output.code.is_none_or(|code| code == 0) {
            bail!("{} was to fail, but {}", self.argv.join(" "), output.describe());
        }
        Ok(output)
    }

    fn entered(&self) -> Result<Command> {
        Ok(enter(self.host.leader()?, self.user.as_deref(), &self.env, &self.argv))
    }
}

/// The command that runs `argv` in the host whose PID 1 is `leader`, as root or as an ordinary user.
#[must_use]
pub fn enter(leader: i32, user: Option<&str>, env: &[(String, String)], argv: &[String]) -> Command {
    let home = user.map_or_else(|| "/root".to_owned(), |name| format!("/home/{name}"));
    let mut environment = vec![
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
        "LANG=C.UTF-8".to_owned(),
        format!("TERM={}", std::env::var("TERM").unwrap_or_else(|_| "dumb".to_owned())),
        format!("HOME={home}"),
        format!("USER={}", user.unwrap_or("root")),
    ];
    environment.extend(env.iter().map(|(name, value)| format!("{name}={value}")));
    let mut command = Command::new("nsenter");
    command.arg("--all").arg(format!("--target={leader}")).arg("--");
    command.args(["/usr/bin/env", "-C", &home, "-i"]).args(environment);
    if let Some(name) = user {
        command.args(["/usr/bin/setpriv", "--reuid", name, "--regid", name, "--init-groups", "--"]);
    }
    command.args(argv);
    command
}

impl Running {
    /// Waits for its end.
    ///
    /// # Errors
    /// When the limit kills it, or processes it left behind hold its output open.
    pub fn wait(mut self) -> Result<Output> {
        let left = self.limit.saturating_sub(self.started.elapsed());
        if !ended_within(&self.child, left)? {
            self.kill();
            bail!(
                "{}: killed after {} s; it said: {}{}",
                self.what,
                self.limit.as_secs(),
                self.stdout.text(),
                self.stderr.text()
            );
        }
        let status = self.child.wait()?;
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
        if let Ok(pid) = i32::try_from(self.child.id()) {
            // Gone already is as good.
            let _ = nix::sys::signal::killpg(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
        }
        let _ = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            self.kill();
        }
    }
}

fn ended_within(child: &Child, limit: Duration) -> Result<bool> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("a child has a pid")?;
    let fd = pidfd_open(pid, PidfdFlags::empty())?;
    let limit = Timespec::try_from(limit)?;
    let ready = poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&limit))?;
    Ok(ready > 0)
}

impl Output {
    /// Standard output as text.
    #[must_use]
    pub fn stdout_text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text.
    #[must_use]
    pub fn stderr_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// How it ended and what it said, for messages.
    #[must_use]
    pub fn describe(&self) -> String {
        let end = match (self.code, self.signal) {
            (Some(code), _) => format!("exited with {code}"),
            (None, signal) => format!("was ended by signal {}", signal.unwrap_or(0)),
        };
        format!("{end}; stdout: {:?}; stderr: {:?}", self.stdout_text(), self.stderr_text())
    }
}

impl Stream {
    fn read(mut from: impl Read + Send + 'static) -> Self {
        let stream = Self::default();
        let shared = stream.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 65536];
            loop {
                let read = from.read(&mut buffer).unwrap_or(0);
                let (state, changed) = &*shared.0;
                let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
                state.0.extend_from_slice(&buffer[..read]);
                state.1 = read == 0;
                changed.notify_all();
                if read == 0 {
                    return;
                }
            }
        });
        stream
    }

    fn text(&self) -> String {
        let state = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&state.0).into_owned()
    }

    fn whole(&self) -> Option<Vec<u8>> {
        let (state, changed) = &*self.0;
        let state = state.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut state, timeout) =
            changed.wait_timeout_while(state, HELD_LIMIT, |state| !state.1).unwrap_or_else(PoisonError::into_inner);
        (!timeout.timed_out()).then(|| std::mem::take(&mut state.0))
    }

    fn until(&self, text: &str, limit: Duration) -> Result<String> {
        let said = |state: &Written| String::from_utf8_lossy(&state.0).contains(text);
        let (state, changed) = &*self.0;
        let state = state.lock().unwrap_or_else(PoisonError::into_inner);
        let (state, _) =
            changed.wait_timeout_while(state, limit, |state| !said(state) && !state.1).unwrap_or_else(PoisonError::into_inner);
        let output = String::from_utf8_lossy(&state.0).into_owned();
        if said(&state) { Ok(output) } else { bail!("the output has no {text:?}: {output:?}") }
    }
}
