//! Runs suites in hosts: each test in the cheapest host that has what it needs, one host for a suite, a
//! fresh one after a failure, two suites at a time; prints a line for each test and the sum at the end,
//! and keeps the journal of what failed. Depends on `host`, `package` and `image`. Called by
//! `host/main.rs`.

mod daemon;
mod instance;
mod journal;
mod outside;
mod plan;
mod report;
mod run;
mod stage;

use anyhow::Result;

use crate::host::Need;

pub use plan::Places;
pub use report::Report;
pub use run::run;
pub use stage::Stage;

/// A test: a sentence for a name, and what it does in a host.
#[derive(Debug, Clone, Copy)]
pub struct Test {
    /// The sentence.
    pub name: &'static str,
    /// What its host has to have.
    pub needs: &'static [Need],
    /// What it does; an error is a failure, unless `skip` made it.
    pub run: fn(&Stage) -> Result<()>,
}

/// Tests that share a host, in this order.
#[derive(Debug, Clone, Copy)]
pub struct Suite {
    /// What it is about.
    pub name: &'static str,
    /// What its host has.
    pub base: Base,
    /// Its tests.
    pub tests: &'static [Test],
}

/// What the host of a suite has to begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// Debian alone.
    Bare,
    /// The package, installed.
    Packaged,
}

/// A suite of functions, each named by its sentence. What not every host has stands behind the
/// function's name: `the_limit_holds needs [Cgroup]`.
#[macro_export]
macro_rules! suite {
    ($name:expr, $base:expr, [$($test:ident $(needs [$($need:ident),+])?),+ $(,)?]) => {
        $crate::runner::Suite {
            name: $name,
            base: $base,
            tests: &[$($crate::runner::Test {
                name: stringify!($test),
                needs: &[$($($crate::host::Need::$need),+)?],
                run: $test,
            }),+],
        }
    };
}

/// The error that ends a test as skipped, with the reason.
#[must_use]
pub fn skip(why: &str) -> anyhow::Error {
    anyhow::Error::new(Skipped(why.to_owned()))
}

/// Why a test cannot run here.
#[derive(Debug)]
struct Skipped(String);

impl std::fmt::Display for Skipped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Skipped {}
