//! What a person at a terminal does: answer questions, edit in an editor, complete names, interrupt, resize.
//! Each in a pty of the host, as script(1) makes one.

use std::io::Write;

use anyhow::{Context, Result, ensure};
use lxhost_tests::host::{Running, State};
use lxhost_tests::runner::{Base, Stage, Suite};
use lxhost_tests::suite;
use lxhost_tests::unchanged::nothing_changes;

pub(crate) const SUITE: Suite = suite!(
    "terminal",
    Base::Packaged,
    [
        init_makes_what_is_answered,
        init_that_is_interrupted_makes_nothing,
        an_instance_is_edited_in_an_editor,
        an_edit_that_changes_nothing_does_nothing,
        an_edit_that_is_wrong_is_offered_again,
        an_edit_that_is_given_up_changes_nothing,
        a_profile_is_edited_in_an_editor,
        a_file_that_was_emptied_or_mistyped_is_refused,
        zsh_completes_names,
        fish_completes_names,
        bash_completes_names,
        control_c_in_a_shell_ends_the_command_and_not_the_shell,
        a_resize_reaches_the_program,
        the_console_has_the_size_of_the_terminal_that_looks_at_it,
    ]
);

/// A line of the shell on a terminal of 33 rows and 77 columns.
fn at_terminal(stage: &Stage, line: &str, editor: &str) -> Result<Running> {
    let line = format!("stty rows 33 cols 77; {line}");
    let argv = ["script", "--quiet", "--return", "--command", &line, "/dev/null"];
    stage.host.command(argv).env("EDITOR", editor).env("TERM", "xterm").spawn()
}

fn type_in(session: &mut Running, text: &str) -> Result<()> {
    let input = session.stdin.as_mut().context("a terminal has an input")?;
    input.write_all(text.as_bytes())?;
    Ok(input.flush()?)
}

fn t1(stage: &Stage) -> Result<()> {
    stage.with_busybox()?;
    if stage.row("terminal-one")?.is_none() {
        stage.lxctl("launch busybox terminal-one").succeed()?;
    }
    Ok(())
}

/// An editor that runs this text of the shell with the file as `$1`; gives its path.
fn editor(stage: &Stage, name: &str, text: &str) -> Result<String> {
    let path = format!("/usr/local/bin/{name}");
    stage.host.command(["sh", "-ec", "cat >$0; chmod 755 $0", &path]).stdin(format!("#!/bin/sh\n{text}\n")).succeed()?;
    Ok(path)
}

fn init_makes_what_is_answered(stage: &Stage) -> Result<()> {
    let stage = stage.sibling(State::Plain)?;
    let mut session = at_terminal(&stage, "lxctl init", "")?;
    for (question, answer) in [
        ("Make a storage pool", "y"),
        ("Name of the pool", "disks\r"),
        ("Driver", "dir\r"),
        ("Directory or device", "\r"),
        ("Make a network bridge", "\r"),
        ("Name of the bridge", "lan0\r"),
        ("IPv4 address", "10.77.0.1/24\r"),
        ("IPv6 address", "none\r"),
        ("Print this as YAML", "y"),
    ] {
        session.until(question)?;
        type_in(&mut session, answer)?;
    }
    let output = session.wait()?;
    ensure!(output.code == Some(0) && output.stdout_text().contains("storage_pools:"), "{}", output.describe());
    let pools = stage.lxctl("storage list --format json").succeed()?;
    ensure!(pools.contains("\"disks\"") && pools.contains("\"dir\""), "{pools}");
    let network = stage.lxctl("network show lan0").succeed()?;
    ensure!(network.contains("10.77.0.1/24"), "{network}");
    stage.with_busybox()?;
    stage.lxctl("launch busybox i1").succeed()?;
    ensure!(stage.address("i1")?.starts_with("10.77.0."));
    let again = at_terminal(&stage, "lxctl init", "")?;
    again.until("There is a storage pool already: disks")?;
    again.until("There is a network already: lan0")?;
    Ok(())
}

fn init_that_is_interrupted_makes_nothing(stage: &Stage) -> Result<()> {
    let stage = stage.sibling(State::Plain)?;
    nothing_changes(&stage.host, || {
        let mut session = at_terminal(&stage, "lxctl init", "")?;
        session.until("Make a storage pool")?;
        type_in(&mut session, "y")?;
        session.until("Name of the pool")?;
        type_in(&mut session, "\x03")?;
        let output = session.wait()?;
        ensure!(output.code.is_some_and(|code| code != 0), "{}", output.describe());
        Ok(())
    })
}

