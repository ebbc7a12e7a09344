//! Interfaces that an instance has by its configuration: from devices to plans, and from one configuration to the
//! next. Changes nothing.

use super::{expand, mac, mac_key};
use crate::ports::{NicPlan, State};
use crate::step::Step;
use crate::verb::{Verb, View};
use crate::{Error, Kind, Result};
use lxhost_model::device::nic::is_link_name;
use lxhost_model::device::{Device, Nic, NicType};
use lxhost_model::name::{DeviceName, NetworkName, ProjectName};
use lxhost_model::{Instance, ObjectId};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// An interface of an instance, and where it leads.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Wired {
    /// The device.
    pub device: DeviceName,
    /// Project of the instance.
    pub project: ProjectName,
    /// Managed network that it joins.
    pub network: Option<NetworkName>,
    /// What is wanted of it.
    pub plan: NicPlan,
}

impl Wired {
    /// Its kind, where it joins no network.
    pub(crate) fn kind(&self) -> Result<NicType> {
        let none = || Error::new(Kind::InvalidConfig, format!("device {}: it names no network", self.device));
        self.plan.nic.kind.ok_or_else(none)
    }

    /// Whether one can become the other without its link being made anew.
    pub(crate) fn is_same_link(&self, other: &Wired) -> bool {
        let link = |wired: &Wired| {
            let (plan, nic) = (&wired.plan, &wired.plan.nic);
            // An address inside that nobody inside has made goes with its link.
            let inside = (nic.kind.is_some() || nic.vlans.elsewhere()).then(|| (nic.ipv4.clone(), nic.ipv6.clone()));
            let own = (nic.kind, nic.parent.clone(), nic.mode.clone(), nic.host_name.clone());
            (wired.network.clone(), plan.name.clone(), plan.mac.clone(), plan.mtu, own, inside)
        };
        let vlan =
            |wired: &Wired| wired.plan.nic.kind.filter(|kind| *kind != NicType::Bridged).map(|_| wired.plan.nic.vlans.clone());
        link(self) == link(other) && vlan(self) == vlan(other)
    }

    /// Addresses that it alone shall have, and its hardware address if that was chosen for it.
    fn claims(&self) -> (Vec<IpAddr>, Option<&str>) {
        let nic = &self.plan.nic;
        let addresses = nic.ipv4.addresses.iter().chain(&nic.ipv6.addresses).map(ipnet::IpNet::addr).collect();
        (addresses, nic.hwaddr.as_deref())
    }

    fn is_beside(&self, other: &Wired) -> bool {
        self.network == other.network && self.plan.nic.parent == other.plan.nic.parent
    }
}

/// The interfaces of `instance` that are plugged in.
///
/// # Errors
/// `NoSuchNetwork`, `InvalidConfig`.
pub(crate) fn nics(state: &State, instance: &Instance) -> Result<Vec<Wired>> {
    let mut found: Vec<Wired> = vec![];
    for (name, device) in expand(state, instance).devices.iter().filter(|(_, device)| device.kind() == "nic") {
        let wired = wired(state, instance, name, device).map_err(|e| e.context(format!("device {name}")))?;
        let Some(wired) = wired else { continue };
        if let Some(other) = found.iter().find(|other| other.plan.name == wired.plan.name) {
            let what = format!("device {name}: device {} is called {} inside, too; set name", other.device, wired.plan.name);
            return Err(Error::new(Kind::InvalidConfig, what));
        }
        found.push(wired);
    }
    Ok(found)
}

