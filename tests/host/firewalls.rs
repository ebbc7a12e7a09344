//! Networks beside other firewalls of the host: guests get addresses and names, and reach the outside.

use anyhow::{Context, Result, ensure};
use lxhost_tests::runner::{Base, Stage, Suite};
use lxhost_tests::suite;
use std::time::Duration;

pub(crate) const SUITE: Suite = suite!(
    "firewalls",
    Base::Packaged,
    [
        a_network_works_beside_firewalld_however_that_comes_and_goes,
        a_zone_that_somebody_chose_is_kept_and_told_of,
        dockers_policy_lets_guests_pass_and_the_packages_removal_leaves_nothing_of_ours,
        a_network_works_beside_ufw_and_what_its_administrator_denies_stays_denied,
        a_network_works_beside_docker_whichever_was_first needs [Speed],
    ]
);

/// Installs packages of Debian's.
fn install(stage: &Stage, packages: &str) -> Result<()> {
    let long = Duration::from_secs(300);
    stage.host.command(["apt-get", "update", "-q"]).timeout(long).succeed()?;
    let argv = ["apt-get", "install", "-q", "-y", "--no-install-recommends"];
    stage.host.command(argv.into_iter().chain(packages.split(' '))).timeout(long).succeed().map(drop)
}

/// A guest asks for an address, for a name and for somebody outside, and gets all of it.
fn guests_are_served(stage: &Stage, guest: &str, when: &str) -> Result<()> {
    stage.eventually(&format!("a lease {when}"), || {
        let asked = stage.exec(guest, ["udhcpc", "-i", "eth0", "-n", "-q", "-f", "-t", "3", "-T", "1"]).output()?;
        Ok((asked.code == Some(0)).then_some(()))
    })?;
    stage.eventually(&format!("a name {when}"), || {
        let found = stage.exec(guest, ["nslookup", &format!("{guest}.lxhost")]).output()?;
        Ok((found.code == Some(0)).then_some(()))
    })?;
    stage.eventually(&format!("the outside {when}"), || {
        let reached = stage.exec(guest, ["ping", "-c", "1", "-W", "1", "198.51.100.2"]).output()?;
        Ok((reached.code == Some(0)).then_some(()))
    })
}

/// Links in firewalld's zone for networks.
fn zone(stage: &Stage) -> Result<String> {
    let listed = stage.host.succeed(["firewall-cmd", "--zone=lxhost", "--list-interfaces"])?;
    Ok(listed.trim().to_owned())
}

fn a_network_works_beside_firewalld_however_that_comes_and_goes(stage: &Stage) -> Result<()> {
    stage.running("n1")?;
    stage.outside()?;
    guests_are_served(stage, "n1", "without firewalld")?;
    // It comes after us: its package starts it.
    install(stage, "firewalld")?;
    stage.host.succeed(["systemctl", "start", "firewalld"])?;
    guests_are_served(stage, "n1", "with firewalld")?;
    ensure!(stage.host.succeed(["firewall-cmd", "--get-default-zone"])?.trim() == "public");
    ensure!(zone(stage)? == "lxbr0", "{}", zone(stage)?);
    let said = stage.lxctl("doctor network lxbr0").succeed()?;
    ensure!(said.contains("lxbr0 is in firewalld's zone lxhost"), "{said}");
    // The host itself is protected, though not from pings.
    let hosts = stage.lxctl("network get lxbr0 ipv4.address").succeed()?;
    let host = hosts.trim().split('/').next().context("an address")?.to_owned();
    let serve = "systemd-run --quiet --unit secret --service-type=exec busybox nc -ll -p 7777 -e echo secret";
    stage.host.succeed(["sh", "-ec", serve])?;
    stage.eventually("a server on the host", || Ok((stage.heard("host", "127.0.0.1", 7777)? == "secret").then_some(())))?;
    ensure!(stage.heard("n1", &host, 7777)?.is_empty(), "a guest reaches any port of the host");
    stage.exec("n1", ["ping", "-c", "1", "-W", "5", &host]).succeed()?;
    for deed in ["firewall-cmd --reload", "firewall-cmd --complete-reload", "systemctl restart firewalld"] {
        stage.host.succeed(["sh", "-ec", deed])?;
        stage.eventually(&format!("the zone after {deed}"), || Ok((zone(stage)? == "lxbr0").then_some(())))?;
        guests_are_served(stage, "n1", &format!("after {deed}"))?;
    }
    // It is there before us.
    stage.host.succeed(["systemctl", "stop", "lxhostd"])?;
    stage.host.succeed(["systemctl", "restart", "firewalld"])?;
    stage.host.succeed(["systemctl", "start", "lxhostd"])?;
    stage.eventually("the zone after a start of lxhostd", || Ok((zone(stage)? == "lxbr0").then_some(())))?;
    guests_are_served(stage, "n1", "after a start of lxhostd")?;
    // One that does not route passes nothing there either, and all of it is gone with the network.
    let made = stage.lxctl("network create closed ipv4.address=10.123.70.1/24 ipv4.routing=false ipv6.address=none").output()?;
    let told = format!("{}{}", made.stdout_text(), made.stderr_text());
    ensure!(made.code == Some(0) && told.contains("undo: lxctl network set closed ipv4.firewall=false"), "{}", made.describe());
    ensure!(zone(stage)?.contains("closed"), "{}", zone(stage)?);
    stage.lxctl("launch busybox c1 --network closed").succeed()?;
    stage.address("c1")?;
    stage.exec("c1", ["ping", "-c", "1", "-W", "5", "10.123.70.1"]).succeed()?;
    let out = stage.exec("c1", ["ping", "-c", "1", "-W", "2", "198.51.100.2"]).output()?;
    ensure!(out.code != Some(0), "an isolated guest reaches the outside: {}", out.describe());
    stage.delete("c1")?;
    stage.lxctl("network set closed ipv4.firewall=false ipv6.firewall=false").succeed()?;
    ensure!(zone(stage)? == "lxbr0", "the undo: {}", zone(stage)?);
    stage.lxctl("network unset closed ipv4.firewall").succeed()?;
    ensure!(zone(stage)?.contains("closed"), "{}", zone(stage)?);
    stage.lxctl("network delete closed").succeed()?;
    ensure!(zone(stage)? == "lxbr0", "{}", zone(stage)?);
    stage.host.succeed(["systemctl", "stop", "secret"]).map(drop)
}

