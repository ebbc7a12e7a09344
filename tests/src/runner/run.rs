//! Runs the suites. Depends on `stage`, `report` and `journal`. Called by `host/main.rs`.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result, anyhow};

use super::{Report, Stage, Suite, Test, journal};
use crate::cache::Cache;

/// The longest a test may take; then its host is crashed, which ends what it waits for.
const TEST_LIMIT: Duration = Duration::from_secs(240);

/// Runs the tests whose `suite: sentence` contains one of `wanted` (all, if that is empty), `jobs`
/// suites at a time.
pub fn run(cache: &Cache, suites: &[Suite], wanted: &[String], jobs: usize) -> Report {
    let report = Report::default();
    let queue = Mutex::new(suites.iter());
    thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some(suite) = next else { return };
                    run_suite(cache, suite, wanted, &report);
                }
            });
        }
    });
    report
}

fn run_suite(cache: &Cache, suite: &Suite, wanted: &[String], report: &Report) {
    let mut stage: Option<Stage> = None;
    for test in suite.tests.iter().filter(|test| is_wanted(suite, test, wanted)) {
        let start = Instant::now();
        let ready = stage.take().map_or_else(|| Stage::boot(cache, suite.base).context("preparing the host"), Ok);
        let (result, failed_stage) = match ready {
            Err(error) => (Err(error), None),
            Ok(ready) => match run_test(&ready, test) {
                result if needs_fresh_host(&result) => (result, Some(ready)),
                result => {
                    stage = Some(ready);
                    (result, None)
                }
            },
        };
        report.add(suite.name, test.name, start.elapsed(), &result);
        if let Some(stage) = failed_stage {
            match journal::keep(&stage.host, suite.name, test.name) {
                Ok(path) => println!("    kept: {}", path.display()),
                Err(error) => println!("    nothing kept: {error:#}"),
            }
        }
    }
}

fn is_wanted(suite: &Suite, test: &Test, wanted: &[String]) -> bool {
    let name = format!("{}: {}", suite.name, test.name.replace('_', " "));
    wanted.is_empty() || wanted.iter().any(|part| name.contains(part.as_str()))
}

fn needs_fresh_host(result: &Result<()>) -> bool {
    result.as_ref().is_err_and(|error| !error.is::<super::Skipped>())
}

/// Runs a test in a thread of its own; a panic is a failure.
fn run_test(stage: &Stage, test: &Test) -> Result<()> {
    thread::scope(|scope| {
        let (sender, ended) = mpsc::channel();
        let thread = scope.spawn(move || {
            let result =
                catch_unwind(AssertUnwindSafe(|| (test.run)(stage))).unwrap_or_else(|panic| Err(panicked(panic.as_ref())));
            // Nobody listens any more after the limit.
            let _ = sender.send(());
            result
        });
        let late = matches!(ended.recv_timeout(TEST_LIMIT), Err(RecvTimeoutError::Timeout));
        if late {
            // Every command it waits for ends with the host.
            drop(stage.host.crash());
        }
        let result = thread.join().unwrap_or_else(|panic| Err(panicked(panic.as_ref())));
        if late { Err(anyhow!("it took longer than {} s; then: {result:?}", TEST_LIMIT.as_secs())) } else { result }
    })
}

fn panicked(panic: &(dyn Any + Send)) -> Error {
    let said = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    anyhow!("it panicked: {}", said.unwrap_or("no words"))
}
