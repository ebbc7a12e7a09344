//! What is printed: a line for each test as it ends, and the sum. Called by `run`.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use anyhow::Error;

use super::Skipped;

/// The count so far; shared by the suites that run.
#[derive(Debug, Default)]
pub struct Report {
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    passed: usize,
    failed: usize,
    skipped: usize,
    /// Why tests were skipped, and how many for that.
    reasons: BTreeMap<String, usize>,
}

impl Report {
    /// Prints how a test ended; says whether it failed.
    pub(super) fn add(&self, suite: &str, test: &str, elapsed: Duration, result: &Result<(), Error>) -> bool {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let sentence = test.replace('_', " ");
        let seconds = elapsed.as_secs_f64();
        match result {
            Ok(()) => {
                counts.passed += 1;
                println!("{suite}: {sentence} ... ok ({seconds:.1} s)");
                false
            }
            Err(error) if error.is::<Skipped>() => {
                counts.skipped += 1;
                *counts.reasons.entry(error.to_string()).or_default() += 1;
                println!("{suite}: {sentence} ... skipped: {error}");
                false
            }
            Err(error) => {
                counts.failed += 1;
                println!("{suite}: {sentence} ... FAILED ({seconds:.1} s)");
                for line in format!("{error:#}").lines() {
                    println!("    {line}");
                }
                true
            }
        }
    }

    /// Prints the sum on a line of its own, and why tests were skipped; says whether nothing failed.
    pub fn finish(&self) -> bool {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        println!("{} passed, {} failed, {} skipped", counts.passed, counts.failed, counts.skipped);
        for (why, count) in &counts.reasons {
            println!("    {count} skipped: {why}");
        }
        counts.failed == 0
    }
}
