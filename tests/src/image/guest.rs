//! The Debian 13 image: a small system as image servers offer it, with networkd asking for an address
//! on eth0 and resolved for names. Depends on `recipe` and `pack`. Called by suites and bench.

use anyhow::Result;

use super::pack::{Metadata, pack};
use super::{Image, image};
use crate::cache::{self, Cache};
use crate::recipe::Recipe;

const PACKAGES: &[&str] =
    &["systemd", "systemd-sysv", "systemd-resolved", "libpam-systemd", "dbus", "iproute2", "iputils-ping", "netbase", "procps"];

const NETWORK: &str =
    "[Match]\nName=eth0\n\n[Network]\nDHCP=true\n\n[DHCPv4]\nUseDomains=true\nUseMTU=true\n\n[DHCP]\nClientIdentifier=mac\n";

/// Says when the guest is up, in a way that needs no manager: the bench looks for the file.
const READY: &str = "[Unit]\nDescription=Mark the end of the boot\nDefaultDependencies=no\nAfter=multi-user.target\n\n\
    [Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/usr/bin/touch /run/lab-ready\n\n[Install]\nWantedBy=multi-user.target\n";

const OPENRC: &[&str] = &["sysvinit-core", "openrc", "initscripts", "ifupdown", "dhcpcd-base", "iproute2", "netbase", "procps"];

/// A service of OpenRC that leaves a mark when it is stopped in order.
const WITNESS: &str = "#!/sbin/openrc-run\ndescription=\"Mark an orderly shutdown\"\n\
    start() { rm -f /root/orderly; }\nstop() { touch /root/orderly; }\n";

const TEMPLATES: &[(&str, &str, &str)] = &[
    ("/etc/hostname", "hostname.tpl", "{{ container.name }}\n"),
    (
        "/etc/hosts",
        "hosts.tpl",
        "127.0.1.1\t{{ container.name }}\n127.0.0.1\tlocalhost\n::1\t\tlocalhost ip6-localhost ip6-loopback\n",
    ),
];

impl Recipe {
    /// The root tree of the Debian 13 image.
    #[must_use]
    pub fn guest() -> Self {
        Self::new("guest", "trixie", PACKAGES)
            .file("etc/systemd/network/eth0.network", 0o644, NETWORK)
            .file("etc/systemd/system/lab-ready.service", 0o644, READY)
            .command(&["systemctl", "enable", "systemd-networkd.service", "lab-ready.service"])
    }

    /// The root tree of the Debian 13 image with OpenRC.
    #[must_use]
    pub fn guest_with_openrc() -> Self {
        Self::new("guest-openrc", "trixie", OPENRC)
            .file("etc/network/interfaces", 0o644, "auto lo\niface lo inet loopback\nauto eth0\niface eth0 inet dhcp\n")
            .file("etc/init.d/witness", 0o755, WITNESS)
            .command(&["rc-update", "add", "witness", "default"])
    }
}

/// The Debian 13 image, without udev: most image builders leave it out of containers.
///
/// # Errors
/// When its tree or its forms cannot be made.
pub fn debian_without_udev(cache: &Cache) -> Result<Image> {
    of_recipe(cache, &Recipe::guest(), "default")
}

/// The Debian 13 image with udev, as debootstrap makes it with the standard packages.
///
/// # Errors
/// When its tree or its forms cannot be made.
pub fn debian(cache: &Cache) -> Result<Image> {
    of_recipe(cache, &Recipe::guest().with("guest-udev", &["udev"]), "udev")
}

/// A Debian 13 image whose init is sysvinit with OpenRC's services, and no systemd.
///
/// # Errors
/// When its tree or its forms cannot be made.
pub fn openrc(cache: &Cache) -> Result<Image> {
    of_recipe(cache, &Recipe::guest_with_openrc(), "openrc")
}

fn of_recipe(cache: &Cache, recipe: &Recipe, variant: &str) -> Result<Image> {
    let metadata = Metadata { os: "debian", release: "13", variant, templates: TEMPLATES };
    image(cache, &cache::key("debian-13", recipe.key().as_bytes()), |directory| pack(&recipe.tree(cache)?, &metadata, directory))
}
