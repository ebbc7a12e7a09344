//! firewalld, told which links are networks of ours: they go into the zone `lxhost`, which the package brings with its
//! policies (`packaging/firewalld`). Optional, and never started by us. What it was told is kept, and told again when it
//! starts anew or reads its configuration again.

use crate::absent::is_absent;
use async_trait::async_trait;
use futures_util::StreamExt;
use lxhost_engine::ports::Zones;
use lxhost_model::{Error, Kind, Result};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use zbus::{Connection, fdo, proxy};

/// The zone, and the file that says what it lets pass.
const ZONE: &str = "lxhost";
/// Longest time for telling it what changed; it is told anew when it has come up.
const PATIENCE: Duration = Duration::from_secs(20);
const NAME: &str = "org.fedoraproject.FirewallD1";

/// `org.fedoraproject.FirewallD1`, as far as we need it (firewalld.dbus(5)).
#[proxy(
    interface = "org.fedoraproject.FirewallD1",
    default_service = "org.fedoraproject.FirewallD1",
    default_path = "/org/fedoraproject/FirewallD1"
)]
trait Firewall {
    /// Reads the permanent configuration anew.
    #[zbus(name = "reload", no_autostart)]
    fn reload(&self) -> zbus::Result<()>;
    /// The zone of links that are in none.
    #[zbus(name = "getDefaultZone", no_autostart)]
    fn get_default_zone(&self) -> zbus::Result<String>;
    /// The permanent configuration was read anew; what was set at run time is gone.
    #[zbus(signal)]
    fn reloaded(&self) -> zbus::Result<()>;
}

/// `org.fedoraproject.FirewallD1.zone`, as far as we need it.
#[proxy(
    interface = "org.fedoraproject.FirewallD1.zone",
    default_service = "org.fedoraproject.FirewallD1",
    default_path = "/org/fedoraproject/FirewallD1"
)]
trait Zone {
    /// Links in a zone.
    #[zbus(name = "getInterfaces", no_autostart)]
    fn get_interfaces(&self, zone: &str) -> zbus::Result<Vec<String>>;
    /// The zone of a link; empty when it is in none.
    #[zbus(name = "getZoneOfInterface", no_autostart)]
    fn get_zone_of_interface(&self, link: &str) -> zbus::Result<String>;
    /// Puts a link into a zone, out of the one it is in.
    #[zbus(name = "changeZoneOfInterface", no_autostart)]
    fn change_zone_of_interface(&self, zone: &str, link: &str) -> zbus::Result<String>;
    /// Takes a link out of a zone.
    #[zbus(name = "removeInterface", no_autostart)]
    fn remove_interface(&self, zone: &str, link: &str) -> zbus::Result<String>;
}

/// A client of firewalld.
#[derive(Debug, Clone)]
pub struct Firewalld {
    connection: Connection,
    /// Links of ours; unknown until the first network is brought up.
    wanted: Arc<Mutex<Option<BTreeSet<String>>>>,
    /// Whether this run of firewalld was asked to read its configuration for our sake.
    asked: Arc<AtomicBool>,
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Firewalld {
    /// A client on this connection, which follows the coming and going of the service, and its reloads.
    ///
    /// # Errors
    /// Those of the bus.
    pub async fn new(connection: &Connection) -> zbus::Result<Self> {
        let firewalld =
            Firewalld { connection: connection.clone(), wanted: Arc::default(), asked: Arc::default(), turn: Arc::default() };
        let bus = fdo::DBusProxy::new(connection).await?;
        let mut owners = bus.receive_name_owner_changed_with_args(&[(0, NAME)]).await?;
        let mut reloads = FirewallProxy::new(connection).await?.receive_reloaded().await?;
        let again = firewalld.clone();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    Some(change) = owners.next() => {
                        if !change.args().is_ok_and(|args| args.new_owner().is_some()) {
                            continue;
                        }
                        again.asked.store(false, Ordering::Relaxed);
                    }
                    Some(_) = reloads.next() => {}
                    else => return,
                }
                match again.tell().await {
                    Err(error) if !is_absent(&error) => tracing::warn!("firewalld may keep instances from the network: {error}"),
                    _ => {}
                }
            }
        });
        Ok(firewalld)
    }

    /// Has the zone be as wanted.
    async fn tell(&self) -> zbus::Result<()> {
        let _alone = self.turn.lock().await;
        let wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(wanted) = wanted else { return Ok(()) };
        let zones = ZoneProxy::new(&self.connection).await?;
        let present = match zones.get_interfaces(ZONE).await {
            Err(error) if is_unknown_zone(&error) && wanted.is_empty() => return Ok(()),
            Err(error) if is_unknown_zone(&error) && !self.asked.swap(true, Ordering::Relaxed) => {
                tracing::info!("firewalld reads its configuration again: it runs since before lxhost was installed");
                FirewallProxy::new(&self.connection).await?.reload().await?;
                zones.get_interfaces(ZONE).await?
            }
            other => other?,
        };
        for link in present.iter().filter(|link| !wanted.contains(*link)) {
            zones.remove_interface(ZONE, link).await?;
        }
        for link in wanted.iter().filter(|link| !present.contains(link)) {
            let other = zones.get_zone_of_interface(link).await?;
            if other.is_empty() || other == FirewallProxy::new(&self.connection).await?.get_default_zone().await? {
                zones.change_zone_of_interface(ZONE, link).await?;
            } else {
                tracing::info!(link, "it stays in the zone {other} of firewalld, where somebody has put it");
            }
        }
        Ok(())
    }
}

/// Whether firewalld knows no zone of ours.
fn is_unknown_zone(error: &zbus::Error) -> bool {
    matches!(error, zbus::Error::MethodError(_, Some(said), _) if said.starts_with("INVALID_ZONE"))
}

#[async_trait]
impl Zones for Firewalld {
    async fn cover(&self, links: BTreeSet<String>) -> Result<()> {
        *self.wanted.lock().unwrap_or_else(PoisonError::into_inner) = Some(links);
        match tokio::time::timeout(PATIENCE, self.tell()).await {
            Ok(Err(error)) if !is_absent(&error) => Err(Error::failed(format!("firewalld: {error}"))),
            Ok(_) => Ok(()),
            Err(_) => Err(Error::new(Kind::Timeout, format!("firewalld did not answer in {} s", PATIENCE.as_secs()))),
        }
    }

    async fn zone_of(&self, link: &str) -> Option<(String, bool)> {
        let asked = async { ZoneProxy::new(&self.connection).await?.get_zone_of_interface(link).await };
        match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok(zone)) => {
                let ours = zone == ZONE;
                Some((zone, ours))
            }
            Ok(Err(error)) if is_absent(&error) => None,
            _ => Some((String::new(), false)),
        }
    }
}
