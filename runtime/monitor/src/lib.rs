//! lxhost-runtime: the monitor of one container. It launches it, owns its console and its exec sessions, and records
//! its end. Started by lxhostd with one end of a sequenced-packet socket as standard input; speaks `lxhost-contract`.
//!
//! Single-threaded, no async runtime, little memory: it lives as long as its container, longer than the daemon.
//! As `lxhost-runtime proxy` it is another process, one proxy of a container (`proxy`).
//! A library so that fuzz targets reach its parsers (`hostile`); main.rs does nothing but call it.

mod addresses;
mod console;
mod disks;
mod exec;
mod failure;
pub mod hostile;
mod launch;
mod notify;
mod proxy;
mod runtime_dir;
mod serve;
mod sys;
mod terminal;

use std::process::ExitCode;

use lxhost_contract::Channel;

use crate::failure::{During, Failure};
use crate::serve::Server;
use crate::sys::{descriptors, identity, program, signals};

/// Less likely to be killed than what it watches: its end would take the console away.
const OOM_SCORE: &str = "-500";

/// The program.
pub fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|argument| argument == "--version") {
        println!("lxhost-runtime {}", env!("CARGO_PKG_VERSION"));
        return ExitCode::SUCCESS;
    }
    if std::env::args_os().nth(1).is_some_and(|argument| argument == "proxy") {
        return proxy::main(std::env::args_os().skip(2).map(|word| word.to_string_lossy().into_owned()).collect());
    }
    match monitor() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("lxhost-runtime: {}: {}", failure.step, failure.errno);
            ExitCode::FAILURE
        }
    }
}

fn monitor() -> Result<(), Failure> {
    let (daemon, signals) = leave_the_daemon()?;
    let (launched, console) = launch::launch(&daemon)?;
    Server::new(launched, console, signals, daemon).serve()
}

/// Keeps nothing of the process that started us but the socket.
fn leave_the_daemon() -> Result<(Channel, std::os::fd::OwnedFd), Failure> {
    descriptors::keep_only(&[]).during("close descriptors")?;
    let daemon = Channel::new(descriptors::take_stdin().during("standard input")?);
    signals::reset();
    let signals = signals::watch().during("signals")?;
    rustix::process::chdir("/").during("working directory")?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    program::plain_personality();
    // A session of its own: a signal to the daemon's process group is not for us.
    let _ = rustix::process::setsid();
    // Both are comfort: a kernel without keyrings, or a host that forbids lower scores, still runs containers.
    let _ = identity::new_session_keyring();
    let _ = std::fs::write("/proc/self/oom_score_adj", OOM_SCORE);
    Ok((daemon, signals))
}
