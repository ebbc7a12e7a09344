//! Packs what a source has made: files and links into a tar stream, and the metadata of an image.
//! Depends on the tar crate for writing. Called by the sources.

use lxhost_model::{Error, Result};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use tar::{Builder, EntryType, Header};

/// Something in a root.
#[derive(Debug, Clone)]
pub(super) enum Node {
    /// A directory with this mode.
    Directory(u32),
    /// A file with this mode and contents.
    File(u32, Vec<u8>),
    /// A symbolic link to this.
    Link(String),
}

/// Writes entries owned by root, with the present time.
pub(super) struct Packer<W: Write> {
    builder: Builder<W>,
    now: u64,
}

impl<W: Write> Packer<W> {
    /// Packs into `to`.
    pub(super) fn new(to: W) -> Self {
        Packer { builder: Builder::new(to), now: now() }
    }

    /// Adds one entry.
    pub(super) fn add(&mut self, path: &str, node: &Node) -> io::Result<()> {
        let mut header = Header::new_gnu();
        header.set_mtime(self.now);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(0);
        match node {
            Node::Directory(mode) => {
                header.set_entry_type(EntryType::Directory);
                header.set_mode(*mode);
                self.builder.append_data(&mut header, format!("{path}/"), io::empty())
            }
            Node::File(mode, contents) => {
                header.set_entry_type(EntryType::Regular);
                header.set_mode(*mode);
                header.set_size(contents.len() as u64);
                self.builder.append_data(&mut header, path, contents.as_slice())
            }
            Node::Link(target) => {
                header.set_entry_type(EntryType::Symlink);
                header.set_mode(0o777);
                self.builder.append_link(&mut header, path, target)
            }
        }
    }

    /// Writes the end mark.
    pub(super) fn finish(self) -> io::Result<W> {
        self.builder.into_inner()
    }
}

/// The text of `metadata.yaml`. A JSON string is a YAML string.
pub(super) fn metadata(architecture: &str, properties: &BTreeMap<&str, String>) -> Result<String> {
    let quoted = |text: &str| serde_json::to_string(text).map_err(|e| Error::failed(format!("metadata.yaml: {e}")));
    let mut text = format!("architecture: {}\ncreation_date: {}\nproperties:\n", quoted(architecture)?, now());
    for (key, value) in properties {
        text += &format!("  {key}: {}\n", quoted(value)?);
    }
    Ok(text)
}

/// A file without a name below `state`: it is gone when nobody has it open.
pub(super) fn unnamed(state: &Path) -> Result<File> {
    let dir = images(state)?;
    tempfile::tempfile_in(&dir).map_err(|e| Error::io("make an image", &e))
}

/// The directory of images, made if it is missing.
pub(super) fn images(state: &Path) -> Result<PathBuf> {
    let dir = state.join("images");
    let mut builder = std::fs::DirBuilder::new();
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(&dir).map_err(|e| Error::io("make an image", &e))?;
    Ok(dir)
}

/// Seconds since the epoch.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

/// This machine's architecture, as `uname -m` says it.
pub(super) fn architecture() -> String {
    rustix::system::uname().machine().to_string_lossy().into_owned()
}
