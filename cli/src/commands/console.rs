//! `console`, and the `--console` of other verbs.

use crate::args::Console;
use crate::attach::{Signals, listen};
use crate::bus::Session;
use crate::failure::Failure;
use crate::pump::{End, Escape, Pump};
use crate::terminal::{self, Raw};
use lxhost_dbus::Options;
use lxhost_dbus::proxy::GuestProxy;
use std::os::fd::{AsFd, OwnedFd};
use tokio::signal::unix::SignalKind;
use zbus::wire::OwnedObjectPath;

/// Attaches to the console, or prints its log.
pub(crate) async fn run(session: &Session, args: &Console) -> Result<u8, Failure> {
    let path = session.instance(&args.name).await?;
    match args.show_log {
        true => log(session, &path).await.map(|()| 0),
        false => attach(session, &path).await,
    }
}

/// Prints what the console printed so far, as it is.
pub(crate) async fn log(session: &Session, path: &OwnedObjectPath) -> Result<(), Failure> {
    let guest: GuestProxy<'static> = session.object(path).await?;
    let none = Options::new();
    let log = session.allowed(|| guest.get_console_log(&none)).await?;
    let mut log = std::fs::File::from(OwnedFd::from(log));
    match std::io::copy(&mut log, &mut std::io::stdout().lock()) {
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        Err(e) => Err(Failure::io("copy the console's log", &e)),
        Ok(_) => Ok(()),
    }
}

/// Attaches the user's terminal to the console until the escape or its end.
pub(crate) async fn attach(session: &Session, path: &OwnedObjectPath) -> Result<u8, Failure> {
    let guest: GuestProxy<'static> = session.object(path).await?;
    let none = Options::new();
    let (stream, _) = session.allowed(|| guest.open_console("console", &none)).await?;
    let stream = OwnedFd::from(stream);
    resize(&stream);
    let io = |e: std::io::Error| Failure::io("copy to the terminal", &e);
    let size = stream.try_clone().map_err(io)?;
    let raw = Raw::enter()?;
    if !session.quiet {
        // A raw terminal does not return the carriage by itself.
        eprint!("Ctrl-a q leaves the console{}", if raw.is_some() { "\r\n" } else { "\n" });
    }
    let mut pump = Pump::start(stream, Escape::CtrlA).map_err(io)?;
    let end = attend(&size, &mut pump).await;
    pump.finish();
    drop(raw);
    if !session.quiet {
        eprintln!();
    }
    end
}

async fn attend(stream: &OwnedFd, pump: &mut Pump) -> Result<u8, Failure> {
    let mut signals = Signals::new()?;
    let mut resized = listen(SignalKind::window_change())?;
    loop {
        tokio::select! {
            end = pump.ended() => return Ok(if end == End::Orphaned { 129 } else { 0 }),
            number = signals.next() => return Ok(128 + u8::try_from(number).unwrap_or(0)),
            _ = resized.recv() => resize(stream),
        }
    }
}

/// Gives the console the size of our terminal; a stream that is no terminal has none.
fn resize(stream: &OwnedFd) {
    if let Some(size) = terminal::size() {
        let _ = rustix::termios::tcsetwinsize(stream.as_fd(), size);
    }
}
