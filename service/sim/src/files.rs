//! Files of volumes, in memory: a path is what was said, without links.

use crate::Faults;
use async_trait::async_trait;
use lxhost_engine::ports::{FileAccess, FileEntry, FileOwner, Files, Progress};
use lxhost_model::volume::IMAGE;
use lxhost_model::{Error, Kind, ObjectId, Result};
use rustix::fs::{MemfdFlags, OFlags};
use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What lies at a path of a tree.
#[derive(Debug)]
struct Node {
    entry: FileEntry,
    /// What a file holds.
    data: Option<File>,
}

/// All trees.
#[derive(Debug)]
pub struct SimFiles {
    nodes: Mutex<BTreeMap<PathBuf, Node>>,
    faults: Arc<Faults>,
}

/// Where something lies among all.
fn at(tree: &Path, path: &str) -> PathBuf {
    tree.join(path.trim_start_matches('/').trim_end_matches('/'))
}

fn missing(path: &str) -> Error {
    Error::new(Kind::NoSuchFile, format!("{path:?}: no such file or directory"))
}

fn new(place: &Path, kind: &'static str, owner: FileOwner) -> FileEntry {
    FileEntry {
        name: place.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        kind,
        mode: owner.mode.unwrap_or(if kind == "directory" { 0o755 } else { 0o644 }),
        uid: owner.uid.unwrap_or(0),
        gid: owner.gid.unwrap_or(0),
        size: 0,
        modified: 0,
        target: String::new(),
    }
}

impl SimFiles {
    pub(crate) fn new(faults: Arc<Faults>) -> SimFiles {
        SimFiles { nodes: Mutex::default(), faults }
    }

    fn nodes(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Node>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the block volume `id` has so many bytes.
    pub fn has_block(&self, id: ObjectId, bytes: u64) -> bool {
        let id = id.to_string();
        let of = |place: &Path| place.ends_with(IMAGE) && place.iter().any(|part| part.to_string_lossy() == id);
        self.nodes().iter().any(|(place, node)| of(place) && node.entry.size == bytes)
    }

    /// Bytes of the block volume in a tree.
    fn block_size(&self, tree: &Path) -> Option<u64> {
        self.nodes().get(&at(tree, IMAGE)).map(|node| node.entry.size)
    }

    fn add(&self, tree: &Path, path: &str, node: Node) -> Result<()> {
        let (place, mut nodes) = (at(tree, path), self.nodes());
        let parent = place.parent().unwrap_or(tree);
        if parent != tree && nodes.get(parent).is_none_or(|node| node.entry.kind != "directory") {
            return Err(missing(path));
        }
        if nodes.contains_key(&place) || place == tree {
            return Err(Error::new(Kind::AlreadyExists, format!("{path:?}: something of that name is there already")));
        }
        nodes.insert(place, node);
        Ok(())
    }
}

#[async_trait]
impl Files for SimFiles {
    async fn open(&self, tree: &Path, path: &str, access: FileAccess, owner: FileOwner) -> Result<(OwnedFd, FileEntry)> {
        let failed = |e: std::io::Error| Error::io("open a file", &e);
        let place = at(tree, path);
        if access != FileAccess::Read && access != (FileAccess::Write { create: false }) && !self.nodes().contains_key(&place) {
            let data = rustix::fs::memfd_create("file", MemfdFlags::CLOEXEC).map_err(|e| failed(e.into()))?;
            self.add(tree, path, Node { entry: new(&place, "file", owner), data: Some(data.into()) })?;
        }
        let nodes = self.nodes();
        let node = nodes.get(&place).ok_or_else(|| missing(path))?;
        let data = node.data.as_ref().ok_or_else(|| Error::new(Kind::InvalidArgs, format!("{path:?}: not a regular file")))?;
        let flags = match access {
            FileAccess::Read => OFlags::RDONLY,
            FileAccess::Write { .. } => OFlags::WRONLY | OFlags::TRUNC,
            FileAccess::Append => OFlags::WRONLY | OFlags::APPEND,
        };
        // A description of its own, with an offset of its own.
        let link = format!("/proc/self/fd/{}", data.as_raw_fd());
        let file = rustix::fs::open(link, flags | OFlags::CLOEXEC, rustix::fs::Mode::empty()).map_err(|e| failed(e.into()))?;
        let size = data.metadata().map_err(failed)?.len();
        Ok((file, FileEntry { size, ..node.entry.clone() }))
    }

