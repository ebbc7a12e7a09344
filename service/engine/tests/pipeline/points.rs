//! The crash matrix in memory: every deed, every failpoint it passes, every fault there; then every point of
//! its undoing and of the next daemon's recovery, with a death there too.

use crate::crash::is_recovered;
use crate::deeds::{Deed, all};
use crate::failure::is_undone_or_done_again;
use crate::world::{Machine, World};
use lxhost_engine::{Kind, Result};
use lxhost_model::Error;
use std::collections::BTreeSet;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use tokio::sync::Notify;

/// What can go wrong at a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Death,
    Error,
    NoSpace,
    BadDisk,
    Delay,
}

const ERRORS: [Fault; 4] = [Fault::Error, Fault::NoSpace, Fault::BadDisk, Fault::Delay];

/// The points of a daemon: those passed, and what is going to happen at some of them, once each.
#[derive(Clone, Default)]
struct Points {
    passed: Arc<Mutex<Vec<String>>>,
    coming: Arc<Mutex<Vec<(String, Fault)>>>,
    dead: Arc<AtomicBool>,
    died: Arc<Notify>,
}

impl Points {
    fn with(coming: &[(&str, Fault)]) -> Points {
        let coming = coming.iter().map(|(point, fault)| ((*point).to_owned(), *fault)).collect();
        Points { coming: Arc::new(Mutex::new(coming)), ..Points::default() }
    }

    fn watch(&self, world: &World) {
        let points = self.clone();
        world.engine.on_points(Box::new(move |point| points.pass(point)));
    }

    fn pass(&self, point: &str) -> Result<Option<Duration>> {
        self.passed.lock().unwrap().push(point.to_owned());
        let mut coming = self.coming.lock().unwrap();
        let Some(at) = coming.iter().position(|(name, _)| name == point) else { return Ok(None) };
        let (_, fault) = coming.remove(at);
        drop(coming);
        match fault {
            Fault::Delay => Ok(Some(Duration::from_millis(5))),
            Fault::Error => Err(Error::failed("bad luck")),
            Fault::NoSpace => Err(Error::new(Kind::NoSpace, "bad luck: no space")),
            Fault::BadDisk => Err(Error::io("bad luck", &std::io::Error::from_raw_os_error(5))),
            Fault::Death => {
                self.dead.store(true, Ordering::Relaxed);
                self.died.notify_one();
                std::panic::resume_unwind(Box::new("the daemon has died"))
            }
        }
    }

    /// Names passed, each once, in order.
    fn passed(&self) -> Vec<String> {
        let mut names: Vec<String> = vec![];
        for point in self.passed.lock().unwrap().iter() {
            if !names.contains(point) {
                names.push(point.clone());
            }
        }
        names
    }
}

/// Cases so far, and what was wrong in some of them.
#[derive(Default)]
struct Tally {
    cases: usize,
    wrong: Vec<String>,
}

impl Tally {
    fn case(&mut self, case: impl FnOnce() -> Vec<String>) -> Vec<String> {
        self.cases += 1;
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(case)).unwrap_or_else(|panic| {
            self.wrong.push(panic.downcast_ref::<String>().cloned().unwrap_or_default());
            vec![]
        })
    }

    fn and(mut self, other: Tally) -> Tally {
        self.cases += other.cases;
        self.wrong.extend(other.wrong);
        self
    }
}

/// Cases of every kind.
#[derive(Default)]
struct Tallies {
    errors: Tally,
    deaths: Tally,
    /// Deaths after a fault.
    twice: Tally,
}

impl Tallies {
    /// A deed with every fault at every point it passes.
    fn tries(&mut self, deed: &Deed) {
        for point in road(deed) {
            for fault in ERRORS {
                let passed = self.errors.case(|| err(deed, &point, fault));
                for undo in passed.iter().filter(|name| fault == Fault::Error && name.contains("/undo")) {
                    self.twice.case(|| die(deed, &[(&point, Fault::Error), (undo, Fault::Death)], None));
                }
            }
            let mended = self.deaths.case(|| die(deed, &[(&point, Fault::Death)], None));
            for recovery in mended.iter().filter(|name| name.contains("/recover")) {
                self.twice.case(|| die(deed, &[(&point, Fault::Death)], Some(recovery)));
            }
        }
    }

    fn and(self, other: Tallies) -> Tallies {
        let Tallies { errors, deaths, twice } = other;
        Tallies { errors: self.errors.and(errors), deaths: self.deaths.and(deaths), twice: self.twice.and(twice) }
    }
}

