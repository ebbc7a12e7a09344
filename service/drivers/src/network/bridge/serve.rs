//! The dnsmasq of a bridge: its files below /run/lxhost/networks, its unit, and what it knows of
//! instances. Files there are small and in memory, so they are written without leaving the task.

use super::dnsmasq::{self, Files};
use super::entry::Entry;
use super::release::Server;
use super::settings::{Names, Settings};
use super::{BridgeNetworks, holder, leases, release};
use lxhost_engine::ports::Lease;
use lxhost_model::{Error, Kind, ObjectId, Result};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Most bytes read of a file that dnsmasq wrote.
pub(super) const MAX_LEASES: u64 = 16 * 1024 * 1024;
/// Most bytes of a file with one entry.
pub(super) const MAX_ENTRY: u64 = 4096;

impl BridgeNetworks {
    pub(super) fn files(&self, interface: &str) -> Files {
        Files::new(&self.on.run_dir, &self.on.state_dir, interface)
    }

    /// Has dnsmasq run with the configuration of `settings`: started, restarted when it differs,
    /// stopped when there is nothing to serve.
    pub(super) async fn serve(&self, settings: &Settings) -> Result<()> {
        let files = self.files(settings.interface.as_str());
        if !settings.serves() {
            return self.stop_serving(settings.interface.as_str()).await;
        }
        for dir in [&files.dir, &files.dhcp_hosts(), &files.dns_hosts()] {
            make_dir(dir)?;
        }
        let config = dnsmasq::render(settings, &files);
        if read_small(&files.applied(), MAX_LEASES)?.as_deref() == Some(config.as_str()) {
            return self.on.units.start_service(&files.unit).await.map_err(|error| why(settings, error));
        }
        // A crash before `applied` is written makes the next `up` restart it once more.
        write_file(&files.config(), &config)?;
        self.on.units.restart_service(&files.unit).await.map_err(|error| why(settings, error))?;
        write_file(&files.applied(), &config)
    }

    /// Has this host ask the network for names in its domain, or no longer. Without that, it works for guests.
    pub(super) async fn be_asked(&self, settings: &Settings) {
        let Ok(Some(link)) = self.on.links.link(settings.interface.as_str()).await else { return };
        if !self.wants_to_be_asked(settings) {
            return self.on.resolver.forget(link.index).await;
        }
        if let Err(error) = self.on.resolver.ask_for(link.index, &addresses(settings), &settings.domain).await {
            tracing::warn!(interface = %settings.interface, "this host does not resolve names in {}: {error}", settings.domain);
        }
    }

    /// Whether dnsmasq runs, with that configuration.
    pub(in crate::network) async fn is_serving(&self, settings: &Settings) -> Result<bool> {
        let files = self.files(settings.interface.as_str());
        let applied = read_small(&files.applied(), MAX_LEASES)?;
        Ok(applied.as_deref() == Some(dnsmasq::render(settings, &files).as_str()) && self.on.units.is_active(&files.unit).await?)
    }

    /// Name of the unit of its dnsmasq.
    pub(in crate::network) fn unit(&self, settings: &Settings) -> String {
        self.files(settings.interface.as_str()).unit
    }

    /// Who else has ports that it needs, a sentence each.
    pub(in crate::network) fn port_holders(&self, settings: &Settings) -> Vec<String> {
        holder::holders(Path::new("/proc"), &addresses(settings))
    }

    /// Where it answers.
    pub(in crate::network) fn served_addresses(&self, settings: &Settings) -> Vec<IpAddr> {
        if settings.serves() { addresses(settings) } else { vec![] }
    }

    /// Whether this host is to ask it for names.
    pub(in crate::network) fn wants_to_be_asked(&self, settings: &Settings) -> bool {
        settings.names != Names::None && settings.serves()
    }

    /// Stops dnsmasq and removes what it wrote and was told.
    pub(super) async fn stop_serving(&self, interface: &str) -> Result<()> {
        let files = self.files(interface);
        self.on.units.stop_service(&files.unit).await?;
        remove_tree(&files.dir)?;
        remove_tree(&files.state)
    }

    /// Tells dnsmasq about an interface. It sees a new file by itself; to forget what an older one
    /// said it has to be asked.
    pub(super) async fn announce(&self, settings: &Settings, entry: &Entry) -> Result<()> {
        let files = self.files(settings.interface.as_str());
        for dir in [&files.dir, &files.dhcp_hosts(), &files.dns_hosts()] {
            make_dir(dir)?;
        }
        if (entry.ipv4.is_some() && !entry.chosen) || entry.ipv6.is_some() {
            check_addresses(entry, &entries(&files)?)?;
        }
        let name = entry.file_name();
        let (dhcp, dns) = (Some(entry.dhcp_lines(settings)), entry.dns_line(settings));
        let mut stale = false;
        for (path, wanted) in [(files.dhcp_hosts().join(&name), dhcp), (files.dns_hosts().join(&name), dns)] {
            let present = read_small(&path, MAX_ENTRY)?;
            if present == wanted {
                continue;
            }
            stale |= present.is_some();
            match wanted {
                Some(line) => write_file(&path, &line)?,
                None => drop(remove_file(&path)?),
            }
        }
        if stale { self.on.units.reload_service(&files.unit).await } else { Ok(()) }
    }

