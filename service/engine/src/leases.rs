//! What the engine tells about leases: each that a network's server gives, renews or drops, told from the rows before
//! and after. Called once, by `Engine::start`.

use crate::core::Core;
use crate::event::{Event, LeaseEvent};
use crate::ports::Lease;
use lxhost_model::{Network, ObjectId};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

type Rows = BTreeMap<IpAddr, Lease>;

/// Follows leases for as long as the registry tells of them.
pub(crate) async fn run(core: Arc<Core>) {
    let mut known: BTreeMap<ObjectId, Rows> = BTreeMap::new();
    for network in core.state().networks.values() {
        known.insert(network.id, rows(&core, network).await);
    }
    while let Some(interface) = core.ports.networks.next_leases().await {
        let state = core.state();
        known.retain(|id, _| state.networks.contains_key(id));
        for network in state.networks.values() {
            let Ok(driver) = core.ports.networks.driver(&network.kind) else { continue };
            if driver.interface(network) != interface {
                continue;
            }
            let now = rows(&core, network).await;
            let before = known.insert(network.id, now.clone()).unwrap_or_default();
            changes(network.id, &before, &now).into_iter().for_each(|change| core.emit(Event::Lease(change)));
        }
    }
}

async fn rows(core: &Core, network: &Network) -> Rows {
    let Ok(driver) = core.ports.networks.driver(&network.kind) else { return Rows::new() };
    match driver.leases(network).await {
        Ok(leases) => leases.into_iter().map(|lease| (lease.address, lease)).collect(),
        Err(error) => {
            tracing::warn!(network = %network.name, "its leases cannot be read: {error}");
            Rows::new()
        }
    }
}

/// What became of the rows of a network. Who is gone comes first: the address may be somebody else's now.
fn changes(network: ObjectId, before: &Rows, now: &Rows) -> Vec<LeaseEvent> {
    let event = |lease: &Lease, what| LeaseEvent { network, mac: lease.mac.clone(), address: lease.address, what };
    let stays = |lease: &&Lease| now.get(&lease.address).is_some_and(|there| there.mac == lease.mac);
    let gone = before.values().filter(|lease| !stays(lease)).map(|lease| event(lease, "removed"));
    let come = now.values().filter_map(|lease| match before.get(&lease.address) {
        Some(old) if old == lease => None,
        Some(old) if old.mac == lease.mac => Some(event(lease, "renewed")),
        _ => Some(event(lease, "added")),
    });
    gone.chain(come).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leases(of: &[(&str, u8, u64)]) -> Rows {
        let lease = |(mac, last, expires): &(&str, u8, u64)| Lease {
            mac: (*mac).into(),
            address: IpAddr::from([10, 0, 0, *last]),
            hostname: "c1".into(),
            expires: *expires,
        };
        of.iter().map(lease).map(|lease| (lease.address, lease)).collect()
    }

    #[test]
    fn a_lease_is_added_renewed_removed_or_somebody_elses() {
        let id = ObjectId::from_random([1; 16]);
        let said = |before: &[(&str, u8, u64)], now: &[(&str, u8, u64)]| -> Vec<String> {
            let changes = changes(id, &leases(before), &leases(now));
            changes.iter().map(|change| format!("{} {} {}", change.what, change.mac, change.address)).collect()
        };
        assert_eq!(said(&[], &[("a", 2, 9)]), ["added a 10.0.0.2"]);
        assert_eq!(said(&[("a", 2, 9)], &[("a", 2, 9)]), [""; 0]);
        assert_eq!(said(&[("a", 2, 9)], &[("a", 2, 10)]), ["renewed a 10.0.0.2"]);
        assert_eq!(said(&[("a", 2, 9)], &[("b", 2, 9)]), ["removed a 10.0.0.2", "added b 10.0.0.2"]);
        assert_eq!(said(&[("a", 2, 9), ("b", 3, 9)], &[("b", 3, 9)]), ["removed a 10.0.0.2"]);
    }
}
