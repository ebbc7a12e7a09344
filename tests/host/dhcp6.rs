//! Addresses that DHCPv6 gives, asked for by systemd-networkd in a Debian guest: of a range, and kept for an instance.

use anyhow::{Context, Result, ensure};
use lxhost_tests::runner::{Base, Stage, Suite};
use lxhost_tests::suite;

pub(crate) const SUITE: Suite = suite!(
    "dhcp6",
    Base::Packaged,
    [
        a_guest_gets_an_address_of_the_range_and_is_seen_with_it_everywhere,
        an_address_is_kept_for_one_instance_and_free_for_the_next_when_that_is_gone,
        by_both_families_at_once_a_guest_has_one_name,
    ]
);

const RANGE: &str = "ipv6.dhcp=true ipv6.dhcp.stateful=true ipv6.dhcp.ranges=fd48:1:2:3::100-fd48:1:2:3::1ff";

/// The default network is there before, or the first launch would take this one for it.
fn network(stage: &Stage, keys: &str) -> Result<()> {
    stage.running("n1")?;
    stage.with_debian()?;
    stage.lxctl(&format!("network create six ipv6.address=fd48:1:2:3::1/64 {RANGE} {keys}")).succeed().map(drop)
}

/// The address of the network's prefix that an instance has, when there is one.
fn found(stage: &Stage, name: &str) -> Result<Option<String>> {
    let row = stage.row(name)?.with_context(|| format!("there is no {name}"))?;
    let addresses = row["addresses"].as_array().cloned().unwrap_or_default();
    let all = addresses.iter().filter_map(|address| address["address"].as_str());
    Ok(all.filter(|address| address.starts_with("fd48:1:2:3:")).map(str::to_owned).next())
}

fn address(stage: &Stage, name: &str) -> Result<String> {
    stage.eventually("an address of IPv6", || found(stage, name))
}

/// Rows of the network's leases with that text.
fn leases(stage: &Stage, with: &str) -> Result<Vec<String>> {
    let said = stage.lxctl("network list-leases six --format csv,noheader").succeed()?;
    Ok(said.lines().filter(|row| row.contains(with)).map(str::to_owned).collect())
}

/// Whether the network's name server knows a name.
fn resolves(stage: &Stage, guest: &str, name: &str, address: &str) -> Result<bool> {
    let said = stage.exec(guest, ["resolvectl", "query", "--cache=no", "-6", name]).output()?;
    Ok(said.code == Some(0) && said.stdout_text().contains(address))
}

fn a_guest_gets_an_address_of_the_range_and_is_seen_with_it_everywhere(stage: &Stage) -> Result<()> {
    network(stage, "ipv4.address=none")?;
    let events = stage.host.command(["lxctl", "monitor", "--format", "json"]).spawn()?;
    stage.eventually("a monitor that hears", || {
        stage.lxctl("network set six user.heard=yes").succeed()?;
        Ok(events.said().contains("job-new").then_some(()))
    })?;
    stage.lxctl("launch debian d1 --network six").succeed()?;
    let given = address(stage, "d1")?;
    let last = given.strip_prefix("fd48:1:2:3::").and_then(|last| u16::from_str_radix(last, 16).ok());
    ensure!(last.is_some_and(|last| (0x100..=0x1ff).contains(&last)), "{given} is not of the range");
    let inside = stage.exec("d1", ["ip", "-6", "-oneline", "address", "show", "dev", "eth0", "scope", "global"]).succeed()?;
    ensure!(inside.lines().count() == 1 && inside.contains(&format!("{given}/128")), "{inside}");
    let mac = stage.exec("d1", ["cat", "/sys/class/net/eth0/address"]).succeed()?;
    let row = format!("d1,{},{given},DYNAMIC,", mac.trim());
    ensure!(leases(stage, &row)?.len() == 1, "{:?}", leases(stage, "")?);
    let listed = stage.lxctl("list -c n6 --format csv,noheader").succeed()?;
    ensure!(listed.contains(&format!("d1,{given} (eth0)")), "{listed}");
    let taken = stage.lxctl("network list-allocations --format csv,noheader").succeed()?;
    ensure!(taken.contains(&format!("d1,{given}/128,instance,")), "{taken}");
    stage.eventually("that it was told of", || {
        let told = |line: &str| line.contains("\"event\":\"lease\"") && line.contains(&given) && line.contains("added");
        Ok(events.said().lines().any(told).then_some(()))
    })?;
    // The way there and back, its name, and the same address after a restart.
    stage.host.succeed(["ping", "-c", "1", "-W", "5", &given])?;
    stage.exec("d1", ["ping", "-c", "1", "-W", "5", "fd48:1:2:3::1"]).succeed()?;
    stage.eventually("its name", || Ok(resolves(stage, "d1", "d1.lxhost", &given)?.then_some(())))?;
    stage.lxctl("restart --force d1").succeed()?;
    ensure!(address(stage, "d1")? == given);
    stage.delete("d1")?;
    stage.eventually("that its lease is given back", || Ok(leases(stage, "")?.is_empty().then_some(())))?;
    stage.lxctl("network delete six").succeed().map(drop)
}

