//! Proxy devices, with connections and datagrams that go through them, and what of them is seen on the host.

use std::time::Instant;

use anyhow::{Result, ensure};
use lxhost_tests::runner::{Base, Stage, Suite};
use lxhost_tests::suite;
use lxhost_tests::unchanged::nothing_changes;

pub(crate) const SUITE: Suite = suite!(
    "proxies",
    Base::Packaged,
    [
        a_port_of_the_host_leads_into_a_running_instance,
        a_relay_has_no_rights_and_nothing_of_the_host,
        a_proxy_starts_with_its_instance_and_ends_with_it,
        a_relay_outlives_the_daemon_and_comes_back_when_killed,
        what_cannot_be_is_refused_and_changes_nothing,
        sockets_of_both_sides_lead_to_the_other,
        many_ports_and_who_comes_are_passed_on,
        datagrams_come_back_to_whoever_asked,
        packets_are_translated_to_a_fixed_address,
    ]
);

/// An instance `p1` that says `hello` at port 80, and a namespace that plays the outside at 198.51.100.2.
fn rig(stage: &Stage) -> Result<()> {
    stage.with_busybox()?;
    if stage.row("p1")?.is_some() {
        return serve(stage);
    }
    stage.lxctl("launch busybox p1").succeed()?;
    stage.address("p1")?;
    stage.outside()?;
    serve(stage)
}

/// Says something to everybody who comes to some ports of `p1`.
fn serve(stage: &Stage) -> Result<()> {
    [(80, "echo hello"), (81, "echo second"), (82, "head -n 1")]
        .into_iter()
        .try_for_each(|(port, program)| stage.serve("p1", port, program))
}

fn active(stage: &Stage, device: &str) -> Result<bool> {
    let unit = format!("lxhost-proxy-p1:{device}.service");
    Ok(stage.host.command(["systemctl", "is-active", "--quiet", &unit]).output()?.code == Some(0))
}

fn relay(stage: &Stage, device: &str) -> Result<String> {
    let unit = format!("lxhost-proxy-p1:{device}.service");
    Ok(stage.host.succeed(["systemctl", "show", "-P", "MainPID", &unit])?.trim().to_owned())
}

fn a_port_of_the_host_leads_into_a_running_instance(stage: &Stage) -> Result<()> {
    rig(stage)?;
    let begin = Instant::now();
    stage.lxctl("config device add p1 web proxy listen=tcp:0.0.0.0:8080 connect=tcp:127.0.0.1:80").succeed()?;
    eprintln!("      opened within {} ms", begin.elapsed().as_millis());
    for (from, address) in [("host", "127.0.0.1"), ("outside", "198.51.100.1")] {
        ensure!(stage.heard(from, address, 8080)? == "hello", "{from} hears nothing");
    }
    stage.lxctl("config device set p1 web listen=tcp:198.51.100.1:8081 connect=tcp:127.0.0.1:81").succeed()?;
    ensure!(stage.heard("outside", "198.51.100.1", 8081)? == "second");
    ensure!(stage.heard("host", "127.0.0.1", 8080)?.is_empty() && stage.heard("host", "127.0.0.1", 8081)?.is_empty());
    stage.lxctl("config device remove p1 web").succeed()?;
    ensure!(stage.heard("outside", "198.51.100.1", 8081)?.is_empty() && !active(stage, "web")?);
    let left = stage.host.succeed(["systemctl", "list-units", "--all", "--plain", "--no-legend", "lxhost-proxy-*"])?;
    ensure!(left.trim().is_empty(), "{left}");
    Ok(())
}

