//! The rows: which command is timed, between which others. Depends on `stopwatch` and `engine`. Called
//! by `main`.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use lxhost_tests::cache::Cache;
use lxhost_tests::host::Host;

use crate::engine::Engine;
use crate::networks;
use crate::stopwatch::{ARGUMENT, Course};

/// Figures of one engine by row; seconds or bytes.
pub(crate) struct Figures {
    pub(crate) version: String,
    pub(crate) rows: BTreeMap<String, Vec<f64>>,
}

/// A timed row; words are separated by spaces, and `@` stands for the engine's command.
pub(crate) struct Row<'a> {
    pub(crate) name: &'static str,
    pub(crate) before: &'a [&'a str],
    pub(crate) timed: &'static str,
    pub(crate) after: &'static [&'static str],
    pub(crate) from_ready: bool,
    pub(crate) until_ready: bool,
}

impl Row<'_> {
    /// No command at all.
    pub(crate) const NOTHING: Row<'static> =
        Row { name: "", before: &[], timed: "", after: &[], from_ready: false, until_ready: false };
}

/// In this order: each leaves the host as the next one wants it, with c1 stopped from the second on.
const ROWS: &[Row<'static>] = &[
    Row { name: "launch", timed: "@ launch debian c1", after: &["@ delete --force c1"], ..Row::NOTHING },
    Row {
        name: "delete --force",
        before: &["@ launch debian c1"],
        timed: "@ delete --force c1",
        from_ready: true,
        ..Row::NOTHING
    },
    Row { name: "start until running", timed: "@ start c1", after: &["@ stop --force c1"], ..Row::NOTHING },
    Row { name: "start until ready", timed: "@ start c1", after: &["@ stop --force c1"], until_ready: true, ..Row::NOTHING },
    Row { name: "stop --force", before: &["@ start c1"], timed: "@ stop --force c1", from_ready: true, ..Row::NOTHING },
    Row { name: "stop", before: &["@ start c1"], timed: "@ stop c1", from_ready: true, ..Row::NOTHING },
    SNAPSHOT,
    Row {
        name: "snapshot restore",
        before: &[SNAPSHOT.timed],
        timed: "@ snapshot restore c1 s",
        after: SNAPSHOT.after,
        ..Row::NOTHING
    },
    Row { name: "copy", timed: "@ copy c1 c9", after: &["@ delete c9"], ..Row::NOTHING },
    Row { name: "export", timed: "@ export c1 /tmp/backup", after: &["rm /tmp/backup"], ..Row::NOTHING },
    Row {
        name: "import",
        before: &["@ export c1 /tmp/backup"],
        timed: "@ import /tmp/backup c9",
        after: &["@ delete c9", "rm /tmp/backup"],
        ..Row::NOTHING
    },
];

const SNAPSHOT: Row =
    Row { name: "snapshot create", timed: "@ snapshot create c1 s", after: &["@ snapshot delete c1 s"], ..Row::NOTHING };

/// Rows that are timed while c1, c2 and c3 run.
const WITH_THREE: &[Row<'static>] = &[
    Row { name: "exec true", timed: "@ exec c1 -- true", ..Row::NOTHING },
    Row { name: "list, 3 instances", timed: "@ list", ..Row::NOTHING },
    Row { name: "snapshot create, running", ..SNAPSHOT },
];

/// Measures the rows of networks alone, in a host of its own.
pub(crate) fn of_networks(cache: &Cache, engine: &Engine, rounds: u32) -> Result<BTreeMap<String, Vec<f64>>> {
    eprintln!("{}: preparing a host for networks", engine.name);
    let host = engine.boot(cache)?;
    fs::copy(std::env::current_exe()?, host.share().join("bench"))?;
    for name in ["c1", "c2", "c3"] {
        host.succeed([engine.command, "launch", "debian", name])?;
    }
    let mut rows = BTreeMap::new();
    networks::measure(&host, engine, rounds, &mut rows)?;
    Ok(rows)
}