    /// Has dnsmasq forget an instance, or one interface of it: what it was told, and the leases it gave, so that neither
    /// name nor address stays taken. `server` is dnsmasq's own address.
    pub(super) async fn forget(
        &self,
        interface: &str,
        server: Option<Ipv4Addr>,
        instance: ObjectId,
        nic: Option<&str>,
    ) -> Result<()> {
        let files = self.files(interface);
        let is_meant = |entry: &Entry| entry.instance == instance && nic.is_none_or(|nic| entry.nic.as_str() == nic);
        let known = entries(&files)?;
        let gone: Vec<&Entry> = known.iter().filter(|entry| is_meant(entry)).collect();
        let mut stale = false;
        for name in gone.iter().map(|entry| entry.file_name()) {
            stale |= remove_file(&files.dhcp_hosts().join(&name))?;
            stale |= remove_file(&files.dns_hosts().join(&name))?;
            self.guards.remove(&name).await?;
        }
        self.give_back(interface, &gone).await;
        if !stale {
            return Ok(());
        }
        let text = read_small(&files.leases(), MAX_LEASES)?.unwrap_or_default();
        let server = Server { ipv4: server, duid: leases::server(&text) };
        for line in leases::read(&text) {
            let holders = line.holders(&known);
            if holders.is_empty() || !holders.into_iter().all(is_meant) {
                continue;
            }
            if let Err(error) = release::send(interface, &server, &line).await {
                tracing::warn!(interface, address = %line.address, %error, "a lease stays until it ends");
            }
        }
        self.on.units.reload_service(&files.unit).await
    }

    /// Leases that dnsmasq gave, and addresses it keeps for somebody.
    pub(super) async fn given_leases(&self, interface: &str) -> Result<Vec<Lease>> {
        let files = self.files(interface);
        let kept = entries(&files)?;
        let lines = leases::read(&read_small(&files.leases(), MAX_LEASES)?.unwrap_or_default());
        let mut leases: Vec<Lease> = lines.iter().map(|line| line.lease(&kept)).collect();
        for entry in &kept {
            let fixed = [entry.ipv4.map(IpAddr::V4), entry.ipv6.map(IpAddr::V6)];
            for address in fixed.into_iter().flatten() {
                if entry.chosen && address.is_ipv4() {
                    // It is a lease like any other once the guest has asked for it.
                    continue;
                }
                leases.retain(|lease| lease.address != address);
                leases.push(Lease { mac: entry.mac.to_string(), address, hostname: entry.hostname.clone(), expires: 0 });
            }
        }
        leases.sort_by_key(|lease| lease.address);
        Ok(leases)
    }
}

/// Addresses at which the server answers.
fn addresses(settings: &Settings) -> Vec<IpAddr> {
    let ipv4 = settings.ipv4.iter().map(|v| IpAddr::V4(v.address.addr()));
    ipv4.chain(settings.ipv6.iter().map(|v| IpAddr::V6(v.address.addr()))).collect()
}

/// The error of a server that did not start, with who has its port, if that is why.
fn why(settings: &Settings, error: Error) -> Error {
    match holder::holders(Path::new("/proc"), &addresses(settings)) {
        holders if holders.is_empty() => error,
        holders => Error::new(Kind::Conflict, format!("{}: {}", error.message, holders.join("; "))),
    }
}

/// What dnsmasq was told about all instances.
pub(super) fn entries(files: &Files) -> Result<Vec<Entry>> {
    let dir = files.dhcp_hosts();
    let listing = match std::fs::read_dir(&dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(|e| Error::io(format!("read {}", dir.display()), &e))?,
    };
    let mut entries = Vec::new();
    for file in listing.flatten() {
        let Some(name) = file.file_name().to_str().map(str::to_owned) else { continue };
        if let Some(line) = read_small(&file.path(), MAX_ENTRY)? {
            entries.extend(Entry::read(&name, &line));
        }
    }
    Ok(entries)
}

/// A fixed address belongs to one interface.
fn check_addresses(new: &Entry, others: &[Entry]) -> Result<()> {
    let own = new.file_name();
    let mut others = others.iter().filter(|other| other.file_name() != own);
    let clash = others.find(|o| (new.ipv4.is_some() && o.ipv4 == new.ipv4) || (new.ipv6.is_some() && o.ipv6 == new.ipv6));
    match clash {
        None => Ok(()),
        Some(other) => Err(Error::new(
            Kind::Conflict,
            format!("the fixed address of {} is kept for instance {}", new.hostname, other.hostname),
        )),
    }
}

pub(in crate::network) fn make_dir(path: &Path) -> Result<()> {
    DirBuilder::new().recursive(true).mode(0o755).create(path).map_err(|e| Error::io(format!("make {}", path.display()), &e))
}

/// Writes a file in one step. dnsmasq skips names that begin with a dot.
pub(in crate::network) fn write_file(path: &Path, text: &str) -> Result<()> {
    let write = || {
        let name = path.file_name().map(|n| n.to_string_lossy()).unwrap_or_default();
        let staged = path.with_file_name(format!(".{name}.new"));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o644).open(&staged)?;
        file.write_all(text.as_bytes())?;
        std::fs::rename(&staged, path)
    };
    write().map_err(|e| Error::io(format!("write {}", path.display()), &e))
}

/// The text of a file of at most `most` bytes; `None` when it is not there. Links are not followed:
/// some of these directories are dnsmasq's, which talks to guests.
pub(in crate::network) fn read_small(path: &Path, most: u64) -> Result<Option<String>> {
    let flags = (rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK).bits();
    let read = |file: File| {
        let mut bytes = Vec::new();
        file.take(most).read_to_end(&mut bytes).map(|_| String::from_utf8_lossy(&bytes).into_owned())
    };
    match OpenOptions::new().read(true).custom_flags(flags.cast_signed()).open(path).and_then(read) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io(format!("read {}", path.display()), &error)),
    }
}

/// Removes a file; says whether it was there.
pub(in crate::network) fn remove_file(path: &Path) -> Result<bool> {
    match std::fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::io(format!("remove {}", path.display()), &error)),
    }
}

fn remove_tree(path: &Path) -> Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::io(format!("remove {}", path.display()), &error)),
        _ => Ok(()),
    }
}