fn a_relay_has_no_rights_and_nothing_of_the_host(stage: &Stage) -> Result<()> {
    rig(stage)?;
    stage.lxctl("config device add p1 web proxy listen=tcp:127.0.0.1:8080 connect=tcp:127.0.0.1:80").succeed()?;
    let pid = relay(stage, "web")?;
    let status = stage.host.succeed(["cat", &format!("/proc/{pid}/status")])?;
    for line in ["CapPrm:\t0000000000000000", "CapEff:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"] {
        ensure!(status.contains(line), "{line}: {status}");
    }
    let init = stage.init_of("p1")?;
    for namespace in ["user", "mnt", "net"] {
        let of = |pid: &str| stage.host.succeed(["readlink", &format!("/proc/{pid}/ns/{namespace}")]);
        ensure!(of(&pid)? == of(&init.to_string())?, "it is not in the instance's {namespace} namespace");
    }
    let inside = stage.exec("p1", ["ps"]).succeed()?;
    ensure!(!inside.contains("lxhost-runtime"), "{inside}");
    stage.lxctl("config device remove p1 web").succeed().map(drop)
}

fn a_proxy_starts_with_its_instance_and_ends_with_it(stage: &Stage) -> Result<()> {
    rig(stage)?;
    stage.lxctl("config device add p1 web proxy listen=tcp:127.0.0.1:8080 connect=tcp:127.0.0.1:80").succeed()?;
    let gone =
        |how: &str| stage.eventually(&format!("the end of the relay after {how}"), || Ok((!active(stage, "web")?).then_some(())));
    stage.lxctl("stop --force p1").succeed()?;
    ensure!(!active(stage, "web")?);
    stage.lxctl("start p1").succeed()?;
    serve(stage)?;
    ensure!(stage.heard("host", "127.0.0.1", 8080)? == "hello");
    stage.host.succeed(["kill", "-9", &stage.init_of("p1")?.to_string()])?;
    gone("the death of the init")?;
    stage.eventually("the end of p1", || Ok((stage.status("p1")? == "stopped").then_some(())))?;
    stage.lxctl("start p1").succeed()?;
    // Without anybody of ours to do it.
    stage.host.succeed(["systemctl", "stop", "lxhostd.service"])?;
    stage.host.succeed(["systemctl", "kill", "--signal=KILL", "lxhost-p1.scope"])?;
    gone("the death of all but PID 1")?;
    stage.eventually("the end of p1", || Ok((stage.status("p1")? == "stopped").then_some(())))?;
    stage.lxctl("start p1").succeed()?;
    serve(stage)?;
    ensure!(stage.heard("host", "127.0.0.1", 8080)? == "hello");
    stage.lxctl("config device remove p1 web").succeed().map(drop)
}

fn a_relay_outlives_the_daemon_and_comes_back_when_killed(stage: &Stage) -> Result<()> {
    rig(stage)?;
    stage.lxctl("config device add p1 web proxy listen=tcp:127.0.0.1:8080 connect=tcp:127.0.0.1:80").succeed()?;
    let first = relay(stage, "web")?;
    stage.host.succeed(["systemctl", "kill", "--kill-whom=main", "--signal=KILL", "lxhostd.service"])?;
    ensure!(stage.heard("host", "127.0.0.1", 8080)? == "hello");
    stage.eventually("a daemon", || Ok(stage.status("p1").ok()))?;
    ensure!(relay(stage, "web")? == first, "the relay is another one");
    stage.host.succeed(["kill", "-9", &first])?;
    stage.eventually("another relay", || Ok((stage.heard("host", "127.0.0.1", 8080)? == "hello").then_some(())))?;
    // One that PID 1 has given up is opened by the next daemon.
    stage.host.succeed(["systemctl", "stop", "lxhost-proxy-p1:web.service"])?;
    stage.host.succeed(["systemctl", "restart", "lxhostd.service"])?;
    stage.eventually("a daemon", || Ok(stage.status("p1").ok()))?;
    ensure!(stage.heard("host", "127.0.0.1", 8080)? == "hello");
    stage.lxctl("config device remove p1 web").succeed().map(drop)
}

