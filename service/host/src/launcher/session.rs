//! Commands and the console: descriptors go to the monitor and back, data never comes here.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::fd::OwnedFd;

use lxhost_contract::CONSOLE_NAME;
use lxhost_engine::ports::launcher::{Exec, Streams};
use lxhost_model::{Error, Kind, ObjectId, Result};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use super::HostLauncher;
use super::live::Live;

/// Session of commands that the launcher itself runs; the engine's have smaller numbers.
const OWN_SESSION: u64 = u64::MAX;

impl HostLauncher {
    pub(super) async fn run(&self, id: ObjectId, exec: Exec, streams: Streams) -> Result<u32> {
        let live = self.table.get(id)?;
        let Streams { stdin, stdout, stderr } = streams;
        let started = live.monitor.exec(order(exec), &[stdin, stdout, stderr]).await;
        started.map(|(started, _)| started.pid).map_err(|error| live.error(error))
    }

    pub(super) async fn run_on_terminal(&self, id: ObjectId, exec: Exec) -> Result<(u32, OwnedFd, String)> {
        let live = self.table.get(id)?;
        let (started, master) = live.monitor.exec(order(exec), &[]).await.map_err(|error| live.error(error))?;
        match (master, started.terminal) {
            (Some(master), Some(number)) => Ok((started.pid, master, format!("/dev/pts/{number}"))),
            _ => Err(Error::failed(format!("instance {}: the monitor gave no terminal", live.machine))),
        }
    }

    pub(super) async fn open_console(&self, id: ObjectId) -> Result<OwnedFd> {
        let live = self.table.get(id)?;
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
            .map_err(|errno| Error::io("console", &errno.into()))?;
        live.monitor.console_attach(&theirs, false).await.map_err(|error| live.error(error))?;
        Ok(ours)
    }

    /// Of a container that does not run, what its last run has left.
    pub(super) async fn open_console_log(&self, id: ObjectId) -> Result<OwnedFd> {
        if let Ok(live) = self.table.get(id) {
            return live.monitor.console_log().await.map_err(|error| live.error(error));
        }
        let path = self.runtime_dir(id).join(CONSOLE_NAME);
        match std::fs::File::open(&path) {
            Ok(file) => Ok(file.into()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(Error::new(Kind::NotRunning, "it does not run and has left no console log"))
            }
            Err(error) => Err(Error::io(format!("read {}", path.display()), &error)),
        }
    }
}

impl Live {
    /// Runs a command inside, as its root, whose words and end interest nobody.
    pub(super) async fn tell(&self, argv: [&str; 2]) -> Result<()> {
        let exec = lxhost_contract::Exec { id: OWN_SESSION, argv: argv.map(OsString::from).to_vec(), ..Default::default() };
        self.monitor.exec(exec, &[]).await.map(drop).map_err(|error| self.error(error))
    }
}

fn order(exec: Exec) -> lxhost_contract::Exec {
    let (rows, columns) = exec.pty.unwrap_or((0, 0));
    lxhost_contract::Exec {
        id: exec.session.into(),
        login: exec.argv.is_empty(),
        argv: exec.argv.into_iter().map(OsString::from).collect(),
        env: environment(exec.environment, exec.pty.is_some()),
        cwd: exec.cwd.unwrap_or_default().into(),
        user: exec.user.unwrap_or_default(),
        group: exec.group.unwrap_or_default(),
        pty: exec.pty.is_some(),
        rows,
        columns,
    }
}

/// What depends on the user is filled in inside, by the monitor.
fn environment(mut asked: BTreeMap<String, String>, terminal: bool) -> Vec<OsString> {
    asked.entry("LANG".to_owned()).or_insert_with(|| "C.UTF-8".to_owned());
    if terminal {
        asked.entry("TERM".to_owned()).or_insert_with(|| "xterm-256color".to_owned());
    }
    asked.into_iter().map(|(name, value)| OsString::from(format!("{name}={value}"))).collect()
}
