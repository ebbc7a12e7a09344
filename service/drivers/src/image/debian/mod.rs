//! `debian:`: images of Debian made here by mmdebstrap, from the mirror that the host itself uses, so
//! that no image server is needed or trusted. Called by the engine as a source.

mod apt;
mod guest;
mod release;

use super::pack;
use crate::blocking::blocking;
use async_trait::async_trait;
use lxhost_engine::ports::{ImageFiles, ImageSource, Progress, Sandbox, SandboxExit, SandboxSpec, SourceImage};
use lxhost_model::{Error, Kind, Result};
use release::Release;
use std::fs::File;
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The tool.
const MMDEBSTRAP: &str = "/usr/bin/mmdebstrap";
/// Seconds a build may take on a slow mirror.
const TIME: u32 = 3600;
/// Bytes of memory; what is written counts until it is on disk.
const MEMORY: u64 = 4 << 30;
/// Seen in what mmdebstrap says (1.2 to 1.5), what is done then, and how far that is.
const PHASES: &[(&str, &str, f64)] = &[
    ("running apt-get update", "reading package lists", 0.02),
    ("downloading packages", "downloading packages", 0.10),
    ("extracting archives", "extracting packages", 0.30),
    ("installing essential packages", "installing essential packages", 0.40),
    ("installing remaining packages", "installing packages", 0.55),
    ("running special hook", "configuring", 0.85),
    ("cleaning package lists", "cleaning up", 0.87),
    ("creating tarball", "packing", 0.90),
];

/// The source.
pub struct Debian {
    state: PathBuf,
    sandbox: Arc<dyn Sandbox>,
}

impl Debian {
    /// Builds in `state`, in `sandbox`.
    pub fn new(state: &Path, sandbox: Arc<dyn Sandbox>) -> Self {
        Debian { state: state.to_owned(), sandbox }
    }

    /// Runs mmdebstrap; its tarball goes to `output`.
    async fn build(
        &self,
        release: &Release,
        work: &Path,
        output: io::PipeWriter,
        progress: &dyn Progress,
    ) -> Result<SandboxExit> {
        let mirrors = blocking("read the host's apt sources", || Ok(apt::Mirrors::of_host(Path::new("/etc/apt")))).await?;
        let files = work.join("files.tar");
        let contents = guest::files(release, &mirrors).map_err(|e| Error::io("prepare the build", &e))?;
        std::fs::write(&files, contents).map_err(|e| Error::io("prepare the build", &e))?;
        let spec = SandboxSpec {
            unit: "lxhost-debian".into(),
            argv: arguments(release, &mirrors, work, &files, &apt::proxies().await),
            stdin: None,
            stdout: Some(output.into()),
            readable: vec![],
            served: None,
            mounts: false,
            writable: vec![work.to_owned()],
            owns_files: true,
            builds: true,
            timeout: TIME,
            memory: MEMORY,
        };
        let told = |line: &str| {
            if let Some((_, phase, fraction)) = PHASES.iter().find(|(seen, _, _)| line.contains(seen)) {
                progress.report(phase, *fraction);
            }
        };
        self.sandbox.run(spec, &told).await
    }
}

#[async_trait]
impl ImageSource for Debian {
    fn name(&self) -> &'static str {
        "debian"
    }

    async fn list(&self) -> Result<Vec<SourceImage>> {
        release::ALL.iter().map(|release| release.offer(&pack::architecture())).collect()
    }

    async fn fetch(&self, image: &str, progress: &dyn Progress) -> Result<ImageFiles> {
        let release = Release::find(image)?;
        if !Path::new(MMDEBSTRAP).exists() {
            return Err(Error::new(
                Kind::Unsupported,
                "debian: images are made by mmdebstrap, which is not installed (apt install mmdebstrap)",
            ));
        }
        progress.report("starting", 0.0);
        let work = Work::new(&self.state)?;
        let (mut tree, theirs) = io::pipe().map_err(|e| Error::io("prepare the build", &e))?;
        let file = pack::unnamed(&self.state)?;
        // Bytes are compressed as they come; nothing looks into them here.
        let packing = tokio::task::spawn_blocking(move || compress(&mut tree, file));
        let exit = self.build(release, work.path(), theirs, progress).await?;
        let packed = packing.await.map_err(|_| Error::failed("packing the image was interrupted"))?;
        if exit.status != 0 {
            let said =
                exit.stderr.lines().rfind(|line| line.starts_with("E: ")).or(exit.stderr.lines().last()).unwrap_or("no reason");
            return Err(Error::failed(format!(
                "debian:{}: mmdebstrap failed: {}",
                release.alias(),
                said.trim_start_matches("E: ")
            )));
        }
        let rootfs = packed.map_err(|e| Error::io("pack the image", &e))?;
        let meta = guest::metadata(release, &self.state)?;
        progress.report("built", 1.0);
        Ok(ImageFiles { meta: meta.into(), rootfs: Some(rootfs.into()) })
    }
}

/// The command line. `env` sets what the sandbox has no word for.
fn arguments(release: &Release, mirrors: &apt::Mirrors, work: &Path, files: &Path, proxies: &[String]) -> Vec<String> {
    let mut argv = vec!["/usr/bin/env".to_owned(), format!("TMPDIR={}", work.display())];
    argv.extend(proxies.iter().cloned());
    argv.extend([MMDEBSTRAP, "--mode=root", "--variant=minbase", "--format=tar"].map(str::to_owned));
    argv.push(format!("--include={}", release.packages().join(",")));
    argv.push("--aptopt=Apt::Install-Recommends \"false\"".into());
    // Special hooks are carried out by mmdebstrap itself. The path is ours: plain characters only.
    argv.push(format!("--customize-hook=tar-in {} /", files.display()));
    argv.extend([release.codename.to_owned(), "-".to_owned()]);
    argv.extend(mirrors.lines(release));
    argv
}

fn compress(from: &mut io::PipeReader, file: File) -> io::Result<File> {
    let mut encoder = zstd::stream::write::Encoder::new(file, 3)?;
    encoder.include_checksum(true)?;
    io::copy(from, &mut encoder)?;
    let mut file = encoder.finish()?;
    file.flush()?;
    file.rewind()?;
    Ok(file)
}

/// The directory of a build; removed on a thread for it, as a stopped build leaves a whole tree.
struct Work(Option<tempfile::TempDir>);

impl Work {
    fn new(state: &Path) -> Result<Work> {
        let dir = pack::images(state)?;
        // The prefix is what the store of images sweeps at the daemon's start.
        let made = tempfile::Builder::new().prefix(".incoming-").rand_bytes(12).tempdir_in(dir);
        made.map(|dir| Work(Some(dir))).map_err(|e| Error::io("prepare the build", &e))
    }

    fn path(&self) -> &Path {
        self.0.as_ref().map_or(Path::new(""), tempfile::TempDir::path)
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        let (Some(dir), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current()) else { return };
        drop(runtime.spawn_blocking(move || drop(dir)));
    }
}