/// What is passed when nothing goes wrong.
fn road(deed: &Deed) -> Vec<String> {
    Machine::new().daemon(async |world| {
        (deed.before)(world.clone()).await;
        world.rest().await;
        let points = Points::default();
        points.watch(&world);
        (deed.act)(world.clone()).await.unwrap();
        world.rest().await;
        points.passed()
    })
}

/// An error at a point; returns what was passed on the way.
fn err(deed: &Deed, point: &str, fault: Fault) -> Vec<String> {
    Machine::new().daemon(async |world| {
        (deed.before)(world.clone()).await;
        world.rest().await;
        let before = world.seen();
        let points = Points::with(&[(point, fault)]);
        points.watch(&world);
        let result = (deed.act)(world.clone()).await;
        world.rest().await;
        let when = format!("{} with {fault:?} at {point}: {result:?}", deed.name);
        is_undone_or_done_again(&world, deed, &before, result, &when).await;
        points.passed()
    })
}

/// Deaths, one daemon after the other; returns what the last daemon passed when it came to life.
fn die(deed: &Deed, first: &[(&str, Fault)], second: Option<&str>) -> Vec<String> {
    let when = format!("{} with {first:?}, then {second:?}", deed.name);
    let machine = Machine::new();
    let acknowledged = machine.daemon(async |world| {
        (deed.before)(world.clone()).await;
        world.rest().await;
        let points = Points::with(first);
        points.watch(&world);
        let mut act = tokio::spawn((deed.act)(world.clone()));
        tokio::select! {
            biased;
            () = points.died.notified() => act.is_finished() && act.await.is_ok_and(|done| done.is_ok()),
            done = &mut act => {
                let done = done.is_ok_and(|done| done.is_ok());
                // What follows a deed, such as the definition beside the disk, may be where it dies.
                tokio::select! { () = points.died.notified() => {} () = world.rest() => {} }
                done
            }
        }
    });
    if let Some(point) = second {
        machine.start_that_dies(|world| Points::with(&[(point, Fault::Death)]).watch(world));
    }
    let points = Points::default();
    machine.daemon_watched(|world| points.watch(world), async |world| is_recovered(&world, deed, acknowledged, &when).await);
    points.passed()
}

#[test]
fn whatever_goes_wrong_wherever_is_undone_done_again_or_mended() {
    let deeds = Mutex::new(all());
    let work = || {
        let mut tallies = Tallies::default();
        // One pops at a time; what panics under a deed is caught there.
        while let Some(deed) = { deeds.lock().unwrap().pop() } {
            tallies.tries(&deed);
        }
        tallies
    };
    let Tallies { errors, deaths, twice } = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..std::thread::available_parallelism().map_or(1, usize::from)).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).fold(Tallies::default(), Tallies::and)
    });
    let sum = errors.cases + deaths.cases + twice.cases;
    // Not captured: whoever runs it sees how much it was.
    let mut out = std::io::stdout();
    let (errors_, deaths_, twice_) = (errors.cases, deaths.cases, twice.cases);
    writeln!(out, "crash matrix in memory: {sum} cases ({errors_} errors, {deaths_} deaths, {twice_} deaths after a fault)")
        .unwrap();
    let wrong = [errors.wrong, deaths.wrong, twice.wrong].concat();
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
    assert!(sum > 1000, "there are {sum} cases only");
}

/// What a daemon lists, found once.
fn listed() -> &'static BTreeSet<String> {
    static LISTED: OnceLock<BTreeSet<String>> = OnceLock::new();
    LISTED.get_or_init(|| lxhost_sim::points::all().unwrap())
}

#[test]
fn every_verb_of_the_sources_is_listed() {
    let listed = listed();
    let mut places = vec![std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut verbs = 0;
    while let Some(place) = places.pop() {
        if place.is_dir() {
            places.extend(std::fs::read_dir(place).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let text = std::fs::read_to_string(&place).unwrap();
        for part in text.split("fn name(&self) -> &'static str {\n        \"").skip(1) {
            let name = part.split('"').next().unwrap_or_default();
            assert!(listed.iter().any(|point| point.starts_with(&format!("{name}/"))), "{name} is not listed");
            verbs += 1;
        }
    }
    assert!(verbs > 20, "{verbs} verbs were found");
}

#[test]
fn every_point_that_is_passed_is_listed() {
    let listed = listed();
    for deed in all() {
        for point in road(&deed) {
            assert!(listed.contains(&point), "{}: {point} is not listed", deed.name);
        }
    }
}
