//! `ipvlan`: addresses of its own on a link of the host, behind that link's hardware address. The addresses are given
//! inside, for no DHCP server tells such guests apart.

use super::parent;
use crate::network::Made;
use async_trait::async_trait;
use ipnet::IpNet;
use lxhost_engine::ports::{Inside, NicDriver, NicKind, NicPlan, NicSpec};
use lxhost_model::device::nic::{Family, Gateway};
use lxhost_model::{Error, Kind, Result};
use lxhost_netlink::Handle;

/// Interfaces that share a link by address.
pub(super) struct Ipvlan {
    links: Handle,
    made: Made,
}

impl Ipvlan {
    pub(super) fn new(links: Handle, made: Made) -> Self {
        Ipvlan { links, made }
    }
}

#[async_trait]
impl NicDriver for Ipvlan {
    async fn attach(&self, plan: &NicPlan) -> Result<NicSpec> {
        let inside = inside(plan)?;
        let parent = parent::used(&self.links, &self.made, plan).await?;
        let mode = plan.nic.mode.clone().unwrap_or_else(|| "l3s".to_owned());
        Ok(NicSpec { mac: None, inside, ..NicSpec::new(plan, NicKind::Ipvlan { parent, mode }) })
    }

    async fn detach(&self, plan: &NicPlan) -> Result<()> {
        parent::release(&self.made, plan).await
    }
}

fn inside(plan: &NicPlan) -> Result<Inside> {
    let l2 = plan.nic.mode.as_deref() == Some("l2");
    let bad = |why: &str| Err(Error::new(Kind::InvalidConfig, why.to_owned()));
    if plan.nic.hwaddr.is_some() {
        return bad("hwaddr: an ipvlan nic has its parent's");
    }
    let mut inside = Inside::default();
    for (family, usual) in [(&plan.nic.ipv4, 24), (&plan.nic.ipv6, 64)] {
        if !family.host_tables.is_empty() {
            return Err(Error::new(Kind::Unsupported, "key ipv4.host_table is not supported for ipvlan"));
        }
        for net in &family.addresses {
            if !l2 && net.prefix_len() < net.max_prefix_len() {
                return bad("ipv4.address: in mode l3s addresses have no prefix");
            }
            let whole = net.prefix_len() == net.max_prefix_len();
            let length = if l2 && whole { usual } else { net.prefix_len() };
            inside.addresses.extend(IpNet::new(net.addr(), length).ok());
        }
        gateway(family, l2, &mut inside)?;
    }
    Ok(inside)
}

fn gateway(family: &Family, l2: bool, inside: &mut Inside) -> Result<()> {
    match family.gateway {
        _ if family.addresses.is_empty() => {}
        Gateway::None => {}
        Gateway::Is(_) if !l2 => {
            return Err(Error::new(Kind::InvalidConfig, "ipv4.gateway: in mode l3s it is auto or none"));
        }
        Gateway::Is(gateway) => inside.gateways.push(gateway),
        // Without layer 2 everything is on the link.
        Gateway::Auto => inside.default_by_link |= !l2,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::plan_of;
    use super::*;

    #[test]
    fn addresses_get_the_usual_prefix_in_l2_and_none_in_l3s() {
        let keys = [("nictype", "ipvlan"), ("parent", "eth0"), ("ipv4.address", "192.0.2.5")];
        let l3s = inside(&plan_of(&keys)).unwrap();
        assert_eq!((l3s.addresses[0].to_string().as_str(), l3s.default_by_link), ("192.0.2.5/32", true));
        let l2 = inside(&plan_of(&[&keys[..], &[("mode", "l2"), ("ipv4.gateway", "192.0.2.1")]].concat())).unwrap();
        assert_eq!((l2.addresses[0].to_string().as_str(), l2.gateways[0].to_string().as_str()), ("192.0.2.5/24", "192.0.2.1"));
    }

    #[test]
    fn a_gateway_of_its_own_needs_l2() {
        let keys = [("nictype", "ipvlan"), ("parent", "eth0"), ("ipv4.address", "192.0.2.5"), ("ipv4.gateway", "192.0.2.1")];
        assert_eq!(inside(&plan_of(&keys)).unwrap_err().kind, Kind::InvalidConfig);
    }
}
