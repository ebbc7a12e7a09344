//! Load with real containers: what many verbs, many commands, many containers and somebody who floods the bus leave
//! behind, which is nothing, and how long each takes, which is printed. `LXHOST_LOAD=1000` asks for the whole of it;
//! without, a tenth, which is enough to see a leak of one in ten.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use lxhost_tests::runner::{Base, Stage, Suite};
use lxhost_tests::{limits, suite};
use serde_json::Value;

pub(crate) const SUITE: Suite = suite!(
    "load",
    Base::Packaged,
    [
        many_verbs_leave_nothing_behind needs [Speed],
        a_thousand_commands_in_a_row_leave_no_descriptor needs [Speed],
        an_ordinary_users_flood_does_not_keep_root_from_being_served needs [Speed],
        hundreds_of_containers_run_side_by_side needs [Speed],
    ]
);

/// Longest any script here may run.
const PATIENCE: Duration = Duration::from_secs(850);
/// Verbs of one round of `many_verbs_leave_nothing_behind`.
const ROUND: usize = 7;

/// How much there is of everything.
fn load() -> usize {
    std::env::var("LXHOST_LOAD").ok().and_then(|number| number.parse().ok()).unwrap_or(100)
}

/// Runs a script in the host, with `$1` and on from `arguments`.
fn script(stage: &Stage, text: &str, arguments: &[&str]) -> Result<String> {
    let argv = ["sh", "-eu", "-c", text, "script"].into_iter().chain(arguments.iter().copied());
    stage.host.command(argv).timeout(PATIENCE).succeed()
}

/// What lxhost holds of the host, by name: everything but memory has to come back to what it was.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Held {
    counts: Vec<(String, u64)>,
    kilobytes: u64,
}

impl Held {
    fn now(stage: &Stage) -> Result<Held> {
        const LOOK: &str = r"
            pid=$(systemctl show -P MainPID lxhostd.service)
            echo daemon-descriptors $(ls /proc/$pid/fd | wc -l)
            echo daemon-threads $(ls /proc/$pid/task | wc -l)
            echo monitors $(pgrep -c -x lxhost-runtime || true)
            echo monitor-descriptors $(for m in $(pgrep -x lxhost-runtime); do ls /proc/$m/fd; done 2>/dev/null | wc -l)
            set -- /proc/[0-9]*/cwd # Without a process more, which another count might miss.
            echo processes $#
            echo mounts $(wc -l </proc/self/mountinfo)
            echo daemon-mounts $(wc -l </proc/$pid/mountinfo)
            echo rules $(nft list ruleset | wc -l)
            echo cgroups $(find /sys/fs/cgroup -depth -type d -path '*lxhost-*' 2>/dev/null | wc -l)
            echo units $(systemctl list-units --all --plain --no-legend 'lxhost*' | wc -l)
            echo links $(ip -o link | wc -l)
            echo pools $(find /var/lib/lxhost/pools -mindepth 2 -maxdepth 3 | wc -l)
            echo runtime $(find /run/lxhost -mindepth 1 | wc -l)
            echo kilobytes $(awk '/^VmRSS/{print $2}' /proc/$pid/status)";
        let said = script(stage, LOOK, &[])?;
        let row = |line: &str| -> Result<(String, u64)> {
            let (name, number) = line.split_once(' ').with_context(|| format!("{line:?} is no count"))?;
            Ok((name.to_owned(), number.trim().parse().with_context(|| format!("{line:?} is no count"))?))
        };
        let mut counts: Vec<(String, u64)> = said.lines().map(row).collect::<Result<_>>()?;
        let (_, kilobytes) = counts.pop().context("there are no counts")?;
        Ok(Held { counts, kilobytes })
    }

    /// Waits until nothing is more than it is here, and says what memory has become. It goes back a minute after the last
    /// job, when that is forgotten.
    fn comes_back(&self, stage: &Stage, what: &str) -> Result<()> {
        let deadline = Instant::now() + stage.host.patience(Duration::from_secs(90));
        loop {
            let now = Held::now(stage)?;
            let more: Vec<_> = self.counts.iter().zip(&now.counts).filter(|(before, after)| after.1 > before.1).collect();
            // What an allocator keeps of a burst; eight thousand bytes for each of a thousand would be more.
            let large = now.kilobytes >= self.kilobytes + 8192;
            if more.is_empty() && !large {
                println!("    {what}: the daemon had {} kB before, {} kB after", self.kilobytes, now.kilobytes);
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("{what}: there is more than before: {more:?}, {} kB became {}", self.kilobytes, now.kilobytes);
            }
            std::thread::sleep(Duration::from_millis(500));
        }
    }
}

fn many_verbs_leave_nothing_behind(stage: &Stage) -> Result<()> {
    stage.with_busybox()?;
    const ROUNDS: &str = r"
        for i in $(seq $1); do
            lxctl launch busybox $2$i >/dev/null
            lxctl exec $2$i -- true
            lxctl restart --force $2$i
            lxctl stop --force $2$i
            lxctl start $2$i
            lxctl delete --force $2$i
        done";
    script(stage, ROUNDS, &["5", "warm"])?;
    let before = Held::now(stage)?;
    let rounds = load().div_ceil(ROUND);
    let began = Instant::now();
    script(stage, ROUNDS, &[&rounds.to_string(), "v"])?;
    let took = began.elapsed();
    println!("    {} verbs in {took:.1?}: {:.0?} each", rounds * ROUND, took / (rounds * ROUND) as u32);
    before.comes_back(stage, "verbs")
}

