//! Hosts with a kernel of their own: that they have what tests need, and what becomes of one that crashes.

use anyhow::{Result, ensure};
use lxhost_tests::host::Need;
use lxhost_tests::runner::{Base, Stage, Suite};
use lxhost_tests::suite;

pub(crate) const SUITE: Suite = suite!(
    "machine",
    Base::Packaged,
    [
        everything_that_a_test_may_need_is_in_some_host needs [Cgroup, Vlan, AppArmor, DeviceMapper, Quota, Kernel],
        a_kernel_that_crashes_takes_the_host_down_and_it_comes_back needs [Kernel],
    ]
);

fn everything_that_a_test_may_need_is_in_some_host(stage: &Stage) -> Result<()> {
    for need in Need::ALL.into_iter().filter(|need| !Need::OPTIONAL.contains(need)) {
        ensure!(need.missing(&stage.host)?.is_none(), "{need:?}");
    }
    Ok(())
}

/// The kernel reboots by itself then, as a server does that is set up so.
fn a_kernel_that_crashes_takes_the_host_down_and_it_comes_back(stage: &Stage) -> Result<()> {
    stage.with_busybox()?;
    stage.lxctl("launch busybox k1 -c boot.autostart=true").succeed()?;
    stage.exec("k1", ["sh", "-c", "echo kept >/kept; sync"]).succeed()?;
    stage.host.succeed(["sync"])?;
    let crashed = stage.host.command(["sh", "-c", "echo c >/proc/sysrq-trigger"]).output();
    ensure!(crashed.is_err(), "the kernel lives on: {crashed:?}");
    stage.host.crash()?;
    stage.host.power_on()?;
    stage.eventually("k1 running again", || {
        let row = stage.lxctl("list").output()?.code.filter(|code| *code == 0).and_then(|_| stage.row("k1").ok().flatten());
        Ok(row.filter(|row| row["status"] == "running").map(drop))
    })?;
    ensure!(stage.exec("k1", ["cat", "/kept"]).succeed()? == "kept\n");
    stage.delete("k1")
}
