//! Failpoints of the daemon, as tests arm them. `RUNTIME/faults/armed` holds lines `POINT=KIND`; each comes
//! true once, and is taken out before it does: `kill` (SIGKILL), `error`, `nospace`, `eio`, `delay` (200 ms). Where `RUNTIME/faults/passed` is a file, the names of the points passed are added to it.
//! Compiled in by the feature `faults` alone.

use lxhost_engine::{Engine, Error, Kind, Result};
use rustix::process::{Signal, getpid, kill_process};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long a delay is.
const DELAY: Duration = Duration::from_millis(200);

/// Prints the names of all points.
pub(crate) fn list() -> ExitCode {
    match lxhost_sim::points::all() {
        Ok(points) => {
            points.iter().for_each(|point| println!("{point}"));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("lxhostd: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Has the engine's points look at the files below `runtime`.
pub(crate) fn arm(engine: &Engine, runtime: &Path) {
    let files = Files { dir: runtime.join("faults"), turn: Mutex::new(()) };
    tracing::warn!("this daemon has failpoints, which are armed in {}", files.dir.display());
    engine.on_points(Box::new(move |point| files.pass(point)));
}

struct Files {
    dir: PathBuf,
    /// One point at a time: a fault comes true once.
    turn: Mutex<()>,
}

impl Files {
    fn pass(&self, point: &str) -> Result<Option<Duration>> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(mut passed) = OpenOptions::new().append(true).open(self.dir.join("passed")) {
            writeln!(passed, "{point}").map_err(|e| Error::io("note a failpoint", &e))?;
        }
        let kind = self.take(point).map_err(|e| Error::io("read the armed failpoints", &e))?;
        let failed = |errno: rustix::io::Errno| Err(Error::io(format!("failpoint {point}"), &io::Error::from(errno)));
        match kind.as_deref() {
            None => Ok(None),
            Some("delay") => Ok(Some(DELAY)),
            Some("nospace") => failed(rustix::io::Errno::NOSPC),
            Some("eio") => failed(rustix::io::Errno::IO),
            Some("error") => Err(Error::failed(format!("failpoint {point}"))),
            Some("kill") => loop {
                // It ends here, not a moment later.
                let _ = kill_process(getpid(), Signal::KILL);
            },
            Some(other) => Err(Error::new(Kind::InvalidArgs, format!("failpoint {point}: unknown kind {other:?}"))),
        }
    }

    /// What is armed for `point`; it is not armed any more.
    fn take(&self, point: &str) -> io::Result<Option<String>> {
        let armed = self.dir.join("armed");
        let lines = match fs::read_to_string(&armed) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            lines => lines?,
        };
        let mut lines: Vec<&str> = lines.lines().collect();
        let is_meant = |line: &&str| line.split_once('=').is_some_and(|(name, _)| name == point);
        let Some(at) = lines.iter().position(is_meant) else { return Ok(None) };
        let kind = lines.remove(at).split_once('=').map(|(_, kind)| kind.to_owned());
        fs::write(&armed, lines.iter().map(|line| format!("{line}\n")).collect::<String>())?;
        Ok(kind)
    }
}