/// Measures every row for one engine, in a host of its own.
pub(crate) fn measure(cache: &Cache, engine: &Engine, rounds: u32) -> Result<Figures> {
    eprintln!("{}: preparing a host", engine.name);
    let host = engine.boot(cache)?;
    fs::copy(std::env::current_exe()?, host.share().join("bench"))?;
    let at = |command: &str| host.succeed(words(engine, command));
    let mut rows = BTreeMap::new();
    // The first launch also makes what is made once: it is not a row.
    at("@ launch debian c0")?;
    at("@ delete --force c0")?;
    for (number, row) in ROWS.iter().enumerate() {
        if number == 2 {
            at("@ init debian c1")?;
        }
        rows.insert(row.name.to_owned(), run(&host, engine, row, rounds)?);
    }
    at("@ start c1")?;
    at("@ launch debian c2")?;
    at("@ launch debian c3")?;
    for row in WITH_THREE {
        rows.insert(row.name.to_owned(), run(&host, engine, row, rounds * 3)?);
    }
    for (name, memory) in
        [("daemon RSS, 3 instances", resident(&host, engine.daemon)?), ("monitor RSS", resident(&host, engine.monitor)?)]
    {
        rows.insert(name.to_owned(), memory);
    }
    // What was measured before one row failed is measured all the same.
    if let Err(error) = networks::measure(&host, engine, rounds, &mut rows) {
        eprintln!("{}: {error:#}", engine.name);
    }
    Ok(Figures { version: engine.version(&host)?, rows })
}

fn words(engine: &Engine, command: &str) -> Vec<String> {
    command.split(' ').map(|word| if word == "@" { engine.command.to_owned() } else { word.to_owned() }).collect()
}

/// Times a row in a host that has this program in its share.
pub(crate) fn run(host: &Host, engine: &Engine, row: &Row<'_>, rounds: u32) -> Result<Vec<f64>> {
    let all = |commands: &[&str]| commands.iter().map(|command| words(engine, command)).collect();
    let course = Course {
        rounds,
        before: all(row.before),
        timed: words(engine, row.timed),
        after: all(row.after),
        until_ready: row.until_ready,
        from_ready: row.from_ready,
    };
    let name = if row.name.is_empty() { row.timed } else { row.name };
    let seconds = walk(host, &course).with_context(|| format!("{}: {name}", engine.name))?;
    eprintln!("{}: {name}: {:.4} s", engine.name, median(&seconds));
    Ok(seconds)
}

/// Times one command alone.
pub(crate) fn time(host: &Host, timed: Vec<String>, rounds: u32) -> Result<Vec<f64>> {
    let (before, after) = (Vec::new(), Vec::new());
    walk(host, &Course { rounds, before, timed, after, until_ready: false, from_ready: false })
}

fn walk(host: &Host, course: &Course) -> Result<Vec<f64>> {
    let said =
        host.command(["/lab/bench", ARGUMENT, &serde_json::to_string(course)?]).timeout(Duration::from_secs(1200)).succeed()?;
    serde_json::from_str(said.trim()).with_context(|| format!("the stopwatch said {said:?}"))
}

/// Resident bytes of each process of the host whose name or command line begins with `what`.
fn resident(host: &Host, what: &str) -> Result<Vec<f64>> {
    let said = host.succeed(["ps", "-e", "--no-headers", "-o", "rss=,args="])?;
    let memory: Vec<f64> = said
        .lines()
        .filter_map(|line| line.trim().split_once(' '))
        .filter(|(_, args)| {
            args.trim().starts_with(what) || args.split(' ').next().is_some_and(|path| path.ends_with(&format!("/{what}")))
        })
        .filter_map(|(kilobytes, _)| kilobytes.parse::<f64>().ok().map(|kilobytes| kilobytes * 1024.0))
        .collect();
    if memory.is_empty() { anyhow::bail!("no process is {what}") } else { Ok(memory) }
}

/// The middle of some figures.
pub(crate) fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => sorted[count / 2],
        count => f64::midpoint(sorted[count / 2 - 1], sorted[count / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn the_median_is_the_middle_or_the_mean_of_two() {
        assert!((median(&[3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!((median(&[4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < f64::EPSILON);
    }
}