fn an_address_is_kept_for_one_instance_and_free_for_the_next_when_that_is_gone(stage: &Stage) -> Result<()> {
    network(stage, "ipv4.address=none")?;
    // The second has no name, so its lease is known by the address alone.
    for (name, mode) in [("d1", "managed"), ("d2", "none")] {
        stage.lxctl(&format!("network set six dns.mode={mode}")).succeed()?;
        stage.lxctl(&format!("create debian {name} --network six")).succeed()?;
        stage.lxctl(&format!("config device set {name} eth0 ipv6.address=fd48:1:2:3::42")).succeed()?;
        // The strictest filter lets it through.
        stage.lxctl(&format!("config device set {name} eth0 security.ipv6_filtering=true")).succeed()?;
        stage.lxctl(&format!("start {name}")).succeed()?;
        ensure!(address(stage, name)? == "fd48:1:2:3::42", "{name} has {:?}", found(stage, name)?);
        stage.host.succeed(["ping", "-c", "1", "-W", "5", "fd48:1:2:3::42"])?;
        let kept = leases(stage, ",fd48:1:2:3::42,STATIC,")?;
        ensure!(kept.len() == 1 && leases(stage, "")? == kept, "{:?}", leases(stage, "")?);
        stage.delete(name)?;
        stage.eventually("that its lease is given back", || Ok(leases(stage, "")?.is_empty().then_some(())))?;
    }
    stage.lxctl("network delete six").succeed().map(drop)
}

fn by_both_families_at_once_a_guest_has_one_name(stage: &Stage) -> Result<()> {
    network(stage, "ipv4.address=10.123.73.1/24")?;
    stage.lxctl("launch debian d1 --network six").succeed()?;
    let (four, six) = (stage.address("d1")?, address(stage, "d1")?);
    ensure!(leases(stage, "d1,")?.len() == 2, "{:?}", leases(stage, "")?);
    stage.eventually("its name in both", || {
        let said = stage.exec("d1", ["resolvectl", "query", "--cache=no", "d1.lxhost"]).output()?.stdout_text();
        Ok((said.contains(&four) && said.contains(&six)).then_some(()))
    })?;
    // What an interface had goes with it, and what another one has stays.
    stage.lxctl("network attach six d1 eth1").succeed()?;
    stage.lxctl("config device remove d1 eth1").succeed()?;
    ensure!(leases(stage, &format!(",{six},"))?.len() == 1, "{:?}", leases(stage, "")?);
    stage.delete("d1")?;
    stage.eventually("that both leases are given back", || Ok(leases(stage, "")?.is_empty().then_some(())))?;
    stage.lxctl("network delete six").succeed().map(drop)
}
