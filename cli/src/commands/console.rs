//! `console`, and the `--console` of other verbs.

use crate::args::Console;
use crate::attach::{Signals, listen};
use crate::bus::Session;
use crate::failure::Failure;
use crate::pump::{End, Escape, Pump};
use crate::terminal::{self, Raw};
use lxhost_dbus::Options;
use lxhost_dbus::proxy::GuestProxy;
use std::os::fd::OwnedFd;
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
    let mut options = Options::new();
    if let Some(size) = terminal::size() {
        options.extend([("rows", size.ws_row.into()), ("cols", size.ws_col.into())]);
    }
    let (stream, _) = session.allowed(|| guest.open_console("console", &options)).await?;
    let io = |e: std::io::Error| Failure::io("copy to the terminal", &e);
    let raw = Raw::enter()?;
    if !session.quiet {
        // A raw terminal does not return the carriage by itself.
        eprint!("Ctrl-a q leaves the console{}", if raw.is_some() { "\r\n" } else { "\n" });
    }
    let mut pump = Pump::start(stream.into(), Escape::CtrlA).map_err(io)?;
    let end = attend(&guest, &mut pump).await;
    pump.finish();
    drop(raw);
    if !session.quiet {
        eprintln!();
    }
    end
}

async fn attend(guest: &GuestProxy<'static>, pump: &mut Pump) -> Result<u8, Failure> {
    let mut signals = Signals::new()?;
    let mut resized = listen(SignalKind::window_change())?;
    loop {
        tokio::select! {
            end = pump.ended() => return Ok(if end == End::Orphaned { 129 } else { 0 }),
            number = signals.next() => return Ok(128 + u8::try_from(number).unwrap_or(0)),
            _ = resized.recv() => {
                if let Some(size) = terminal::size() {
                    // A console of an old size is still a console.
                    let _ = guest.resize_console(size.ws_row, size.ws_col, &Options::new()).await;
                }
            }
        }
    }
}