fn an_instance_is_edited_in_an_editor(stage: &Stage) -> Result<()> {
    t1(stage)?;
    let editor = editor(stage, "ed-note", "sed -i 's/^config: {}/config:/; s/^config:/config:\\n  user.note: written/' \"$1\"")?;
    let output = at_terminal(stage, "lxctl config edit terminal-one", &editor)?.wait()?;
    ensure!(output.code == Some(0), "{}", output.describe());
    ensure!(stage.lxctl("config get terminal-one user.note").succeed()? == "written\n");
    Ok(())
}

fn an_edit_that_changes_nothing_does_nothing(stage: &Stage) -> Result<()> {
    t1(stage)?;
    let jobs = || stage.host.succeed(["sh", "-c", "journalctl --sync; journalctl -o cat -u lxhostd | grep -c configure || true"]);
    let before = jobs()?;
    nothing_changes(&stage.host, || {
        let output = at_terminal(stage, "lxctl config edit terminal-one", "true")?.wait()?;
        ensure!(output.code == Some(0), "{}", output.describe());
        let failed = at_terminal(stage, "lxctl config edit terminal-one", "false")?.wait()?;
        ensure!(failed.code == Some(12), "{}", failed.describe());
        Ok(())
    })?;
    ensure!(jobs()? == before, "the daemon was asked to change something");
    Ok(())
}

/// Writes nonsense the first time and repairs it the second.
const NONSENSE: &str = "if grep -q nonsense \"$1\"; then sed -i /nonsense/d \"$1\"; sed -i 's/^config: {}/config:/; s/^config:/config:\\n  user.again: yes/' \"$1\"; \
    else echo 'nonsense: [' >>\"$1\"; fi";

fn an_edit_that_is_wrong_is_offered_again(stage: &Stage) -> Result<()> {
    t1(stage)?;
    let editor = editor(stage, "ed-nonsense", NONSENSE)?;
    let mut session = at_terminal(stage, "lxctl config edit terminal-one", &editor)?;
    session.until("not a definition in YAML")?;
    session.until("Edit it again")?;
    type_in(&mut session, "y")?;
    let output = session.wait()?;
    ensure!(output.code == Some(0), "{}", output.describe());
    ensure!(stage.lxctl("config get terminal-one user.again").succeed()? == "yes\n");
    Ok(())
}

fn an_edit_that_is_given_up_changes_nothing(stage: &Stage) -> Result<()> {
    t1(stage)?;
    let bad_key = editor(stage, "ed-key", "sed -i 's/^config: {}/config:/; s/^config:/config:\\n  no.such.key: 1/' \"$1\"")?;
    let nonsense = editor(stage, "ed-nonsense", NONSENSE)?;
    nothing_changes(&stage.host, || {
        for (editor, said) in [(&bad_key, "no.such.key"), (&nonsense, "not a definition in YAML")] {
            let mut session = at_terminal(stage, "lxctl config edit terminal-one", editor)?;
            session.until(said)?;
            session.until("Edit it again")?;
            type_in(&mut session, "n")?;
            let output = session.wait()?;
            ensure!(output.code == Some(2), "{}", output.describe());
        }
        Ok(())
    })
}

fn a_profile_is_edited_in_an_editor(stage: &Stage) -> Result<()> {
    stage.lxctl("profile create edited").succeed()?;
    let editor =
        editor(stage, "ed-profile", "printf 'config:\\n  limits.processes: 77\\ndescription: by hand\\ndevices: {}\\n' >\"$1\"")?;
    let output = at_terminal(stage, "lxctl profile edit edited", &editor)?.wait()?;
    ensure!(output.code == Some(0), "{}", output.describe());
    let shown = stage.lxctl("profile show edited").succeed()?;
    ensure!(shown.contains("limits.processes: '77'") || shown.contains("limits.processes: \"77\""), "{shown}");
    ensure!(shown.contains("by hand"), "{shown}");
    stage.lxctl("profile delete edited").succeed()?;
    Ok(())
}

fn a_file_that_was_emptied_or_mistyped_is_refused(stage: &Stage) -> Result<()> {
    t1(stage)?;
    stage.lxctl("config set terminal-one user.precious=1").succeed()?;
    let empty = editor(stage, "ed-empty", ": >\"$1\"")?;
    let typo = editor(stage, "ed-typo", "sed -i 's/^config:/confg:/' \"$1\"")?;
    nothing_changes(&stage.host, || {
        let output = at_terminal(stage, "lxctl config edit terminal-one", &empty)?.wait()?;
        ensure!(output.code == Some(12), "{}", output.describe());
        let mut session = at_terminal(stage, "lxctl config edit terminal-one", &typo)?;
        session.until("confg")?;
        session.until("Edit it again")?;
        type_in(&mut session, "n")?;
        ensure!(session.wait()?.code == Some(2));
        Ok(())
    })
}