fn what_cannot_be_is_refused_and_changes_nothing(stage: &Stage) -> Result<()> {
    rig(stage)?;
    stage.host.succeed(["systemd-run", "--unit=holder", "--", "busybox", "nc", "-ll", "-p", "7000", "-e", "true"])?;
    stage.eventually("somebody at port 7000", || {
        Ok(stage.host.succeed(["cat", "/proc/net/tcp", "/proc/net/tcp6"])?.contains(":1B58 ").then_some(()))
    })?;
    let (to, name_server) = ("connect=tcp:127.0.0.1:80", format!("listen=tcp:{}:53", bridge(stage)?));
    nothing_changes(&stage.host, || {
        for (listen, code, heard) in [
            ("listen=tcp:0.0.0.0:0", 2, "1 to 65535"),
            ("listen=tcp:0.0.0.0:65536", 2, "1 to 65535"),
            ("listen=tcp:0.0.0.0:1-3 connect=tcp:127.0.0.1:1-2", 2, "2 ports for the 3"),
            ("listen=tcp:localhost:8080", 2, "names are not looked up"),
            ("listen=udp:127.0.0.1:8080", 8, "udp"),
            ("listen=tcp:203.0.113.77:8080", 5, "203.0.113.77"),
            ("listen=tcp:127.0.0.1:7000", 5, "taken by busybox"),
            (&name_server, 5, "dnsmasq of network lxbr0"),
            ("listen=unix:/nowhere/x.sock", 5, "/nowhere"),
            ("listen=tcp:127.0.0.1:8080 nat=true", 2, "loopback"),
        ] {
            let connect = if listen.contains("connect=") { "" } else { to };
            let words = format!("config device add p1 bad proxy {listen} {connect}");
            let output = stage.lxctl(words.trim()).fail()?;
            ensure!(output.code == Some(code) && output.stderr_text().contains(heard), "{words}: {}", output.describe());
        }
        Ok(())
    })?;
    stage.host.succeed(["systemctl", "stop", "holder"])?;
    // An instance whose proxy cannot be does not start, and says why.
    stage.lxctl("create busybox p2").succeed()?;
    stage.lxctl("config device add p1 web proxy listen=tcp:0.0.0.0:8080 connect=tcp:127.0.0.1:80").succeed()?;
    stage.lxctl("config device add p2 other proxy listen=tcp:127.0.0.1:8080 connect=tcp:127.0.0.1:80").succeed()?;
    let output = stage.lxctl("start p2").fail()?;
    ensure!(output.code == Some(5) && output.stderr_text().contains("device web of instance p1"), "{}", output.describe());
    ensure!(stage.status("p2")? == "stopped");
    stage.lxctl("config device remove p1 web").succeed()?;
    stage.delete("p2")
}

/// Somebody on the host who says `host` at port 7100.
fn on_host(stage: &Stage) -> Result<()> {
    stage.host.succeed(["systemd-run", "--unit=said", "--", "busybox", "nc", "-ll", "-p", "7100", "-e", "echo", "host"])?;
    stage.eventually("somebody at port 7100", || Ok((stage.heard("host", "127.0.0.1", 7100)? == "host").then_some(())))
}

