//! Kernel settings below /proc/sys/net that a managed bridge needs: forwarding, and what keeps a
//! guest from configuring the host. Writes only what differs; where /proc/sys is read-only, an
//! error comes only when something is really not as it has to be.

use lxhost_model::{Error, Kind, Result};
use std::path::{Path, PathBuf};

/// /proc/sys/net, or a stand-in.
pub(crate) struct Sysctl {
    root: PathBuf,
}

impl Sysctl {
    /// The kernel's.
    pub(crate) fn new() -> Self {
        Sysctl { root: PathBuf::from("/proc/sys/net") }
    }

    fn get(&self, key: &str) -> Option<String> {
        std::fs::read_to_string(self.root.join(key)).ok().map(|v| v.trim().to_owned())
    }

    /// Sets `key` unless it has the value.
    fn set(&self, key: &str, value: &str) -> std::io::Result<()> {
        if self.get(key).as_deref() == Some(value) {
            return Ok(());
        }
        std::fs::write(self.root.join(key), value)
    }

    /// Whether this kernel has IPv6, and it is not switched off for new links.
    pub(super) fn has_ipv6(&self) -> bool {
        self.get("ipv6/conf/default/disable_ipv6").is_some_and(|off| off == "0")
    }

    /// Has the host forward IPv4.
    ///
    /// # Errors
    /// `Unsupported` when it is off and cannot be turned on.
    pub(crate) fn forward_ipv4(&self) -> Result<()> {
        self.set("ipv4/ip_forward", "1").map_err(|e| off("net.ipv4.ip_forward", &e))
    }

    /// Has the host forward IPv6. A forwarding host ignores router advertisements unless told
    /// otherwise, so links that live by them (`accept_ra=1`) get `accept_ra=2` first.
    ///
    /// # Errors
    /// `Unsupported` when it is off and cannot be turned on, or when the host would lose its routes.
    pub(crate) fn forward_ipv6(&self) -> Result<()> {
        let key = "ipv6/conf/all/forwarding";
        if self.get(key).as_deref() == Some("1") {
            return Ok(());
        }
        let links = std::fs::read_dir(self.root.join("ipv6/conf")).map_err(|e| off("net.ipv6.conf.all.forwarding", &e))?;
        for link in links.flatten() {
            let Some(name) = link.file_name().to_str().map(str::to_owned) else { continue };
            if matches!(name.as_str(), "all" | "default" | "lo") {
                continue;
            }
            let accept = Path::new("ipv6/conf").join(&name).join("accept_ra");
            let accept = accept.to_string_lossy();
            if self.get(&accept).as_deref() == Some("1") {
                self.set(&accept, "2").map_err(|e| off(&format!("net.ipv6.conf.{name}.accept_ra=2"), &e))?;
            }
        }
        self.set(key, "1").map_err(|e| off("net.ipv6.conf.all.forwarding", &e))
    }

    /// Has the host answer on the link for neighbours that it was told to answer for (IPv6 needs a switch, IPv4 none).
    ///
    /// # Errors
    /// `Unsupported` when it is off and cannot be turned on.
    pub(crate) fn answer_neighbours(&self, interface: &str) -> Result<()> {
        let key = format!("ipv6/conf/{interface}/proxy_ndp");
        self.set(&key, "1").map_err(|e| off(&format!("net.ipv6.conf.{interface}.proxy_ndp"), &e))
    }

    /// Keeps what guests announce from configuring the host's end of their bridge: no addresses and
    /// routes by router advertisement, no redirects; and addresses without duplicate detection, of which the next in a
    /// subnet stays when the first goes.
    pub(super) fn protect(&self, interface: &str) {
        let settings = [
            ("ipv6/conf", "accept_ra", "0"),
            ("ipv6/conf", "autoconf", "0"),
            ("ipv6/conf", "accept_dad", "0"),
            ("ipv6/conf", "accept_redirects", "0"),
            ("ipv4/conf", "accept_redirects", "0"),
            ("ipv4/conf", "promote_secondaries", "1"),
        ];
        for (family, key, value) in settings {
            let path = format!("{family}/{interface}/{key}");
            if self.get(&path).is_none() {
                continue;
            }
            if let Err(error) = self.set(&path, value) {
                tracing::warn!(interface, key, %error, "cannot set a kernel setting of a bridge");
            }
        }
    }

