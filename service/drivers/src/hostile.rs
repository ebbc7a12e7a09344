//! Doors for the fuzz targets: what the drivers read that guests, images and sandboxed programs have
//! written, and what they write from keys that people chose. Called by nobody else.

use crate::image::answer;
use crate::network::bridge::{Settings, dnsmasq, entry, leases, release};
use crate::network::{chains, firewall};
use crate::storage::prepare;
use lxhost_engine::ports::{Lease, NicPlan};
use lxhost_model::config::Config;
use lxhost_model::{Acl, Network, Result};
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;

/// Reads dnsmasq's leases; with each, the message that would give it back.
pub fn leases(text: &str) -> Vec<(Lease, Option<Vec<u8>>)> {
    let server = release::Server { ipv4: Some(Ipv4Addr::new(10, 1, 2, 1)), duid: leases::server(text) };
    leases::read(text).iter().map(|line| (line.lease(&[]), release::message(&server, line))).collect()
}

/// The text of dnsmasq's configuration and of the firewall's table for this network.
///
/// # Errors
/// `InvalidConfig`, `InvalidName`.
pub fn bridge(network: &Network) -> Result<(String, String)> {
    let settings = Settings::read(network)?;
    let files = dnsmasq::Files::new(Path::new("/run/lxhost"), Path::new("/var/lib/lxhost"), settings.interface.as_str());
    Ok((dnsmasq::render(&settings, &files), firewall::render(std::slice::from_ref(&settings), &[])))
}

/// The text of the firewall's table for this network, which carries that ACL.
///
/// # Errors
/// `InvalidConfig`, `Unsupported`, `InvalidName`.
pub fn acl(network: &Network, acl: &Acl) -> Result<String> {
    acl.check()?;
    let settings = Settings::read(network)?;
    Ok(firewall::render(std::slice::from_ref(&settings), &[Arc::new(acl.clone())]))
}

/// The text of the firewall's table for this network with its forwards and load balancers.
///
/// # Errors
/// `InvalidConfig`, `InvalidName`, `Conflict`.
pub fn forwards(network: &Network) -> Result<String> {
    network.check_listeners()?;
    bridge(network).map(|(_, nft)| nft)
}

/// Name and line of the file that tells dnsmasq about an interface, and whether it is read back as it was.
///
/// # Errors
/// `InvalidConfig`, `InvalidName`.
pub fn nic(network: &Network, nic: &NicPlan) -> Result<(String, String, bool)> {
    let settings = Settings::read(network)?;
    let entry = entry::Entry::new(nic, &settings)?;
    let (name, line) = (entry.file_name(), entry.dhcp_lines(&settings));
    let read = entry::Entry::read(&name, &line);
    let same = read.is_some_and(|read| read.mac == entry.mac && read.nic == entry.nic && read.ipv4 == entry.ipv4);
    Ok((name, line, same))
}

/// Whether a file of an interface is read as one.
pub fn nic_file(name: &str, line: &str) -> bool {
    entry::Entry::read(name, line).is_some()
}

/// What a sandboxed program says of an image: architecture and properties.
///
/// # Errors
/// `Untrusted`.
pub fn answer(bytes: &[u8]) -> Result<(String, Config)> {
    answer::metadata(bytes).map(|metadata| (metadata.architecture, metadata.properties))
}

/// A line of progress of a sandboxed program.
pub fn progress(line: &str) -> Option<f64> {
    answer::fraction(line)
}

/// An image's `/etc/hosts` with this host name; `None` when it has it.
pub fn hosts(text: &str, hostname: &str) -> Option<String> {
    prepare::hosts_with(Some(text), hostname)
}

/// How many rules of ours `nft -j` lists.
///
/// # Errors
/// `Failed` when it is no JSON.
pub fn rules(listing: &str) -> Result<usize> {
    chains::read(listing).map(|present| present.rules())
}
