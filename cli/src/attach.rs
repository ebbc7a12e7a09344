//! A command under way in an instance: waiting for its end, forwarding signals and sizes.
//!
//! The daemon may be restarted meanwhile: the session goes on in its monitor, and waiting is
//! taken up again with the new daemon.

use crate::bus::Session;
use crate::failure::Failure;
use crate::pump::{End, Escape, Pump};
use crate::terminal::{self, Raw};
use lxhost_dbus::proxy::ExecProxy;
use lxhost_model::Kind;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use zbus::wire::OwnedObjectPath;

/// Time a restarting daemon gets, and the pause between attempts.
const PATIENCE: u32 = 150;
const PAUSE: Duration = Duration::from_millis(200);
/// How long a call that starts a command takes at most when nobody is asked.
const SOON: Duration = Duration::from_millis(500);

/// Waits for a command that has our own descriptors; our signals go to it. Gives its exit status.
pub(crate) async fn plain(session: &Session, path: &OwnedObjectPath, mut signals: Signals) -> Result<u8, Failure> {
    let exec: ExecProxy<'static> = session.object(path).await?;
    let end = wait(&exec);
    tokio::pin!(end);
    loop {
        tokio::select! {
            biased;
            end = &mut end => return end,
            number = signals.next() => {
                // It may have ended this instant; its status comes by `end`.
                let _ = exec.signal(number).await;
            }
        }
    }
}

/// Runs the user's terminal on `master` until the command ends. Gives its exit status.
pub(crate) async fn on_terminal(
    session: &Session,
    path: &OwnedObjectPath,
    master: OwnedFd,
    mut signals: Signals,
) -> Result<u8, Failure> {
    let exec: ExecProxy<'static> = session.object(path).await?;
    let io = |e: std::io::Error| Failure::io("copy to the terminal", &e);
    let size = master.try_clone().map_err(io)?;
    let raw = Raw::enter()?;
    let mut pump = Pump::start(master, Escape::None).map_err(io)?;
    let end = attend(&exec, &size, &mut pump, &mut signals).await;
    pump.finish();
    drop(raw);
    end
}

async fn attend(exec: &ExecProxy<'static>, master: &OwnedFd, pump: &mut Pump, signals: &mut Signals) -> Result<u8, Failure> {
    let mut resized = listen(SignalKind::window_change())?;
    let end = wait(exec);
    tokio::pin!(end);
    let mut copying = true;
    loop {
        tokio::select! {
            biased;
            end = &mut end => return end,
            _ = resized.recv() => resize(exec, master).await,
            number = signals.next() => {
                let _ = exec.close().await;
                return Ok(128 + u8::try_from(number).unwrap_or(0));
            }
            why = pump.ended(), if copying => {
                copying = false;
                if why == End::Orphaned {
                    let _ = exec.close().await;
                    return Ok(129);
                }
            }
        }
    }
}

/// Gives the session the size of our terminal.
async fn resize(exec: &ExecProxy<'static>, master: &OwnedFd) {
    let Some(size) = terminal::size() else { return };
    if rustix::termios::tcsetwinsize(master.as_fd(), size).is_err() {
        let _ = exec.resize(size.ws_row, size.ws_col).await;
    }
}

/// Waits for the end of the command, also across a restart of the daemon.
async fn wait(exec: &ExecProxy<'static>) -> Result<u8, Failure> {
    let mut attempts = 0;
    loop {
        match exec.wait(0).await {
            Ok((result, _)) if result == "running" => (),
            Ok((result, code)) => return status(&result, code),
            Err(error) => {
                let failure = Failure::from(error);
                // A kind means that a daemon answered.
                if failure.kind != Some(Kind::Failed) || attempts == PATIENCE {
                    return Err(failure.context("lost sight of the command"));
                }
                attempts += 1;
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Exit status of lxctl for the end of a command.
fn status(result: &str, code: i32) -> Result<u8, Failure> {
    let byte = u8::try_from(code & 0xff).unwrap_or(255);
    match result {
        "exited" => Ok(byte),
        "killed" | "dumped" => Ok(128u8.saturating_add(byte)),
        "failed" => {
            Err(Failure::of(Kind::Failed, format!("the command could not be run: {}", std::io::Error::from_raw_os_error(code))))
        }
        "lost" => Err(Failure::of(Kind::Interrupted, "how the command ended is not known: its instance ended first")),
        other => Err(Failure::of(Kind::Interrupted, format!("how the command ended is not known ({other})"))),
    }
}

/// Signals that ask lxctl to end. Listened to before a command is started: it may run, and be
/// signalled, before its name is known here.
pub(crate) struct Signals {
    streams: Vec<(i32, Signal)>,
    held: Option<i32>,
}

impl Signals {
    pub(crate) fn new() -> Result<Self, Failure> {
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup(), SignalKind::quit()];
        let streams = kinds.into_iter().map(|kind| Ok((kind.as_raw_value(), listen(kind)?))).collect::<Result<_, Failure>>()?;
        Ok(Signals { streams, held: None })
    }

    /// The end of `call`. A signal meanwhile is held for the command if the call is answered soon,
    /// and ends lxctl if it is not: then somebody is being asked for a password.
    pub(crate) async fn during<T>(&mut self, call: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        tokio::pin!(call);
        let number = tokio::select! {
            biased;
            answer = &mut call => return answer,
            number = self.next() => number,
        };
        self.held = Some(number);
        let ended = |_| Failure::said(128 + u8::try_from(number).unwrap_or(0));
        tokio::time::timeout(SOON, call).await.map_err(ended)?
    }

    /// Number of the next one.
    pub(crate) async fn next(&mut self) -> i32 {
        if let Some(number) = self.held.take() {
            return number;
        }
        std::future::poll_fn(|context| {
            for (number, signal) in &mut self.streams {
                if signal.poll_recv(context).is_ready() {
                    return std::task::Poll::Ready(*number);
                }
            }
            std::task::Poll::Pending
        })
        .await
    }
}

/// Listens for one kind of signal.
pub(crate) fn listen(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(|e| Failure::io("wait for signals", &e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_of_the_command_becomes_ours() {
        assert_eq!(status("exited", 0).unwrap(), 0);
        assert_eq!(status("exited", 42).unwrap(), 42);
        assert_eq!(status("killed", 9).unwrap(), 137);
        assert_eq!(status("dumped", 11).unwrap(), 139);
        assert!(status("failed", 2).unwrap_err().message.contains("No such file"));
        assert_eq!(status("lost", 0).unwrap_err().code, 12);
    }
}
