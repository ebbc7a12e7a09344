//! lxhostd: the root daemon behind `org.lxhost1`. Wires ports to the engine, puts the engine on the
//! bus, and tells the service manager how it is. Everything else is elsewhere. A library so that fuzz
//! targets reach its parsers (`hostile`); main.rs does nothing but call it.

mod bus;
#[cfg(feature = "faults")]
mod faults;
pub mod hostile;
mod log;
mod memory;
mod notify;
mod wiring;

use clap::Parser;
use lxhost_engine::{Engine, Error, Result};
use std::path::PathBuf;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};
use zbus::Connection;

/// Manager of containers and virtual machines, on D-Bus as org.lxhost1.
#[derive(Parser)]
#[command(name = "lxhostd", version)]
struct Args {
    /// Run the whole API in memory: no root, no containers, everybody may do everything.
    #[arg(long)]
    sim: bool,
    /// Bus to serve on, as a D-Bus address, instead of the system bus.
    #[arg(long, value_name = "ADDRESS")]
    address: Option<String>,
    /// Directory of records, images and the default pool.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/lxhost")]
    state: PathBuf,
    /// Directory of what lasts until the next boot.
    #[arg(long, value_name = "DIR", default_value = "/run/lxhost")]
    runtime: PathBuf,
    /// Where the helper programs are.
    #[arg(long, value_name = "DIR", default_value = "/usr/libexec/lxhost")]
    libexec: PathBuf,
    /// Most talkative messages that are logged: error, warn, info, debug or trace.
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    log_level: String,
    /// Print the name of every failpoint and end. DIR/faults/armed of the runtime directory arms them.
    #[cfg(feature = "faults")]
    #[arg(long)]
    faults: bool,
}

/// The whole program.
pub fn main() -> ExitCode {
    let args = Args::parse();
    #[cfg(feature = "faults")]
    if args.faults {
        return faults::list();
    }
    let log = match log::start(&args.log_level) {
        Ok(log) => log,
        Err(error) => {
            eprintln!("lxhostd: {error}");
            return ExitCode::from(2);
        }
    };
    // Two threads: one may wait for a disk while the other answers. More would only cost memory.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).max_blocking_threads(16).enable_all().build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(run(args, log)),
        Err(error) => Err(Error::io("start the runtime", &error)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            notify::failed(&error);
            ExitCode::FAILURE
        }
    }
}

/// Serves until a signal or the end of the bus.
async fn run(args: Args, log: bus::LogLevel) -> Result<()> {
    let connection = bus::connect(args.address.as_deref()).await.map_err(on_bus)?;
    refuse_second(&connection).await?;
    let ports = match args.sim {
        true => wiring::sim(&args.state)?,
        false => wiring::real(&args.state, &args.runtime, &args.libexec, connect(args.address.as_deref()).await?).await?,
    };
    let engine = Engine::new(ports);
    #[cfg(feature = "faults")]
    faults::arm(&engine, &args.runtime);
    engine.start().await;
    bus::Bus::serve(engine.clone(), &connection, log).await.map_err(on_bus)?;
    // Last of all: whoever activated us is answered with everything in place.
    let flags = zbus::fdo::RequestNameFlags::DO_NOT_QUEUE;
    match connection.request_name_with_flags(lxhost_dbus::BUS_NAME, flags).await {
        Ok(zbus::fdo::RequestNameReply::PrimaryOwner) => {}
        Ok(_) | Err(zbus::Error::NameTaken) => return Err(second()),
        Err(error) => return Err(on_bus(error)),
    }
    notify::ready();
    let memory = tokio::spawn(memory::give_back(engine.clone()));
    let watchdog = tokio::spawn(notify::watchdog(connection.clone()));
    let ended = wait(&engine, &connection).await;
    watchdog.abort();
    memory.abort();
    notify::stopping();
    // Calls under way are answered by a gone name; instances and their monitors go on.
    let _ = connection.release_name(lxhost_dbus::BUS_NAME).await;
    ended
}

/// Looks for another daemon before anything is touched. Whoever comes between this and the request for the
/// name is met there, and by the lock of the records.
async fn refuse_second(connection: &Connection) -> Result<()> {
    let bus = zbus::fdo::DBusProxy::new(connection).await.map_err(on_bus)?;
    let name = zbus::names::BusName::try_from(lxhost_dbus::BUS_NAME).map_err(|e| Error::failed(format!("D-Bus: {e}")))?;
    match bus.name_has_owner(name).await {
        Ok(false) => Ok(()),
        Ok(true) => Err(second()),
        Err(error) => Err(Error::failed(format!("D-Bus: {error}"))),
    }
}

fn second() -> Error {
    Error::failed("another lxhostd owns org.lxhost1 already")
}

async fn connect(address: Option<&str>) -> Result<Connection> {
    let builder = match address {
        Some(address) => zbus::connection::Builder::address(address),
        None => zbus::connection::Builder::system(),
    };
    builder.build().await.map_err(on_bus)
}

fn on_bus(error: zbus::Error) -> Error {
    Error::failed(format!("D-Bus: {error}"))
}

/// Waits for the end; reloads on SIGHUP.
async fn wait(engine: &Engine, connection: &Connection) -> Result<()> {
    let stream = |kind| signal(kind).map_err(|e| Error::io("follow signals", &e));
    let (mut hangup, mut terminate, mut interrupt) =
        (stream(SignalKind::hangup())?, stream(SignalKind::terminate())?, stream(SignalKind::interrupt())?);
    loop {
        tokio::select! {
            _ = hangup.recv() => {
                notify::reloading();
                engine.repair();
                notify::ready();
            }
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = connection.closed() => return Err(Error::failed("the bus closed the connection")),
        }
    }
}
