//! Rates that the host's end of a pair is held to, by tc(8) of iproute2: what goes to the guest waits in a token
//! bucket, what comes from it beyond its rate is dropped.

use std::process::Stdio;
use std::time::Duration;

use lxhost_engine::ports::HostEnd;
use lxhost_model::{Error, Kind, Result};
use tokio::process::Command;

/// Longest time for one call.
const PATIENCE: Duration = Duration::from_secs(10);
/// Least bytes that may come at once: two packets of the largest size that a pair carries (GSO). The police action drops
/// what is larger than it is told of, and takes 2 KiB for that if it is told nothing.
const LEAST_BURST: u64 = 128 << 10;

/// Holds the end to its rates. A `new` one has none yet.
pub(super) async fn apply(end: &HostEnd, new: bool) -> Result<()> {
    for (key, rate, clear, set) in [
        (
            "limits.ingress",
            end.rates.ingress,
            ["qdisc", "del", "dev", &end.name, "root"],
            ingress as fn(&str, u64) -> Vec<String>,
        ),
        ("limits.egress", end.rates.egress, ["qdisc", "del", "dev", &end.name, "ingress"], egress),
    ] {
        if !new {
            // There may be nothing to take away.
            let _ = tc(&clear, key).await;
        }
        let Some(rate) = rate else { continue };
        for line in set(&end.name, rate) {
            tc(&line.split(' ').collect::<Vec<_>>(), key).await?;
        }
    }
    Ok(())
}

fn burst(rate: u64) -> u64 {
    (rate / 8 / 250).max(LEAST_BURST)
}

fn ingress(name: &str, rate: u64) -> Vec<String> {
    vec![format!("qdisc add dev {name} root tbf rate {rate}bit burst {}b latency 50ms", burst(rate))]
}

fn egress(name: &str, rate: u64) -> Vec<String> {
    vec![
        format!("qdisc add dev {name} handle ffff: ingress"),
        format!(
            "filter add dev {name} parent ffff: protocol all prio 1 u32 match u32 0 0 police rate {rate}bit burst {}b mtu {LEAST_BURST}b drop flowid :1",
            burst(rate)
        ),
    ]
}

async fn tc(words: &[&str], key: &str) -> Result<()> {
    let run = Command::new("tc").args(words).env("LC_ALL", "C").stdin(Stdio::null()).kill_on_drop(true).output();
    let late = |_| Error::new(Kind::Timeout, format!("tc did not end in {} s", PATIENCE.as_secs()));
    let output = tokio::time::timeout(PATIENCE, run).await.map_err(late)?.map_err(|e| Error::io("run tc", &e))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).lines().collect::<Vec<_>>().join("; ");
    let said: String = said.chars().filter(|c| !c.is_control()).take(300).collect();
    Err(Error::new(Kind::Unsupported, format!("{key}: the kernel does not hold the interface to it: {said}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_rate_still_lets_the_largest_packet_through() {
        assert_eq!(ingress("veth1", 8_000), ["qdisc add dev veth1 root tbf rate 8000bit burst 131072b latency 50ms"]);
        assert!(egress("veth1", 10_000_000_000)[1].contains("burst 5000000b mtu 131072b"));
    }
}