fn a_zone_that_somebody_chose_is_kept_and_told_of(stage: &Stage) -> Result<()> {
    install(stage, "firewalld")?;
    stage.host.succeed(["systemctl", "start", "firewalld"])?;
    stage.host.succeed(["firewall-cmd", "--zone=trusted", "--add-interface=mine0"])?;
    let made = stage.lxctl("network create mine0 ipv4.address=10.123.71.1/24 ipv6.address=none").output()?;
    let told = format!("{}{}", made.stdout_text(), made.stderr_text());
    ensure!(made.code == Some(0) && told.contains("zone trusted, where somebody has put it"), "{}", made.describe());
    let of = || stage.host.succeed(["firewall-cmd", "--get-zone-of-interface=mine0"]).map(|zone| zone.trim().to_owned());
    ensure!(of()? == "trusted", "{}", of()?);
    stage.host.succeed(["firewall-cmd", "--zone=trusted", "--remove-interface=mine0"])?;
    stage.host.succeed(["systemctl", "reload", "lxhostd"])?;
    stage.eventually("our zone", || {
        let zone = stage.host.command(["firewall-cmd", "--get-zone-of-interface=mine0"]).output()?;
        Ok((zone.stdout_text().trim() == "lxhost").then_some(()))
    })?;
    stage.lxctl("network delete mine0").succeed().map(drop)
}

/// What Docker does to a host, and what the package does when it is removed, without the package being removed.
fn dockers_policy_lets_guests_pass_and_the_packages_removal_leaves_nothing_of_ours(stage: &Stage) -> Result<()> {
    install(stage, "firewalld")?;
    stage.host.succeed(["systemctl", "start", "firewalld"])?;
    stage.running("n1")?;
    stage.outside()?;
    let docker = "table ip filter { chain DOCKER-USER { iifname docker9 counter accept comment \"theirs\"; }
        chain FORWARD { type filter hook forward priority filter; policy drop; jump DOCKER-USER; }; }";
    stage.host.succeed(["nft", docker])?;
    guests_are_served(stage, "n1", "with Docker's policy")?;
    let rules = || stage.host.succeed(["nft", "list", "ruleset"]);
    ensure!(rules()?.contains("lxhost from lxbr0") && rules()?.contains("lxhost to lxbr0"), "{}", rules()?);
    stage.eventually("the zone", || Ok((zone(stage)? == "lxbr0").then_some(())))?;

    stage.delete("n1")?;
    let script = stage.host.succeed(["cat", "/var/lib/dpkg/info/lxhost.postrm"])?;
    stage.host.put("/root/postrm", 0o755, script)?;
    stage.host.succeed(["systemctl", "stop", "lxhostd"])?;
    stage.host.succeed(["/root/postrm", "remove"])?;
    let left = rules()?;
    ensure!(!left.contains("comment \"lxhost") && !left.contains("table inet lxhost"), "{left}");
    ensure!(!left.contains("table bridge lxhost") && left.contains("comment \"theirs\""), "{left}");
    ensure!(zone(stage)?.is_empty(), "{}", zone(stage)?);
    stage.host.succeed(["systemctl", "start", "lxhostd"])?;
    stage.running("n2")?;
    guests_are_served(stage, "n2", "with the package again")?;
    stage.delete("n2")?;
    stage.host.succeed(["nft", "delete", "table", "ip", "filter"]).map(drop)
}

