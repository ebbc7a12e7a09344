//! Decides where each test runs: in the kind of host that was asked for, else in the cheapest that has
//! what the test needs. Each need is tried once in a host of each kind. Depends on `host`. Called by
//! `run`.

use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Error, Result, anyhow};

use super::{Base, Stage, Suite, Test};
use crate::cache::Cache;
use crate::host::{Kind, Need};

/// Where tests may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Places {
    /// In the cheapest host that will do.
    Cheapest,
    /// In hosts of this kind; what a native one lacks is skipped, what a full one lacks is a failure,
    /// unless it is optional.
    Only(Kind),
}

/// Tests of a suite that share a host.
#[derive(Debug)]
pub(super) struct Group<'suites> {
    pub(super) kind: Kind,
    pub(super) suite: &'suites Suite,
    pub(super) tests: Vec<&'suites Test>,
}

/// The groups of the tests whose `suite: sentence` contains one of `wanted` (of all, if that is empty),
/// cheap ones first, and what cannot run anywhere it may.
pub(super) fn plan<'suites>(
    cache: &Cache,
    suites: &'suites [Suite],
    wanted: &[String],
    places: Places,
) -> (Vec<Group<'suites>>, Vec<(&'suites Suite, &'suites Test, Error)>) {
    let tried = Tried::default();
    let (mut groups, mut nowhere): (Vec<Group<'_>>, Vec<_>) = (Vec::new(), Vec::new());
    for suite in suites {
        for test in suite.tests.iter().filter(|test| is_wanted(suite, test, wanted)) {
            match tried.place(cache, test.needs, places) {
                Err(error) => nowhere.push((suite, test, error)),
                Ok(kind) => match groups.iter_mut().find(|group| group.kind == kind && std::ptr::eq(group.suite, suite)) {
                    Some(group) => group.tests.push(test),
                    None => groups.push(Group { kind, suite, tests: vec![test] }),
                },
            }
        }
    }
    groups.sort_by_key(|group| group.kind);
    (groups, nowhere)
}

fn is_wanted(suite: &Suite, test: &Test, wanted: &[String]) -> bool {
    let name = format!("{}: {}", suite.name, test.name.replace('_', " "));
    wanted.is_empty() || wanted.iter().any(|part| name.contains(part.as_str()))
}

/// A need that was tried in a host of a kind, and why it is not there.
type Verdict = (Kind, Need, Option<String>);

/// What is known of needs so far.
#[derive(Debug, Default)]
struct Tried(Mutex<Vec<Verdict>>);

impl Tried {
    fn place(&self, cache: &Cache, needs: &[Need], places: Places) -> Result<Kind> {
        let kinds = match places {
            Places::Cheapest => Kind::ALL.to_vec(),
            Places::Only(kind) => vec![kind],
        };
        let mut why = None;
        for kind in kinds {
            why = self.lack(cache, kind, needs)?;
            if why.is_none() {
                return Ok(kind);
            }
        }
        let why = why.unwrap_or_default();
        let excused = places == Places::Only(Kind::Native) || needs.iter().any(|need| Need::OPTIONAL.contains(need));
        Err(if excused { super::skip(&why) } else { anyhow!(why) })
    }

    /// The first of `needs` that hosts of a kind lack.
    fn lack(&self, cache: &Cache, kind: Kind, needs: &[Need]) -> Result<Option<String>> {
        if needs.contains(&Need::Speed) && kind.slowness() > 1 {
            return Ok(Some(format!("the {} host is emulated, and too slow for it", kind.name())));
        }
        if needs.iter().all(|need| *need == Need::Speed) {
            return Ok(None);
        }
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.iter().any(|(of, _, _)| *of == kind) {
            // Packaged: that one is made anyway for what runs here.
            let stage = Stage::boot(cache, kind, Base::Packaged).with_context(|| format!("looking at a {} host", kind.name()))?;
            for need in Need::ALL {
                known.push((kind, need, need.missing(&stage.host)?));
            }
        }
        let of =
            |need: &Need| known.iter().find(|(of, other, _)| *of == kind && other == need).and_then(|(_, _, why)| why.clone());
        Ok(needs.iter().find_map(of))
    }
}
