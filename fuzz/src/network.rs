//! Networks: keys that people choose and what becomes of them in the files of dnsmasq and nft, and leases that guests
//! have written their names into.

use lxhost_drivers::hostile;
use lxhost_engine::ports::NicPlan;
use lxhost_model::{Kind, Network, ObjectId};

/// dnsmasq's leases; a release is a whole message or none.
pub fn leases(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for (lease, release) in hostile::leases(&text) {
        assert!(lease.hostname.chars().count() <= 255 && !lease.hostname.contains([' ', '\n', '\0']), "{lease:?}");
        assert!(lease.mac.chars().count() <= 255);
        let whole = if lease.address.is_ipv4() { 300..=512 } else { 64..=572 };
        assert!(release.is_none_or(|message| whole.contains(&message.len())));
    }
}

/// A network `lxbr0` with the keys and values in an input.
fn network(data: &[u8]) -> Network {
    let defaults = [("ipv4.address", "10.1.2.1/24"), ("ipv6.address", "fd42:1:2:3::1/64")];
    let mut config: lxhost_model::config::Config = defaults.map(|(key, value)| (key.into(), value.into())).into();
    config.extend(crate::parts(data).filter_map(|part| {
        let (key, value) = part.split_once('=')?;
        Some((key.to_owned(), value.to_owned()))
    }));
    Network {
        id: ObjectId::from_random([7; 16]),
        project: Default::default(),
        name: "lxbr0".parse().unwrap(),
        kind: "bridge".into(),
        description: String::new(),
        config,
        forwards: Default::default(),
        load_balancers: Default::default(),
        checkpoint: None,
        created: 0,
        generation: 1,
    }
}

/// Keys are refused in a line, or make files in which every line is one of ours.
pub fn bridge(data: &[u8]) {
    const OPTIONS: &[&str] = &[
        "bind-dynamic",
        "except-interface",
        "pid-file",
        "no-hosts",
        "domain-needed",
        "strict-order",
        "no-ping",
        "interface",
        "dhcp-leasefile",
        "dhcp-hostsdir",
        "hostsdir",
        "expand-hosts",
        "domain",
        "local",
        "dhcp-authoritative",
        "dhcp-rapid-commit",
        "dhcp-no-override",
        "quiet-dhcp",
        "quiet-dhcp6",
        "quiet-ra",
        "dhcp-lease-max",
        "dhcp-ignore-names",
        "rev-server",
        "dhcp-range",
        "dhcp-option-force",
        "enable-ra",
    ];
    match hostile::bridge(&network(data)) {
        Err(error) => {
            assert!(matches!(error.kind, Kind::InvalidConfig | Kind::InvalidName), "{error:?}");
            crate::is_a_line(&error.message);
        }
        Ok((dnsmasq, nft)) => {
            for line in dnsmasq.lines().skip(1) {
                let option = line.split('=').next().unwrap_or_default();
                assert!(OPTIONS.contains(&option), "{line:?}");
            }
            for text in [&dnsmasq, &nft] {
                assert!(
                    text.len() < 64 << 10
                        && text.bytes().all(|byte| byte == b'\n' || byte == b'\t' || (b' '..=b'~').contains(&byte))
                );
            }
            assert_eq!(nft.matches('{').count(), nft.matches('}').count());
        }
    }
}

/// An interface of an instance: refused, or one line that is read back as it was written.
pub fn nic(data: &[u8]) {
    let mut parts = crate::parts(data);
    let mut next = || parts.next().unwrap_or_default();
    let plan = NicPlan {
        instance: ObjectId::from_random([9; 16]),
        hostname: next(),
        name: next(),
        mac: next(),
        ipv4: next().parse().ok(),
        ipv6: next().parse().ok(),
        mtu: None,
        nic: lxhost_model::device::Nic::default(),
    };
    hostile::nic_file(&plan.name, &plan.hostname);
    match hostile::nic(&network(b"ipv6.dhcp.stateful=true"), &plan) {
        Err(error) => crate::is_a_line(&error.message),
        Ok((name, line, same)) => {
            assert!(!name.contains(['/', '\n', '\0']) && name.len() < 64, "{name:?}");
            assert!(line.ends_with('\n') && line.matches('\n').count() <= 2 && line.is_ascii(), "{line:?}");
            assert!(same, "{line:?}");
        }
    }
}

