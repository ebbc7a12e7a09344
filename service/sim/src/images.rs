//! Files of images: hashed and kept as the real daemon does, but never looked into.

use crate::{Faults, locked};
use async_trait::async_trait;
use lxhost_engine::ports::{ImageFiles, ImageFilesStore, ImportedImage, Progress};
use lxhost_model::config::Config;
use lxhost_model::{Error, Fingerprint, Kind, Result};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

const CHUNK: usize = 64 * 1024;

/// Files in `images/` of the state directory.
#[derive(Debug)]
pub struct SimImages {
    directory: PathBuf,
    unpacked: Mutex<BTreeSet<PathBuf>>,
    faults: Arc<Faults>,
}

impl SimImages {
    pub(crate) fn new(state_dir: &Path, faults: Arc<Faults>) -> SimImages {
        SimImages { directory: state_dir.join("images"), unpacked: Mutex::default(), faults }
    }

    /// Whether an image was unpacked into `target`; it is forgotten, as a rename would.
    pub(crate) fn take_unpacked(&self, target: &Path) -> bool {
        locked(&self.unpacked).remove(target)
    }

    fn path(&self, image: &Fingerprint, part: &str) -> PathBuf {
        self.directory.join(format!("{image}.{part}"))
    }
}

#[async_trait]
impl ImageFilesStore for SimImages {
    async fn take_in(&self, files: ImageFiles, progress: &dyn Progress) -> Result<ImportedImage> {
        self.faults.pass("images.take_in")?;
        progress.report("Copying", -1.0);
        let directory = self.directory.clone();
        let arrival = Arrival::default();
        let taken = tokio::task::spawn_blocking({
            let arrival = Arc::clone(&arrival.0);
            move || keep(&directory, files, &arrival)
        });
        let image = taken.await.map_err(|e| Error::failed(format!("copy an image: {e}")))??;
        *locked(&arrival.0) = Stage::Arrived;
        progress.report("Copying", 1.0);
        Ok(image)
    }

    async fn unpack(&self, image: &Fingerprint, split: bool, target: PathBuf, progress: &dyn Progress) -> Result<()> {
        self.faults.pass("images.unpack")?;
        if let Some(missing) = self.files(image, split).iter().find(|path| !path.is_file()) {
            return Err(Error::new(Kind::NoSuchImage, format!("{} is gone", missing.display())));
        }
        locked(&self.unpacked).insert(target);
        progress.report("Unpacking", 1.0);
        Ok(())
    }

    fn files(&self, image: &Fingerprint, split: bool) -> Vec<PathBuf> {
        let parts: &[&str] = if split { &["meta", "rootfs"] } else { &["meta"] };
        parts.iter().map(|part| self.path(image, part)).collect()
    }

    fn export(&self, from: &Path, to: OwnedFd, _stop: &AtomicBool) -> Result<()> {
        self.faults.pass("images.export")?;
        let failed = |e: std::io::Error| Error::io(format!("export {}", from.display()), &e);
        let mut from = File::open(from).map_err(failed)?;
        std::io::copy(&mut from, &mut File::from(to)).map(drop).map_err(failed)
    }

    async fn remove(&self, image: &Fingerprint) -> Result<()> {
        self.faults.pass("images.remove")?;
        for path in self.files(image, true) {
            match std::fs::remove_file(&path) {
                Err(e) if e.kind() != ErrorKind::NotFound => return Err(Error::io(format!("remove {}", path.display()), &e)),
                _ => {}
            }
        }
        Ok(())
    }

    async fn kept(&self) -> Result<Vec<Fingerprint>> {
        let Ok(entries) = std::fs::read_dir(&self.directory) else { return Ok(vec![]) };
        let fingerprint = |entry: std::fs::DirEntry| entry.file_name().to_str()?.split('.').next()?.parse().ok();
        let mut kept: Vec<Fingerprint> = entries.flatten().filter_map(fingerprint).collect();
        kept.sort();
        kept.dedup();
        Ok(kept)
    }

    async fn sweep(&self) -> Result<()> {
        let Ok(entries) = std::fs::read_dir(&self.directory) else { return Ok(()) };
        for entry in entries.flatten().filter(|e| e.file_name().to_string_lossy().starts_with("new-")) {
            std::fs::remove_file(entry.path()).map_err(|e| Error::io(format!("remove {}", entry.path().display()), &e))?;
        }
        Ok(())
    }
}

