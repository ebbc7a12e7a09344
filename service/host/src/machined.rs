//! systemd-machined: optional, and never on the path of a start. With it `machinectl`, `systemctl -M` and
//! `journalctl -M` know our containers.

#![allow(clippy::too_many_arguments, reason = "the method of the bus has seven")]

use zbus::proxy;

/// `org.freedesktop.machine1.Manager`, as far as we need it (org.freedesktop.machine1(5)).
#[proxy(
    interface = "org.freedesktop.machine1.Manager",
    default_service = "org.freedesktop.machine1",
    default_path = "/org/freedesktop/machine1"
)]
trait Manager {
    /// Registers a machine whose unit exists already.
    fn register_machine_with_network(
        &self,
        name: &str,
        id: &[u8],
        service: &str,
        class: &str,
        leader: u32,
        root: &str,
        interfaces: &[i32],
    ) -> zbus::Result<zbus::wire::OwnedObjectPath>;
}

/// A client of machined.
#[derive(Debug, Clone)]
pub struct Machines {
    connection: zbus::Connection,
}

/// What is registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Its name, unique on the host.
    pub name: String,
    /// Its machine id.
    pub id: [u8; 16],
    /// Process id of its init.
    pub leader: u32,
    /// Indices of the links of the host by which it is reached: bridges, or its own.
    pub interfaces: Vec<i32>,
}

impl Machines {
    /// A client on this connection. Nothing is called yet.
    pub fn new(connection: &zbus::Connection) -> Self {
        Self { connection: connection.clone() }
    }

    /// Registers a container whose scope is active. machined forgets it by itself when the scope ends.
    ///
    /// # Errors
    /// What the bus says; without machined, that there is nobody.
    pub async fn register(&self, machine: &Machine) -> zbus::Result<()> {
        match self.try_register(machine).await {
            // machined ends itself when idle, and a call may be lost in its last moment (systemd issue 11595).
            Err(zbus::Error::MethodError(name, ..)) if name.as_str() == "org.freedesktop.DBus.Error.NoReply" => {
                self.try_register(machine).await
            }
            other => other,
        }
    }

    async fn try_register(&self, machine: &Machine) -> zbus::Result<()> {
        let manager = ManagerProxy::new(&self.connection).await?;
        manager
            .register_machine_with_network(
                &machine.name,
                &machine.id,
                "lxhost",
                "container",
                machine.leader,
                "",
                &machine.interfaces,
            )
            .await
            .map(drop)
    }
}