/// Rules of an ACL are refused in a line, or make lines of nft in which every word is one of ours: keys of a rule are
/// between NULs, and a lone `-` ends a rule.
pub fn network_acl(data: &[u8]) {
    let mut rules = vec![lxhost_model::acl::RuleKeys::new()];
    for part in crate::parts(data) {
        match (part.split_once('='), rules.last_mut()) {
            (Some((key, value)), Some(rule)) => drop(rule.insert(key.to_owned(), value.to_owned())),
            _ => rules.push(Default::default()),
        }
    }
    let middle = rules.len() / 2;
    let acl = lxhost_model::Acl {
        id: ObjectId::from_random([8; 16]),
        project: Default::default(),
        name: "web".parse().unwrap(),
        description: String::new(),
        config: Default::default(),
        egress: rules.split_off(middle),
        ingress: rules,
        created: 0,
        generation: 1,
    };
    match hostile::acl(&network(b"security.acls=web"), &acl) {
        Err(error) => {
            assert!(matches!(error.kind, Kind::InvalidConfig | Kind::Unsupported), "{error:?}");
            crate::is_a_line(&error.message);
        }
        Ok(nft) => {
            let words = |c: char| c.is_ascii_alphanumeric() || "\n\t \"{}.:;,/-_=!+".contains(c);
            assert!(nft.chars().all(words), "{nft:?}");
            assert!(nft.matches('"').count() % 2 == 0 && nft.matches('{').count() == nft.matches('}').count(), "{nft:?}");
            assert!(nft.len() < 8 << 20, "{} bytes", nft.len());
        }
    }
}

/// A forward, or a load balancer if any of its entries has a name, is refused in a line, or makes lines of nft in which every word is one of ours: the address it listens
/// on, then its keys, then those of its ports between NULs; a lone `-` ends what came before.
pub fn network_forward(data: &[u8]) {
    let mut parts = crate::parts(data);
    let listen = match lxhost_model::forward::listen_address(&parts.next().unwrap_or_default()) {
        Err(error) => return crate::is_a_line(&error.message),
        Ok(listen) => listen,
    };
    let mut all = vec![lxhost_model::forward::PortKeys::new()];
    for part in parts {
        match (part.split_once('='), all.last_mut()) {
            (Some((key, value)), Some(keys)) => drop(keys.insert(key.to_owned(), value.to_owned())),
            _ => all.push(Default::default()),
        }
    }
    let config = all.remove(0);
    let (backends, ports): (Vec<_>, Vec<_>) = all.into_iter().partition(|keys| keys.contains_key("name"));
    let description = String::new();
    let network = match backends.is_empty() {
        true => {
            let forward = lxhost_model::Forward { description, config, ports };
            Network { forwards: [(listen, forward)].into(), ..network(b"") }
        }
        false => {
            let balancer = lxhost_model::LoadBalancer { description, config, backends, ports };
            Network { load_balancers: [(listen, balancer)].into(), ..network(b"") }
        }
    };
    match hostile::forwards(&network) {
        Err(error) => {
            assert!(matches!(error.kind, Kind::InvalidConfig | Kind::Conflict | Kind::Unsupported), "{error:?}");
            crate::is_a_line(&error.message);
        }
        Ok(nft) => {
            let words = |c: char| c.is_ascii_alphanumeric() || "\n\t \"{}[].:;,/-_=!+".contains(c);
            assert!(nft.chars().all(words), "{nft:?}");
            assert!(nft.matches('"').count() % 2 == 0 && nft.matches('{').count() == nft.matches('}').count(), "{nft:?}");
            assert!(nft.len() < 2 << 20, "{} bytes", nft.len());
        }
    }
}

/// What `nft -j` lists.
pub fn rules(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match hostile::rules(&text) {
        Err(error) => crate::is_a_line(&error.message),
        Ok(rules) => assert!(rules <= text.len()),
    }
}
