//! The stopwatch, run inside a host so that no time of the harness is in a figure: runs commands before,
//! the timed one, and commands after, some rounds, and prints the seconds. Depends on /proc. Called by
//! `rows` through this program's own binary.

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

/// The argument that makes this program a stopwatch.
pub(crate) const ARGUMENT: &str = "--stopwatch";
/// How long others may keep the machine busy before it is measured all the same.
const QUIET_LIMIT: Duration = Duration::from_secs(30);
const READY_LIMIT: Duration = Duration::from_secs(60);

/// What to measure.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Course {
    pub(crate) rounds: u32,
    pub(crate) before: Vec<Vec<String>>,
    pub(crate) timed: Vec<String>,
    pub(crate) after: Vec<Vec<String>>,
    /// Count until the guest that starts has finished its boot, not only until the command's end.
    pub(crate) until_ready: bool,
    /// Let the guest finish its boot before the timed command.
    pub(crate) from_ready: bool,
}

/// Becomes the stopwatch, and never returns, when the program was started as one.
pub(crate) fn run_if_asked() {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() != Some(ARGUMENT) {
        return;
    }
    let course = arguments.next().unwrap_or_default();
    match serde_json::from_str(&course).context("reading the course").and_then(|course| walk(&course)) {
        Ok(seconds) => println!("{}", serde_json::json!(seconds)),
        Err(error) => {
            eprintln!("{error:#}");
            std::process::exit(1);
        }
    }
    std::process::exit(0);
}

fn walk(course: &Course) -> Result<Vec<f64>> {
    let mut seconds = Vec::new();
    quiet();
    for _ in 0..course.rounds {
        let mut known = inits();
        for argv in &course.before {
            run(argv)?;
        }
        if course.from_ready {
            wait_ready(&known)?;
        }
        if course.until_ready {
            known = inits();
        }
        // What earlier commands have written shall not be waited for in this one.
        rustix::fs::sync();
        let start = Instant::now();
        run(&course.timed)?;
        if course.until_ready {
            wait_ready(&known)?;
        }
        seconds.push(start.elapsed().as_secs_f64());
        for argv in &course.after {
            run(argv)?;
        }
    }
    Ok(seconds)
}

/// Waits until guests that were started before have finished their boots and the machine is idle, as
/// far as others let it be.
fn quiet() {
    let deadline = Instant::now() + QUIET_LIMIT;
    let mut before = busy();
    while Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(500));
        let now = busy();
        let (work, all) = (now.0 - before.0, now.1 - before.1);
        if work * 10 <= all {
            return;
        }
        before = now;
    }
}

/// Ticks of work and of all since the boot, summed over the processors; see proc_stat(5).
fn busy() -> (u64, u64) {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let ticks: Vec<u64> = stat
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(1)
        .take(8)
        .filter_map(|field| field.parse().ok())
        .collect();
    let all: u64 = ticks.iter().sum();
    // The fourth is idle and the fifth waits for a disk.
    (all - ticks.iter().skip(3).take(2).sum::<u64>(), all)
}

fn run(argv: &[String]) -> Result<()> {
    let (program, arguments) = argv.split_first().context("an empty command")?;
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .with_context(|| format!("starting {program}"))?;
    if !output.status.success() {
        bail!("{argv:?}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// Waits until a container's init that is not among `known` has finished its boot.
fn wait_ready(known: &HashSet<u32>) -> Result<()> {
    let deadline = Instant::now() + READY_LIMIT;
    while Instant::now() < deadline {
        for pid in inits().difference(known) {
            if PathBuf::from(format!("/proc/{pid}/root/run/lab-ready")).exists() {
                return Ok(());
            }
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    bail!("no guest finished its boot in {} s", READY_LIMIT.as_secs())
}

/// The processes that are PID 1 of a namespace below this one.
fn inits() -> HashSet<u32> {
    let mut found = HashSet::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
        let Ok(status) = fs::read_to_string(entry.path().join("status")) else { continue };
        let pids = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
        let pids = pids.split_whitespace().skip(1);
        if pids.last() == Some("1") {
            found.insert(pid);
        }
    }
    found
}
