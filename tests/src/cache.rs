//! What is expensive to make, kept by content: `~/.cache/lxhost/KIND/KEY`. An entry appears whole or not
//! at all, and two processes that want the same one build it once. Called by `recipe`, `image` and
//! `host::layer`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

/// The cache directory of this user.
#[derive(Debug, Clone)]
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    /// One in a directory of its own.
    #[cfg(test)]
    pub(crate) fn at(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// Opens `$LXHOST_CACHE`, else `$XDG_CACHE_HOME/lxhost`, else `~/.cache/lxhost`, and makes it.
    ///
    /// # Errors
    /// When none of the three is set or the directory cannot be made.
    pub fn open() -> Result<Self> {
        let below = |name: &str, tail: &str| std::env::var_os(name).map(|dir| Path::new(&dir).join(tail));
        let root = below("LXHOST_CACHE", "")
            .or_else(|| below("XDG_CACHE_HOME", "lxhost"))
            .or_else(|| below("HOME", ".cache/lxhost"))
            .context("none of LXHOST_CACHE, XDG_CACHE_HOME and HOME is set")?;
        fs::create_dir_all(&root).with_context(|| format!("making {}", root.display()))?;
        Ok(Self { root })
    }

    /// A directory of the cache that is not by content, made if missing.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn directory(&self, name: &str) -> Result<PathBuf> {
        let path = self.root.join(name);
        fs::create_dir_all(&path).with_context(|| format!("making {}", path.display()))?;
        Ok(path)
    }

    /// The entry `kind/key`, made by `build` at the path it is given if it is not there.
    ///
    /// # Errors
    /// Whatever `build` says; nothing is kept then.
    pub fn entry(&self, kind: &str, key: &str, build: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
        let directory = self.directory(kind)?;
        let done = directory.join(key);
        if let Ok(found) = File::open(&done) {
            // For `keep_newest`. Who may not write to it does without.
            let _ = found.set_modified(SystemTime::now());
            return Ok(done);
        }
        let lock = File::create(directory.join(format!(".{key}.lock")))?;
        lock.lock().with_context(|| format!("locking {kind}/{key}"))?;
        if done.exists() {
            return Ok(done);
        }
        let partial = directory.join(format!(".{key}.partial"));
        remove(&partial)?;
        build(&partial).with_context(|| format!("making {kind}/{key}"))?;
        fs::rename(&partial, &done)?;
        Ok(done)
    }
}

impl Cache {
    /// Removes all entries of a kind but the `count` that were used last and those used within `recently`, and what
    /// killed programs left half made. Who has a file of one open keeps it.
    ///
    /// # Errors
    /// When one cannot be removed.
    pub fn keep_newest(&self, kind: &str, count: usize, recently: Duration) -> Result<()> {
        let directory = self.directory(kind)?;
        let mut entries = Vec::new();
        for entry in fs::read_dir(&directory)?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if let Some(key) = name.strip_prefix('.').and_then(|name| name.strip_suffix(".partial")) {
                let lock = File::create(directory.join(format!(".{key}.lock")))?;
                if lock.try_lock().is_ok() {
                    remove(&entry.path())?;
                }
            } else if let (false, Ok(made)) = (name.starts_with('.'), entry.metadata().and_then(|found| found.modified())) {
                entries.push((made, entry.path()));
            }
        }
        entries.sort();
        let old = |made: &SystemTime| made.elapsed().is_ok_and(|age| age > recently);
        entries.iter().rev().skip(count).filter(|(made, _)| old(made)).try_for_each(|(_, path)| remove(path))
    }
}

/// Says so when a file system has no room for what is to be made there.
///
/// # Errors
/// When fewer than `wanted` bytes are free.
pub fn room(directory: &Path, wanted: u64, what: &str) -> Result<()> {
    let found = rustix::fs::statvfs(directory).with_context(|| format!("looking at {}", directory.display()))?;
    let free = found.f_bavail * found.f_frsize;
    if free < wanted {
        let mib = |bytes: u64| bytes >> 20;
        bail!("{what} needs {} MiB in {}, and {} MiB are free", mib(wanted), directory.display(), mib(free));
    }
    Ok(())
}

/// Removes a file or a tree, if there is one.
///
/// # Errors
/// When it exists and cannot be removed.
pub fn remove(path: &Path) -> Result<()> {
    let Ok(found) = fs::symlink_metadata(path) else { return Ok(()) };
    if found.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
        .with_context(|| format!("removing {}", path.display()))
}

/// The key of some content: its name and the start of its SHA-256.
#[must_use]
pub fn key(name: &str, content: &[u8]) -> String {
    format!("{name}-{}", &hex::encode(Sha256::digest(content))[..16])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache() -> (tempfile::TempDir, Cache) {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().to_owned();
        (dir, Cache { root })
    }

    #[test]
    fn an_entry_is_built_once() {
        let (_dir, cache) = cache();
        let first = cache.entry("tree", "k", |path| Ok(fs::write(path, "made")?)).unwrap();
        let second = cache.entry("tree", "k", |_| anyhow::bail!("built twice")).unwrap();
        assert_eq!(first, second);
        assert_eq!(fs::read_to_string(first).unwrap(), "made");
    }

    #[test]
    fn a_failed_build_leaves_no_entry() {
        let (_dir, cache) = cache();
        cache
            .entry("tree", "k", |path| {
                fs::create_dir(path)?;
                anyhow::bail!("half way")
            })
            .unwrap_err();
        let path = cache
            .entry("tree", "k", |path| {
                assert!(!path.exists());
                Ok(fs::write(path, "whole")?)
            })
            .unwrap();
        assert_eq!(fs::read_to_string(path).unwrap(), "whole");
    }

    #[test]
    fn the_oldest_entries_go_first() {
        let (_dir, cache) = cache();
        let make = |key: &str| cache.entry("state", key, |path| Ok(fs::write(path, key)?)).unwrap();
        for (age, key) in [(40, "used"), (30, "old"), (20, "middle"), (10, "new")] {
            let made = SystemTime::now() - Duration::from_secs(age);
            File::options().append(true).open(make(key)).unwrap().set_modified(made).unwrap();
        }
        make("used");
        let half = cache.directory("state").unwrap().join(".killed.partial");
        fs::write(&half, "half").unwrap();
        cache.keep_newest("state", 2, Duration::from_secs(15)).unwrap();
        assert!(!half.exists());
        let built = |key: &str| cache.entry("state", key, |_| anyhow::bail!("it is gone")).is_ok();
        assert_eq!(["used", "old", "middle", "new"].map(built), [true, false, false, true]);
        cache.keep_newest("state", 1, Duration::from_hours(1)).unwrap();
        assert_eq!(["used", "new"].map(built), [true, true]);
    }

    #[test]
    fn a_disk_that_is_too_full_is_named_with_what_is_missing() {
        let said = room(Path::new("/"), u64::MAX, "a host").unwrap_err().to_string();
        assert!(said.starts_with("a host needs ") && said.contains(" MiB in /, and "), "{said}");
        room(Path::new("/"), 0, "a host").unwrap();
    }

    #[test]
    fn another_content_is_another_key() {
        assert_ne!(key("host", b"a"), key("host", b"b"));
        assert_eq!(key("host", b"a"), key("host", b"a"));
    }
}