fn wired(state: &State, instance: &Instance, name: &DeviceName, device: &Device) -> Result<Option<Wired>> {
    let nic: Nic = device.nic()?;
    if !nic.attached {
        return Ok(None);
    }
    if let Some(name) = &nic.network {
        match state.network(&instance.project, name) {
            None => return Err(crate::network::missing(state, &instance.project, name.as_str())),
            Some(network) if !network.is_lasting() => return Err(crate::network::waiting(network)),
            Some(_) => {}
        }
    }
    let inside = nic.name.clone().unwrap_or_else(|| name.to_string());
    if !is_link_name(&inside) {
        let what = format!("{} cannot be the name of a network interface; set name", lxhost_model::name::quoted(&inside));
        return Err(Error::new(Kind::InvalidConfig, what));
    }
    let kept = || instance.volatile.get(&mac_key(name)).cloned().unwrap_or_else(|| mac(instance.id, name));
    let first = |family: &lxhost_model::device::nic::Family| family.addresses.first().map(ipnet::IpNet::addr);
    let plan = NicPlan {
        instance: instance.id,
        hostname: instance.name.to_string(),
        name: inside,
        mac: nic.hwaddr.clone().unwrap_or_else(kept),
        ipv4: first(&nic.ipv4).and_then(|address| match address {
            IpAddr::V4(v4) => Some(v4),
            IpAddr::V6(_) => None,
        }),
        ipv6: first(&nic.ipv6).and_then(|address| match address {
            IpAddr::V6(v6) => Some(v6),
            IpAddr::V4(_) => None,
        }),
        mtu: nic.mtu,
        nic,
    };
    let network = plan.nic.network.clone();
    Ok(Some(Wired { device: name.clone(), project: instance.project.clone(), network, plan }))
}

/// The next network of these interfaces that has to be brought up.
pub(crate) async fn needed(view: &View<'_>, nics: &[Wired]) -> Result<Option<Box<dyn Verb>>> {
    for nic in nics {
        let network = nic.network.as_ref().and_then(|name| view.state.network(&nic.project, name));
        let Some(network) = network else { continue };
        if !view.ports.networks.driver(&network.kind)?.is_up(network).await? {
            return Ok(Some(Box::new(crate::network::Up::new(network.clone()))));
        }
    }
    Ok(None)
}

/// Refuses addresses that another instance was promised.
///
/// # Errors
/// `Conflict`, naming the instance.
pub(crate) fn refuse_clashes(state: &State, id: ObjectId, wanted: &[Wired]) -> Result<()> {
    let claiming: Vec<&Wired> = wanted.iter().filter(|wired| wired.claims() != (vec![], None)).collect();
    if claiming.is_empty() {
        return Ok(());
    }
    for other in state.instances.values().filter(|other| other.id != id) {
        // One that is broken otherwise claims nothing.
        for theirs in nics(state, other).unwrap_or_default() {
            for ours in claiming.iter().filter(|ours| ours.is_beside(&theirs)) {
                let ((addresses, mac), (their_addresses, their_mac)) = (ours.claims(), theirs.claims());
                let shared = addresses.iter().find(|address| their_addresses.contains(address)).map(ToString::to_string);
                let shared = shared.or_else(|| mac.filter(|mac| Some(*mac) == their_mac).map(str::to_owned));
                if let Some(shared) = shared {
                    let what = format!(
                        "device {}: {shared} belongs to device {} of instance {}",
                        ours.device, theirs.device, other.name
                    );
                    return Err(Error::new(Kind::Conflict, what));
                }
            }
        }
    }
    Ok(())
}

/// The steps from the interfaces that a running instance has to those it shall have. Those that go make room first.
pub(crate) fn rewire(id: ObjectId, before: &[Wired], after: &[Wired]) -> Vec<Step> {
    let of = |nics: &[Wired], device: &DeviceName| nics.iter().find(|nic| nic.device == *device).cloned().map(Box::new);
    let devices: BTreeSet<&DeviceName> = before.iter().chain(after).map(|nic| &nic.device).collect();
    let changes = devices.into_iter().map(|device| (of(before, device), of(after, device))).filter(|(from, to)| from != to);
    let mut steps: Vec<Step> = changes.map(|(from, to)| Step::Rewire { instance: id, from, to }).collect();
    steps.sort_by_key(|step| matches!(step, Step::Rewire { to: Some(_), .. }));
    steps
}
