//! A network beside other firewalls of this host: what they were told so that guests get addresses, names and a way out.
//! Looks, and changes nothing; the telling is done with the rules of `firewall`. Called by the doctor and by the driver.

use super::bridge::{BridgeNetworks, Settings};
use super::chains;
use lxhost_engine::ports::Check;
use lxhost_model::name::NetworkName;

impl BridgeNetworks {
    /// How each of them that is here treats the network.
    pub(in crate::network) async fn beside(&self, name: &NetworkName, settings: &Settings) -> Vec<Check> {
        let mut checks = Vec::new();
        if settings.asks_firewalls() {
            checks.extend(self.in_zone(name, settings).await);
            checks.extend(in_chains(name, settings).await);
        }
        checks
    }

    async fn in_zone(&self, name: &NetworkName, settings: &Settings) -> Option<Check> {
        let link = &settings.interface;
        let (zone, ours) = self.zones().zone_of(link.as_str()).await?;
        Some(if ours {
            let lets = format!("{link} is in firewalld's zone {zone}: DHCP, DNS and what is forwarded pass");
            Check { hint: undo(name), ..Check::ok("firewalld", lets) }
        } else if zone.is_empty() {
            let missing = format!("firewalld has {link} in no zone, so it refuses what guests ask of this host");
            Check::fail("firewalld", missing, super::doctor::RELOAD)
        } else {
            let other = format!("{link} is in firewalld's zone {zone}, where somebody has put it");
            let hint = format!("firewall-cmd --zone={zone} --remove-interface={link}, with --permanent too, leaves it to lxhost");
            Check::warn("firewalld", other, hint)
        })
    }
}

/// Docker and ufw.
async fn in_chains(name: &NetworkName, settings: &Settings) -> Vec<Check> {
    let link = &settings.interface;
    let check = |(owner, whole): (&str, bool)| match whole {
        true => {
            Check { hint: undo(name), ..Check::ok(owner, format!("{owner} is here, and what {link} needs passes its chains")) }
        }
        false => {
            Check::fail(owner, format!("{owner} is here, and what {link} needs does not pass its chains"), super::doctor::RELOAD)
        }
    };
    match chains::treatment(settings).await {
        Ok(treatment) => treatment.into_iter().map(check).collect(),
        Err(error) => vec![Check::warn("firewall", error.message, "nft list ruleset")],
    }
}

/// The check as a line for who has just made the network.
pub(super) fn line(check: &Check) -> String {
    match check.state {
        "ok" => format!("{} (undo: {})", check.message, check.hint),
        _ => format!("{}: {}", check.message, check.hint),
    }
}

/// What has other firewalls treat the network as they treat everything.
fn undo(name: &NetworkName) -> String {
    format!("lxctl network set {name} ipv4.firewall=false ipv6.firewall=false")
}
