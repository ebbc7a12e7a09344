//! The place where images' files are kept: `<state>/images/<fingerprint>` and, for a split image,
//! `<fingerprint>.rootfs`. What they mean is read by `lxhost-unpack` in the sandbox. Called by the
//! engine's image verbs.

use super::{answer, copy};
use crate::blocking::blocking;
use crate::program::{Job, Program, Told, room};
use async_trait::async_trait;
use lxhost_engine::ports::{ImageFiles, ImageFilesStore, ImportedImage, Progress, Sandbox, SandboxExit};
use lxhost_model::{Error, Fingerprint, Kind, Result};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// First part of the name of a staging directory.
const INCOMING: &str = ".incoming-";
/// Seconds for reading an image.
const UNPACK_TIME: u32 = 3600;
/// Bytes of memory for it; `unsquashfs` alone keeps half a gigabyte of buffers.
const UNPACK_MEMORY: u64 = 1536 << 20;

/// The store on disk.
pub struct FilesStore {
    dir: PathBuf,
    program: Program,
}

impl FilesStore {
    /// Keeps files in `images/` below `state`, and reads them by the program `unpacker` in `sandbox`.
    pub fn new(state: &Path, unpacker: PathBuf, sandbox: Arc<dyn Sandbox>) -> Self {
        FilesStore { dir: state.join("images"), program: Program::new(unpacker, sandbox) }
    }

    fn path(&self, image: &Fingerprint) -> PathBuf {
        self.dir.join(image.as_str())
    }

    fn rootfs(&self, image: &Fingerprint) -> PathBuf {
        self.dir.join(format!("{image}.rootfs"))
    }

    /// Runs the program on `input`; returns what it wrote on standard output.
    async fn run(&self, input: &Path, job: Job, told: Told<'_>) -> Result<(SandboxExit, Vec<u8>)> {
        let stdin = File::open(input).map_err(|e| Error::io("read the image", &e))?;
        self.program.ask(stdin.into(), job, told).await
    }

    /// Copies and hashes what came; returns fingerprint and size.
    async fn stage(&self, files: ImageFiles, staging: &Path, progress: &dyn Progress) -> Result<(Fingerprint, u64)> {
        let expected = size_of(&files.meta) + files.rootfs.as_ref().map_or(0, size_of);
        let done = Arc::new(AtomicU64::new(0));
        let _stop = StopCopy(done.clone());
        let (counter, meta, rootfs) = (done.clone(), staging.join("meta"), staging.join("rootfs"));
        let mut copying = tokio::task::spawn_blocking(move || {
            let mut hash = Sha256::new();
            let mut size = copy::copy(files.meta, &meta, &mut hash, &counter)?;
            if let Some(fd) = files.rootfs {
                size += copy::copy(fd, &rootfs, &mut hash, &counter)?;
            }
            Ok((hex::encode(hash.finalize()).parse()?, size))
        });
        loop {
            match tokio::time::timeout(Duration::from_millis(100), &mut copying).await {
                Ok(Ok(result)) => return result,
                Ok(Err(_)) => return Err(Error::failed("copying the image was interrupted")),
                Err(_) => {
                    let fraction = if expected > 0 { done.load(Ordering::Relaxed) as f64 / expected as f64 } else { -1.0 };
                    progress.report("copying", fraction.min(1.0));
                }
            }
        }
    }

    /// Has the staged files read to their ends; returns the metadata.
    async fn check(&self, staging: &Path, split: bool, progress: &dyn Progress) -> Result<answer::Metadata> {
        let told = |line: &str| {
            if let Some(fraction) = answer::fraction(line) {
                progress.report("checking", fraction);
            }
        };
        let job = |part: &str| Job {
            arguments: vec!["check".into(), part.into()],
            timeout: UNPACK_TIME,
            memory: UNPACK_MEMORY,
            ..Job::default()
        };
        progress.report("checking", 0.0);
        let part = if split { "meta" } else { "unified" };
        let (exit, bytes) = self.run(&staging.join("meta"), job(part), &told).await?;
        answer::check_exit("image", &exit)?;
        if split {
            let (exit, _) = self.run(&staging.join("rootfs"), job("rootfs"), &told).await?;
            answer::check_exit("image's root filesystem", &exit)?;
        }
        answer::metadata(&bytes)
    }

    /// Gives the staged files their names. The metadata comes last: where it is, all is there.
    async fn keep(&self, staging: PathBuf, image: &Fingerprint, split: bool) -> Result<()> {
        let (dir, meta, rootfs, image) = (self.dir.clone(), self.path(image), self.rootfs(image), image.clone());
        blocking("keep the image", move || {
            let same = |kept: &Path, name: &str| match fs::metadata(kept) {
                Ok(kept) => kept.len() == fs::metadata(staging.join(name)).map_or(0, |staged| staged.len()),
                Err(_) => true,
            };
            // One stream of bytes can be cut into two files in several ways.
            if !same(&meta, "meta") || (split && !same(&rootfs, "rootfs")) || (!split && rootfs.exists()) {
                return Err(Error::new(Kind::Conflict, format!("image {} is here already, in other parts", image.short())));
            }
            let failed = |e: std::io::Error| Error::io(format!("keep image {}", image.short()), &e);
            if split {
                fs::rename(staging.join("rootfs"), &rootfs).map_err(failed)?;
            }
            fs::rename(staging.join("meta"), &meta).map_err(failed)?;
            File::open(&dir).and_then(|dir| dir.sync_all()).map_err(failed)
        })
        .await
    }
}

