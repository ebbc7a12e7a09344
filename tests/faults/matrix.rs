//! The crash matrix on a real host: every deed, on a pool of every driver, with a fault at every failpoint it
//! passes. The daemon is killed at each point; of the errors, each point gets the next one, or all of them.
//! Depends on `world`. Called by `main`.

use std::fmt::Write;
use std::time::Instant;

use anyhow::Result;
use lxhost_tests::cache::Cache;

use crate::deeds::{DEEDS, Deed};
use crate::world::World;

/// Drivers, the one first whose matrix is whole even in a short run.
pub(crate) const DRIVERS: &[&str] = &["overlay", "btrfs", "dir"];
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

/// Tries all deeds on pools of one driver.
pub(crate) fn run(cache: &Cache, driver: &'static str, extent: Extent<'_>) -> Result<Sum> {
    let mut world = World::boot(cache, driver)?;
    let mut sum = Sum::default();
    for deed in DEEDS.iter().filter(|deed| extent.tries(driver, deed)) {
        let (start, before) = (Instant::now(), sum.cases);
        let points = world.road(deed)?;
        for (number, point) in points.iter().enumerate() {
            let mut faults = vec![vec![(point.as_str(), "kill")]];
            let errors =
                ERRORS.iter().enumerate().filter(|(at, _)| extent.whole || (driver == DRIVERS[0] && at % 4 == number % 4));
            faults.extend(errors.map(|(_, kind)| vec![(point.as_str(), *kind)]));
            for armed in &faults {
                sum.tries(&world, deed, armed)?;
            }
            let left = world.left()?;
            sum.note(&world, deed, &faults, left)?;
        }
        if extent.whole {
            deaths_on_the_way_back(&world, deed, &points, &mut sum)?;
            let left = world.left()?;
            sum.note(&world, deed, &[vec![("on the way back", "kill")]], left)?;
        }
        println!(
            "{driver}: {}: {} points, {} cases ({:.1} s)",
            deed.name,
            points.len(),
            sum.cases - before,
            start.elapsed().as_secs_f64()
        );
    }
    Ok(sum)
}

/// A death at every point of undoing an error, and of recovering from a death.
fn deaths_on_the_way_back(world: &World, deed: &Deed, points: &[String], sum: &mut Sum) -> Result<()> {
    for point in points {
        let Some((verb, step)) = point.strip_suffix("/after").and_then(|point| point.split_once('/')) else { continue };
        for (first, way) in [("error", "undo"), ("kill", "recovery")] {
            // The start that ends a restart is recovered in the restart's name.
            let verb = match (deed.name, verb, way) {
                ("restart", "instance.start", "recovery") => "instance.restart",
                _ => verb,
            };
            for moment in ["before", "after"] {
                let back = format!("{verb}/{way}/{step}/{moment}");
                if world.points.lines().any(|line| line == back) {
                    sum.tries(world, deed, &[(point, first), (&back, "kill")])?;
                }
            }
        }
    }
    Ok(())
}

impl Extent<'_> {
    fn tries(&self, driver: &str, deed: &Deed) -> bool {
        let wanted = self.wanted.is_empty() || self.wanted.iter().any(|part| deed.name.contains(part.as_str()));
        wanted && (self.whole || deed.stores || driver == DRIVERS[0])
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
