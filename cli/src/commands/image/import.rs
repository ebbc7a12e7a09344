//! `image import`: files are opened here, with the caller's rights, and passed to the daemon.

use crate::args::ImageImport;
use crate::bus::Session;
use crate::failure::Failure;
use crate::pairs::Pair;
use crate::progress::{self, OnInterrupt};
use lxhost_dbus::Config;
use lxhost_model::Kind;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use zbus::wire::{Fd, Variant};

/// What the command line names.
#[derive(Debug, PartialEq, Eq)]
struct Sources {
    data: PathBuf,
    rootfs: Option<PathBuf>,
    properties: Config,
}

/// Imports an image.
pub(crate) async fn run(session: &Session, args: &ImageImport) -> Result<(), Failure> {
    let sources = sources(args)?;
    let data = open(&sources.data)?;
    let rootfs = sources.rootfs.as_deref().map(open).transpose()?;
    let mut options = super::aliases(&args.aliases);
    if let Some(rootfs) = &rootfs {
        options.insert("rootfs", Variant::Fd(Fd::from(rootfs)));
    }
    if !sources.properties.is_empty() {
        options.insert("properties", sources.properties.clone().into());
    }
    let manager = session.manager().await?;
    let call = || manager.import_image(&session.project, Fd::from(data.as_fd()), "auto", &options);
    let job = session.allowed(call).await?;
    let what = format!("Importing {}", sources.data.display());
    let output = progress::wait(session, &job, &what, OnInterrupt::Cancel).await;
    let output = output.map_err(|failure| failure.context(sources.data.display()))?;
    super::said(session, &output, "imported")
}

fn open(path: &Path) -> Result<OwnedFd, Failure> {
    let failed = |e: std::io::Error| Failure::io(path.display(), &e);
    if path == Path::new("-") {
        return std::io::stdin().as_fd().try_clone_to_owned().map_err(failed);
    }
    let file = File::open(path).map_err(failed)?;
    match file.metadata().map_err(failed)?.is_dir() {
        true => Err(Failure::usage(format!("{} is a directory, not an image", path.display()))),
        false => Ok(file.into()),
    }
}

/// Sorts the words into files and properties.
fn sources(args: &ImageImport) -> Result<Sources, Failure> {
    let shown = args.file.to_string_lossy();
    if shown.contains("://") {
        let message = format!("{shown}: this version does not fetch images from addresses");
        return Err(Failure::of(Kind::Unsupported, message).hint("curl -fLO gets the file; then import it"));
    }
    let mut properties = Config::new();
    let mut files: Vec<&str> = Vec::new();
    for word in &args.more {
        let is_path = word.starts_with(['/', '.']);
        match word.parse::<Pair>() {
            Ok(pair) if !is_path => drop(properties.insert(pair.key, pair.value)),
            _ if word.ends_with(':') => drop(crate::reference::local(word)?),
            _ => files.push(word),
        }
    }
    let (data, rootfs) = match &files[..] {
        [] if args.file.is_dir() => of_directory(&args.file)?,
        [] => (args.file.clone(), None),
        [rootfs] => (args.file.clone(), Some(PathBuf::from(rootfs))),
        [_, more, ..] => return Err(Failure::usage(format!("image import takes two files: {more} is one too many"))),
    };
    Ok(Sources { data, rootfs, properties })
}

/// Metadata and root filesystem in a directory, as `image export` and distrobuilder name them.
fn of_directory(directory: &Path) -> Result<(PathBuf, Option<PathBuf>), Failure> {
    let failed = |e: std::io::Error| Failure::io(directory.display(), &e);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        names.push(entry.map_err(failed)?.path());
    }
    names.sort();
    let find = |tests: &[&dyn Fn(&str) -> bool]| {
        let name = |p: &&PathBuf| p.file_name().is_some_and(|n| tests.iter().any(|test| test(&n.to_string_lossy())));
        names.iter().find(name).cloned()
    };
    let data = find(&[&|n| n.starts_with("metadata.tar"), &|n| n.starts_with("meta-"), &|n| n.contains("lxd.tar"), &|n| {
        n.contains("incus.tar")
    }]);
    let rootfs = find(&[&|n| n.starts_with("rootfs."), &|n| n.ends_with(".squashfs"), &|n| n.ends_with(".root")]);
    match data {
        Some(data) => Ok((data, rootfs)),
        None => Err(Failure::usage(format!("{} holds no metadata.tar*", directory.display()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(file: &Path, more: &[&str]) -> ImageImport {
        ImageImport { file: file.to_owned(), more: more.iter().map(|w| (*w).to_owned()).collect(), aliases: Vec::new() }
    }

    #[test]
    fn words_are_files_or_properties() {
        let found = sources(&args(Path::new("meta.tar.xz"), &["rootfs.squashfs", "os=Debian", "local:"])).unwrap();
        assert_eq!(found.rootfs, Some("rootfs.squashfs".into()));
        assert_eq!(found.properties, Config::from([("os".into(), "Debian".into())]));
        assert_eq!(sources(&args(Path::new("a"), &["./b=c"])).unwrap().rootfs, Some("./b=c".into()));
        assert_eq!(sources(&args(Path::new("a"), &["b", "c"])).unwrap_err().code, 2);
        assert_eq!(sources(&args(Path::new("https://x/a"), &[])).unwrap_err().code, 8);
        assert_eq!(sources(&args(Path::new("a"), &["other:"])).unwrap_err().code, 8);
    }

    #[test]
    fn a_directory_is_searched_for_both_parts() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(sources(&args(directory.path(), &[])).unwrap_err().code, 2);
        for name in ["metadata.tar.xz", "rootfs.squashfs", "SHA256SUMS"] {
            std::fs::write(directory.path().join(name), "").unwrap();
        }
        let found = sources(&args(directory.path(), &[])).unwrap();
        assert!(found.data.ends_with("metadata.tar.xz") && found.rootfs.unwrap().ends_with("rootfs.squashfs"));
        assert_eq!(open(directory.path()).unwrap_err().code, 2);
    }
}
