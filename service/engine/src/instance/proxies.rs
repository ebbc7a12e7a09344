//! Proxies that an instance has by its configuration: from devices to plans, and from one configuration to the next.
//! Changes nothing.

use super::{Wired, expand, nics};
use crate::ports::{ProxyPlan, ProxyTarget, State};
use crate::step::Step;
use crate::{Error, Kind, Result};
use lxhost_model::device::{NicType, Proxy};
use lxhost_model::forward::Diversion;
use lxhost_model::name::DeviceName;
use lxhost_model::{Instance, Network, ObjectId, Status};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// The proxies of `instance`.
///
/// # Errors
/// `InvalidConfig` for one whose packets shall be translated to an address that the instance does not have for sure.
pub(crate) fn proxies(state: &State, instance: &Instance) -> Result<Vec<ProxyPlan>> {
    let mut found = vec![];
    for (name, device) in expand(state, instance).devices.iter().filter(|(_, device)| device.kind() == "proxy") {
        let in_device = |error: Error| error.context(format!("device {name}"));
        let proxy = device.proxy().map_err(in_device)?;
        let target = if proxy.nat { Some(target(&proxy, &nics(state, instance)?).map_err(in_device)?) } else { None };
        let (device, machine) = (name.clone(), instance.machine_name());
        found.push(ProxyPlan { instance: instance.id, machine, device, proxy, target });
    }
    Ok(found)
}

/// The address that packets are sent to: a fixed one of an interface that the host reaches.
fn target(proxy: &Proxy, nics: &[Wired]) -> Result<ProxyTarget> {
    let wanted = proxy.connect.address().ok_or_else(|| Error::new(Kind::InvalidConfig, "connect: it has no address"))?;
    let reached = |wired: &&Wired| matches!(wired.plan.nic.kind, None | Some(NicType::Bridged | NicType::Routed));
    let targets = |wired: &Wired| -> Vec<ProxyTarget> {
        let nic = &wired.plan.nic;
        let addresses = nic.ipv4.addresses.iter().chain(&nic.ipv6.addresses).map(ipnet::IpNet::addr);
        let target = |address| ProxyTarget { address, nic: wired.plan.name.clone(), host_name: nic.host_name.clone() };
        addresses.filter(|address: &IpAddr| address.is_ipv4() == wanted.is_ipv4()).map(target).collect()
    };
    let fixed: Vec<ProxyTarget> = nics.iter().filter(reached).flat_map(targets).collect();
    let found = fixed.iter().find(|target| wanted.is_unspecified() || target.address == wanted);
    found.cloned().ok_or_else(|| {
        let key = if wanted.is_ipv4() { "ipv4.address" } else { "ipv6.address" };
        let what = match fixed.first() {
            Some(other) => format!("nat: {wanted} is not a fixed address of the instance; {} is", other.address),
            None => format!("nat: the instance has no fixed address to translate to; set {key} of its nic, or leave nat out"),
        };
        Error::new(Kind::InvalidConfig, what)
    })
}

/// Refuses proxies that take a place on the host which another has, of this instance or of one that runs.
///
/// # Errors
/// `Conflict`, naming who has it.
pub(crate) fn refuse_taken(state: &State, id: ObjectId, wanted: &[ProxyPlan]) -> Result<()> {
    for (at, plan) in wanted.iter().enumerate() {
        let own = wanted.iter().take(at).map(|other| (other, "of the same instance".to_owned()));
        if let Some(what) = taken(plan, own).or_else(|| diverted(state, plan)) {
            return Err(what);
        }
    }
    if wanted.is_empty() {
        return Ok(());
    }
    for other in state.instances.values().filter(|other| other.id != id && runs(other.status)) {
        let theirs = proxies(state, other).unwrap_or_default();
        for plan in wanted {
            if let Some(what) = taken(plan, theirs.iter().map(|their| (their, format!("of instance {}", other.name)))) {
                return Err(what);
            }
        }
    }
    Ok(())
}

/// What comes to a place that a network leads elsewhere would never come to the proxy.
fn diverted(state: &State, plan: &ProxyPlan) -> Option<Error> {
    let (_, address) = plan.proxy.listen.ports()?;
    let network = state.networks.values().find(|network| network.diversions().any(|diversion| meet(&diversion, &plan.proxy)))?;
    let noun = network.listeners().find(|(listen, _)| *listen == address).map_or("forward", |(_, noun)| noun);
    let what = format!("device {}: the {noun} {address} of network {} has these ports", plan.device, network.name);
    Some(Error::new(Kind::Conflict, what))
}

/// Refuses what a network would lead elsewhere from `listen` while the proxy of an instance listens there.
///
/// # Errors
/// `Conflict`, naming the proxy.
pub(crate) fn refuse_diversion(state: &State, network: &Network, listen: IpAddr) -> Result<()> {
    let Some(diversion) = network.diversions().find(|diversion| diversion.listen == listen) else { return Ok(()) };
    for instance in state.instances.values().filter(|instance| runs(instance.status)) {
        let theirs = proxies(state, instance).unwrap_or_default();
        if let Some(plan) = theirs.iter().find(|plan| meet(&diversion, &plan.proxy)) {
            let noun = network.listeners().find(|(address, _)| *address == listen).map_or("forward", |(_, noun)| noun);
            let what = format!(
                "{noun} {listen} of network {}: device {} of instance {} listens on these ports",
                network.name, plan.device, instance.name
            );
            return Err(Error::new(Kind::Conflict, what));
        }
    }
    Ok(())
}

/// Whether both want the same of what comes to an address of the host.
fn meet(diversion: &Diversion, proxy: &Proxy) -> bool {
    let Some((ports, address)) = proxy.listen.ports().filter(|_| !proxy.inside) else { return false };
    let its = diversion.ports.iter().filter(|entry| entry.protocol == proxy.listen.protocol());
    let mut taken = its.flat_map(|entry| &entry.listen);
    address == diversion.listen && (diversion.rest.is_some() || taken.any(|range| ports.iter().any(|port| range.contains(port))))
}

fn taken<'a>(plan: &ProxyPlan, others: impl Iterator<Item = (&'a ProxyPlan, String)>) -> Option<Error> {
    others.into_iter().find_map(|(other, whose)| {
        let place = plan.proxy.shared_place(&other.proxy)?;
        let what = format!("device {}: {place} is taken by device {} {whose}", plan.device, other.device);
        Some(Error::new(Kind::Conflict, what))
    })
}

fn runs(status: Status) -> bool {
    matches!(status, Status::Running | Status::Frozen | Status::Starting)
}

/// The steps from the proxies that a running instance has to those it shall have. Those that go make room first.
pub(crate) fn reproxy(before: &[ProxyPlan], after: &[ProxyPlan]) -> Vec<Step> {
    let of = |plans: &[ProxyPlan], device: &DeviceName| plans.iter().find(|plan| plan.device == *device).cloned().map(Box::new);
    let devices: BTreeSet<&DeviceName> = before.iter().chain(after).map(|plan| &plan.device).collect();
    let changes = devices.into_iter().map(|device| (of(before, device), of(after, device))).filter(|(from, to)| from != to);
    let mut steps: Vec<Step> = changes.map(|(from, to)| Step::Proxy { from, to }).collect();
    steps.sort_by_key(|step| matches!(step, Step::Proxy { to: Some(_), .. }));
    steps
}