/// How far an import is. Whoever waits for it may give up while a thread copies.
#[derive(Debug, Default)]
enum Stage {
    #[default]
    Copying,
    /// The files that are new here are these.
    Kept(Vec<PathBuf>),
    Arrived,
    Abandoned,
}

/// An import under way; dropped before it has arrived, it leaves nothing.
#[derive(Debug, Default)]
struct Arrival(Arc<Mutex<Stage>>);

impl Drop for Arrival {
    fn drop(&mut self) {
        let mut stage = locked(&self.0);
        match std::mem::replace(&mut *stage, Stage::Abandoned) {
            Stage::Kept(new) => new.iter().for_each(|path| drop(std::fs::remove_file(path))),
            Stage::Arrived => *stage = Stage::Arrived,
            Stage::Copying | Stage::Abandoned => {}
        }
    }
}

/// Copies the files under the hash over both, metadata first, as LXD computes it.
fn keep(directory: &Path, files: ImageFiles, arrival: &Mutex<Stage>) -> Result<ImportedImage> {
    let io = |e: std::io::Error| Error::io(format!("keep an image in {}", directory.display()), &e);
    std::fs::create_dir_all(directory).map_err(io)?;
    let mut hash = Sha256::new();
    let split = files.rootfs.is_some();
    let mut parts = Vec::new();
    let mut size = 0;
    for (name, fd) in [("meta", Some(files.meta)), ("rootfs", files.rootfs)] {
        let Some(fd) = fd else { continue };
        let path = directory.join(format!("new-{}-{name}", lxhost_model::ObjectId::from_random(unique())));
        let copied = copy(fd, &path, &mut hash).map_err(io)?;
        if copied == 0 {
            std::fs::remove_file(&path).map_err(io)?;
            return Err(Error::new(Kind::Untrusted, "an image has no bytes"));
        }
        size += copied;
        parts.push((name, path));
    }
    let fingerprint: Fingerprint = hex::encode(hash.finalize()).parse()?;
    let mut stage = locked(arrival);
    if matches!(*stage, Stage::Abandoned) {
        parts.iter().for_each(|(_, path)| drop(std::fs::remove_file(path)));
        return Err(Error::new(Kind::Canceled, "nobody waits for the image any more"));
    }
    let mut new = Vec::new();
    for (name, path) in parts {
        let kept = directory.join(format!("{fingerprint}.{name}"));
        if !kept.exists() {
            new.push(kept.clone());
        }
        std::fs::rename(path, kept).map_err(io)?;
    }
    *stage = Stage::Kept(new);
    drop(stage);
    Ok(ImportedImage {
        fingerprint,
        architecture: rustix::system::uname().machine().to_string_lossy().into_owned(),
        properties: Config::new(),
        created: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64),
        split,
        size,
    })
}

fn copy(from: OwnedFd, to: &Path, hash: &mut Sha256) -> std::io::Result<u64> {
    let mut from = File::from(from);
    let mut to = File::create_new(to)?;
    let mut chunk = vec![0; CHUNK];
    let mut copied = 0;
    loop {
        let read = from.read(&mut chunk)?;
        if read == 0 {
            return Ok(copied);
        }
        hash.update(&chunk[..read]);
        to.write_all(&chunk[..read])?;
        copied += read as u64;
    }
}

/// Bytes that no other call gets.
fn unique() -> [u8; 16] {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let count = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    (u128::from(count) << 64 | u128::from(std::process::id())).to_be_bytes()
}

/// A file in memory with `content`, at its beginning.
pub(crate) fn memory_file(name: &str, content: &[u8]) -> Result<OwnedFd> {
    let make = || {
        let mut file = File::from(rustix::fs::memfd_create(name, rustix::fs::MemfdFlags::CLOEXEC)?);
        file.write_all(content)?;
        file.seek(SeekFrom::Start(0))?;
        Ok(OwnedFd::from(file))
    };
    make().map_err(|e: std::io::Error| Error::io(format!("make a file in memory for {name}"), &e))
}
