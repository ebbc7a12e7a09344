//! systemd-resolved, told which network answers for which domain, so that this host resolves `NAME.DOMAIN`. Optional,
//! and never started by us. What it was told is kept, and told again when it starts anew.

use crate::absent::is_absent;
use async_trait::async_trait;
use futures_util::StreamExt;
use lxhost_engine::ports::Resolver;
use lxhost_model::{Error, Result};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use zbus::proxy::CacheProperties;
use zbus::{Connection, fdo, proxy};

const NAME: &str = "org.freedesktop.resolve1";
/// Longest time for what helps, and is not needed.
const PATIENCE: Duration = Duration::from_secs(5);
/// Most servers that are looked at.
const MOST: usize = 256;
/// Families, as the kernel numbers them.
const INET: i32 = 2;
const INET6: i32 = 10;

/// `org.freedesktop.resolve1.Manager`, as far as we need it (org.freedesktop.resolve1(5)).
#[proxy(
    interface = "org.freedesktop.resolve1.Manager",
    default_service = "org.freedesktop.resolve1",
    default_path = "/org/freedesktop/resolve1"
)]
trait Manager {
    /// Servers that are asked through a link: family and address of each.
    #[zbus(no_autostart)]
    #[zbus(name = "SetLinkDNS")]
    fn set_link_dns(&self, link: i32, servers: &[(i32, Vec<u8>)]) -> zbus::Result<()>;
    /// Domains, and whether each only says who is asked.
    #[zbus(no_autostart)]
    fn set_link_domains(&self, link: i32, domains: &[(&str, bool)]) -> zbus::Result<()>;
    /// Whether the link's servers are asked for names that no domain of any link has.
    #[zbus(no_autostart)]
    fn set_link_default_route(&self, link: i32, on: bool) -> zbus::Result<()>;
    /// Servers of links and of nobody in particular: link (0 is none), family and address of each.
    #[zbus(property, name = "DNS")]
    fn dns(&self) -> zbus::Result<Vec<(i32, i32, Vec<u8>)>>;
    /// Object of a link.
    #[zbus(no_autostart)]
    fn get_link(&self, link: i32) -> zbus::Result<zbus::wire::OwnedObjectPath>;
    /// Forgets everything about a link.
    #[zbus(no_autostart)]
    fn revert_link(&self, link: i32) -> zbus::Result<()>;
}

/// `org.freedesktop.resolve1.Link`, as far as we need it.
#[proxy(interface = "org.freedesktop.resolve1.Link", default_service = "org.freedesktop.resolve1")]
trait Link {
    /// Domains, and whether each only says who is asked.
    #[zbus(property)]
    fn domains(&self) -> zbus::Result<Vec<(String, bool)>>;
}

/// What one link answers for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Told {
    servers: Vec<IpAddr>,
    domain: String,
}

/// A client of systemd-resolved.
#[derive(Debug, Clone)]
pub struct Resolved {
    connection: Connection,
    told: Arc<Mutex<BTreeMap<u32, Told>>>,
}

impl Resolved {
    /// A client on this connection, which follows the coming and going of the service.
    ///
    /// # Errors
    /// Those of the bus.
    pub async fn new(connection: &Connection) -> zbus::Result<Self> {
        let resolved = Resolved { connection: connection.clone(), told: Arc::default() };
        let bus = fdo::DBusProxy::new(connection).await?;
        let mut owners = bus.receive_name_owner_changed_with_args(&[(0, NAME)]).await?;
        let again = resolved.clone();
        tokio::spawn(async move {
            while let Some(change) = owners.next().await {
                if change.args().is_ok_and(|args| args.new_owner().is_some()) {
                    again.tell_all().await;
                }
            }
        });
        Ok(resolved)
    }

    async fn tell_all(&self) {
        let all = self.told.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (link, told) in all {
            if let Err(error) = self.tell(link, &told).await {
                tracing::warn!(link, domain = told.domain, "systemd-resolved was not told who answers: {error}");
            }
        }
    }