    async fn look(&self, tree: &Path, path: &str, _follow: bool) -> Result<FileEntry> {
        let place = at(tree, path);
        if place == *tree {
            return Ok(new(&place, "directory", FileOwner::default()));
        }
        self.nodes().get(&place).map(|node| node.entry.clone()).ok_or_else(|| missing(path))
    }

    async fn list(&self, tree: &Path, path: &str, after: &str, limit: usize) -> Result<Vec<FileEntry>> {
        let place = at(tree, path);
        let nodes = self.nodes();
        let within = nodes.iter().filter(|(at, node)| at.parent() == Some(&place) && node.entry.name.as_str() > after);
        Ok(within.map(|(_, node)| node.entry.clone()).take(limit).collect())
    }

    async fn make_dir(&self, tree: &Path, path: &str, owner: FileOwner, parents: bool) -> Result<()> {
        let ends: Vec<usize> = path.match_indices('/').map(|(end, _)| end).filter(|end| *end > 0).collect();
        for path in ends.iter().filter(|_| parents).map(|end| &path[..*end]).chain([path]) {
            match self.add(tree, path, Node { entry: new(&at(tree, path), "directory", owner), data: None }) {
                Err(error) if parents && error.kind == Kind::AlreadyExists => {}
                made => made?,
            }
        }
        Ok(())
    }

    async fn make_link(&self, tree: &Path, path: &str, target: &str, owner: FileOwner) -> Result<()> {
        let entry = FileEntry { target: target.to_owned(), ..new(&at(tree, path), "symlink", owner) };
        self.add(tree, path, Node { entry, data: None })
    }

    async fn block(&self, tree: &Path, bytes: u64, exactly: bool) -> Result<()> {
        self.faults.pass("files.block")?;
        let place = at(tree, IMAGE);
        let mut nodes = self.nodes();
        let node = nodes.entry(place.clone());
        let node = node.or_insert_with(|| Node { entry: new(&place, "file", FileOwner::default()), data: None });
        if exactly || node.entry.size < bytes {
            node.entry.size = bytes;
        }
        Ok(())
    }

    async fn copy_block(&self, from: &Path, to: &Path, _progress: &dyn Progress) -> Result<()> {
        // Copies of trees are trees alone here.
        let bytes = self.block_size(from).unwrap_or_default();
        self.block(to, bytes, true).await
    }

    fn can_serve(&self) -> Result<()> {
        Ok(())
    }

    /// Nobody answers here; it ends with the other end of the socket, as it does on a host.
    async fn serve(&self, _tree: &Path, socket: OwnedFd) -> Result<()> {
        let failed = |e: std::io::Error| Error::io("serve files", &e);
        let socket = UnixStream::from(socket);
        socket.set_nonblocking(true).map_err(failed)?;
        let mut socket = tokio::net::UnixStream::from_std(socket).map_err(failed)?;
        tokio::io::copy(&mut socket, &mut tokio::io::sink()).await.map(drop).map_err(failed)
    }

    async fn remove(&self, tree: &Path, path: &str, recursive: bool) -> Result<()> {
        let (place, mut nodes) = (at(tree, path), self.nodes());
        if !nodes.contains_key(&place) {
            return Err(missing(path));
        }
        if !recursive && nodes.keys().any(|other| other.parent() == Some(&place)) {
            return Err(Error::new(Kind::InvalidArgs, format!("{path:?}: the directory is not empty")));
        }
        nodes.retain(|other, _| !other.starts_with(&place));
        Ok(())
    }
}