    /// Switches IPv6 of a bridge off or on.
    ///
    /// # Errors
    /// `Unsupported` when it is off and cannot be turned on.
    pub(super) fn switch_ipv6(&self, interface: &str, on: bool) -> Result<()> {
        let key = format!("ipv6/conf/{interface}/disable_ipv6");
        match self.set(&key, if on { "0" } else { "1" }) {
            Err(e) if on => Err(off(&format!("IPv6 on {interface}"), &e)),
            _ => Ok(()),
        }
    }
}

fn off(what: &str, error: &std::io::Error) -> Error {
    Error::new(Kind::Unsupported, format!("{what} is off and cannot be turned on here: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> (tempfile::TempDir, Sysctl) {
        let dir = tempfile::tempdir().unwrap();
        for (path, value) in files {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, format!("{value}\n")).unwrap();
        }
        let sysctl = Sysctl { root: dir.path().to_owned() };
        (dir, sysctl)
    }

    #[test]
    fn a_link_that_lives_by_router_advertisements_keeps_them() {
        let (_dir, sysctl) = tree(&[
            ("ipv6/conf/all/forwarding", "0"),
            ("ipv6/conf/all/accept_ra", "1"),
            ("ipv6/conf/eth0/accept_ra", "1"),
            ("ipv6/conf/eth1/accept_ra", "0"),
        ]);
        sysctl.forward_ipv6().unwrap();
        let get = |key: &str| sysctl.get(key).unwrap();
        assert_eq!(get("ipv6/conf/all/forwarding"), "1");
        assert_eq!((get("ipv6/conf/eth0/accept_ra"), get("ipv6/conf/eth1/accept_ra")), ("2".into(), "0".into()));
        assert_eq!(get("ipv6/conf/all/accept_ra"), "1");
    }

    #[test]
    fn forwarding_that_is_on_is_not_written_again() {
        let (dir, sysctl) = tree(&[("ipv4/ip_forward", "1"), ("ipv6/conf/all/forwarding", "1")]);
        for key in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
            let before = std::fs::metadata(dir.path().join(key)).unwrap().modified().unwrap();
            sysctl.forward_ipv4().unwrap();
            sysctl.forward_ipv6().unwrap();
            assert_eq!(std::fs::metadata(dir.path().join(key)).unwrap().modified().unwrap(), before);
        }
    }

    #[test]
    fn forwarding_that_cannot_be_turned_on_is_said() {
        let (dir, sysctl) = tree(&[("ipv4/x", "")]);
        std::fs::create_dir(dir.path().join("ipv4/ip_forward")).unwrap();
        let error = sysctl.forward_ipv4().unwrap_err();
        assert_eq!(error.kind, Kind::Unsupported);
        assert!(error.message.contains("net.ipv4.ip_forward"), "{error}");
    }

    #[test]
    fn a_bridge_takes_no_configuration_from_its_guests() {
        let (_dir, sysctl) = tree(&[("ipv6/conf/lxbr0/accept_ra", "1"), ("ipv6/conf/lxbr0/disable_ipv6", "0")]);
        sysctl.protect("lxbr0");
        assert_eq!(sysctl.get("ipv6/conf/lxbr0/accept_ra").unwrap(), "0");
        assert_eq!(sysctl.get("ipv6/conf/lxbr0/autoconf"), None, "nothing is made up");
        sysctl.switch_ipv6("lxbr0", false).unwrap();
        assert_eq!(sysctl.get("ipv6/conf/lxbr0/disable_ipv6").unwrap(), "1");
    }
}
