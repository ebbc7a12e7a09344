//! The connection to the daemon and the objects on it: no round trip that a verb does not need.
//!
//! Proxies are built without a property cache. Calls that change something go through
//! [`Session::allowed`], which starts a Polkit agent on the terminal when one is missing.

use crate::agent;
use crate::args::Global;
use crate::failure::Failure;
use lxhost_dbus::proxy::{AclProxy, ManagerProxy, NetworkProxy, PoolProxy, ProfileProxy, TrashProxy, VolumeProxy};
use lxhost_dbus::wire::Values;
use std::collections::HashMap;
use std::io::IsTerminal;
use zbus::proxy::{Builder, CacheProperties, Defaults};
use zbus::wire::{ObjectPath, OwnedObjectPath};
use zbus::{Connection, Proxy};

/// Rows asked for at once in paged lists.
pub(crate) const PAGE: u32 = 1000;

/// Objects of a collection with their properties by interface.
pub(crate) type ManagedObjects = HashMap<OwnedObjectPath, HashMap<String, Values>>;

/// A connection to the daemon and what the command line says about all verbs.
#[derive(Clone)]
pub(crate) struct Session {
    pub(crate) conn: Connection,
    pub(crate) project: String,
    pub(crate) quiet: bool,
    /// Whether progress may be drawn.
    pub(crate) progress: bool,
    /// Whether a password may be asked for on the terminal.
    pub(crate) ask: bool,
}

impl Session {
    /// Connects to the system bus. The daemon itself is started by the first call.
    pub(crate) async fn open(global: &Global) -> Result<Self, Failure> {
        let conn = Connection::system().await.map_err(|e| {
            Failure::of(lxhost_model::Kind::Failed, format!("cannot reach the system bus: {e}"))
                .hint("systemctl status dbus says why; DBUS_SYSTEM_BUS_ADDRESS names another bus")
        })?;
        let progress = !global.quiet && std::io::stderr().is_terminal();
        Ok(Session { conn, project: global.project.clone(), quiet: global.quiet, progress, ask: !global.no_ask_password })
    }

    /// A proxy of an object.
    pub(crate) async fn object<T>(&self, path: &OwnedObjectPath) -> Result<T, Failure>
    where
        T: From<Proxy<'static>> + Defaults,
    {
        Ok(Builder::<T>::new(&self.conn).path(path.clone()).cache_properties(CacheProperties::No).build().await?)
    }

    /// The Manager.
    pub(crate) async fn manager(&self) -> Result<ManagerProxy<'static>, Failure> {
        Ok(Builder::new(&self.conn).cache_properties(CacheProperties::No).build().await?)
    }

    /// The object of an instance by name; `local:` before it is allowed.
    pub(crate) async fn instance(&self, name: &str) -> Result<OwnedObjectPath, Failure> {
        let name = crate::reference::local(name)?;
        Ok(self.manager().await?.get_instance(&self.project, name).await?)
    }

    /// The object of an image by alias or fingerprint.
    pub(crate) async fn image(&self, name: &str) -> Result<OwnedObjectPath, Failure> {
        let name = crate::reference::local(name)?;
        Ok(self.manager().await?.get_image(&self.project, name).await?)
    }

    /// A network by name.
    pub(crate) async fn network(&self, name: &str) -> Result<NetworkProxy<'static>, Failure> {
        let name = crate::reference::local(name)?;
        let path = self.manager().await?.get_network(&self.project, name).await?;
        self.object(&path).await
    }

    /// A network ACL by name.
    pub(crate) async fn acl(&self, name: &str) -> Result<AclProxy<'static>, Failure> {
        let name = crate::reference::local(name)?;
        let path = self.manager().await?.get_acl(&self.project, name).await?;
        self.object(&path).await
    }

    /// A profile by name.
    pub(crate) async fn profile(&self, name: &str) -> Result<ProfileProxy<'static>, Failure> {
        let name = crate::reference::local(name)?;
        let path = self.manager().await?.get_profile(&self.project, name).await?;
        self.object(&path).await
    }

    /// A pool by name.
    pub(crate) async fn pool(&self, name: &str) -> Result<PoolProxy<'static>, Failure> {
        let name = crate::reference::local(name)?;
        let path = self.manager().await?.get_pool(name).await?;
        self.object(&path).await
    }

    /// A volume of a pool by name; `custom/` before the name is allowed.
    pub(crate) async fn volume(&self, pool: &str, name: &str) -> Result<VolumeProxy<'static>, Failure> {
        let pool = self.pool(pool).await?;
        let path = pool.get_volume(&self.project, name.strip_prefix("custom/").unwrap_or(name)).await?;
        self.object(&path).await
    }

    /// What was deleted and is kept for a while.
    pub(crate) async fn trash(&self) -> Result<TrashProxy<'static>, Failure> {
        Ok(Builder::new(&self.conn).cache_properties(CacheProperties::No).build().await?)
    }

    /// All properties of one interface of an object, in one round trip.
    pub(crate) async fn properties(&self, path: &ObjectPath<'_>, interface: &str) -> Result<Values, Failure> {
        let reply = self
            .conn
            .call_method(
                Some(lxhost_dbus::BUS_NAME),
                path,
                Some("org.freedesktop.DBus.Properties"),
                "GetAll",
                &(format!("org.lxhost1.{interface}")),
            )
            .await?;
        Ok(reply.body().deserialize()?)
    }

    /// All objects of a collection with their properties, in one round trip.
    pub(crate) async fn collection(&self, name: &str) -> Result<ManagedObjects, Failure> {
        let path = format!("{}/{name}", lxhost_dbus::path::MANAGER);
        let reply = self
            .conn
            .call_method(
                Some(lxhost_dbus::BUS_NAME),
                path.as_str(),
                Some("org.freedesktop.DBus.ObjectManager"),
                "GetManagedObjects",
                &(),
            )
            .await?;
        Ok(reply.body().deserialize()?)
    }

    /// Makes a call that Polkit may have to ask about. When nobody is there to ask the user, an
    /// agent is started on the terminal and the call is made once more.
    pub(crate) async fn allowed<T, F>(&self, call: impl Fn() -> F) -> Result<T, Failure>
    where
        F: Future<Output = zbus::Result<T>>,
    {
        match call().await {
            Err(error) if self.ask && agent::would_help(&error) => {
                let _agent = agent::start()?;
                Ok(call().await?)
            }
            answer => Ok(answer?),
        }
    }

    /// Says `line` on standard output, unless the user wants quiet.
    pub(crate) fn say(&self, line: impl std::fmt::Display) {
        if !self.quiet {
            crate::render::line(&line.to_string());
        }
    }

    /// What identifies a made thing: with `--quiet` alone on a line, else within `line`.
    pub(crate) fn name_or(&self, name: &str, line: impl std::fmt::Display) -> Result<(), Failure> {
        let line = if self.quiet { name.to_owned() } else { line.to_string() };
        crate::render::print(&format!("{}\n", crate::render::printable(&line)))
    }
}