fn a_network_works_beside_ufw_and_what_its_administrator_denies_stays_denied(stage: &Stage) -> Result<()> {
    // The other firewall of this suite would be asked as well.
    stage.host.succeed(["sh", "-c", "systemctl stop firewalld || true"])?;
    install(stage, "ufw")?;
    stage.running("n1")?;
    stage.outside()?;
    let serve = "systemd-run --quiet --unit far --service-type=exec ip netns exec outside busybox nc -ll -p 7778 -e echo far";
    stage.host.succeed(["sh", "-ec", serve])?;
    let reaches = || -> Result<bool> { Ok(stage.heard("n1", "198.51.100.2", 7778)? == "far") };
    let served = |when: &str| {
        guests_are_served(stage, "n1", when)?;
        stage.eventually(&format!("a server outside {when}"), || Ok(reaches()?.then_some(())))
    };
    served("without ufw")?;
    stage.host.succeed(["ufw", "--force", "enable"])?;
    let policies = stage.host.succeed(["nft", "list", "table", "ip", "filter"])?;
    ensure!(policies.contains("hook input priority filter; policy drop"), "{policies}");
    served("with ufw")?;
    stage.host.succeed(["ufw", "reload"])?;
    served("after ufw reload")?;
    // It reads its chains, and so do other programs.
    stage.host.succeed(["iptables", "-S"])?;
    ensure!(stage.host.succeed(["ufw", "status"])?.contains("Status: active"));
    // So many changes at once that the last of our answers may be put off for ten seconds.
    stage.eventually("a doctor who finds nothing", || {
        let said = stage.lxctl("doctor network lxbr0").output()?;
        let fine = said.code == Some(0) && said.stdout_text().contains("ufw is here, and what lxbr0 needs passes its chains");
        Ok(fine.then_some(()))
    })?;
    // Nothing else is let in, and a denial stays one.
    let serve = "systemd-run --quiet --unit near --service-type=exec busybox nc -ll -p 7777 -e echo near";
    stage.host.succeed(["sh", "-ec", serve])?;
    stage.eventually("a server on the host", || Ok((stage.heard("host", "127.0.0.1", 7777)? == "near").then_some(())))?;
    let hosts = stage.lxctl("network get lxbr0 ipv4.address").succeed()?;
    let host = hosts.trim().split('/').next().context("an address")?.to_owned();
    ensure!(stage.heard("n1", &host, 7777)?.is_empty(), "a guest reaches any port of the host");
    stage.host.succeed(["ufw", "route", "deny", "in", "on", "lxbr0", "to", "198.51.100.2"])?;
    ensure!(!reaches()?, "what is denied passes");
    stage.host.succeed(["ufw", "route", "delete", "deny", "in", "on", "lxbr0", "to", "198.51.100.2"])?;
    served("after the denial")?;
    // Another network is told of, and takes its rules along.
    let rules = || stage.host.succeed(["nft", "list", "table", "ip", "filter"]);
    let made = stage.lxctl("network create second ipv4.address=10.123.72.1/24 ipv6.address=none").output()?;
    let told = format!("{}{}", made.stdout_text(), made.stderr_text());
    ensure!(made.code == Some(0) && told.contains("undo: lxctl network set second ipv4.firewall=false"), "{}", made.describe());
    ensure!(rules()?.contains("lxhost udp-67 second"), "{}", rules()?);
    stage.lxctl("network set second ipv4.firewall=false ipv6.firewall=false").succeed()?;
    ensure!(!rules()?.contains("second"), "the undo: {}", rules()?);
    stage.lxctl("network unset second ipv4.firewall").succeed()?;
    ensure!(rules()?.contains("lxhost from second"), "{}", rules()?);
    stage.lxctl("network delete second").succeed()?;
    ensure!(!rules()?.contains("second"), "{}", rules()?);
    stage.host.succeed(["ufw", "disable"])?;
    served("after ufw disable")?;
    stage.host.succeed(["systemctl", "stop", "near", "far"]).map(drop)
}

