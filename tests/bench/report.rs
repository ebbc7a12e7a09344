//! The report: medians of both engines beside the budget, as a table and as JSON. Depends on nothing but
//! serde_json. Called by `main`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::growth::Series;
use crate::plot;
use crate::rows::{Figures, median};

/// Rows in the order of the table, with the budget in seconds or bytes, where the design has one.
const BUDGETS: &[(&str, Option<f64>)] = &[
    ("launch", Some(0.06)),
    ("start until running", Some(0.04)),
    ("start until ready", Some(0.55)),
    ("stop --force", Some(0.12)),
    ("stop", Some(0.50)),
    ("exec true", Some(0.008)),
    ("list, 3 instances", Some(0.006)),
    ("delete --force", Some(0.15)),
    ("snapshot create", Some(0.06)),
    ("snapshot create, running", Some(0.06)),
    ("snapshot restore", None),
    ("copy", Some(0.10)),
    ("export", Some(1.0)),
    ("import", None),
    ("btrfs: launch", Some(0.06)),
    ("btrfs: snapshot create", Some(0.02)),
    ("btrfs: snapshot restore", None),
    ("btrfs: copy", Some(0.03)),
    ("btrfs: delete", None),
    ("btrfs: export", Some(1.0)),
    ("btrfs: 100 snapshots", None),
    ("xfs: launch", None),
    ("xfs: snapshot create", None),
    ("xfs: snapshot restore", None),
    ("xfs: copy", None),
    ("xfs: delete", None),
    ("xfs: export", Some(1.0)),
    ("xfs: 100 snapshots", None),
    ("daemon RSS, 3 instances", Some(12e6)),
    ("monitor RSS", Some(0.6e6)),
    ("NIC plugged", None),
    ("NIC unplugged", None),
    ("50 networks created", None),
    ("50 networks deleted", None),
    ("100 networks created", None),
    ("100 networks deleted", None),
    ("guest to host, bytes/s", None),
    ("guest to guest, bytes/s", None),
];

/// What is known so far, as it is written.
pub(crate) struct Report {
    value: Value,
}

impl Report {
    /// The report in `directory`, with the figures it has, or an empty one.
    pub(crate) fn open(directory: &Path, rounds: u32) -> Result<Self> {
        let path = directory.join("bench.json");
        let mut value: Value = match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).with_context(|| format!("reading {}", path.display()))?,
            Err(_) => json!({}),
        };
        value["rounds"] = json!(rounds);
        value["machine"] = machine();
        Ok(Self { value })
    }

    /// Takes in the figures of an engine, instead of older ones of the same rows.
    pub(crate) fn add(&mut self, engine: &str, figures: Figures) {
        self.value[engine]["version"] = json!(figures.version);
        self.more(engine, figures.rows);
    }

    /// Takes in more rows of an engine.
    pub(crate) fn more(&mut self, engine: &str, rows: BTreeMap<String, Vec<f64>>) {
        for (name, all) in rows {
            self.value[engine]["rows"][name] = json!({ "median": median(&all), "all": all });
        }
    }

    /// Takes in series that grow, instead of older ones of the same name.
    pub(crate) fn grow(&mut self, series: Series) {
        for (name, points) in series {
            self.value["growth"][name] = json!(points);
        }
    }

    /// Writes bench.json, bench.txt and bench.svg.
    pub(crate) fn write(&self, directory: &Path) -> Result<()> {
        fs::create_dir_all(directory)?;
        fs::write(directory.join("bench.json"), serde_json::to_string_pretty(&self.value)? + "\n")?;
        let text = self.text()?;
        fs::write(directory.join("bench.txt"), &text)?;
        let rows: Vec<&str> = BUDGETS.iter().map(|(row, _)| *row).filter(|row| !is_rate(row)).collect();
        fs::write(directory.join("bench.svg"), plot::draw(&self.value, &rows))?;
        print!("{text}");
        Ok(())
    }

    fn text(&self) -> Result<String> {
        let mut text = String::new();
        let version = |engine: &str| self.value[engine]["version"].as_str().unwrap_or("not measured").to_owned();
        let machine = &self.value["machine"];
        writeln!(
            text,
            "lxhost {} beside Incus {}, medians of {} rounds or more, in two hosts of one recipe on one machine\n\
             ({} CPUs, Linux {}), the same Debian 13 image, ext4. Whole commands, timed inside the host.\n",
            version("lxhost"),
            version("incus"),
            self.value["rounds"],
            machine["cpus"],
            machine["kernel"].as_str().unwrap_or_default()
        )?;
        writeln!(text, "{:<26}{:>12}{:>12}{:>12}{:>9}  ", "", "incus", "lxhost", "budget", "ratio")?;
        for (row, budget) in BUDGETS {
            let figure = |engine: &str| self.value[engine]["rows"][*row]["median"].as_f64();
            let (incus, lxhost) = (figure("incus"), figure("lxhost"));
            let ratio = incus.zip(lxhost).map_or("-".to_owned(), |(incus, lxhost)| {
                format!("{:.1}x", if is_rate(row) { lxhost / incus } else { incus / lxhost })
            });
            let verdict = lxhost.zip(*budget).map_or("", |(lxhost, budget)| if lxhost <= budget { "within" } else { "OVER" });
            let line = format!(
                "{row:<26}{:>12}{:>12}{:>12}{ratio:>9}  {verdict}",
                shown(row, incus),
                shown(row, lxhost),
                shown(row, *budget)
            );
            writeln!(text, "{}", line.trim_end())?;
        }
        self.beside(&mut text)?;
        Ok(text)
    }

    /// The limits and the series.
    fn beside(&self, text: &mut String) -> Result<()> {
        if let Some(limits) = self.value["limits"]["rows"].as_object() {
            writeln!(text, "\nlimits, crun {}", self.value["limits"]["version"].as_str().unwrap_or_default())?;
            for (row, figures) in limits {
                writeln!(text, "{row:<26}{:>12}", shown(row, figures["median"].as_f64()))?;
            }
        }
        for (name, points) in self.value["growth"].as_object().into_iter().flatten() {
            writeln!(text, "\n{name}")?;
            for point in points.as_array().into_iter().flatten() {
                writeln!(text, "{:>26}{:>12}", point[0].as_f64().unwrap_or_default(), shown(name, point[1].as_f64()))?;
            }
        }
        Ok(())
    }
}

/// More is better.
fn is_rate(row: &str) -> bool {
    row.ends_with("/s")
}

fn shown(row: &str, figure: Option<f64>) -> String {
    match figure {
        None => "-".to_owned(),
        Some(bytes) if is_rate(row) => format!("{:.2} GB/s", bytes / 1e9),
        Some(bytes) if row.contains("RSS") => format!("{:.2} MB", bytes / 1e6),
        Some(seconds) => format!("{:.1} ms", seconds * 1e3),
    }
}

fn machine() -> Value {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let model = read("/proc/cpuinfo")
        .lines()
        .find_map(|line| line.strip_prefix("model name").map(|rest| rest.trim_start_matches([':', '\t', ' ']).to_owned()));
    json!({
        "cpus": std::thread::available_parallelism().map_or(0, usize::from),
        "model": model,
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "load": read("/proc/loadavg").split(' ').next(),
    })
}