/// The shells of this suite, from Debian's mirror.
fn shells(stage: &Stage) -> Result<()> {
    t1(stage)?;
    if stage.host.command(["sh", "-c", "command -v zsh fish"]).output()?.code != Some(0) {
        stage.host.command(["apt-get", "update", "-q"]).timeout(std::time::Duration::from_secs(120)).succeed()?;
        let install = stage.host.command(["apt-get", "install", "-q", "-y", "--no-install-recommends", "zsh", "fish"]);
        install.env("DEBIAN_FRONTEND", "noninteractive").timeout(std::time::Duration::from_secs(120)).succeed()?;
    }
    Ok(())
}

fn zsh_completes_names(stage: &Stage) -> Result<()> {
    shells(stage)?;
    let rc = "autoload -U compinit; compinit -u; PS1='prompt> '; unsetopt zle_bracketed_paste\n";
    stage.host.command(["sh", "-ec", "cat >/root/.zshrc"]).stdin(rc).succeed()?;
    let mut session = at_terminal(stage, "zsh -i", "")?;
    session.until("prompt> ")?;
    // The first use of a completion loads it; the name is completed all the same.
    type_in(&mut session, "lxctl info term\t\r")?;
    session.until("Name: terminal-one")?;
    type_in(&mut session, "lxctl net\t list --form\t csv\r")?;
    session.until("lxbr0,")?;
    type_in(&mut session, "exit\r")?;
    session.wait()?;
    Ok(())
}

fn fish_completes_names(stage: &Stage) -> Result<()> {
    shells(stage)?;
    let complete = |line: &str| stage.host.succeed(["fish", "-c", &format!("complete -C '{line}'")]);
    ensure!(complete("lxctl info term")?.contains("terminal-one"));
    ensure!(complete("lxctl stop --force ")?.contains("terminal-one"));
    ensure!(complete("lxctl laun")?.starts_with("launch"));
    ensure!(complete("lxctl image info busy")?.contains("busybox"));
    Ok(())
}

fn bash_completes_names(stage: &Stage) -> Result<()> {
    t1(stage)?;
    let line = "PS1='prompt> ' bash --norc -i";
    let mut session = at_terminal(stage, line, "")?;
    session.until("prompt> ")?;
    type_in(&mut session, ". /usr/share/bash-completion/bash_completion; echo load''ed\r")?;
    session.until("loaded")?;
    type_in(&mut session, "lxctl info term\t\r")?;
    session.until("Name: terminal-one")?;
    type_in(&mut session, "exit\r")?;
    session.wait()?;
    Ok(())
}

fn control_c_in_a_shell_ends_the_command_and_not_the_shell(stage: &Stage) -> Result<()> {
    t1(stage)?;
    let mut session = at_terminal(stage, "lxctl shell terminal-one", "")?;
    // Said by the command itself, which then is in the foreground: a shell that has yet to fork keeps the signal.
    type_in(&mut session, "sh -c \"echo begin''s; exec sleep 1000\"\r")?;
    session.until("begins")?;
    type_in(&mut session, "\x03")?;
    type_in(&mut session, "echo goes''-on; exit 3\r")?;
    session.until("goes-on")?;
    let output = session.wait()?;
    ensure!(output.code == Some(3), "{}", output.describe());
    Ok(())
}

fn a_resize_reaches_the_program(stage: &Stage) -> Result<()> {
    t1(stage)?;
    let program = "trap \"stty size\" WINCH; stty size; while :; do sleep 0.1; done";
    let mut session = at_terminal(stage, &format!("tty; lxctl exec terminal-one -- sh -c '{program}'"), "")?;
    let said = session.until("33 77")?;
    let terminal = said.lines().next().context("tty says its name")?.trim().to_owned();
    stage.host.succeed(["stty", "-F", &terminal, "rows", "44", "cols", "99"])?;
    session.until("44 99")?;
    type_in(&mut session, "\x03")?;
    session.wait()?;
    Ok(())
}

fn the_console_has_the_size_of_the_terminal_that_looks_at_it(stage: &Stage) -> Result<()> {
    t1(stage)?;
    let mut session = at_terminal(stage, "tty; lxctl console terminal-one", "")?;
    let said = session.until("Ctrl-a q")?;
    let terminal = said.lines().next().context("tty says its name")?.trim().to_owned();
    let size = |wanted: &str| {
        stage.eventually(wanted, || {
            let size = stage.exec("terminal-one", ["stty", "-F", "/dev/console", "size"]).succeed()?;
            Ok((size.trim() == wanted).then_some(()))
        })
    };
    size("33 77")?;
    stage.host.succeed(["stty", "-F", &terminal, "rows", "44", "cols", "99"])?;
    size("44 99")?;
    type_in(&mut session, "\x01q")?;
    ensure!(session.wait()?.code == Some(0));
    Ok(())
}
