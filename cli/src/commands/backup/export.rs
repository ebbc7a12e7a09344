//! `export`: the daemon writes into a file that is opened here, with the caller's rights. It gets its name when it is
//! whole.

use crate::args::{Export, HowCompressed};
use crate::bus::Session;
use crate::failure::Failure;
use crate::progress::{self, OnInterrupt};
use crate::reference;
use lxhost_dbus::Options;
use lxhost_dbus::proxy::InstanceProxy;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;
use zbus::wire::Fd;

/// Exports an instance.
pub(crate) async fn run(session: &Session, args: &Export) -> Result<(), Failure> {
    let name = reference::local(&args.name)?;
    let instance: InstanceProxy<'static> = session.object(&session.instance(name).await?).await?;
    written(session, (name, args.target.as_deref()), args.compression, async |to: BorrowedFd<'_>, how: HowCompressed| {
        let options = Options::from([("compression", how.word().into()), ("instance-only", args.instance_only.into())]);
        let job = session.allowed(|| instance.export(Fd::from(to), &options)).await?;
        progress::wait(session, &job, &format!("Exporting {}", args.name), OnInterrupt::Cancel).await.map(drop)
    })
    .await
}

/// Has `write` write a backup of `name` into the target; it gets its name when it is whole and on the disk.
pub(crate) async fn written(
    session: &Session,
    (name, target): (&str, Option<&Path>),
    said: Option<HowCompressed>,
    write: impl AsyncFn(BorrowedFd<'_>, HowCompressed) -> Result<(), Failure>,
) -> Result<(), Failure> {
    if target == Some(Path::new("-")) {
        return write(std::io::stdout().as_fd(), said.unwrap_or(HowCompressed::None)).await;
    }
    let (file, how) = file_and_compression(name, target, said);
    let part = part(directory_of(&file))?;
    write(part.as_file().as_fd(), how).await?;
    // A backup that is announced is on the disk.
    part.as_file().sync_all().map_err(|e| Failure::io(file.display(), &e))?;
    part.persist(&file).map_err(|e| Failure::io(file.display(), &e.error))?;
    session.name_or(&file.to_string_lossy(), format!("Backup of {name} written to {}", file.display()))
}

/// The file to write, and how it is compressed: as is said, else as its name says.
fn file_and_compression(name: &str, target: Option<&Path>, said: Option<HowCompressed>) -> (PathBuf, HowCompressed) {
    let named = |directory: &Path| {
        let how = said.unwrap_or(HowCompressed::Zstd);
        let ending = match how {
            HowCompressed::Zstd => ".zst",
            HowCompressed::Gzip => ".gz",
            HowCompressed::Xz => ".xz",
            HowCompressed::None => "",
        };
        (directory.join(format!("{name}.tar{ending}")), how)
    };
    match target {
        None => named(Path::new("")),
        Some(directory) if directory.is_dir() => named(directory),
        Some(file) => {
            let by_name = match file.extension().and_then(|ending| ending.to_str()) {
                Some("gz" | "tgz") => HowCompressed::Gzip,
                Some("xz" | "txz") => HowCompressed::Xz,
                Some("tar") => HowCompressed::None,
                _ => HowCompressed::Zstd,
            };
            (file.to_owned(), said.unwrap_or(by_name))
        }
    }
}

fn directory_of(file: &Path) -> &Path {
    file.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."))
}

/// A file beside the final one, for its owner alone: there may be secrets in it.
fn part(directory: &Path) -> Result<NamedTempFile, Failure> {
    let made = tempfile::Builder::new().prefix(".lxctl-").suffix(".part").tempfile_in(directory);
    made.map_err(|e| Failure::io(directory.display(), &e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_compressed_as_its_name_says() {
        let chosen = |target: Option<&str>, said| {
            let (file, how) = file_and_compression("c1", target.map(Path::new), said);
            (file.to_string_lossy().into_owned(), how)
        };
        assert_eq!(chosen(None, None), ("c1.tar.zst".to_owned(), HowCompressed::Zstd));
        assert_eq!(chosen(None, Some(HowCompressed::Gzip)), ("c1.tar.gz".to_owned(), HowCompressed::Gzip));
        assert_eq!(chosen(Some("/b/c1-20261123.tar.gz"), None).1, HowCompressed::Gzip);
        assert_eq!(chosen(Some("/b/c1.tar"), None).1, HowCompressed::None);
        assert_eq!(chosen(Some("/b/c1.txz"), None).1, HowCompressed::Xz);
        assert_eq!(chosen(Some("/b/c1.tar.gz"), Some(HowCompressed::Zstd)).1, HowCompressed::Zstd);
        assert_eq!(chosen(Some("/b/c1"), None).1, HowCompressed::Zstd);
        let directory = tempfile::tempdir().unwrap();
        let (file, _) = file_and_compression("c1", Some(directory.path()), None);
        assert_eq!(file, directory.path().join("c1.tar.zst"));
    }

    #[test]
    fn a_backup_is_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let part = part(directory.path()).unwrap();
        assert_eq!(part.as_file().metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(directory_of(Path::new("c1.tar")), Path::new("."));
    }
}
