//! The real host behind the ports.

use lxhost_drivers::backup::SandboxedBackups;
use lxhost_drivers::definitions::StateDefinitions;
use lxhost_drivers::device::{HostProxies, Nics};
use lxhost_drivers::files::HostFiles;
use lxhost_drivers::image::{FilesStore, sources};
use lxhost_drivers::network::{Networks, Surroundings};
use lxhost_drivers::storage::{PoolFilesystems, Pools};
use lxhost_engine::{Error, Ports, Result, ports};
use lxhost_host::facts::Facts;
use lxhost_host::firewalld::Firewalld;
use lxhost_host::launcher::HostLauncher;
use lxhost_host::polkit::Polkit;
use lxhost_host::relay::SystemdRelays;
use lxhost_host::resolved::Resolved;
use lxhost_host::sandbox::SystemdSandbox;
use lxhost_host::units::Units;
use lxhost_store::SqliteStore;
use std::path::Path;
use std::sync::Arc;
use zbus::Connection;

/// Ports of this machine. `client` is our second connection: calls of systemd, machined and Polkit must
/// not wait behind those that we serve.
///
/// # Errors
/// Whatever keeps a part from starting: the state in use by another daemon, no systemd, no netlink.
pub(crate) async fn real(state: &Path, runtime: &Path, libexec: &Path, client: Connection) -> Result<Ports> {
    let store = SqliteStore::open(state)?;
    let units = Units::new(&client).await.map_err(|e| Error::failed(format!("systemd: {e}")))?;
    let links = lxhost_netlink::Handle::open().map_err(|e| Error::failed(format!("netlink: {e}")))?;
    let sandbox: Arc<dyn ports::Sandbox> = Arc::new(SystemdSandbox::new(units.clone(), &client, runtime).await?);
    let services: Arc<dyn ports::Units> = Arc::new(units.clone());
    let mounts: Arc<dyn ports::Mounts> = Arc::new(units.clone());
    let resolver = Arc::new(Resolved::new(&client).await.map_err(|e| Error::failed(format!("D-Bus: {e}")))?);
    let zones = Arc::new(Firewalld::new(&client).await.map_err(|e| Error::failed(format!("D-Bus: {e}")))?);
    let surroundings = Surroundings {
        links: links.clone(),
        units: services.clone(),
        resolver,
        zones,
        run_dir: runtime.to_owned(),
        state_dir: state.to_owned(),
    };
    let monitor = libexec.join("lxhost-runtime");
    let relays = Arc::new(SystemdRelays::new(units.clone(), monitor.clone()));
    let launcher = HostLauncher::new(&client, units, links, monitor, runtime.join("instances")).await;
    Ok(Ports {
        store: Arc::new(store),
        launcher: Arc::new(launcher.map_err(|e| Error::failed(e.to_string()))?),
        pools: Arc::new(Pools::new(state)),
        filesystems: Arc::new(PoolFilesystems::new(state, mounts)),
        definitions: Arc::new(StateDefinitions::new(state)),
        nics: Arc::new(Nics::new(surroundings.clone())),
        proxies: Arc::new(HostProxies::new(surroundings.clone(), relays)),
        networks: Arc::new(Networks::new(surroundings)),
        images: Arc::new(FilesStore::new(state, libexec.join("lxhost-unpack"), sandbox.clone())),
        backups: Arc::new(SandboxedBackups::new(libexec.join("lxhost-unpack"), sandbox.clone())),
        files: Arc::new(HostFiles::new(sandbox.clone())),
        sources: sources(state, &sandbox),
        authority: Arc::new(Polkit::new(client.clone())),
        host: Arc::new(Facts::new(state, Some(client)).with_units(services)),
    })
}
