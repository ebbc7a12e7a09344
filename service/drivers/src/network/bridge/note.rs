//! What this host has because of a network beside its bridge, noted before it is made, so that neither a crash
//! nor a changed record loses it. In /run, which lasts as long as links do. Depends on the files of `serve`.

use super::serve::{make_dir, read_small, remove_file, write_file};
use lxhost_model::{Error, Result};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Most bytes of a note.
const MOST: u64 = 64 * 1024;

/// What a network has on this host.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Note {
    /// Hardware addresses that its bridge may have: the one it had, and the one it gets.
    pub(super) macs: BTreeSet<String>,
    /// Links that were made for it: VLANs and tunnels.
    pub(super) made: BTreeSet<String>,
    /// Interfaces of the host that were made its ports.
    pub(super) ports: BTreeSet<String>,
    /// Subnets that are routed to it.
    pub(super) routes: BTreeSet<String>,
}

fn path(run_dir: &Path, interface: &str) -> PathBuf {
    run_dir.join("links").join(format!("{interface}.json"))
}

impl Note {
    /// The note about the network with that interface; one that says nothing when there is none, or no sense in it.
    pub(super) fn read(run_dir: &Path, interface: &str) -> Result<Self> {
        let text = read_small(&path(run_dir, interface), MOST)?.unwrap_or_default();
        Ok(serde_json::from_str(&text).unwrap_or_default())
    }

    /// Keeps it.
    pub(super) fn write(&self, run_dir: &Path, interface: &str) -> Result<()> {
        let path = path(run_dir, interface);
        path.parent().map_or(Ok(()), make_dir)?;
        write_file(&path, &serde_json::to_string(self).map_err(|e| Error::failed(e.to_string()))?)
    }

    /// Forgets it.
    pub(super) fn remove(run_dir: &Path, interface: &str) -> Result<()> {
        remove_file(&path(run_dir, interface)).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_reads_back_and_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let note = Note { ports: ["eth1".to_owned()].into(), ..Note::default() };
        note.write(dir.path(), "br0").unwrap();
        assert_eq!(Note::read(dir.path(), "br0").unwrap(), note);
        Note::remove(dir.path(), "br0").unwrap();
        assert_eq!(Note::read(dir.path(), "br0").unwrap(), Note::default());
    }
}
