//! Several hosts on a wire of their own: a bridge for native hosts, a multicast group for full ones, both
//! in a network namespace that nothing else of the machine is in. It ends with the value, or with the
//! process that had it. Depends on unshare and ip. Called by suites.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};

use super::{Host, HostSpec};
use crate::cache::Cache;
use crate::tool;

/// The name of the bridge in the namespace, and of the interface in each host.
pub(super) const WIRE: &str = "lab0";

/// A wire between hosts.
#[derive(Debug)]
pub struct Network {
    process: Child,
}

impl Network {
    /// Makes one that nobody is on.
    ///
    /// # Errors
    /// When a tool or a right is missing.
    pub fn private() -> Result<Self> {
        // The end of its input is its own; the shell stays, with the name by which it is known among processes.
        let script = format!(
            "ip link set lo up; ip link add {WIRE} type bridge; ip link set {WIRE} up; echo ready; read -r end || exit 0"
        );
        let name = format!("lxhost-lab-{}-wire", std::process::id());
        let mut process = tool::start(
            Command::new("unshare")
                .args(["--net", "--", "sh", "-ec", &script, &name])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped()),
        )?;
        let mut said = String::new();
        if let Some(out) = process.stdout.take() {
            BufReader::new(out).read_line(&mut said)?;
        }
        let network = Self { process };
        if said == "ready\n" { Ok(network) } else { bail!("a private network cannot be made here") }
    }

    /// Boots hosts on it, all at a time: the first is called `lab1` and has the address 10.77.0.1.
    ///
    /// # Errors
    /// When one does not come up or does not get its address.
    pub fn hosts(&self, cache: &Cache, spec: &HostSpec, count: u8) -> Result<Vec<Host>> {
        thread::scope(|scope| {
            let boots: Vec<_> = (1..=count).map(|number| scope.spawn(move || self.host(cache, spec, number))).collect();
            boots.into_iter().map(|boot| boot.join().map_err(|_| anyhow!("a boot panicked"))?).collect()
        })
    }

    fn host(&self, cache: &Cache, spec: &HostSpec, number: u8) -> Result<Host> {
        let spec = HostSpec { name: format!("lab{number}"), network: Some(self.process.id()), ..spec.clone() };
        let host = Host::boot(cache, &spec)?;
        let address = format!("10.77.0.{number}/24");
        let line = format!(
            "busybox hostname lab{number}; test -e /sys/class/net/{WIRE} || busybox ip link set host0 name {WIRE}; \
             busybox ip address add {address} dev {WIRE}; busybox ip link set {WIRE} up"
        );
        host.command(["sh", "-ec", &line]).timeout(Duration::from_secs(20)).succeed()?;
        Ok(host)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // Closing its input is the order to end.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}
