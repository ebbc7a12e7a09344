//! What is put into a Debian guest beside its packages: DHCP on every Ethernet, resolved, the mirror,
//! and what its metadata says. Called by the source.

use super::apt::Mirrors;
use super::release::Release;
use crate::image::pack::{self, Node, Packer};
use lxhost_model::{Error, Result};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Seek};
use std::path::Path;

const NETWORK: &str = "# Every Ethernet asks for its addresses. Put a file before this one to change that.\n\
    [Match]\nName=en* eth*\n\n\
    [Network]\nDHCP=yes\nIPv6AcceptRA=yes\nLinkLocalAddressing=ipv6\n\n\
    [DHCPv4]\nUseDomains=yes\nUseMTU=yes\nUseHostname=no\nClientIdentifier=mac\n\n\
    [DHCPv6]\nUseDomains=yes\n\n[IPv6AcceptRA]\nUseDomains=yes\n";

/// Links that enable units: what `systemctl enable` makes.
const ENABLED: &[(&str, &str)] = &[
    ("dbus-org.freedesktop.network1.service", "systemd-networkd.service"),
    ("dbus-org.freedesktop.resolve1.service", "systemd-resolved.service"),
    ("multi-user.target.wants/systemd-networkd.service", "systemd-networkd.service"),
    ("network-online.target.wants/systemd-networkd-wait-online.service", "systemd-networkd-wait-online.service"),
    ("sockets.target.wants/systemd-networkd.socket", "systemd-networkd.socket"),
    ("sysinit.target.wants/systemd-resolved.service", "systemd-resolved.service"),
];

/// One address is enough to be online.
const WAIT_ONLINE: &str = "[Service]\nExecStart=\nExecStart=/lib/systemd/systemd-networkd-wait-online --any --timeout=30\n";

/// A tar archive of them, to be unpacked over the root.
pub(super) fn files(release: &Release, mirrors: &Mirrors) -> io::Result<Vec<u8>> {
    let mut packer = Packer::new(Vec::new());
    let text = |text: &str| Node::File(0o644, text.as_bytes().to_vec());
    let directories = [
        "etc/apt/sources.list.d",
        "etc/systemd/network",
        "etc/systemd/system/multi-user.target.wants",
        "etc/systemd/system/network-online.target.wants",
        "etc/systemd/system/sockets.target.wants",
        "etc/systemd/system/sysinit.target.wants",
        "etc/systemd/system/systemd-networkd-wait-online.service.d",
    ];
    for path in directories {
        packer.add(path, &Node::Directory(0o755))?;
    }
    packer.add("etc/apt/sources.list", &text("# See sources.list.d/debian.sources\n"))?;
    packer.add("etc/apt/sources.list.d/debian.sources", &text(&mirrors.stanzas(release)))?;
    // mmdebstrap leaves the options it was given here: they were for the build.
    packer.add("etc/apt/apt.conf.d/99mmdebstrap", &text("// Nothing here: settings for apt go into files of your own.\n"))?;
    packer.add("etc/hostname", &text("debian\n"))?;
    packer.add("etc/hosts", &text("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"))?;
    packer.add("etc/default/locale", &text("LANG=C.UTF-8\n"))?;
    packer.add("etc/machine-id", &Node::File(0o444, Vec::new()))?;
    packer.add("etc/resolv.conf", &Node::Link("../run/systemd/resolve/stub-resolv.conf".into()))?;
    packer.add("etc/systemd/network/80-ethernet.network", &text(NETWORK))?;
    packer.add("etc/systemd/system/systemd-networkd-wait-online.service.d/any.conf", &text(WAIT_ONLINE))?;
    for (link, unit) in ENABLED {
        packer.add(&format!("etc/systemd/system/{link}"), &Node::Link(format!("/lib/systemd/system/{unit}")))?;
    }
    packer.finish()
}

/// The metadata tarball of the image.
pub(super) fn metadata(release: &Release, state: &Path) -> Result<File> {
    let architecture = pack::architecture();
    let properties = BTreeMap::from([
        ("description", format!("{} {architecture}, built on this host", release.description())),
        ("os", "Debian".to_owned()),
        ("release", release.codename.to_owned()),
        ("type", "tarball".to_owned()),
        ("variant", "default".to_owned()),
        ("version", release.number.unwrap_or_default().to_owned()),
    ]);
    let text = pack::metadata(&architecture, &properties)?;
    let failed = |e: io::Error| Error::io("pack the image", &e);
    let mut packer = Packer::new(pack::unnamed(state)?);
    packer.add("metadata.yaml", &Node::File(0o644, text.into_bytes())).map_err(failed)?;
    let mut file = packer.finish().map_err(failed)?;
    file.rewind().map_err(failed)?;
    Ok(file)
}
