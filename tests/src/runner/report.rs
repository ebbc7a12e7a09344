//! What is printed: a line for each test as it ends, and the sum. Called by `run`.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use anyhow::Error;

use super::Skipped;

/// How much of an error stands in the sum.
const MOST_LINES: usize = 8;

/// The count so far; shared by the suites that run.
#[derive(Debug, Default)]
pub struct Report {
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    passed: usize,
    /// What failed, and how.
    failed: BTreeMap<String, String>,
    /// What failed beside others and passed by itself, and how it failed.
    unsteady: BTreeMap<String, String>,
    skipped: usize,
    /// Why tests were skipped, and how many for that.
    reasons: BTreeMap<String, usize>,
}

impl Report {
    /// Prints how a test ended; says whether it failed. One that was counted as failed may come again, and
    /// what it does then counts.
    pub(super) fn add(&self, suite: &str, test: &str, elapsed: Duration, result: &Result<(), Error>) -> bool {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let name = format!("{suite}: {}", test.replace('_', " "));
        let seconds = elapsed.as_secs_f64();
        let before = counts.failed.remove(&name);
        match result {
            Ok(()) => {
                println!("{name} ... ok ({seconds:.1} s)");
                counts.passed += 1;
                if let Some(error) = before {
                    counts.unsteady.insert(name, error);
                }
                false
            }
            Err(error) if error.is::<Skipped>() => {
                println!("{name} ... skipped: {error}");
                counts.skipped += 1;
                *counts.reasons.entry(error.to_string()).or_default() += 1;
                false
            }
            Err(error) => {
                println!("{name} ... FAILED ({seconds:.1} s)");
                let error = format!("{error:#}");
                print_indented(&error, usize::MAX);
                counts.failed.insert(name, error);
                true
            }
        }
    }

    /// Prints what failed once more, the sum on a line of its own, and why tests were skipped; says whether
    /// nothing failed.
    pub fn finish(&self) -> bool {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        for (what, named) in [("failed", &counts.failed), ("failed beside others, passed by itself", &counts.unsteady)] {
            for (name, error) in named {
                println!("{what}: {name}");
                print_indented(error, MOST_LINES);
            }
        }
        println!("{} passed, {} failed, {} skipped", counts.passed, counts.failed.len(), counts.skipped);
        for (why, count) in &counts.reasons {
            println!("    {count} skipped: {why}");
        }
        counts.failed.is_empty()
    }
}

/// Prints the last `most` lines of a text, which say most.
fn print_indented(text: &str, most: usize) {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(most)..].iter().for_each(|line| println!("    {line}"));
}
