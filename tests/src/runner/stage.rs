//! What a test gets: its host, the package and the images. Depends on `host`, `image` and `package`.
//! Called by the runner, used by every test.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use super::Base;
use crate::cache::Cache;
use crate::host::{Cmd, Host, HostSpec, Kind, State};
use crate::image::{self, Form, Image};
use crate::package;

/// A host with what a test needs around it.
#[derive(Debug)]
pub struct Stage {
    /// The host of the suite.
    pub host: Host,
    /// The specification it was booted from, for tests that want another one like it.
    pub spec: HostSpec,
    /// The package under test.
    pub package: PathBuf,
    /// The cache, for tests that boot or build more.
    pub cache: Cache,
}

impl Stage {
    /// Boots a host of a kind for a suite.
    ///
    /// # Errors
    /// When there is no package, or the host does not come up.
    pub fn boot(cache: &Cache, kind: Kind, base: Base) -> Result<Self> {
        let package = package::find()?;
        let mut spec = HostSpec::of(cache, kind)?;
        spec.visible = Some(image::images_of(cache)?);
        if base == Base::Packaged {
            spec = package::installed(cache, &spec, &package)?;
        }
        let host = Host::boot(cache, &spec)?;
        Ok(Self { host, spec, package, cache: cache.clone() })
    }

    /// Another host like this one, fresh, with another filesystem for the state.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn sibling(&self, state: State) -> Result<Self> {
        let spec = HostSpec { state, ..self.spec.clone() };
        let host = Host::boot(&self.cache, &spec)?;
        Ok(Self { host, spec, package: self.package.clone(), cache: self.cache.clone() })
    }

    /// Another host instead of this one, fresh, whose crash is a power cut.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn durable(self) -> Result<Self> {
        let Self { host, spec, package, cache } = self;
        drop(host);
        let spec = HostSpec { durable: true, ..spec };
        Ok(Self { host: Host::boot(&cache, &spec)?, spec, package, cache })
    }

    /// `lxctl` with these words, separated by single spaces, as root. The time that a `wait … --timeout SECONDS`
    /// ends with is one of the machine itself, as everything is that waits.
    #[must_use]
    pub fn lxctl(&self, words: &str) -> Cmd<'_> {
        let mut words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        if let [verb, .., option, seconds] = &mut words[..]
            && (verb.as_str(), option.as_str()) == ("wait", "--timeout")
            && let Ok(time) = seconds.parse()
        {
            *seconds = self.host.patience(Duration::from_secs(time)).as_secs().to_string();
        }
        self.host.command(std::iter::once("lxctl".to_owned()).chain(words)).timeout(Duration::from_secs(120))
    }

    /// Makes sure that the tiny image is there by the alias `busybox`.
    ///
    /// # Errors
    /// When the import fails.
    pub fn with_busybox(&self) -> Result<()> {
        self.with_image("busybox", &image::busybox(&self.cache)?)
    }

    /// Makes sure that the Debian 13 image without udev is there by the alias `debian`.
    ///
    /// # Errors
    /// When the import fails.
    pub fn with_debian(&self) -> Result<()> {
        self.with_image("debian", &image::debian_without_udev(&self.cache)?)
    }

    /// Makes sure that an image is there by an alias.
    ///
    /// # Errors
    /// When the import fails.
    pub fn with_image(&self, alias: &str, image: &Image) -> Result<()> {
        if self.lxctl(&format!("image info {alias}")).output()?.code == Some(0) {
            return Ok(());
        }
        let (metadata, root) = (image.path_in_host(Form::Metadata)?, image.path_in_host(Form::Squashfs)?);
        self.lxctl(&format!("image import {metadata} {root} --alias {alias}")).succeed()?;
        Ok(())
    }

    /// Makes sure that there are loop devices, after a boot as well: a native host has those of the machine.
    ///
    /// # Errors
    /// When they cannot be made.
    pub fn with_loops(&self) -> Result<()> {
        let nodes: String = (0..64).map(|number| format!("b /dev/loop{number} 0660 root disk - 7:{number}\n")).collect();
        self.host.put("/etc/tmpfiles.d/loops.conf", 0o644, format!("c /dev/loop-control 0660 root disk - 10:237\n{nodes}"))?;
        let make = "modprobe loop 2>/dev/null || :; systemd-tmpfiles --create --prefix=/dev loops.conf";
        self.host.succeed(["sh", "-ec", make]).map(drop)
    }

    /// Deletes these instances whether they run or not, for the end of a test.
    ///
    /// # Errors
    /// When one is not there or stays.
    pub fn delete(&self, names: &str) -> Result<()> {
        self.lxctl(&format!("delete --force {names}")).succeed()?;
        Ok(())
    }
}
