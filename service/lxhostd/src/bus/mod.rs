//! The D-Bus skin: objects over the engine, one file per noun. It parses arguments, asks the engine
//! and renders answers; it decides nothing. Called by `main`; depends on the engine's API only.

mod acl;
mod arguments;
mod caller;
mod error;
mod exec;
mod files;
mod guest;
mod image;
mod instance;
mod introspect;
mod job;
mod listener;
mod log_control;
mod manager;
mod network;
mod options;
mod paths;
mod pool;
mod profile;
mod publish;
mod rows;
mod server;
mod sieve;
mod snapshots;
mod trash;
mod volume;

use caller::{Call, Callers};
use lxhost_dbus::path;
use lxhost_engine::{Engine, Error, Verb};
use publish::Publisher;
use std::sync::Arc;
use zbus::Connection;
use zbus::fdo::ObjectManager;
use zbus::message::Header;
use zbus::wire::OwnedObjectPath;

pub(crate) use arguments::arguments;
use error::Failure;
pub(crate) use log_control::{LogLevel, syslog};

/// Connects to the bus at `address`, the system's when there is none. The collections are served from the start:
/// whoever's call has activated the daemon sends it together with the name, and a server that comes into being with
/// its first object would miss what arrives while it starts.
///
/// # Errors
/// Those of the address, of connect(2) and of the bus.
pub(crate) async fn connect(address: Option<&str>) -> zbus::Result<Connection> {
    let mut builder = sieve::builder(address).await?;
    for collection in path::COLLECTIONS {
        builder = builder.serve_at(format!("{}/{collection}", path::MANAGER), ObjectManager);
    }
    builder.build().await
}

/// What every object of the API works with. Cloning is cheap.
#[derive(Clone)]
pub(crate) struct Bus {
    pub(crate) engine: Engine,
    callers: Arc<Callers>,
    publisher: Publisher,
}

impl Bus {
    /// Puts the API on `connection`, which is one of [`connect`]. Request the bus name after this, not before.
    ///
    /// # Errors
    /// Those of the bus.
    pub(crate) async fn serve(engine: Engine, connection: &Connection, log: LogLevel) -> zbus::Result<Bus> {
        let callers = Arc::new(Callers::new(connection.clone()));
        let publisher = Publisher::new(engine.clone(), connection.clone());
        let bus = Bus { engine, callers: callers.clone(), publisher };
        bus.publisher.start(&bus, log).await?;
        tokio::spawn(caller::watch(callers, bus.engine.clone(), connection.clone()));
        Ok(bus)
    }

    /// Who sent a message. Refuses senders that have too much under way.
    async fn caller(&self, header: &Header<'_>) -> Result<Call, Failure> {
        Ok(self.callers.identify(header).await?)
    }

    /// Has a verb carried out as a job, and gives the job's path.
    async fn submit(&self, header: &Header<'_>, verb: impl Verb) -> Result<OwnedObjectPath, Failure> {
        let caller = self.caller(header).await?;
        let job = self.engine.submit(&caller, verb).await?;
        Ok(self.job(job).await?)
    }

    /// The path of a job that was opened; the object is there.
    async fn job(&self, id: u32) -> Result<OwnedObjectPath, Error> {
        rows::object(self.publisher.job(self, id).await?)
    }
}

/// An argument that does not parse.
fn invalid(message: impl Into<String>) -> Error {
    Error::new(lxhost_engine::Kind::InvalidArgs, message)
}