fn sockets_of_both_sides_lead_to_the_other(stage: &Stage) -> Result<()> {
    rig(stage)?;
    on_host(stage)?;
    for keys in [
        "inner proxy bind=instance listen=unix:/tmp/inner.sock connect=tcp:127.0.0.1:7100 uid=1 gid=2 mode=0600",
        "tofile proxy listen=tcp:127.0.0.1:8081 connect=unix:/tmp/inner.sock",
        "outer proxy listen=unix:/run/outer.sock connect=tcp:127.0.0.1:80 uid=33 gid=34 mode=0660",
        "fromfile proxy bind=guest listen=tcp:127.0.0.1:9000 connect=unix:/run/outer.sock",
        "name proxy bind=container listen=unix:@inner connect=tcp:127.0.0.1:7100",
        "names proxy listen=unix:@outer connect=unix:@inner",
        "fromname proxy bind=instance listen=tcp:127.0.0.1:9001 connect=unix:@outer",
        "trap proxy listen=tcp:127.0.0.1:8082 connect=unix:/tmp/trap.sock",
    ] {
        stage.lxctl(&format!("config device add p1 {keys}")).succeed()?;
    }
    ensure!(stage.heard("host", "127.0.0.1", 8081)? == "host");
    ensure!(stage.heard("p1", "127.0.0.1", 9000)? == "hello");
    ensure!(stage.heard("p1", "127.0.0.1", 9001)? == "host");
    let file = stage.exec("p1", ["stat", "-c", "%a %u:%g", "/tmp/inner.sock"]).succeed()?;
    ensure!(file.trim() == "600 1:2", "{file}");
    let file = stage.host.succeed(["stat", "-c", "%a %u:%g", "/run/outer.sock"])?;
    ensure!(file.trim() == "660 33:34", "{file}");
    // A link inside leads to nothing that is outside.
    stage.exec("p1", ["ln", "-s", "/run/outer.sock", "/tmp/trap.sock"]).succeed()?;
    ensure!(stage.heard("host", "127.0.0.1", 8082)?.is_empty());
    let output =
        stage.lxctl("config device add p1 bad proxy bind=instance listen=tcp:0.0.0.0:80 connect=tcp:127.0.0.1:7100").fail()?;
    let text = output.stderr_text();
    ensure!(output.code == Some(5) && text.contains("of the instance is taken by"), "{}", output.describe());
    // A file that a killed relay has left is replaced.
    stage.host.succeed(["kill", "-9", &relay(stage, "outer")?])?;
    stage.eventually("another relay", || Ok((stage.heard("p1", "127.0.0.1", 9000)? == "hello").then_some(())))?;
    stage.lxctl("config device remove p1 inner tofile outer fromfile name names fromname trap").succeed()?;
    ensure!(stage.host.command(["test", "-e", "/run/outer.sock"]).output()?.code == Some(1));
    stage.host.succeed(["systemctl", "stop", "said"]).map(drop)
}

fn many_ports_and_who_comes_are_passed_on(stage: &Stage) -> Result<()> {
    rig(stage)?;
    stage.lxctl("config device add p1 some proxy listen=tcp:0.0.0.0:8080-8081 connect=tcp:127.0.0.1:80-81").succeed()?;
    stage.lxctl("config device add p1 all proxy listen=tcp:127.0.0.1:8090,8095-8096 connect=tcp:127.0.0.1:80").succeed()?;
    stage
        .lxctl("config device add p1 who proxy listen=tcp:0.0.0.0:8082 connect=tcp:127.0.0.1:82 proxy_protocol=true")
        .succeed()?;
    for (port, wanted) in [(8080, "hello"), (8081, "second"), (8090, "hello"), (8095, "hello"), (8096, "hello")] {
        ensure!(stage.heard("host", "127.0.0.1", port)? == wanted, "port {port}");
    }
    let line = stage.heard("outside", "198.51.100.1", 8082)?;
    ensure!(line.starts_with("PROXY TCP4 198.51.100.2 198.51.100.1 ") && line.ends_with(" 8082"), "{line}");
    stage.lxctl("config device remove p1 some all who").succeed().map(drop)
}

/// A question to a name server, and whether an answer to it came.
fn resolves(stage: &Stage, address: &str, port: u16) -> Result<bool> {
    let ask = format!(
        "exec 3<>/dev/udp/{address}/{port}; printf '\\x12\\x34\\x01\\0\\0\\x01\\0\\0\\0\\0\\0\\0\\x02p1\\x06lxhost\\0\\0\\x01\\0\\x01' >&3; \
         timeout 3 head -c 2 <&3 | od -An -tx1"
    );
    Ok(stage.host.command(["bash", "-c", &ask]).output()?.stdout_text().trim() == "12 34")
}

/// The address of the instance's network.
fn bridge(stage: &Stage) -> Result<String> {
    let said = stage.host.succeed(["sh", "-c", "ip -4 -o addr show lxbr0 | awk '{sub(/\\/.*/, \"\", $4); print $4}'"])?;
    Ok(said.trim().to_owned())
}

