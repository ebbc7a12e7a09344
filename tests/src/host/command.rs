//! Runs programs in a host: exact exit status and signals, output streams apart, standard input, a
//! limit of time, a kill that takes the whole process group. Depends on env(1) and, for ordinary users,
//! setpriv(1) in the host. Called by every suite.

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::{Host, Running};

const DEFAULT_LIMIT: Duration = Duration::from_secs(60);

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
    /// When the host is off or does not start it.
    pub fn spawn(&self) -> Result<Running> {
        let started = Instant::now();
        let process = self.host.machine.start(&within(self.user.as_deref(), &self.env, &self.argv))?;
        Ok(Running::new(process, started, self.host.patience(self.limit), self.argv.join(" ")))
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
}

/// The whole argument list that runs `argv` inside a host as root or as an ordinary user, in the user's
/// home, with an environment of its own.
pub(super) fn within(user: Option<&str>, env: &[(String, String)], argv: &[String]) -> Vec<String> {
    let home = user.map_or_else(|| "/root".to_owned(), |name| format!("/home/{name}"));
    let mut whole: Vec<String> = ["/usr/bin/env", "-C", &home, "-i"].map(str::to_owned).into();
    whole.extend([
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
        "LANG=C.UTF-8".to_owned(),
        format!("TERM={}", std::env::var("TERM").unwrap_or_else(|_| "dumb".to_owned())),
        format!("HOME={home}"),
        format!("USER={}", user.unwrap_or("root")),
    ]);
    whole.extend(env.iter().map(|(name, value)| format!("{name}={value}")));
    if let Some(name) = user {
        whole.extend(["/usr/bin/setpriv", "--reuid", name, "--regid", name, "--init-groups", "--"].map(str::to_owned));
    }
    whole.extend_from_slice(argv);
    whole
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
