//! The rows of networks: an interface that comes and goes while its guest runs, a hundred networks, and what goes
//! through a bridge by iperf3. Depends on `rows`; three guests, c1 to c3, run. Called by `rows`.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use lxhost_tests::host::Host;
use serde_json::Value;

use crate::engine::Engine;
use crate::rows::{Row, run, time};

/// The host's address in the network that guests are plugged into.
const ROUTER: &str = "10.87.1.1";
/// How often iperf3 is run, three seconds each.
const STREAMS: u32 = 3;
const PLUGGED: Row = Row {
    name: "NIC plugged",
    timed: "@ network attach bench c1 plug eth9",
    after: &["@ network detach bench c1 plug"],
    ..Row::NOTHING
};
const UNPLUGGED: Row = Row {
    name: "NIC unplugged",
    before: &["@ network attach bench c1 plug eth9"],
    timed: "@ network detach bench c1 plug",
    ..Row::NOTHING
};
/// How many networks are made one after the other. Incus' name servers are root's, and 128 of them are the most that
/// the kernel's default for inotify (`fs.inotify.max_user_instances`) leaves to a user: it may not get to the end.
const MANY: [&str; 2] = ["50", "100"];
const CREATE: &str = "for i in $(seq $1); do $0 network create n$i ipv4.address=10.88.$i.1/24 ipv6.address=none; done";
/// A server of iperf3 at an address, which listens when this is done.
const SERVE: &str = "iperf3 --server --daemon --bind $0; until ss -Hltn sport = :5201 | grep -q .; do sleep 0.05; done";
const DELETE: &str = "for i in $(seq $1); do $0 network delete n$i; done";
/// The same of those that were made before one could not be.
const CLEAR: &str = "for i in $(seq $1); do $0 network delete n$i || true; done";

/// Measures every row; the host has this program in its share.
pub(crate) fn measure(host: &Host, engine: &Engine, rounds: u32, rows: &mut BTreeMap<String, Vec<f64>>) -> Result<()> {
    host.succeed([engine.command, "network", "create", "bench", &format!("ipv4.address={ROUTER}/24"), "ipv6.address=none"])?;
    for row in [PLUGGED, UNPLUGGED] {
        rows.insert(row.name.to_owned(), run(host, engine, &row, rounds)?);
    }
    host.succeed(["apt-get", "update", "-q"])?;
    host.succeed(["apt-get", "install", "-q", "-y", "--no-install-recommends", "iperf3"])?;
    let [c1, c2] = [Guest::of(host, engine, "c1", "10.87.1.11")?, Guest::of(host, engine, "c2", "10.87.1.12")?];
    rows.insert("guest to host, bytes/s".to_owned(), c1.streams(&[], ROUTER)?);
    rows.insert("guest to guest, bytes/s".to_owned(), c1.streams(&c2.enter(), c2.address)?);
    // Last: where a hundred cannot be made, what was made of them may leave little to other guests.
    for many in MANY {
        let at = |script: &str| ["sh", "-eu", "-c", script, engine.command, many].map(str::to_owned).to_vec();
        match time(host, at(CREATE), 1) {
            Ok(seconds) => {
                rows.insert(format!("{many} networks created"), seconds);
                rows.insert(format!("{many} networks deleted"), time(host, at(DELETE), 1)?);
            }
            Err(error) => {
                eprintln!("{}: {many} networks cannot be made: {error:#}", engine.name);
                host.succeed(at(CLEAR))?;
            }
        }
    }
    Ok(())
}

/// A guest whose network is entered with the host's programs: its own system has no iperf3.
struct Guest<'a> {
    host: &'a Host,
    pid: String,
    address: &'a str,
}

impl<'a> Guest<'a> {
    /// Plugs one into the network with that address. It is set from outside: not every manager's guests ask for one
    /// without udev.
    fn of(host: &'a Host, engine: &Engine, name: &str, address: &'a str) -> Result<Self> {
        let reserved = format!("ipv4.address={address}");
        host.succeed([engine.command, "config", "device", "add", name, "lab", "nic", "network=bench", "name=eth8", &reserved])?;
        let pid = host.succeed([engine.command, "list", "-c", "p", "--format", "csv", name])?;
        let guest = Self { host, pid: pid.trim().to_owned(), address };
        for words in [&["address", "replace", &format!("{address}/24"), "dev", "eth8"][..], &["link", "set", "dev", "eth8", "up"]]
        {
            host.succeed(guest.enter().iter().chain(&["ip"]).chain(words).copied())?;
        }
        Ok(guest)
    }

    fn enter(&self) -> [&str; 4] {
        ["nsenter", "-t", &self.pid, "-n"]
    }

    /// Bytes of each second that a server of iperf3, started by `server`, gets from this guest.
    fn streams(&self, server: &[&str], address: &str) -> Result<Vec<f64>> {
        let mut all = Vec::new();
        self.host.succeed(server.iter().chain(&["sh", "-eu", "-c", SERVE, address]).copied())?;
        for _ in 0..STREAMS {
            let send = ["iperf3", "--client", address, "--time", "3", "--connect-timeout", "5000", "--json"];
            let argv = self.enter().into_iter().chain(send);
            let said = self.host.command(argv).timeout(Duration::from_secs(60)).succeed()?;
            let said: Value = serde_json::from_str(&said).context("reading what iperf3 said")?;
            let bits = said["end"]["sum_received"]["bits_per_second"].as_f64().context("iperf3 gave no figure")?;
            all.push(bits / 8.0);
        }
        Ok(all)
    }
}
