//! The control socket of an emulator: commands with their answers, and events as they come. Depends on
//! the protocol of QEMU alone. Called by `boot`, `saved` and `power`.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

/// The emulator answers at once, unless it hangs; while it reads a state on a busy machine it says nothing for a while.
const ANSWER_LIMIT: Duration = Duration::from_secs(120);

/// A connection to an emulator's control socket.
#[derive(Debug)]
pub(super) struct Qmp {
    line: Mutex<(UnixStream, Receiver<Value>)>,
    events: Arc<Events>,
}

#[derive(Debug, Default)]
struct Events {
    seen: Mutex<Vec<String>>,
    changed: Condvar,
}

impl Qmp {
    /// Connects when the socket is there; `hear` is told each event's name as it comes.
    pub(super) fn connect(path: &Path, limit: Duration, hear: impl Fn(&str) + Send + 'static) -> Result<Self> {
        let deadline = Instant::now() + limit;
        let stream = loop {
            match UnixStream::connect(path) {
                Ok(stream) => break stream,
                Err(error) if Instant::now() > deadline => return Err(error).context("the emulator did not start"),
                Err(_) => thread::sleep(Duration::from_millis(10)),
            }
        };
        let (answers, received) = mpsc::channel();
        let events = Arc::new(Events::default());
        let from = BufReader::new(stream.try_clone()?);
        let heard = Arc::clone(&events);
        thread::spawn(move || listen(from, &answers, &heard, hear));
        let qmp = Self { line: Mutex::new((stream, received)), events };
        qmp.execute("qmp_capabilities", &json!({}))?;
        Ok(qmp)
    }

    /// Executes a command and gives its answer.
    pub(super) fn execute(&self, command: &str, arguments: &Value) -> Result<Value> {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(line.0, "{}", json!({ "execute": command, "arguments": arguments }))?;
        let answer = line.1.recv_timeout(ANSWER_LIMIT).with_context(|| format!("the emulator does not answer {command}"))?;
        match answer.get("return") {
            Some(answer) => Ok(answer.clone()),
            None => bail!("the emulator refuses {command}: {}", answer["error"]["desc"]),
        }
    }

    /// How many events there were; what is awaited comes after that.
    pub(super) fn mark(&self) -> usize {
        self.events.seen.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Ends every wait for an event: there will be none.
    pub(super) fn give_up(&self) {
        self.events.add(CUT);
    }

    /// Waits for an event after `mark`.
    pub(super) fn wait(&self, mark: usize, event: &str, limit: Duration) -> Result<()> {
        let seen = self.events.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let missing =
            |seen: &mut Vec<String>| !seen.iter().skip(mark).any(|name| name == event || [GONE, CUT].contains(&name.as_str()));
        let (seen, _) = self.events.changed.wait_timeout_while(seen, limit, missing).unwrap_or_else(PoisonError::into_inner);
        let seen = &seen[mark.min(seen.len())..];
        if seen.iter().any(|name| name == event) {
            return Ok(());
        }
        bail!("the emulator did not say {event} within {} s, but {seen:?}", limit.as_secs())
    }

    /// Waits until a migration, which is how states are saved and resumed, is complete.
    pub(super) fn migrated(&self, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        loop {
            let answer = self.execute("query-migrate", &json!({}))?;
            match answer["status"].as_str() {
                Some("completed") => return Ok(()),
                Some("failed" | "cancelled") => bail!("the emulator failed to move the state: {}", answer["error-desc"]),
                _ if Instant::now() > deadline => bail!("moving the state took longer than {} s", limit.as_secs()),
                _ => thread::sleep(Duration::from_millis(10)),
            }
        }
    }
}

/// Stands for the end of the connection among the events.
const GONE: &str = "the end of the emulator";
/// Stands for a crash among the events.
const CUT: &str = "a crash";

impl Events {
    fn add(&self, name: &str) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).push(name.to_owned());
        self.changed.notify_all();
    }
}

fn listen(from: BufReader<UnixStream>, answers: &Sender<Value>, events: &Events, hear: impl Fn(&str)) {
    let add = |name: &str| {
        hear(name);
        events.add(name);
    };
    for line in from.lines() {
        let Ok(message) = line.map(|line| serde_json::from_str::<Value>(&line).unwrap_or_default()) else { break };
        if let Some(name) = message["event"].as_str() {
            add(name);
        } else if message.get("QMP").is_none() && answers.send(message).is_err() {
            break;
        }
    }
    add(GONE);
}
