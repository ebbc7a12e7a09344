//! Programs of the field that lxhost runs, looked for where units find them.

use super::source::Source;
use super::{fail, ok, warn};
use lxhost_engine::ports::Check;
use std::os::unix::fs::PermissionsExt;

const DIRECTORIES: &[&str] = &["usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin", "sbin", "bin"];

/// A program, its Debian package, what does not work without it, and whether that is essential.
const TOOLS: &[(&str, &str, &str, bool)] = &[
    ("nft", "nftables", "managed networks", true),
    ("dnsmasq", "dnsmasq-base", "addresses and names on managed networks", true),
    ("mmdebstrap", "mmdebstrap", "the image source debian:", false),
    ("unsquashfs", "squashfs-tools", "images with a squashfs root", false),
];

pub(super) fn checks(source: &Source) -> Vec<Check> {
    TOOLS
        .iter()
        .map(|(tool, package, what, essential)| match find(source, tool) {
            Some(path) => ok(tool, path),
            None => {
                let report = if *essential { fail } else { warn };
                report(tool, format!("not installed; needed for {what}"), format!("install {package}"))
            }
        })
        .collect()
}

fn find(source: &Source, tool: &str) -> Option<String> {
    DIRECTORIES.iter().map(|directory| format!("{directory}/{tool}")).find_map(|path| {
        let meta = std::fs::metadata(source.path(&path)).ok()?;
        (meta.is_file() && meta.permissions().mode() & 0o111 != 0).then(|| format!("/{path}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_is_an_executable_file_and_a_missing_one_names_its_package() {
        let dir = tempfile::tempdir().unwrap();
        let sbin = dir.path().join("usr/sbin");
        std::fs::create_dir_all(&sbin).unwrap();
        for (name, mode) in [("nft", 0o755), ("dnsmasq", 0o644)] {
            std::fs::write(sbin.join(name), "").unwrap();
            std::fs::set_permissions(sbin.join(name), PermissionsExt::from_mode(mode)).unwrap();
        }
        let checks = checks(&Source::new(dir.path()));
        let of = |name: &str| checks.iter().find(|c| c.name == name).unwrap();
        assert_eq!((of("nft").state, of("nft").message.as_str()), ("ok", "/usr/sbin/nft"));
        assert_eq!((of("dnsmasq").state, of("dnsmasq").hint.as_str()), ("fail", "install dnsmasq-base"));
        assert_eq!(of("mmdebstrap").state, "warn");
    }
}