fn datagrams_come_back_to_whoever_asked(stage: &Stage) -> Result<()> {
    rig(stage)?;
    let bridge = bridge(stage)?;
    ensure!(resolves(stage, &bridge, 53)?, "the bridge's own name server says nothing");
    stage.lxctl(&format!("config device add p1 dns proxy listen=udp:0.0.0.0:5300 connect=udp:{bridge}:53")).succeed()?;
    for _ in 0..3 {
        ensure!(resolves(stage, "127.0.0.1", 5300)?);
    }
    stage.lxctl("config device remove p1 dns").succeed()?;
    ensure!(!resolves(stage, "127.0.0.1", 5300)?);
    Ok(())
}

fn packets_are_translated_to_a_fixed_address(stage: &Stage) -> Result<()> {
    rig(stage)?;
    let tables = || stage.host.succeed(["nft", "list", "tables"]);
    let before = tables()?;
    let add = "config device add p1 web proxy nat=true listen=tcp:198.51.100.1:8080-8081 connect=tcp:0.0.0.0:80-81";
    let output = stage.lxctl(add).fail()?;
    ensure!(output.code == Some(2) && output.stderr_text().contains("set ipv4.address"), "{}", output.describe());
    let address = stage.address("p1")?;
    stage.lxctl(&format!("config device override p1 eth0 ipv4.address={address}")).succeed()?;
    stage.lxctl(add).succeed()?;
    stage.lxctl("launch busybox p3").succeed()?;
    stage.address("p3")?;
    let all = |when: &str| -> Result<()> {
        for (from, port, wanted) in [
            ("outside", 8080, "hello"),
            ("outside", 8081, "second"),
            ("host", 8080, "hello"),
            ("p3", 8080, "hello"),
            ("p1", 8081, "second"),
        ] {
            ensure!(stage.heard(from, "198.51.100.1", port)? == wanted, "{when}: {from} at {port}");
        }
        Ok(())
    };
    all("at first")?;
    ensure!(!active(stage, "web")?);
    stage.host.succeed(["nft", "flush", "ruleset"])?;
    stage.eventually("its table", || Ok(tables()?.contains("lxhost_proxy_").then_some(())))?;
    all("after a flush")?;
    stage.lxctl("restart --force p1").succeed()?;
    serve(stage)?;
    stage.eventually("the address", || Ok((stage.heard("outside", "198.51.100.1", 8080)? == "hello").then_some(())))?;
    stage.lxctl("config device set p1 web listen=tcp:0.0.0.0:8085 connect=tcp:0.0.0.0:80").succeed()?;
    ensure!(stage.heard("outside", "198.51.100.1", 8085)? == "hello" && stage.heard("outside", "198.51.100.1", 8080)?.is_empty());
    // Packets would go past whoever listens there.
    on_host(stage)?;
    let output = stage.lxctl("config device set p1 web listen=tcp:0.0.0.0:7100").fail()?;
    ensure!(output.code == Some(5) && output.stderr_text().contains("taken by busybox"), "{}", output.describe());
    ensure!(stage.heard("outside", "198.51.100.1", 8085)? == "hello");
    stage.host.succeed(["systemctl", "stop", "said"])?;
    // One that its profile has forgotten meanwhile is not left.
    stage.lxctl("profile create doors").succeed()?;
    let door = "profile device add doors door proxy nat=true listen=tcp:198.51.100.1:8088 connect=tcp:0.0.0.0:80";
    stage.lxctl(door).succeed()?;
    stage.lxctl("profile add p1 doors").succeed()?;
    ensure!(stage.heard("outside", "198.51.100.1", 8088)? == "hello");
    stage.lxctl("profile device remove doors door").succeed()?;
    stage.lxctl("stop --force p1").succeed()?;
    ensure!(tables()? == before, "{}", tables()?);
    stage.lxctl("profile remove p1 doors").succeed()?;
    stage.lxctl("profile delete doors").succeed()?;
    stage.lxctl("start p1").succeed()?;
    stage.lxctl("config device remove p1 web").succeed()?;
    stage.delete("p3")?;
    ensure!(tables()? == before, "{}", tables()?);
    Ok(())
}
