//! Questions about instances that many suites ask, answered by `lxctl`. Depends on `stage`. Called by
//! suites.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::Stage;
use crate::host::Cmd;

impl Stage {
    /// A command in an instance, as root of both.
    #[must_use]
    pub fn exec<'a>(&self, name: &'a str, argv: impl IntoIterator<Item = &'a str>) -> Cmd<'_> {
        self.host.command(["lxctl", "exec", name, "--"].into_iter().chain(argv))
    }

    /// The instances as `list --format json` has them.
    ///
    /// # Errors
    /// When the list is no JSON array.
    pub fn list(&self) -> Result<Vec<Value>> {
        let said = self.lxctl("list --format json").succeed()?;
        serde_json::from_str(&said).with_context(|| format!("list --format json said {said:?}"))
    }

    /// The row of an instance, if there is one.
    ///
    /// # Errors
    /// When the list cannot be read.
    pub fn row(&self, name: &str) -> Result<Option<Value>> {
        Ok(self.list()?.into_iter().find(|row| row["name"] == name))
    }

    /// The status of an instance.
    ///
    /// # Errors
    /// When there is no such instance.
    pub fn status(&self, name: &str) -> Result<String> {
        let row = self.row(name)?.with_context(|| format!("there is no {name}"))?;
        Ok(row["status"].as_str().unwrap_or_default().to_owned())
    }

    /// Makes sure that a busybox instance of the name is there, with an IPv4 address.
    ///
    /// # Errors
    /// When it cannot be launched or gets none.
    pub fn running(&self, name: &str) -> Result<()> {
        self.with_busybox()?;
        if self.row(name)?.is_none() {
            self.lxctl(&format!("launch busybox {name}")).succeed()?;
        }
        self.address(name).map(drop)
    }

    /// Launches an instance and waits until its init says that the boot is over.
    ///
    /// # Errors
    /// When either fails.
    pub fn launch_ready(&self, image: &str, name: &str) -> Result<()> {
        self.lxctl(&format!("launch {image} {name}")).succeed()?;
        self.lxctl(&format!("wait {name} --timeout 60")).succeed()?;
        Ok(())
    }

    /// The first IPv4 address of an instance, when it has one.
    ///
    /// # Errors
    /// When it gets none in half a minute.
    pub fn address(&self, name: &str) -> Result<String> {
        self.lxctl(&format!("wait {name} --for address --timeout 30")).succeed()?;
        self.eventually("an IPv4 address", || {
            let row = self.row(name)?.with_context(|| format!("there is no {name}"))?;
            let addresses = row["addresses"].as_array().cloned().unwrap_or_default();
            let first = addresses.into_iter().find(|address| address["family"] == "inet");
            Ok(first.and_then(|address| address["address"].as_str().map(str::to_owned)))
        })
    }

    /// The pid of an instance's init, as the host counts.
    ///
    /// # Errors
    /// When it does not run.
    pub fn init_of(&self, name: &str) -> Result<u32> {
        let said = self.lxctl(&format!("list {name} -c p --format csv,noheader")).succeed()?;
        said.trim().parse().with_context(|| format!("the pid of {name} is {said:?}"))
    }

    /// Waits until another process than `before` is the init of an instance.
    ///
    /// # Errors
    /// When that takes too long.
    pub fn restarted(&self, name: &str, before: u32) -> Result<()> {
        let running = || Ok(self.init_of(name).ok().filter(|init| *init != before));
        // What goes down in order first takes its time.
        self.within(Duration::from_secs(90), "another init", running).map(drop)
    }

    /// Asks until there is an answer; for what the host tells by no event.
    ///
    /// # Errors
    /// What `ask` says, or that there was no answer in half a minute of the machine's own time.
    pub fn eventually<T>(&self, what: &str, ask: impl Fn() -> Result<Option<T>>) -> Result<T> {
        self.within(Duration::from_secs(30), what, ask)
    }

    /// As `eventually`, for what takes another time on the machine itself.
    ///
    /// # Errors
    /// What `ask` says, or that there was no answer in time.
    pub fn within<T>(&self, time: Duration, what: &str, ask: impl Fn() -> Result<Option<T>>) -> Result<T> {
        let time = self.host.patience(time);
        let deadline = Instant::now() + time;
        loop {
            if let Some(answer) = ask()? {
                return Ok(answer);
            }
            if Instant::now() > deadline {
                bail!("there was not {what} in {} s", time.as_secs());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}
