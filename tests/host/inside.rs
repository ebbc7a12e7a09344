//! Commands, shells and terminals in an instance.

use std::io::Write;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lxhost_tests::host::Cmd;
use lxhost_tests::runner::{Base, Stage, Suite};
use lxhost_tests::suite;

pub(crate) const SUITE: Suite = suite!(
    "inside",
    Base::Packaged,
    [
        exit_status_and_signals_are_exact,
        streams_are_apart_and_eight_bits_clean,
        the_end_of_input_is_passed_on_alone,
        environment_directory_user_and_group_are_as_asked,
        a_command_that_is_not_there_is_127,
        a_terminal_is_one_and_has_a_size,
        control_c_reaches_the_program_and_not_lxctl,
        a_shell_is_a_login_shell,
        a_large_stream_goes_through_unchanged,
        a_thousand_commands_leak_nothing,
        a_command_in_a_stopped_instance_is_an_error_by_state,
    ]
);

fn i1(stage: &Stage) -> Result<()> {
    stage.with_debian()?;
    if stage.row("i1")?.is_none() { stage.launch_ready("debian", "i1") } else { Ok(()) }
}

fn exit_status_and_signals_are_exact(stage: &Stage) -> Result<()> {
    i1(stage)?;
    for code in [0, 1, 7, 126, 255] {
        let output = stage.exec("i1", ["sh", "-c", &format!("exit {code}")]).output()?;
        ensure!(output.code == Some(code), "exit {code}: {}", output.describe());
    }
    for (signal, code) in [("KILL", 137), ("TERM", 143), ("SEGV", 139)] {
        let output = stage.exec("i1", ["sh", "-c", &format!("kill -{signal} $$")]).output()?;
        ensure!(output.code == Some(code), "{signal}: {}", output.describe());
    }
    Ok(())
}

fn streams_are_apart_and_eight_bits_clean(stage: &Stage) -> Result<()> {
    i1(stage)?;
    let bytes: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    let output =
        stage.exec("i1", ["sh", "-c", "cat >/root/bytes; cat /root/bytes; cat /root/bytes >&2"]).stdin(bytes.clone()).output()?;
    ensure!(
        output.code == Some(0) && output.stdout == bytes && output.stderr == bytes,
        "{} and {} bytes came back",
        output.stdout.len(),
        output.stderr.len()
    );
    Ok(())
}

fn the_end_of_input_is_passed_on_alone(stage: &Stage) -> Result<()> {
    i1(stage)?;
    let output = stage.exec("i1", ["sh", "-c", "cat; echo after"]).stdin("before\n").output()?;
    ensure!(output.stdout == b"before\nafter\n", "{}", output.describe());
    Ok(())
}

fn environment_directory_user_and_group_are_as_asked(stage: &Stage) -> Result<()> {
    i1(stage)?;
    let argv = [
        "lxctl",
        "exec",
        "i1",
        "--env",
        "A=b c",
        "--cwd",
        "/srv",
        "--user",
        "33",
        "--group",
        "34",
        "--",
        "sh",
        "-c",
        "echo \"$A\"; pwd; id -u; id -g; echo $container",
    ];
    let output = stage.host.command(argv).env("LEAKED", "yes").succeed()?;
    ensure!(output == "b c\n/srv\n33\n34\nlxhost\n" || output == "b c\n/srv\n33\n34\n\n", "{output}");
    let environment = stage.host.command(["lxctl", "exec", "i1", "--", "env"]).env("LEAKED", "yes").succeed()?;
    ensure!(!environment.contains("LEAKED") && environment.contains("PATH=/"), "{environment}");
    Ok(())
}

fn a_command_that_is_not_there_is_127(stage: &Stage) -> Result<()> {
    i1(stage)?;
    let output = stage.exec("i1", ["no-such-program"]).fail()?;
    ensure!(output.code == Some(127) && output.stderr_text().contains("no-such-program"), "{}", output.describe());
    let output = stage.exec("i1", ["/etc/passwd"]).fail()?;
    ensure!(output.code == Some(126), "{}", output.describe());
    Ok(())
}

