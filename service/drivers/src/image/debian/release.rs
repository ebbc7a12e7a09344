//! Releases of Debian, and the names people call them. Pure.

use lxhost_engine::ports::SourceImage;
use lxhost_model::config::nearest;
use lxhost_model::name::quoted;
use lxhost_model::{Error, Kind, Result};

/// A release.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Release {
    /// `13`; `None` for those without a number.
    pub(super) number: Option<&'static str>,
    /// `trixie`.
    pub(super) codename: &'static str,
    /// Further names.
    also: &'static [&'static str],
    /// Whether it has archives of updates and security fixes.
    pub(super) updates: bool,
}

/// Releases offered, newest first.
pub(super) const ALL: &[Release] = &[
    Release { number: Some("13"), codename: "trixie", also: &["stable", "latest"], updates: true },
    Release { number: Some("12"), codename: "bookworm", also: &["oldstable"], updates: true },
    Release { number: Some("11"), codename: "bullseye", also: &["oldoldstable"], updates: true },
    Release { number: Some("14"), codename: "forky", also: &["testing"], updates: true },
    Release { number: None, codename: "sid", also: &["unstable"], updates: false },
];

/// What a guest needs to boot, to have a network and to be looked at.
const PACKAGES: &[&str] = &[
    "ca-certificates",
    "dbus",
    "iproute2",
    "iputils-ping",
    "less",
    "libpam-systemd",
    "nano",
    "netbase",
    "procps",
    "systemd",
    "systemd-sysv",
];

impl Release {
    /// The release meant by `13`, `trixie`, `debian/13`, …
    ///
    /// # Errors
    /// `NoSuchImage`, with the nearest name.
    pub(super) fn find(image: &str) -> Result<&'static Release> {
        let wanted = image.strip_prefix("debian/").unwrap_or(image).to_ascii_lowercase();
        if let Some(release) = ALL.iter().find(|release| release.names().any(|name| name == wanted)) {
            return Ok(release);
        }
        let names: Vec<&str> = ALL.iter().flat_map(Release::names).collect();
        let hint = match nearest(&wanted, names.iter().copied()) {
            Some(near) => format!("did you mean debian:{near}?"),
            None => format!("there are {}", ALL.iter().map(Release::alias).collect::<Vec<_>>().join(", ")),
        };
        Err(Error::new(Kind::NoSuchImage, format!("debian: has no image {}; {hint}", quoted(image))))
    }

    fn names(&self) -> impl Iterator<Item = &'static str> {
        self.number.into_iter().chain([self.codename]).chain(self.also.iter().copied())
    }

    /// The name it is best known by.
    pub(super) fn alias(&self) -> &'static str {
        self.number.unwrap_or(self.codename)
    }

    /// One line about it.
    pub(super) fn description(&self) -> String {
        match self.number {
            Some(number) => format!("Debian {number} ({})", self.codename),
            None => format!("Debian {}", self.codename),
        }
    }

    /// What `lxctl image list debian:` shows.
    pub(super) fn offer(&self, architecture: &str) -> Result<SourceImage> {
        Ok(SourceImage {
            alias: self.alias().parse()?,
            also: self.names().filter(|name| *name != self.alias()).map(str::parse).collect::<Result<_>>()?,
            description: self.description(),
            architecture: architecture.to_owned(),
        })
    }

    /// Packages beside the essential ones.
    pub(super) fn packages(&self) -> Vec<&'static str> {
        // Until 11, resolved is part of systemd.
        let resolved = (self.codename != "bullseye").then_some("systemd-resolved");
        PACKAGES.iter().copied().chain(resolved).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_found_by_number_and_name_and_a_typo_is_answered() {
        for (name, codename) in
            [("13", "trixie"), ("trixie", "trixie"), ("debian/12", "bookworm"), ("SID", "sid"), ("stable", "trixie")]
        {
            assert_eq!(Release::find(name).unwrap().codename, codename);
        }
        for (name, hint) in [("trixe", "debian:trixie"), ("bokworm", "debian:bookworm"), ("99/../x", "there are 13, 12, 11")] {
            let error = Release::find(name).unwrap_err();
            assert!(error.kind == Kind::NoSuchImage && error.message.contains(hint), "{error}");
        }
        assert!(ALL.iter().all(|release| release.offer("x86_64").is_ok()));
    }
}
