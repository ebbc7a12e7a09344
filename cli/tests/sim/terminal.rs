//! A terminal with an lxctl on it, as a person would sit before it.

use crate::daemon::Sim;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Termios, Winsize, tcgetattr, tcsetwinsize};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);

/// The person's side.
pub(crate) struct Terminal {
    master: File,
    slave: OwnedFd,
    child: Child,
    seen: String,
}

impl Terminal {
    /// Runs lxctl on a new terminal of 40 columns and 10 rows, as its controlling one.
    pub(crate) fn run(sim: &Sim, args: &[&str]) -> Terminal {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let path = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        tcsetwinsize(&master, size(10, 40)).unwrap();
        let slave = OwnedFd::from(OpenOptions::new().read(true).write(true).open(path).unwrap());
        let mut command = Command::new("setsid");
        command.args(["--ctty", "--wait", env!("CARGO_BIN_EXE_lxctl")]).args(args);
        sim.environment(&mut command);
        let end = || slave.try_clone().unwrap();
        let child = command.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        Terminal { master: master.into(), slave, child, seen: String::new() }
    }

    /// Types.
    pub(crate) fn type_in(&mut self, text: &str) {
        self.master.write_all(text.as_bytes()).unwrap();
    }

    /// Drags the window.
    pub(crate) fn resize(&self, rows: u16, columns: u16) {
        tcsetwinsize(&self.master, size(rows, columns)).unwrap();
    }

    /// Reads until `text` is on the screen; gives everything since the last call.
    pub(crate) fn expect(&mut self, text: &str) -> String {
        let start = Instant::now();
        loop {
            if let Some(at) = self.seen.find(text) {
                let rest = self.seen.split_off(at + text.len());
                return std::mem::replace(&mut self.seen, rest);
            }
            assert!(start.elapsed() < PATIENCE, "no {text:?} in {:?}", self.seen);
            let limit = Timespec { tv_sec: 1, tv_nsec: 0 };
            if poll(&mut [PollFd::new(&self.master, PollFlags::IN)], Some(&limit)).unwrap() > 0 {
                let mut chunk = [0; 4096];
                let n = self.master.read(&mut chunk).unwrap();
                self.seen.push_str(&String::from_utf8_lossy(&chunk[..n]));
            }
        }
    }

    /// Settings of the terminal.
    pub(crate) fn settings(&self) -> Termios {
        tcgetattr(&self.slave).unwrap()
    }

    /// Waits for the end; gives the exit status.
    pub(crate) fn end(self) -> i32 {
        self.settings_after_end().0
    }

    /// Waits for the end; gives the exit status and how the terminal was left.
    pub(crate) fn settings_after_end(mut self) -> (i32, Termios) {
        // What is still printed has to be read, or the end would never come.
        let mut master = self.master.try_clone().unwrap();
        std::thread::spawn(move || while matches!(master.read(&mut [0; 4096]), Ok(1..)) {});
        let code = self.child.wait().unwrap().code().unwrap_or(-1);
        (code, self.settings())
    }
}

fn size(rows: u16, columns: u16) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}