/// With Docker itself and containers in it. Its packages are 60 MB, unpacked 230: ten seconds, and many minutes where the
/// machine is emulated.
fn a_network_works_beside_docker_whichever_was_first(stage: &Stage) -> Result<()> {
    // The others of this suite would be asked as well.
    stage.host.succeed(["sh", "-c", "systemctl stop firewalld ufw || true"])?;
    stage.running("n1")?;
    stage.outside()?;
    guests_are_served(stage, "n1", "without Docker")?;
    // It comes after us: its package starts it.
    install(stage, "docker.io docker-cli")?;
    stage.host.succeed(["systemctl", "start", "docker"])?;
    let rules = || stage.host.succeed(["nft", "list", "table", "ip", "filter"]);
    let drops = || -> Result<bool> { Ok(rules()?.contains("hook forward priority filter; policy drop")) };
    guests_are_served(stage, "n1", "with Docker")?;
    // So many changes at once that the last of our answers may be put off for ten seconds.
    stage.eventually("our rules", || Ok(rules()?.contains("lxhost from lxbr0").then_some(())))?;
    // It drops what is forwarded when it was Docker that had to switch forwarding on.
    let off = "echo 0 >/proc/sys/net/ipv4/ip_forward";
    stage.host.succeed(["sh", "-ec", &format!("{off}; systemctl restart docker")])?;
    ensure!(drops()?, "{}", rules()?);
    guests_are_served(stage, "n1", "with Docker's policy")?;
    stage.eventually("a doctor who finds nothing", || {
        let said = stage.lxctl("doctor network lxbr0").output()?;
        let fine = said.code == Some(0) && said.stdout_text().contains("Docker is here, and what lxbr0 needs passes its chains");
        Ok(fine.then_some(()))
    })?;
    // Its containers have their way out as well.
    let image = "mkdir -p /root/tiny/bin; cp /bin/busybox /root/tiny/bin; tar -c -C /root/tiny . | docker import - tiny";
    stage.host.succeed(["sh", "-ec", image])?;
    let outside = || stage.host.succeed(["docker", "run", "--rm", "tiny", "/bin/busybox", "ping", "-c", "1", "198.51.100.2"]);
    outside()?;
    for deed in ["docker network create mine", "docker network rm mine"] {
        stage.host.succeed(["sh", "-ec", deed])?;
        guests_are_served(stage, "n1", &format!("after {deed}"))?;
    }
    // It is there before us, and before another network, which is told of.
    let boot = format!(
        "systemctl stop lxhostd docker; nft 'delete table ip filter; delete table ip nat'; {off}
        systemctl start docker; systemctl start lxhostd"
    );
    stage.host.succeed(["sh", "-ec", &boot])?;
    ensure!(drops()?, "{}", rules()?);
    guests_are_served(stage, "n1", "after a start of lxhostd")?;
    let made = stage.lxctl("network create second ipv4.address=10.123.74.1/24 ipv4.nat=true ipv6.address=none").output()?;
    let told = format!("{}{}", made.stdout_text(), made.stderr_text());
    let undo = "network set second ipv4.firewall=false ipv6.firewall=false";
    let line = format!("Docker is here, and what second needs passes its chains (undo: lxctl {undo})");
    ensure!(made.code == Some(0) && told.lines().any(|told| told == line), "{}", made.describe());
    stage.lxctl("launch busybox c1 --network second").succeed()?;
    guests_are_served(stage, "c1", "in a network that came after Docker")?;
    outside()?;
    stage.lxctl(undo).succeed()?;
    ensure!(!rules()?.contains("second"), "the undo: {}", rules()?);
    let out = stage.exec("c1", ["ping", "-c", "1", "-W", "2", "198.51.100.2"]).output()?;
    ensure!(out.code != Some(0), "Docker's policy drops nothing: {}", out.describe());
    stage.lxctl("network unset second ipv4.firewall").succeed()?;
    guests_are_served(stage, "c1", "with the rules again")?;
    stage.delete("c1")?;
    stage.lxctl("network delete second").succeed()?;
    ensure!(!rules()?.contains("second"), "{}", rules()?);
    // It leaves its rules where they are.
    stage.host.succeed(["systemctl", "disable", "--now", "docker.service", "docker.socket", "containerd.service"])?;
    stage.host.succeed(["nft", "delete table ip filter; delete table ip nat"])?;
    guests_are_served(stage, "n1", "after Docker")
}
