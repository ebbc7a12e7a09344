//! One program: started in a process group of its own, its streams carried, its end told. Depends on the
//! wire. Called by `main`.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;

use lxhost_lab_agent::{CHUNK, Kind};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::{Takers, Wire};

/// The process groups that run, by number. An entry goes before its process is reaped.
static GROUPS: Mutex<Option<HashMap<u32, Pid>>> = Mutex::new(None);

/// What a shell says of a program that it cannot start.
const NOT_STARTED: i32 = 127 << 8;

/// Starts the program of these words, each ended by a NUL.
pub(crate) fn start(wire: &Wire, takers: &Takers, id: u32, words: &[u8]) {
    let words: Vec<String> = words.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect();
    let Some((program, arguments)) = words.split_first() else { return };
    let arguments = arguments.split_last().map_or(&[][..], |(_, arguments)| arguments);
    let started = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn();
    match started {
        Ok(child) => carry(wire, takers, id, child),
        Err(error) => {
            wire.send(Kind::Error, id, format!("{program}: {error}\n").as_bytes());
            wire.send(Kind::Error, id, &[]);
            wire.send(Kind::Output, id, &[]);
            wire.send(Kind::Ended, id, &NOT_STARTED.to_le_bytes());
        }
    }
}

fn carry(wire: &Wire, takers: &Takers, id: u32, mut child: Child) {
    if let Some(mut stdin) = child.stdin.take() {
        let (sender, bytes) = mpsc::channel::<Vec<u8>>();
        takers.lock().unwrap_or_else(PoisonError::into_inner).insert(id, sender);
        // A program need not read its input to the end.
        thread::spawn(move || bytes.iter().all(|bytes| stdin.write_all(&bytes).is_ok()));
    }
    if let Some(stdout) = child.stdout.take() {
        pump(wire.clone(), Kind::Output, id, stdout);
    }
    if let Some(stderr) = child.stderr.take() {
        pump(wire.clone(), Kind::Error, id, stderr);
    }
    with_groups(|groups| groups.insert(id, Pid::from_child(&child)));
    let (wire, takers) = (wire.clone(), takers.clone());
    thread::spawn(move || {
        let pid = Pid::from_child(&child);
        // Waits without reaping: until the entry is gone, the number is nobody else's.
        let _ = rustix::process::waitid(rustix::process::WaitId::Pid(pid), waiting());
        with_groups(|groups| groups.remove(&id));
        let status = child.wait().map_or(-1, ExitStatusExt::into_raw);
        takers.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        wire.send(Kind::Ended, id, &status.to_le_bytes());
    });
}

fn waiting() -> rustix::process::WaitIdOptions {
    rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT
}

fn pump(wire: Wire, kind: Kind, id: u32, mut from: impl Read + Send + 'static) {
    thread::spawn(move || {
        let mut buffer = vec![0; CHUNK];
        loop {
            match from.read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => return wire.send(kind, id, &[]),
                Ok(read) => wire.send(kind, id, &buffer[..read]),
            }
        }
    });
}

/// Kills the process group of a program that runs.
pub(crate) fn kill(id: u32) {
    with_groups(|groups| {
        if let Some(pid) = groups.get(&id) {
            // Gone in between is as good.
            let _ = kill_process_group(*pid, Signal::KILL);
        }
        None
    });
}

fn with_groups(act: impl FnOnce(&mut HashMap<u32, Pid>) -> Option<Pid>) {
    let mut groups = GROUPS.lock().unwrap_or_else(PoisonError::into_inner);
    act(groups.get_or_insert_with(HashMap::new));
}
