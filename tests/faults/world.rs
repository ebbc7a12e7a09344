//! A host whose daemon has failpoints, with a pool of one driver and nothing else, and what it looks like
//! then. Depends on the library. Called by the matrix and by the power cuts.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use lxhost_tests::cache::Cache;
use lxhost_tests::host::{Kind, State};
use lxhost_tests::image::hostile::Archive;
use lxhost_tests::runner::{Base, Stage};
use lxhost_tests::unchanged::Picture;

use crate::deeds::{Deed, WORDS};
use crate::matrix::EMULATED;

const CASE: &str = include_str!("case.sh");
/// The daemon that `make faults` has built.
const DAEMON: &str = "target/faults/lxhostd";
/// A daemon that dies is back at once, however often.
const BACK: &str = "[Unit]\nStartLimitIntervalSec=0\n[Service]\nRestartSec=20ms\n";

/// A host to try deeds in.
pub(crate) struct World {
    pub(crate) stage: Stage,
    pub(crate) driver: &'static str,
    pool: &'static str,
    /// Every point there is, a line for each.
    pub(crate) points: &'static str,
    /// What there is when nothing of a deed is there.
    empty: Picture,
}

impl World {
    /// Boots one whose default pool has `driver`.
    pub(crate) fn boot(cache: &Cache, driver: &'static str) -> Result<Self> {
        let points = points()?;
        let kind = if EMULATED.contains(&driver) { Kind::Full } else { Kind::Native };
        let stage = Stage::boot(cache, kind, Base::Packaged)?;
        let stage = if driver == "btrfs" { stage.sibling(State::Btrfs)? } else { stage };
        let refused = stage.host.command(["/usr/libexec/lxhost/lxhostd", "--faults"]).fail()?;
        ensure!(refused.code == Some(2), "the package's daemon has failpoints: {}", refused.describe());
        let daemon = std::fs::read(DAEMON).context("reading target/faults/lxhostd; make faults builds it")?;
        stage.host.put("/usr/libexec/lxhost/lxhostd", 0o755, daemon)?;
        stage.host.put("/etc/systemd/system/lxhostd.service.d/back.conf", 0o644, BACK)?;
        stage.host.succeed(["sh", "-ec", "systemctl daemon-reload; systemctl restart lxhostd.service"])?;
        stage.with_loops()?;
        let fresh = Archive::image().file("rootfs/etc/fresh", b"fresh\n").whole();
        std::fs::write(stage.host.share().join("fresh.tar"), fresh)?;
        stage.with_busybox()?;
        let pool = if matches!(driver, "overlay" | "btrfs") { "default" } else { "plain" };
        match driver {
            "dir" => drop(stage.lxctl("storage create plain dir").succeed()?),
            "lvm" => drop(stage.lxctl("storage create plain lvm size=4GiB").succeed()?),
            _ => {}
        }
        // Everything that a first launch makes, the image's tree, and where the first volume lies.
        stage.lxctl(&format!("launch busybox f1 -s {pool}")).succeed()?;
        stage.delete("f1")?;
        stage.lxctl(&format!("storage volume create {pool} fvol")).succeed()?;
        stage.lxctl(&format!("storage volume delete {pool} fvol")).succeed()?;
        let there = stage.lxctl("storage list --format csv").succeed()?;
        ensure!(there.contains(driver), "there is no pool of driver {driver}: {there}");
        let mut empty = Picture::take(&stage.host)?.without(SINCE);
        // A bridge without guests takes a moment to lose its carrier.
        while let Err(_moving) = empty.same_but(&stage.host, SINCE) {
            empty = Picture::take(&stage.host)?.without(SINCE);
        }
        Ok(Self { stage, driver, pool, points, empty })
    }

    /// The points that a deed passes without a fault, each once, and what is wrong all the same.
    pub(crate) fn road(&self, deed: &Deed) -> Result<(Vec<String>, Vec<String>)> {
        let said = self.case(deed, &[("RECORD", "yes")])?;
        let (mut points, mut wrong): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
        for line in said.lines() {
            let list = if line.starts_with("wrong: ") || !wrong.is_empty() { &mut wrong } else { &mut points };
            if !list.iter().any(|known| known == line) {
                list.push(line.to_owned());
            }
        }
        if points.is_empty() && wrong.is_empty() {
            wrong.push(format!("wrong: {} passes no point", deed.name));
        }
        Ok((points, wrong))
    }

    /// Tries a deed with these faults armed; what is wrong after.
    pub(crate) fn fault(&self, deed: &Deed, armed: &[(&str, &str)]) -> Result<Vec<String>> {
        let armed: String = armed.iter().map(|(point, kind)| format!("{point}={kind}\n")).collect();
        Ok(self.case(deed, &[("ARMED", &armed)])?.lines().map(str::to_owned).collect())
    }

    /// Tries a deed while `calls` of the daemon meet with `fault`, as strace(1) writes both; what is wrong
    /// after. `None`: no call did.
    pub(crate) fn inject(&self, deed: &Deed, calls: &str, fault: &str) -> Result<Option<Vec<String>>> {
        let said = self.case(deed, &[("CALLS", calls), ("INJECT", fault)])?;
        let touched = !said.lines().any(|line| line == "untouched");
        Ok(touched.then(|| said.lines().map(str::to_owned).collect()))
    }

    /// What the deeds so far have left behind them, blamed once.
    pub(crate) fn left(&mut self) -> Result<Vec<String>> {
        let Err(error) = self.empty.same_but(&self.stage.host, SINCE) else { return Ok(vec![]) };
        self.empty = Picture::take(&self.stage.host)?.without(SINCE);
        Ok(vec![format!("{error:#}")])
    }

    fn case(&self, deed: &Deed, how: &[(&'static str, &str)]) -> Result<String> {
        let on_pool = |text: &str| text.replace("POOL", self.pool);
        let mut words = BTreeMap::from([
            ("BEFORE", on_pool(deed.before)),
            ("ACT", on_pool(deed.act)),
            ("DONE", on_pool(deed.done)),
            ("AGAIN", on_pool(deed.again.unwrap_or(deed.act))),
            ("TIDY", deed.tidy()),
        ]);
        words.insert("PATIENCE", self.stage.host.patience(Duration::from_secs(1)).as_secs().to_string());
        words.extend(["ARMED", "RECORD", "CALLS", "INJECT"].map(|name| (name, String::new())));
        words.extend(how.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let script = format!("{WORDS}{CASE}");
        let command = self.stage.host.command(["sh", "-s"]).stdin(script).timeout(Duration::from_secs(90));
        let command = words.iter().fold(command, |command, (name, value)| command.env(name, value));
        command.succeed().with_context(|| format!("{} with {how:?}", deed.name))
    }
}

/// Every point, a line for each: found by leading many lives in the simulation, which takes a minute, so once for all hosts.
fn points() -> Result<&'static str> {
    static POINTS: OnceLock<Result<String, String>> = OnceLock::new();
    let found = POINTS.get_or_init(|| {
        let said = Command::new(DAEMON).arg("--faults").output().map_err(|e| format!("{DAEMON}: {e}; make faults builds it"))?;
        match said.status.success() {
            true => String::from_utf8(said.stdout).map_err(|e| e.to_string()),
            false => Err(String::from_utf8_lossy(&said.stderr).into_owned()),
        }
    });
    found.as_deref().map_err(|error| anyhow!("asking for the points: {error}"))
}

/// First words of lines that another daemon changes.
const SINCE: &[&str] = &["MainPID"];
