//! Tests: every key that LXD or Incus has for networks of our types is read, or refused by its name as `Unsupported`.
//! The lists are those of their documentation (LXD 5.0, Incus 6.0 and later).

use super::bridge::settings::{Settings, tests::network};
use super::uplink::Uplink;
use lxhost_model::{Kind, Network, Result};

/// A line for each key, with what it needs beside it; those with `!` are refused.
const BRIDGE: &str = "
!bgp.peers.north.address=10.0.0.1
!bgp.peers.north.asn=64512
!bgp.peers.north.holdtime=180
!bgp.peers.north.password=secret
!bgp.ipv4.nexthop=10.0.0.1
!bgp.ipv6.nexthop=fd42::1
bridge.driver=native
!bridge.driver=openvswitch
bridge.external_interfaces=eth1
bridge.hwaddr=00:16:3e:00:00:01
!bridge.mode=fan
bridge.mtu=1400
dns.domain=lab.test
dns.mode=dynamic
dns.nameservers=10.1.2.53
dns.search=lab.test,test
!dns.zone.forward=lab
!dns.zone.reverse.ipv4=lab
!dns.zone.reverse.ipv6=lab
!fan.overlay_subnet=240.0.0.0/8
!fan.type=vxlan
!fan.underlay_subnet=auto
ipv4.address=10.1.3.1/24
ipv4.dhcp=false
ipv4.dhcp.expiry=12h
ipv4.dhcp.gateway=10.1.2.9
ipv4.dhcp.ranges=10.1.2.50-10.1.2.60
ipv4.dhcp.routes=10.9.0.0/16,10.1.2.7
ipv4.firewall=false
ipv4.nat=true
ipv4.nat.address=192.0.2.1 ipv4.nat=true
ipv4.nat.order=after
!ipv4.ovn.ranges=10.1.2.70-10.1.2.80
ipv4.routes=10.9.0.0/16
ipv4.routing=false
ipv6.address=fd42:1:2:4::1/64
ipv6.dhcp=false
ipv6.dhcp.expiry=12h
ipv6.dhcp.ranges=fd42:1:2:3::50-fd42:1:2:3::60 ipv6.dhcp.stateful=true
ipv6.dhcp.stateful=true
ipv6.firewall=false
ipv6.nat=true
ipv6.nat.address=2001:db8::1 ipv6.nat=true
ipv6.nat.order=after
!ipv6.ovn.ranges=fd42:1:2:3::70-fd42:1:2:3::80
ipv6.routes=fd43::/48
ipv6.routing=false
!maas.subnet.ipv4=lab
!maas.subnet.ipv6=lab
!raw.dnsmasq=log-queries
security.acls=front,back
security.acls.default.egress.action=drop security.acls=front
security.acls.default.egress.logged=true security.acls=front
security.acls.default.ingress.action=allow security.acls=front
security.acls.default.ingress.logged=true security.acls=front
tunnel.far.protocol=vxlan tunnel.far.id=7
!tunnel.far.protocol=gre
tunnel.far.id=7 tunnel.far.protocol=vxlan
tunnel.far.group=239.0.0.7 tunnel.far.protocol=vxlan tunnel.far.id=7
tunnel.far.interface=eth0 tunnel.far.protocol=vxlan tunnel.far.id=7
tunnel.far.local=10.0.0.1 tunnel.far.remote=10.0.0.2 tunnel.far.protocol=vxlan tunnel.far.id=7
tunnel.far.remote=10.0.0.2 tunnel.far.protocol=vxlan tunnel.far.id=7
tunnel.far.port=8472 tunnel.far.protocol=vxlan tunnel.far.id=7
tunnel.far.ttl=4 tunnel.far.protocol=vxlan tunnel.far.id=7
user.note=any";

const MACVLAN: &str = "
gvrp=false
!gvrp=true
!maas.subnet.ipv4=lab
!maas.subnet.ipv6=lab
mtu=1400
parent=eth1
user.note=any
vlan=100";

const PHYSICAL: &str = "
!bgp.peers.north.address=10.0.0.1
!bgp.peers.north.asn=64512
!bgp.peers.north.holdtime=180
!bgp.peers.north.password=secret
!dns.nameservers=10.0.0.1
gvrp=false
!gvrp=true
!ipv4.gateway=10.0.0.1/24
!ipv4.gateway.hwaddr=00:16:3e:00:00:01
!ipv4.ovn.ranges=10.0.0.5-10.0.0.6
!ipv4.routes=10.9.0.0/16
!ipv4.routes.anycast=true
!ipv6.gateway=fd42::1/64
!ipv6.gateway.hwaddr=00:16:3e:00:00:01
!ipv6.ovn.ranges=fd42::5-fd42::6
!ipv6.routes=fd43::/48
!ipv6.routes.anycast=true
!maas.subnet.ipv4=lab
!maas.subnet.ipv6=lab
mtu=1400
!ovn.ingress_mode=routed
parent=eth1
user.note=any
vlan=100
!vlan.tagged=100";

/// Reads a line for line of a list, in a network of `kind`.
fn read_all(kind: &str, list: &str, base: &[(&str, &str)], read: impl Fn(&Network) -> Result<()>) {
    for line in list.lines().filter(|line| !line.is_empty()) {
        let (refused, words) = line.strip_prefix('!').map_or((false, line), |words| (true, words));
        let keys: Vec<(&str, &str)> = words.split(' ').map(|word| word.split_once('=').unwrap()).collect();
        let mut record = Network { kind: kind.into(), ..network(&keys) };
        if !base.is_empty() {
            record.config = base.iter().chain(&keys).map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        }
        match read(&record) {
            Ok(()) => assert!(!refused, "{kind}: {line}"),
            Err(error) => {
                assert!(refused && error.kind == Kind::Unsupported, "{kind}: {line}: {error}");
                assert!(error.message.contains(keys[0].0), "{kind}: {line}: {error}");
            }
        }
    }
}

#[test]
fn every_key_of_theirs_is_read_or_refused_by_its_name() {
    read_all("bridge", BRIDGE, &[], |record| Settings::read(record).map(drop));
    for (kind, list) in [("macvlan", MACVLAN), ("physical", PHYSICAL)] {
        read_all(kind, list, &[("parent", "eth0")], |record| Uplink::read(record).map(drop));
    }
}