    async fn tell(&self, link: u32, told: &Told) -> zbus::Result<()> {
        let manager = ManagerProxy::new(&self.connection).await?;
        let link = i32::try_from(link).unwrap_or_default();
        let servers: Vec<(i32, Vec<u8>)> = told.servers.iter().map(wire).collect();
        manager.set_link_dns(link, &servers).await?;
        manager.set_link_domains(link, &[(told.domain.as_str(), true)]).await?;
        manager.set_link_default_route(link, false).await
    }
}

fn wire(server: &IpAddr) -> (i32, Vec<u8>) {
    match server {
        IpAddr::V4(v4) => (INET, v4.octets().to_vec()),
        IpAddr::V6(v6) => (INET6, v6.octets().to_vec()),
    }
}

/// The link and the address of a server.
fn server((link, _, bytes): &(i32, i32, Vec<u8>)) -> Option<(Option<u32>, IpAddr)> {
    let address = match bytes.len() {
        4 => IpAddr::from(<[u8; 4]>::try_from(bytes.as_slice()).ok()?),
        _ => IpAddr::from(<[u8; 16]>::try_from(bytes.as_slice()).ok()?),
    };
    Some((u32::try_from(*link).ok().filter(|link| *link != 0), address))
}

#[async_trait]
impl Resolver for Resolved {
    async fn ask_for(&self, link: u32, servers: &[IpAddr], domain: &str) -> Result<()> {
        let told = Told { servers: servers.to_vec(), domain: domain.to_owned() };
        self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(link, told.clone());
        match self.tell(link, &told).await {
            Err(error) if !is_absent(&error) => Err(Error::failed(format!("systemd-resolved: {error}"))),
            _ => Ok(()),
        }
    }

    async fn asks(&self, link: u32, domain: &str) -> Option<bool> {
        let asked = async {
            let path = ManagerProxy::new(&self.connection).await?.get_link(i32::try_from(link).unwrap_or_default()).await?;
            LinkProxy::builder(&self.connection).path(path).build().await?.domains().await
        };
        match asked.await {
            Ok(domains) => Some(domains.iter().any(|(known, _)| known == domain)),
            Err(error) if is_absent(&error) => None,
            Err(error) => {
                tracing::debug!(link, "systemd-resolved: {error}");
                Some(false)
            }
        }
    }

    async fn servers(&self) -> Vec<(Option<u32>, IpAddr)> {
        let asked = async {
            // A property is no reason to start it.
            if !fdo::DBusProxy::new(&self.connection).await?.name_has_owner(NAME.try_into()?).await? {
                return Ok(vec![]);
            }
            let manager = ManagerProxy::builder(&self.connection).cache_properties(CacheProperties::No).build().await?;
            manager.dns().await
        };
        match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok(servers)) => servers.iter().take(MOST).filter_map(server).collect(),
            Ok(Err(error)) => {
                tracing::debug!("systemd-resolved: {error}");
                vec![]
            }
            Err(_) => vec![],
        }
    }

    async fn forget(&self, link: u32) {
        let known = self.told.lock().unwrap_or_else(PoisonError::into_inner).remove(&link).is_some();
        let Ok(manager) = ManagerProxy::new(&self.connection).await else { return };
        if known && let Err(error) = manager.revert_link(i32::try_from(link).unwrap_or_default()).await {
            tracing::debug!(link, "systemd-resolved: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_goes_with_its_family_in_the_order_of_the_network() {
        assert_eq!(wire(&"10.1.2.3".parse().unwrap()), (INET, vec![10, 1, 2, 3]));
        let (family, bytes) = wire(&"fd42::1".parse().unwrap());
        assert_eq!((family, bytes.len(), bytes[0], bytes[15]), (INET6, 16, 0xfd, 1));
    }

    #[test]
    fn a_server_has_the_link_it_was_told_of_and_hostile_ones_are_none() {
        assert_eq!(server(&(7, INET, vec![10, 1, 2, 3])), Some((Some(7), "10.1.2.3".parse().unwrap())));
        assert_eq!(server(&(0, INET, vec![10, 1, 2, 3])), Some((None, "10.1.2.3".parse().unwrap())));
        assert!(server(&(1, INET6, vec![0xfd; 16])).is_some_and(|(_, address)| address.is_ipv6()));
        for bytes in [vec![], vec![1; 5], vec![1; 17]] {
            assert_eq!(server(&(1, INET, bytes)), None);
        }
    }
}
