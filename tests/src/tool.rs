//! Runs a program of the machine to its end and turns a failure into an error that carries what the
//! program said. Called by everything here that needs a system tool; never by a test to run a command
//! in a host (that is `host::command`).

use std::process::{Command, Output};

use anyhow::{Context, Result, bail};

/// Runs `command`, waits, and gives its output if it exits with 0.
///
/// # Errors
/// When it cannot be started, or ends otherwise; the message has its standard error's last lines.
pub fn run(command: &mut Command) -> Result<Output> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("starting {name}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let tail: Vec<&str> = said.lines().rev().take(20).collect();
        let tail: Vec<&str> = tail.into_iter().rev().collect();
        bail!("{name}: {}\n{}", output.status, tail.join("\n"));
    }
    Ok(output)
}
