//! The two that are compared: how a host with each is made, and the few words in which their command
//! lines differ. Depends on recipes, images and the package under test. Called by `rows`.

use anyhow::Result;
use lxhost_tests::cache::Cache;
use lxhost_tests::host::{Host, HostSpec, State};
use lxhost_tests::image::{self, Form};
use lxhost_tests::package;
use lxhost_tests::recipe::Recipe;

/// One manager of containers.
pub(crate) struct Engine {
    pub(crate) name: &'static str,
    /// Its command, which has LXD's grammar.
    pub(crate) command: &'static str,
    /// Names of its daemon's process, and words in the command line of an instance's monitor.
    pub(crate) daemon: &'static str,
    pub(crate) monitor: &'static str,
    state_at: &'static str,
    recipe: fn() -> Recipe,
    pub(crate) packaged: bool,
    /// What to run in a new host before the first launch.
    setup: &'static [&'static [&'static str]],
}

/// Incus first: what it says today is there while ours is still measured.
pub(crate) const ALL: &[Engine] = &[
    Engine {
        name: "incus",
        command: "incus",
        daemon: "incusd",
        monitor: "[lxc monitor]",
        state_at: "/var/lib/incus",
        recipe: Recipe::host_with_incus,
        packaged: false,
        setup: &[&["incus", "admin", "init", "--auto", "--storage-backend=dir"]],
    },
    Engine {
        name: "lxhost",
        command: "lxctl",
        daemon: "lxhostd",
        monitor: "lxhost-runtime",
        state_at: "/var/lib/lxhost",
        recipe: Recipe::host,
        packaged: true,
        setup: &[],
    },
];

impl Engine {
    /// A host with it, ready to launch the image `debian`.
    pub(crate) fn boot(&self, cache: &Cache) -> Result<Host> {
        self.boot_on(cache, State::Plain)
    }

    /// The same with its state on a file system of that kind.
    pub(crate) fn boot_on(&self, cache: &Cache, state: State) -> Result<Host> {
        let guest = image::debian_without_udev(cache)?;
        let mut spec = HostSpec::over(&(self.recipe)().tree(cache)?);
        self.state_at.clone_into(&mut spec.state_at);
        spec.state = state;
        spec.visible = Some(image::images_of(cache)?);
        if self.packaged {
            spec = package::installed(cache, &spec, &package::find()?)?;
        }
        let host = Host::boot(cache, &spec)?;
        for argv in self.setup {
            host.succeed(argv.iter().copied())?;
        }
        let (metadata, root) = (guest.path_in_host(Form::Metadata)?, guest.path_in_host(Form::Squashfs)?);
        host.command([self.command, "image", "import", &metadata, &root, "--alias", "debian"])
            .timeout(std::time::Duration::from_secs(300))
            .succeed()?;
        Ok(host)
    }

    /// The words that make a pool of that driver within its state.
    pub(crate) fn pool(&self, name: &str, driver: &str) -> Vec<String> {
        let mut words = vec![self.command.to_owned(), "storage".into(), "create".into(), name.into(), driver.into()];
        // Without a source it would bring a file system of its own.
        if driver == "btrfs" && !self.packaged {
            words.push(format!("source={}/storage-pools/{name}", self.state_at));
        }
        words
    }

    /// The version that its package has in the host.
    pub(crate) fn version(&self, host: &Host) -> Result<String> {
        host.succeed(["dpkg-query", "-W", "-f=${Version}", self.name])
    }
}
