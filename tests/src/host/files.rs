//! Files in and out of a host, as root there. Depends on `command`. Called by suites.

use anyhow::{Context, Result, bail};

use super::Host;

impl Host {
    /// Writes a file, making its directory.
    ///
    /// # Errors
    /// When the host refuses.
    pub fn put(&self, path: &str, mode: u32, content: impl Into<Vec<u8>>) -> Result<()> {
        let mode = format!("{mode:o}");
        let argv = ["install", "-D", "-m", &mode, "/dev/stdin", path];
        self.command(argv).stdin(content).succeed().with_context(|| format!("writing {path} in the host"))?;
        Ok(())
    }

    /// Reads a file.
    ///
    /// # Errors
    /// When there is none.
    pub fn get(&self, path: &str) -> Result<Vec<u8>> {
        let output = self.command(["cat", "--", path]).output()?;
        if output.code != Some(0) {
            bail!("reading {path} in the host: {}", output.stderr_text());
        }
        Ok(output.stdout)
    }

    /// Whether there is something at `path`, a dangling link included.
    ///
    /// # Errors
    /// When the host is off.
    pub fn has(&self, path: &str) -> Result<bool> {
        Ok(self.command(["test", "-e", path, "-o", "-L", path]).output()?.code == Some(0))
    }
}
