//! Files of the machine's Debian mirror, fetched by apt's own downloader (so its proxies, certificates
//! and retries hold) and kept. What is named by its content or version is kept for good, indexes for
//! some minutes. Depends on apt. Called by `relay::http`.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::cache::{self, Cache};

const INDEX_LIFE: Duration = Duration::from_secs(3600);

/// The mirror behind a relay.
#[derive(Debug)]
pub(super) struct Mirror {
    /// First path element of a request and the address it stands for, without a slash at its end.
    archives: Vec<(&'static str, String)>,
    files: PathBuf,
    fetching: Mutex<HashMap<String, Arc<Mutex<()>>>>,
}

/// What became of a request.
#[derive(Debug)]
pub(super) enum Answer {
    /// Here is the file.
    File(PathBuf),
    /// The mirror has no such file, or the path is none of a mirror's.
    Missing,
    /// The mirror did not answer.
    Unreachable,
}

impl Mirror {
    /// The archive that apt of this machine uses, or `$LXHOST_MIRROR`.
    pub(super) fn of_this_machine(cache: &Cache) -> Result<Self> {
        let given = std::env::var("LXHOST_MIRROR").ok().map(|mirror| mirror.trim_end_matches('/').to_owned());
        let configured = if given.is_some() { &[] } else { configured() };
        let ending = |end: &str| configured.iter().find(|uri| uri.ends_with(end)).cloned();
        let debian = given.or_else(|| ending("/debian")).unwrap_or_else(|| "http://deb.debian.org/debian".into());
        let security = ending("/debian-security").unwrap_or_else(|| format!("{debian}-security"));
        Ok(Self {
            archives: vec![("debian", debian), ("debian-security", security)],
            files: cache.directory("mirror")?,
            fetching: Mutex::default(),
        })
    }

    /// The file at `path` of a request line, such as `/debian/dists/trixie/InRelease`.
    pub(super) fn get(&self, path: &str) -> Answer {
        let Some((file, address)) = self.locate(path) else { return Answer::Missing };
        let lock = {
            let mut fetching = self.fetching.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(fetching.entry(path.to_owned()).or_default())
        };
        let _one_at_a_time = lock.lock().unwrap_or_else(PoisonError::into_inner);
        if fresh(&file) {
            return Answer::File(file);
        }
        match download(&address, &file) {
            Ok(true) => Answer::File(file),
            Ok(false) => Answer::Missing,
            Err(_) if file.exists() => Answer::File(file),
            Err(_) => Answer::Unreachable,
        }
    }

    fn locate(&self, path: &str) -> Option<(PathBuf, String)> {
        let path = decode(path.strip_prefix('/')?)?;
        let (archive, rest) = path.split_once('/')?;
        let plain = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.contains(['\0', '\\', '?', '#']);
        if !rest.split('/').all(plain) {
            return None;
        }
        let (name, address) = self.archives.iter().find(|(name, _)| *name == archive)?;
        let wire = rest.replace('%', "%25").replace('+', "%2b").replace(' ', "%20");
        Some((self.files.join(name).join(rest), format!("{address}/{wire}")))
    }
}

fn decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let pair = [bytes.next()?, bytes.next()?];
            out.push(u8::from_str_radix(std::str::from_utf8(&pair).ok()?, 16).ok()?);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}

fn fresh(file: &Path) -> bool {
    let Ok(found) = fs::metadata(file) else { return false };
    let for_good = file.components().any(|part| part.as_os_str() == "pool" || part.as_os_str() == "by-hash");
    for_good || found.modified().ok().and_then(|at| at.elapsed().ok()).is_some_and(|age| age < INDEX_LIFE)
}

/// Fetches `address` into `file`; says whether the mirror has it.
fn download(address: &str, file: &Path) -> Result<bool> {
    let directory = file.parent().context("a file has a directory")?;
    fs::create_dir_all(directory)?;
    // Another process may fetch the same file: each has a directory of its own and renames at the end.
    let work = tempfile::tempdir_in(directory)?;
    let partial = work.path().join("file");
    let output = Command::new("/usr/lib/apt/apt-helper")
        .args(["-q", "-o", "APT::Sandbox::User=root", "download-file", address])
        .arg(&partial)
        .output()
        .context("starting apt-helper")?;
    if output.status.success() {
        // apt keeps the mirror's time stamp; ours says when it was fetched.
        fs::File::options().append(true).open(&partial)?.set_modified(std::time::SystemTime::now())?;
        fs::rename(&partial, file)?;
        return Ok(true);
    }
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    if said.contains("404") || said.contains("File not found") {
        cache::remove(file)?;
        return Ok(false);
    }
    anyhow::bail!("{address}: {said}")
}

/// The addresses of Debian's archives in the machine's own apt, without a slash at the end. Asked for once: apt takes
/// longer for them than all else that comes before a boot.
fn configured() -> &'static [String] {
    static KNOWN: OnceLock<Vec<String>> = OnceLock::new();
    KNOWN.get_or_init(|| {
        let format = ["indextargets", "--format", "$(ORIGIN) $(REPO_URI)", "Created-By: Packages"];
        let said = Command::new("apt-get").args(format).output().map(|output| output.stdout).unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        said.lines().filter_map(|line| line.strip_prefix("Debian ")).map(|uri| uri.trim_end_matches('/').to_owned()).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mirror() -> Mirror {
        Mirror { archives: vec![("debian", "http://m/debian".into())], files: "/c".into(), fetching: Mutex::default() }
    }

    #[test]
    fn a_path_of_the_archive_is_found_in_the_cache_and_at_the_mirror() {
        let (file, address) = mirror().locate("/debian/pool/a_1%2bb.deb").unwrap();
        assert_eq!(file, Path::new("/c/debian/pool/a_1+b.deb"));
        assert_eq!(address, "http://m/debian/pool/a_1%2bb.deb");
    }

    #[test]
    fn a_path_that_leaves_the_archive_is_refused() {
        for path in
            ["/debian/../x", "/debian/%2e%2e/x", "/other/x", "/debian", "debian/x", "/debian//x", "/debian/x?y", "/debian/%zz"]
        {
            assert!(mirror().locate(path).is_none(), "{path}");
        }
    }
}