fn a_thousand_commands_in_a_row_leave_no_descriptor(stage: &Stage) -> Result<()> {
    stage.with_busybox()?;
    stage.lxctl("launch busybox execs").succeed()?;
    const COMMANDS: &str = "for i in $(seq $1); do lxctl exec execs -- true; done";
    script(stage, COMMANDS, &["20"])?;
    let before = Held::now(stage)?;
    let began = Instant::now();
    script(stage, COMMANDS, &["1000"])?;
    println!("    1,000 commands in {:.1?}", began.elapsed());
    before.comes_back(stage, "commands")?;
    stage.delete("execs")
}

fn an_ordinary_users_flood_does_not_keep_root_from_being_served(stage: &Stage) -> Result<()> {
    stage.with_busybox()?;
    let program = std::fs::read(std::env::current_exe()?)?;
    stage.host.put("/usr/local/bin/flood", 0o755, program)?;
    stage.lxctl("launch busybox quiet").succeed()?;
    // The first question of an ordinary user starts it, and it stays.
    stage.host.succeed(["systemctl", "start", "polkit.service"])?;
    let before = Held::now(stage)?;
    let flood = ["/usr/local/bin/flood", "--flood", "unix:path=/run/dbus/system_bus_socket"];
    let floods = (0..2).map(|_| stage.host.command(flood).user("alice").timeout(PATIENCE).spawn()).collect::<Result<Vec<_>>>()?;
    let mut longest = Duration::ZERO;
    for round in 0..10 {
        for words in [format!("launch busybox f{round}"), "list".to_owned(), format!("delete --force f{round}")] {
            let began = Instant::now();
            stage.lxctl(&words).timeout(Duration::from_secs(60)).succeed().with_context(|| format!("lxctl {words}"))?;
            longest = longest.max(began.elapsed());
        }
    }
    println!("    beside the flood, the longest of 30 commands of root took {longest:.1?}");
    stage.host.succeed(["pgrep", "-x", "-u", "alice", "flood"]).context("the flood has ended by itself")?;
    stage.host.succeed(["pkill", "-KILL", "-x", "-u", "alice", "flood"])?;
    drop(floods);
    before.comes_back(stage, "flood")?;
    stage.delete("quiet")
}

fn hundreds_of_containers_run_side_by_side(stage: &Stage) -> Result<()> {
    let (mut there, all) = (0, load());
    limits::allow(Path::new("/proc/sys"), all)?;
    stage.with_busybox()?;
    stage.lxctl("launch busybox warm").succeed()?;
    stage.delete("warm")?;
    let before = Held::now(stage)?;
    for until in [10, 100, 1000].into_iter().filter(|until| *until <= all) {
        let began = Instant::now();
        const LAUNCH: &str = "for i in $(seq $1 $2); do lxctl launch busybox s$i >/dev/null; done";
        script(stage, LAUNCH, &[&(there + 1).to_string(), &until.to_string()])?;
        println!("    up to {until}: {:.0?} for each launch", began.elapsed() / (until - there) as u32);
        there = until;
        let began = Instant::now();
        let rows = stage.list()?;
        println!("    list of {until}: {:.0?}", began.elapsed());
        ensure!(rows.len() == until && rows.iter().all(|row| row["status"] == "running"), "{} rows of {until}", rows.len());
        let began = Instant::now();
        // With a thousand, dnsmasq takes a tenth of a second for each; who was not heard asks again after 20 s.
        script(stage, "while lxctl list -c n4 --format csv,noheader | grep -q ',$'; do sleep 2; done", &[])?;
        let without = |row: &&Value| !row["addresses"].as_array().is_some_and(|all| all.iter().any(|at| at["family"] == "inet"));
        let rows = stage.list()?;
        ensure!(!rows.iter().any(|row| without(&row)), "{:?}", rows.iter().find(without));
        println!("    an IPv4 address for each of {until}: {:.1?} later", began.elapsed());
    }
    for name in ["s1".to_owned(), format!("s{there}")] {
        ensure!(stage.exec(&name, ["hostname"]).succeed()?.trim() == name);
        stage.address(&name)?;
    }
    if there == 1000 {
        there += full_network(stage)?;
    }
    let began = Instant::now();
    script(stage, "lxctl delete --force $(seq -f s%.0f $1)", &[&there.to_string()])?;
    println!("    deleting {there}: {:.1?}", began.elapsed());
    ensure!(stage.list()?.is_empty());
    before.comes_back(stage, "side by side")
}

/// Launches more than the network has addresses, of which there are two less than ports of its bridge; the one too many
/// is told so, and is not there. Says how many came.
fn full_network(stage: &Stage) -> Result<usize> {
    for more in 1..=24 {
        let name = format!("s{}", 1000 + more);
        let output = stage.lxctl(&format!("launch busybox {name}")).output()?;
        if output.code != Some(0) {
            let said = String::from_utf8_lossy(&output.stderr);
            ensure!(said.contains("network lxbr0: all addresses of its DHCP are taken"), "{}", output.describe());
            ensure!(more > 20, "full with {} containers", 1000 + more - 1);
            if stage.row(&name)?.is_some() {
                stage.delete(&name)?;
            }
            return Ok(more - 1);
        }
    }
    bail!("a /22 had 1,024 addresses")
}
