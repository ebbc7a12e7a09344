//! `exec`.

use crate::args::{Exec, Mode};
use crate::attach::{self, Signals};
use crate::bus::Session;
use crate::failure::Failure;
use crate::pairs;
use crate::terminal;
use lxhost_dbus::Options;
use lxhost_dbus::proxy::GuestProxy;
use std::collections::HashMap;
use std::os::fd::AsFd;
use zbus::wire::Fd;

/// Runs a command; gives its exit status.
pub(crate) async fn run(session: &Session, args: &Exec) -> Result<u8, Failure> {
    let guest: GuestProxy<'static> = session.object(&session.instance(&args.name).await?).await?;
    let argv: Vec<&str> = args.command.iter().map(String::as_str).collect();
    let mut options = options(args);
    let mut signals = Signals::new()?;
    if wants_terminal(args, terminal::is_interactive()) {
        terminal_options(&mut options);
        let call = session.allowed(|| guest.exec_pty(&argv, &options));
        let (exec, master, _) = signals.during(call).await?;
        return attach::on_terminal(session, &exec, master.into(), signals).await;
    }
    if args.disable_stdin {
        options.insert("null", vec!["stdin"].into());
    }
    let (stdin, stdout, stderr) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    let mut fds = HashMap::from([("stdout", Fd::from(stdout.as_fd())), ("stderr", Fd::from(stderr.as_fd()))]);
    if !args.disable_stdin {
        fds.insert("stdin", Fd::from(stdin.as_fd()));
    }
    let (exec, _) = signals.during(session.allowed(|| guest.exec(&argv, &fds, &options))).await?;
    attach::plain(session, &exec, signals).await
}

/// Whether the command gets a terminal.
fn wants_terminal(args: &Exec, interactive: bool) -> bool {
    if args.force_interactive || args.mode == Mode::Interactive {
        return true;
    }
    let refused = args.force_noninteractive || args.mode == Mode::NonInteractive || args.disable_stdin;
    interactive && !refused
}

fn options(args: &Exec) -> Options<'_> {
    let mut options = Options::new();
    if !args.environment.is_empty() {
        options.insert("environment", pairs::config(&args.environment).into());
    }
    for (key, value) in [("user", &args.user), ("group", &args.group), ("cwd", &args.cwd)] {
        if let Some(value) = value {
            options.insert(key, value.as_str().into());
        }
    }
    options
}

/// Adds the size and type of our terminal.
pub(crate) fn terminal_options(options: &mut Options<'_>) {
    if let Some(size) = terminal::size() {
        options.insert("rows", size.ws_row.into());
        options.insert("cols", size.ws_col.into());
    }
    if let Ok(term) = std::env::var("TERM") {
        options.insert("term", term.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command};
    use clap::Parser;
    use zbus::wire::Variant;

    fn parse(line: &[&str]) -> Exec {
        match Cli::try_parse_from([&["lxctl", "exec"], line].concat()).unwrap().command {
            Command::Exec(args) => args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn options_before_the_command_are_ours_and_after_it_the_commands() {
        let args = parse(&["c1", "--user", "1000", "--cwd", "/srv", "--", "ls", "-n", "--user", "x"]);
        assert_eq!(args.command, ["ls", "-n", "--user", "x"]);
        assert_eq!(args.user.as_deref(), Some("1000"));
        let args = parse(&["c1", "ls", "-l", "-t"]);
        assert_eq!(args.command, ["ls", "-l", "-t"]);
        assert!(!args.force_interactive);
        let args = parse(&["-t", "c1", "--env", "A=b=c", "--", "env"]);
        assert!(args.force_interactive);
        assert_eq!(options(&args)["environment"], Variant::from(HashMap::from([("A", "b=c")])));
        assert!(Cli::try_parse_from(["lxctl", "exec", "c1"]).is_err());
        assert!(Cli::try_parse_from(["lxctl", "exec", "c1", "--bogus", "--", "ls"]).is_err());
    }

    #[test]
    fn a_terminal_is_given_when_both_ends_are_one_or_when_asked_for() {
        assert!(wants_terminal(&parse(&["c1", "--", "sh"]), true));
        assert!(!wants_terminal(&parse(&["c1", "--", "sh"]), false));
        assert!(wants_terminal(&parse(&["c1", "-t", "--", "sh"]), false));
        assert!(wants_terminal(&parse(&["c1", "--mode", "interactive", "--", "sh"]), false));
        for no in [&["c1", "-T", "--", "sh"][..], &["c1", "-n", "--", "sh"], &["c1", "--mode=non-interactive", "--", "sh"]] {
            assert!(!wants_terminal(&parse(no), true), "{no:?}");
        }
    }

    #[test]
    fn only_what_was_named_is_sent() {
        assert!(options(&parse(&["c1", "--", "id"])).is_empty());
        let args = parse(&["c1", "--group", "adm", "--", "id"]);
        assert_eq!(options(&args).into_keys().collect::<Vec<_>>(), ["group"]);
    }
}
