//! Small files of the machine below one root directory, read whole and capped.

use lxhost_model::{Error, Kind, Result};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Where the machine's files are: `/`, or a made-up tree in tests.
#[derive(Debug, Clone)]
pub(super) struct Source {
    root: PathBuf,
}

impl Source {
    pub(super) fn new(root: &Path) -> Source {
        Source { root: root.to_owned() }
    }

    /// `path`, relative to the root, on the machine.
    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// The file's text, at most `cap` bytes of it allowed; `None` when there is no such file.
    ///
    /// # Errors
    /// `Failed` naming the file, when it cannot be read or is larger.
    pub(super) fn text(&self, path: &str, cap: u64) -> Result<Option<String>> {
        let path = self.path(path);
        let what = || format!("read {}", path.display());
        let file = match File::open(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(|e| Error::io(what(), &e))?,
        };
        let mut bytes = Vec::new();
        file.take(cap + 1).read_to_end(&mut bytes).map_err(|e| Error::io(what(), &e))?;
        if bytes.len() as u64 > cap {
            return Err(Error::new(Kind::Failed, format!("{}: more than {cap} bytes", what())));
        }
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// The trimmed content of a short file, if it can be read.
    pub(super) fn word(&self, path: &str) -> Option<String> {
        self.text(path, 4096).ok().flatten().map(|text| text.trim().to_owned())
    }

    /// The number in a short file, or the last of several.
    pub(super) fn number(&self, path: &str) -> Option<u64> {
        self.word(path)?.split_whitespace().next_back()?.parse().ok()
    }
}
