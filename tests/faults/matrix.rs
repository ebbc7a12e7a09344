//! The crash matrix on a real host: every deed, on a pool of every driver, with a fault at every failpoint it
//! passes. The daemon is killed at each point; of the errors, each point gets the next one, or all of them.
//! Depends on `world`. Called by `main`.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Instant;

use anyhow::Result;
use lxhost_tests::cache::Cache;

use crate::deeds::{DEEDS, Deed};
use crate::rare::{ELSEWHERE, RARE};
use crate::world::World;

/// Drivers, the one first whose matrix is whole even in a short run.
pub(crate) const DRIVERS: &[&str] = &["overlay", "btrfs", "dir"];
/// Drivers that need devices of a kernel of their own, so an emulated host: in a whole run, or when they are named, and
/// there only what stores something.
pub(crate) const EMULATED: &[&str] = &["lvm"];
/// The one whose pools keep sizes on these hosts.
const SIZED: &str = "btrfs";
/// Points of verbs that act for the sake of sizes alone.
const ACTING_ON_SIZES: &[&str] =
    &["trash.restore/acted", "trash.restore/committed", "volume.replace/acted", "volume.replace/committed"];
const ENDED_BY_A_START: [&str; 3] = ["instance.create", "instance.restart", "snapshot.restore"];
const ERRORS: [&str; 4] = ["error", "nospace", "eio", "delay"];

/// How it went.
#[derive(Debug, Default)]
pub(crate) struct Sum {
    pub(crate) cases: usize,
    pub(crate) wrong: Vec<String>,
}

/// What is tried.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extent<'words> {
    /// Every error at every point, deeds that do not store anything on every driver, and deaths while undoing
    /// and recovering; else a part that fits into a check.
    pub(crate) whole: bool,
    /// Parts of deeds' names; empty: all.
    pub(crate) wanted: &'words [String],
}

/// Tries all deeds on pools of one driver. The rare ones pass their points without a fault in a short run.
pub(crate) fn run(cache: &Cache, driver: &'static str, extent: Extent<'_>) -> Result<Sum> {
    let mut world = World::boot(cache, driver)?;
    let mut sum = Sum::default();
    let mut passed = BTreeSet::new();
    let often = DEEDS.iter().map(|deed| (deed, true));
    let rare = RARE.iter().map(|deed| (deed, extent.whole || EMULATED.contains(&driver)));
    for (deed, faults) in often.chain(rare) {
        if !extent.tries(driver, deed) {
            continue;
        }
        let (start, before) = (Instant::now(), sum.cases);
        let (points, wrong) = world.road(deed)?;
        if !wrong.is_empty() {
            sum.note(&world, deed, &[], wrong)?;
        } else if faults {
            at_every_point(&mut world, deed, &points, extent, &mut sum)?;
        } else {
            sum.cases += 1;
            let left = world.left()?;
            sum.note(&world, deed, &[], left)?;
        }
        println!(
            "{driver}: {}: {} points, {} cases ({:.1} s)",
            deed.name,
            points.len(),
            sum.cases - before,
            start.elapsed().as_secs_f64()
        );
        passed.extend(points);
    }
    if extent.wanted.is_empty() && (driver == DRIVERS[0] || driver == SIZED) {
        sum.wrong.extend(unpassed(world.points, &passed, driver));
    }
    Ok(sum)
}

fn at_every_point(world: &mut World, deed: &Deed, points: &[String], extent: Extent<'_>, sum: &mut Sum) -> Result<()> {
    for (number, point) in points.iter().enumerate() {
        let mut faults = vec![vec![(point.as_str(), "kill")]];
        let every = extent.whole && !EMULATED.contains(&world.driver);
        let in_turn = extent.whole || world.driver == DRIVERS[0];
        let errors = ERRORS.iter().enumerate().filter(|(at, _)| every || (in_turn && at % 4 == number % 4));
        faults.extend(errors.map(|(_, kind)| vec![(point.as_str(), *kind)]));
        for armed in &faults {
            sum.tries(world, deed, armed)?;
        }
        let left = world.left()?;
        sum.note(world, deed, &faults, left)?;
    }
    if extent.whole && !EMULATED.contains(&world.driver) {
        deaths_on_the_way_back(world, deed, points, sum)?;
        let left = world.left()?;
        sum.note(world, deed, &[vec![("on the way back", "kill")]], left)?;
    }
    Ok(())
}

/// Points of the way there that no deed has passed: nobody has tried what a fault at them does. Those of sizes are passed
/// where the pool keeps them.
fn unpassed(points: &str, passed: &BTreeSet<String>, driver: &str) -> Vec<String> {
    let of_sizes = |point: &str| point.contains("/quota/") || ACTING_ON_SIZES.contains(&point);
    let here = |point: &str| of_sizes(point) == (driver == SIZED);
    let back = |point: &str| ["/undo", "/undone", "/recover"].iter().any(|part| point.contains(part));
    let elsewhere = |point: &str| ELSEWHERE.iter().any(|verb| point.starts_with(verb));
    let missed = points.lines().filter(|point| here(point) && !back(point) && !elsewhere(point) && !passed.contains(*point));
    missed.map(|point| format!("no deed passes {point}")).collect()
}

/// A death at every point of undoing an error, and of recovering from a death.
fn deaths_on_the_way_back(world: &World, deed: &Deed, points: &[String], sum: &mut Sum) -> Result<()> {
    // The start that ends one of these is recovered in that one's name.
    let first = points.iter().find_map(|point| ENDED_BY_A_START.into_iter().find(|verb| point.starts_with(verb)));
    for point in points {
        let Some((verb, step)) = point.strip_suffix("/after").and_then(|point| point.split_once('/')) else { continue };
        for (fault, way) in [("error", "undo"), ("kill", "recovery")] {
            let verb = match (verb, way) {
                ("instance.start", "recovery") => first.unwrap_or(verb),
                _ => verb,
            };
            for moment in ["before", "after"] {
                let back = format!("{verb}/{way}/{step}/{moment}");
                if world.points.lines().any(|line| line == back) {
                    sum.tries(world, deed, &[(point, fault), (&back, "kill")])?;
                }
            }
        }
    }
    Ok(())
}

impl Extent<'_> {
    fn tries(&self, driver: &str, deed: &Deed) -> bool {
        let wanted = self.wanted.is_empty() || self.wanted.iter().any(|part| deed.name.contains(part.as_str()));
        let here = match deed.sized {
            true => driver == SIZED,
            false if EMULATED.contains(&driver) => deed.stores,
            false => self.whole || deed.stores || driver == DRIVERS[0],
        };
        wanted && here
    }
}

impl Sum {
    pub(crate) fn add(&mut self, other: Self) {
        self.cases += other.cases;
        self.wrong.extend(other.wrong);
    }

    fn tries(&mut self, world: &World, deed: &Deed, armed: &[(&str, &str)]) -> Result<()> {
        self.cases += 1;
        let wrong = world.fault(deed, armed)?;
        self.note(world, deed, &[armed.to_vec()], wrong)
    }

    pub(crate) fn note(&mut self, world: &World, deed: &Deed, armed: &[Vec<(&str, &str)>], wrong: Vec<String>) -> Result<()> {
        if !wrong.is_empty() {
            let mut text = format!("{}: {} with {armed:?}", world.driver, deed.name);
            for line in wrong {
                write!(text, "\n    {line}")?;
            }
            println!("{text}");
            self.wrong.push(text);
        }
        Ok(())
    }
}
