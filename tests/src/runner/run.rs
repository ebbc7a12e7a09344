//! Runs the suites. Depends on `plan`, `stage`, `report` and `journal`. Called by `host/main.rs`.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result, anyhow};

use super::plan::{Group, plan};
use super::{Places, Report, Stage, Suite, Test, journal};
use crate::cache::Cache;
use crate::host::Kind;

/// More failures than this are no accident.
const FEW: usize = 5;

/// Runs the tests whose `suite: sentence` contains one of `wanted` (all, if that is empty), in `places`:
/// `jobs` suites at a time in native hosts, then one after the other in full ones, which are as many
/// processors as the machine has. A few that failed run once more, each by itself: a defect and a machine
/// that was too busy are told apart, and the report names both.
pub fn run(cache: &Cache, suites: &[Suite], wanted: &[String], places: Places, jobs: usize) -> Report {
    let report = Report::default();
    let (groups, nowhere) = plan(cache, suites, wanted, places);
    for (suite, test, error) in nowhere {
        report.add(suite.name, test.name, Duration::ZERO, &Err(error));
    }
    let failed = Mutex::new(Vec::new());
    for (kind, jobs) in [(Kind::Native, jobs.max(1)), (Kind::Full, 1)] {
        let queue = Mutex::new(groups.iter().filter(|group| group.kind == kind));
        thread::scope(|scope| {
            for _ in 0..jobs {
                scope.spawn(|| {
                    loop {
                        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
                        let Some(group) = next else { return };
                        let again = run_group(cache, group, &report);
                        failed.lock().unwrap_or_else(PoisonError::into_inner).extend(again);
                    }
                });
            }
        });
    }
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    if failed.len() <= FEW {
        for group in &failed {
            run_group(cache, group, &report);
        }
    }
    report
}

/// Runs the tests of a group; gives those that failed, each as a group of its own.
fn run_group<'suites>(cache: &Cache, group: &Group<'suites>, report: &Report) -> Vec<Group<'suites>> {
    let Group { kind, suite, tests } = group;
    let mut stage: Option<Stage> = None;
    let mut failed = Vec::new();
    for test in tests {
        let start = Instant::now();
        let ready = stage.take().map_or_else(|| Stage::boot(cache, *kind, suite.base).context("preparing the host"), Ok);
        let keep = |stage: &Stage| kept(stage, suite, test);
        let ended = match ready {
            Err(error) => Ended { result: Err(error), kept: None },
            Ok(ready) => {
                let ended = run_test(&ready, test, limit(*kind), &keep);
                stage = ended.kept.is_none().then_some(ready);
                ended
            }
        };
        if report.add(suite.name, test.name, start.elapsed(), &ended.result) {
            failed.push(Group { kind: *kind, suite, tests: vec![test] });
        }
        if let Some(kept) = ended.kept {
            println!("    {kept}");
        }
    }
    failed
}

/// How a test ended.
struct Ended {
    result: Result<()>,
    /// What is said of what was kept, when it failed: its host is not used any more.
    kept: Option<String>,
}

/// The longest a test may take; then its host is crashed, which ends what it waits for. A whole load
/// (`LXHOST_LOAD`) may take as long as in an emulated machine; `LXHOST_LIMIT` is another limit in seconds.
fn limit(kind: Kind) -> Duration {
    let set = std::env::var("LXHOST_LIMIT").ok().and_then(|seconds| seconds.parse().ok());
    let usual = match kind {
        Kind::Native if std::env::var_os("LXHOST_LOAD").is_some() => 900,
        Kind::Native => 240,
        Kind::Full => 900,
    };
    Duration::from_secs(set.unwrap_or(usual))
}

fn kept(stage: &Stage, suite: &Suite, test: &Test) -> String {
    match journal::keep(&stage.host, suite.name, test.name) {
        Ok(path) => format!("kept: {}", path.display()),
        Err(error) => format!("nothing kept: {error:#}"),
    }
}

fn needs_fresh_host(result: &Result<()>) -> bool {
    result.as_ref().is_err_and(|error| !error.is::<super::Skipped>())
}

/// Runs a test in a thread of its own; a panic is a failure. `keep` has to look at a host that hangs before that is
/// crashed.
fn run_test(stage: &Stage, test: &Test, limit: Duration, keep: &dyn Fn(&Stage) -> String) -> Ended {
    thread::scope(|scope| {
        let (sender, ended) = mpsc::channel();
        let thread = scope.spawn(move || {
            let result =
                catch_unwind(AssertUnwindSafe(|| (test.run)(stage))).unwrap_or_else(|panic| Err(panicked(panic.as_ref())));
            // Nobody listens any more after the limit.
            let _ = sender.send(());
            result
        });
        let late = matches!(ended.recv_timeout(limit), Err(RecvTimeoutError::Timeout));
        let mut kept = late.then(|| keep(stage));
        if late {
            // Every command it waits for ends with the host.
            drop(stage.host.crash());
        }
        let mut result = thread.join().unwrap_or_else(|panic| Err(panicked(panic.as_ref())));
        if late {
            result = Err(anyhow!("it took longer than {} s; then: {result:?}", limit.as_secs()));
        } else if needs_fresh_host(&result) {
            kept = Some(keep(stage));
        }
        Ended { result, kept }
    })
}

fn panicked(panic: &(dyn Any + Send)) -> Error {
    let said = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    anyhow!("it panicked: {}", said.unwrap_or("no words"))
}