/// A command line under a terminal of the host, as script(1) makes one.
fn on_terminal(line: &str) -> [String; 5] {
    ["script", "--quiet", "--return", "--command", &format!("stty rows 33 cols 77; {line}")].map(str::to_owned)
}

fn script<'a>(stage: &'a Stage, line: &str) -> Cmd<'a> {
    // Without a file name script writes its log to the working directory.
    stage.host.command(on_terminal(line).into_iter().chain(["/dev/null".to_owned()]))
}

fn a_terminal_is_one_and_has_a_size(stage: &Stage) -> Result<()> {
    i1(stage)?;
    let said = script(stage, "lxctl exec i1 -- sh -c 'tty; stty size'").succeed()?;
    ensure!(said.contains("/dev/pts/") && said.contains("33 77"), "{said}");
    let piped = stage.exec("i1", ["tty"]).output()?;
    ensure!(piped.stdout == b"not a tty\n", "{}", piped.describe());
    Ok(())
}

fn control_c_reaches_the_program_and_not_lxctl(stage: &Stage) -> Result<()> {
    i1(stage)?;
    let mut session =
        script(stage, "lxctl exec i1 -- sh -c 'trap \"echo caught; exit 9\" INT; echo ready; while :; do sleep 0.1; done'")
            .spawn()?;
    session.until("ready")?;
    session.stdin.as_mut().context("a terminal has an input")?.write_all(&[3])?;
    session.until("caught")?;
    let output = session.wait()?;
    ensure!(output.code == Some(9), "{}", output.describe());
    Ok(())
}

fn a_shell_is_a_login_shell(stage: &Stage) -> Result<()> {
    i1(stage)?;
    let mut session = script(stage, "lxctl shell i1").spawn()?;
    session.stdin.as_mut().context("a terminal has an input")?.write_all(b"echo [$0] [$HOME] [$(id -un)]; exit 5\n")?;
    let output = session.wait()?;
    let said = output.stdout_text();
    ensure!(said.contains("[-bash] [/root] [root]"), "{said}");
    ensure!(output.code == Some(5), "{}", output.describe());
    Ok(())
}

fn a_large_stream_goes_through_unchanged(stage: &Stage) -> Result<()> {
    i1(stage)?;
    let line = "head -c 200000000 /dev/zero | tr '\\0' x | lxctl exec i1 -- cat | sha256sum; head -c 200000000 /dev/zero | tr '\\0' x | sha256sum";
    let sums = stage.host.command(["sh", "-c", line]).timeout(Duration::from_secs(120)).succeed()?;
    let sums: Vec<&str> = sums.lines().collect();
    ensure!(sums.len() == 2 && sums[0] == sums[1], "{sums:?}");
    Ok(())
}

fn a_thousand_commands_leak_nothing(stage: &Stage) -> Result<()> {
    i1(stage)?;
    let count = "for p in lxhostd lxhost-runtime; do for pid in $(pidof $p); do ls /proc/$pid/fd | wc -l; done; done; ls /sys/fs/cgroup/machine.slice/lxhost-i1.scope/*/ -d | wc -l";
    stage.exec("i1", ["true"]).succeed()?;
    let before = stage.host.succeed(["sh", "-c", count])?;
    stage
        .host
        .command(["sh", "-ec", "i=0; while [ $i -lt 1000 ]; do lxctl exec i1 -- true </dev/null; i=$((i+1)); done"])
        .timeout(Duration::from_secs(180))
        .succeed()?;
    stage.eventually("the descriptors of before", || Ok((stage.host.succeed(["sh", "-c", count])? == before).then_some(())))
}

fn a_command_in_a_stopped_instance_is_an_error_by_state(stage: &Stage) -> Result<()> {
    stage.with_busybox()?;
    stage.lxctl("create busybox off").succeed()?;
    let output = stage.exec("off", ["true"]).fail()?;
    ensure!(output.code == Some(5) && output.stderr_text().contains("off"), "{}", output.describe());
    stage.delete("off")
}