#[async_trait]
impl ImageFilesStore for FilesStore {
    async fn take_in(&self, files: ImageFiles, progress: &dyn Progress) -> Result<ImportedImage> {
        let split = files.rootfs.is_some();
        let staging = self.staging().await?;
        let (fingerprint, size) = self.stage(files, staging.path(), progress).await?;
        let metadata = self.check(staging.path(), split, progress).await?;
        self.keep(staging.path().to_owned(), &fingerprint, split).await?;
        Ok(ImportedImage {
            fingerprint,
            architecture: metadata.architecture,
            properties: metadata.properties,
            created: metadata.created,
            split,
            size,
        })
    }

    async fn unpack(&self, image: &Fingerprint, split: bool, target: PathBuf, progress: &dyn Progress) -> Result<()> {
        let mut arguments = vec!["unpack".to_owned()];
        if !split {
            arguments.push("--unified".into());
        }
        // However large the disk: no image is larger.
        let room = room(&target)?.min(copy::FILE_CAP);
        arguments.extend(["--max-bytes".into(), room.to_string(), "--".into()]);
        arguments.push(target.to_string_lossy().into_owned());
        let (writable, timeout, memory) = (vec![target], UNPACK_TIME, UNPACK_MEMORY);
        let job = Job { arguments, writable, owns_files: true, timeout, memory, ..Job::default() };
        let input = if split { self.rootfs(image) } else { self.path(image) };
        progress.report("unpacking", 0.0);
        let told = |line: &str| {
            if let Some(fraction) = answer::fraction(line) {
                progress.report("unpacking", fraction);
            }
        };
        let (exit, counts) = self.run(&input, job, &told).await?;
        answer::check_exit(&format!("image {}", image.short()), &exit)?;
        tracing::debug!(image = image.short(), counts = %String::from_utf8_lossy(&counts).trim(), "unpacked");
        Ok(())
    }

    fn files(&self, image: &Fingerprint, split: bool) -> Vec<PathBuf> {
        if split { vec![self.path(image), self.rootfs(image)] } else { vec![self.path(image)] }
    }

    fn export(&self, from: &Path, to: OwnedFd, stop: &AtomicBool) -> Result<()> {
        super::export::export(from, to, stop)
    }

    async fn remove(&self, image: &Fingerprint) -> Result<()> {
        let paths = [self.path(image), self.rootfs(image)];
        let what = format!("remove image {}", image.short());
        let dir = self.dir.clone();
        blocking("remove the image", move || {
            paths.iter().try_for_each(|path| match fs::remove_file(path) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io(&what, &e)),
                _ => Ok(()),
            })?;
            // They do not come back after a power cut. Where there is no directory, there is none of them.
            match File::open(&dir).and_then(|dir| dir.sync_all()) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io(&what, &e)),
                _ => Ok(()),
            }
        })
        .await
    }

    async fn kept(&self) -> Result<Vec<Fingerprint>> {
        let dir = self.dir.clone();
        blocking("list images", move || {
            let entries = match fs::read_dir(&dir) {
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(vec![]),
                entries => entries.map_err(|e| Error::io("list images", &e))?,
            };
            let mut kept: Vec<Fingerprint> = entries
                .flatten()
                .filter_map(|entry| entry.file_name().to_str()?.trim_end_matches(".rootfs").parse().ok())
                .collect();
            kept.sort();
            kept.dedup();
            Ok(kept)
        })
        .await
    }

    async fn sweep(&self) -> Result<()> {
        let dir = self.dir.clone();
        blocking("sweep images", move || {
            let entries = match fs::read_dir(&dir) {
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
                entries => entries.map_err(|e| Error::io("sweep images", &e))?,
            };
            for entry in entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(INCOMING)) {
                fs::remove_dir_all(entry.path()).map_err(|e| Error::io("sweep images", &e))?;
            }
            Ok(())
        })
        .await
    }
}

impl FilesStore {
    /// A new staging directory, removed when dropped.
    async fn staging(&self) -> Result<tempfile::TempDir> {
        let dir = self.dir.clone();
        blocking("prepare the image", move || {
            let failed = |e: std::io::Error| Error::io("prepare the image", &e);
            let mut builder = fs::DirBuilder::new();
            std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
            builder.recursive(true).create(&dir).map_err(failed)?;
            // It may be as new as what is going to be in it.
            dir.parent().map_or(Ok(()), |above| File::open(above)?.sync_all()).map_err(failed)?;
            tempfile::Builder::new().prefix(INCOMING).rand_bytes(12).tempdir_in(&dir).map_err(failed)
        })
        .await
    }
}

/// Stops the copying thread when its future is dropped.
struct StopCopy(Arc<AtomicU64>);

impl Drop for StopCopy {
    fn drop(&mut self) {
        self.0.store(u64::MAX - copy::FILE_CAP, Ordering::Relaxed);
    }
}

/// Bytes of a file; 0 when it does not say (a pipe).
fn size_of(fd: &OwnedFd) -> u64 {
    rustix::fs::fstat(fd).map_or(0, |stat| u64::try_from(stat.st_size).unwrap_or(0))
}
