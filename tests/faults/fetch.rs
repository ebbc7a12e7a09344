//! What the product fetches comes over HTTP by apt, in the sandbox of mmdebstrap: each lie of the server is an
//! error in good time, or can be cancelled where patience is the right thing, and nothing is left of it.
//! Depends on `liar`. Called by `main`.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lxhost_tests::cache::Cache;
use lxhost_tests::host::Kind;
use lxhost_tests::runner::{Base, Stage};
use lxhost_tests::unchanged::Picture;

use crate::liar::LIES;
use crate::matrix::Sum;

const PORT: &str = "8099";
/// Lies that are believed for as long as anybody waits.
const PATIENT: &[&str] = &["stall", "stall-in-the-middle", "redirect"];
/// How long the others may be believed.
const BELIEF: Duration = Duration::from_secs(60);

/// Has `debian:13` fetched from a server that lies, in every way.
pub(crate) fn run(cache: &Cache) -> Result<Sum> {
    let stage = Stage::boot(cache, Kind::Native, Base::Packaged)?;
    std::fs::copy(std::env::current_exe()?, stage.host.share().join("liar")).context("copying this program")?;
    let sources = format!("deb [trusted=yes] http://127.0.0.1:{PORT}/debian trixie main\n");
    stage.host.succeed([
        "sh",
        "-ec",
        "rm -f /etc/apt/sources.list /etc/apt/sources.list.d/* /etc/apt/apt.conf.d/*proxy*; ip link set lo up",
    ])?;
    stage.host.put("/etc/apt/sources.list", 0o644, sources)?;
    // Everything that a first launch makes is there before.
    stage.with_busybox()?;
    stage.lxctl("launch busybox f1").succeed()?;
    stage.delete("f1")?;
    let mut sum = Sum::default();
    for how in LIES {
        sum.cases += 1;
        let start = Instant::now();
        if let Err(error) = believe(&stage, how) {
            let text = format!("fetching from a server that lies: {how}: {error:#}");
            println!("{text}");
            sum.wrong.push(text);
        }
        println!("fetch: {how} ({:.1} s)", start.elapsed().as_secs_f64());
    }
    Ok(sum)
}

fn believe(stage: &Stage, how: &str) -> Result<()> {
    let host = &stage.host;
    let server = host.command(["/lab/liar", "--lie", PORT, how]).timeout(Duration::from_secs(300)).spawn()?;
    server.until("lying")?;
    let before = Picture::take(host)?;
    if PATIENT.contains(&how) {
        // apt is patient with slow mirrors and long ways; whoever does not want to wait says so.
        let launch = host.command(["lxctl", "launch", "debian:13", "f1"]).timeout(Duration::from_secs(100)).spawn()?;
        let job = stage.eventually("a job that waits", || {
            let jobs = stage.lxctl("operation list --format json").succeed()?;
            let jobs: Vec<serde_json::Value> = serde_json::from_str(&jobs)?;
            Ok(jobs
                .iter()
                .find(|job| job["verb"] == "instance.create" && job["status"] == "running")
                .and_then(|job| job["id"].as_u64()))
        })?;
        stage.eventually("mmdebstrap at work", || {
            Ok((host.command(["pgrep", "-f", "methods/http"]).output()?.code == Some(0)).then_some(()))
        })?;
        stage.lxctl(&format!("operation delete {job}")).succeed()?;
        let output = launch.wait()?;
        ensure!(output.code != Some(0), "it was cancelled and {}", output.describe());
    } else {
        let output = host.command(["lxctl", "launch", "debian:13", "f1"]).timeout(BELIEF).output()?;
        let said = output.stderr_text();
        ensure!(output.code == Some(1) && said.contains("debian:13"), "it {}", output.describe());
        ensure!(!said.contains("panicked") && !said.contains("root:"), "it said {said}");
    }
    before.same(host)?;
    drop(server);
    stage.eventually("the end of the server", || {
        Ok((host.command(["pgrep", "-x", "liar"]).output()?.code != Some(0)).then_some(()))
    })
}
