//! Networks that are changed while guests are on them.

use anyhow::{Result, ensure};
use lxhost_tests::runner::{Base, Stage, Suite};
use lxhost_tests::suite;
use lxhost_tests::unchanged::nothing_changes;

pub(crate) const SUITE: Suite = suite!(
    "networks",
    Base::Packaged,
    [
        what_is_set_is_on_the_host_at_once,
        guests_move_with_the_address_of_their_network,
        a_change_that_is_wrong_changes_nothing,
        a_description_stays_and_an_edit_reads_what_show_prints,
    ]
);

fn n1(stage: &Stage) -> Result<()> {
    stage.with_busybox()?;
    if stage.row("n1")?.is_none() {
        stage.lxctl("launch busybox n1").succeed()?;
    }
    stage.address("n1").map(drop)
}

fn what_is_set_is_on_the_host_at_once(stage: &Stage) -> Result<()> {
    n1(stage)?;
    let rules = || stage.host.succeed(["nft", "list", "table", "inet", "lxhost"]);
    ensure!(rules()?.matches("masquerade").count() == 2, "{}", rules()?);
    stage.lxctl("network set lxbr0 ipv4.nat=false").succeed()?;
    ensure!(rules()?.matches("masquerade").count() == 1, "{}", rules()?);
    stage.lxctl("network set lxbr0 ipv4.nat true").succeed()?;
    ensure!(rules()?.matches("masquerade").count() == 2, "{}", rules()?);
    stage.lxctl("network set lxbr0 dns.domain=lab.test").succeed()?;
    stage.lxctl("restart --force n1").succeed()?;
    stage.address("n1")?;
    stage.eventually("the name in the new domain", || {
        let found = stage.exec("n1", ["nslookup", "n1.lab.test"]).output()?;
        Ok((found.code == Some(0)).then_some(()))
    })?;
    stage.lxctl("network unset lxbr0 dns.domain").succeed()?;
    ensure!(stage.lxctl("network get lxbr0 dns.domain").succeed()? == "\n");
    Ok(())
}

fn guests_move_with_the_address_of_their_network(stage: &Stage) -> Result<()> {
    n1(stage)?;
    let before = stage.address("n1")?;
    stage.lxctl("network set lxbr0 ipv4.address=10.123.45.1/24").succeed()?;
    let bridge = stage.host.succeed(["ip", "-4", "-oneline", "address", "show", "lxbr0"])?;
    ensure!(bridge.lines().count() == 1 && bridge.contains("10.123.45.1/24"), "{bridge}");
    stage.lxctl("restart --force n1").succeed()?;
    let after = stage.address("n1")?;
    ensure!(before != after && after.starts_with("10.123.45."), "{before}, then {after}");
    stage.host.succeed(["ping", "-c", "1", "-W", "5", &after])?;
    Ok(())
}

fn a_change_that_is_wrong_changes_nothing(stage: &Stage) -> Result<()> {
    n1(stage)?;
    stage.lxctl("network create other ipv4.address=10.123.46.1/24 ipv6.address=none --description Other").succeed()?;
    nothing_changes(&stage.host, || {
        for (words, code, said) in [
            ("network set lxbr0 ipv4.adress=none", 2, "ipv4.address"),
            ("network set lxbr0 ipv4.address=nonsense", 2, "ipv4.address"),
            ("network set lxbr0 ipv4.address=10.123.46.9/24", 5, "other"),
            ("network set lxbr0 ipv4.nat=perhaps", 2, "ipv4.nat"),
            ("network set nobody ipv4.nat=true", 3, "nobody"),
            ("storage set default source=/srv/elsewhere", 2, "source"),
            ("storage set default sourc=/srv/elsewhere", 2, "sourc"),
        ] {
            let output = stage.lxctl(words).fail()?;
            ensure!(output.code == Some(code) && output.stderr_text().contains(said), "{words}: {}", output.describe());
        }
        let denied = stage.host.command(["lxctl", "network", "set", "lxbr0", "ipv4.nat=false"]).user("alice").fail()?;
        ensure!(denied.code == Some(6), "{}", denied.describe());
        Ok(())
    })
}

fn a_description_stays_and_an_edit_reads_what_show_prints(stage: &Stage) -> Result<()> {
    n1(stage)?;
    let same = "lxctl network show lxbr0 | lxctl network edit lxbr0; lxctl storage show default | lxctl storage edit default";
    let shown =
        || Ok::<_, anyhow::Error>((stage.lxctl("network show lxbr0").succeed()?, stage.lxctl("storage show default").succeed()?));
    let before = shown()?;
    stage.host.succeed(["sh", "-ec", same])?;
    ensure!(shown()? == before, "{before:?}, then {:?}", shown()?);
    stage.host.succeed([
        "sh",
        "-ec",
        "lxctl network show lxbr0 | sed 's/^description:.*/description: Lab/' | lxctl network edit lxbr0",
    ])?;
    ensure!(stage.lxctl("network show lxbr0").succeed()?.contains("description: Lab"));
    stage.lxctl("storage set default user.owner=web").succeed()?;
    ensure!(stage.lxctl("storage get default user.owner").succeed()? == "web\n");
    Ok(())
}
