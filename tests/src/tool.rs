//! Runs a program of the machine to its end and turns a failure into an error that carries what the
//! program said. Called by everything here that needs a system tool; never by a test to run a command
//! in a host (that is `host::command`).

use std::io::ErrorKind;
use std::process::{Child, Command, Output};

use anyhow::{Error, Result, bail};

/// Runs `command`, waits, and gives its output if it exits with 0.
///
/// # Errors
/// When it cannot be started, or ends otherwise; the message has its standard error's last lines.
pub fn run(command: &mut Command) -> Result<Output> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| missing(&name, error))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let tail: Vec<&str> = said.lines().rev().take(20).collect();
        let tail: Vec<&str> = tail.into_iter().rev().collect();
        bail!("{name}: {}\n{}", output.status, tail.join("\n"));
    }
    Ok(output)
}

/// Starts `command`.
///
/// # Errors
/// When it cannot be started; the message says what installs it.
pub fn start(command: &mut Command) -> Result<Child> {
    let name = command.get_program().to_string_lossy().into_owned();
    command.spawn().map_err(|error| missing(&name, error))
}

/// What to say of a tool that cannot be started.
fn missing(name: &str, error: std::io::Error) -> Error {
    let why = if error.kind() == ErrorKind::NotFound {
        format!("{name} is not installed: make setup installs it")
    } else {
        format!("starting {name}")
    };
    Error::new(error).context(why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_tool_is_named_with_what_installs_it() {
        let said = run(&mut Command::new("lab-no-such-tool")).unwrap_err().to_string();
        assert_eq!(said, "lab-no-such-tool is not installed: make setup installs it");
    }
}
