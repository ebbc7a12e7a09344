//! `image export`: the daemon writes into files that are opened here, with the caller's rights.

use crate::args::ImageExport;
use crate::bus::Session;
use crate::failure::Failure;
use crate::progress::{self, OnInterrupt};
use lxhost_dbus::Options;
use lxhost_dbus::proxy::ImageProxy;
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;
use zbus::wire::{Fd, Variant};

/// Exports an image.
pub(crate) async fn run(session: &Session, args: &ImageExport) -> Result<(), Failure> {
    let image: ImageProxy<'static> = session.object(&session.image(&args.image).await?).await?;
    let (fingerprint, split) = tokio::try_join!(image.fingerprint(), image.split())?;
    let what = format!("Exporting {}", args.image);
    if args.target == Path::new("-") {
        if split {
            return Err(Failure::usage("this image has two files: standard output takes one").hint("export it to a directory"));
        }
        let stdout = std::io::stdout();
        let none = Options::new();
        let job = session.allowed(|| image.export(Fd::from(stdout.as_fd()), &none)).await?;
        return progress::wait(session, &job, &what, OnInterrupt::Cancel).await.map(drop);
    }
    let directory = directory_of(&args.target);
    let data = part(directory)?;
    let rootfs = split.then(|| part(directory)).transpose()?;
    let mut options = Options::new();
    if let Some(rootfs) = &rootfs {
        options.insert("rootfs", Variant::Fd(Fd::from(rootfs.as_file())));
    }
    let job = session.allowed(|| image.export(Fd::from(data.as_file()), &options)).await?;
    // Failing, the temporary files go by themselves.
    progress::wait(session, &job, &what, OnInterrupt::Cancel).await?;
    let mut names = vec![keep(data, &args.target, &fingerprint, if split { "meta-" } else { "" }, false)?];
    if let Some(rootfs) = rootfs {
        names.push(keep(rootfs, &args.target, &fingerprint, "", true)?);
    }
    for name in names {
        session.name_or(&name.to_string_lossy(), format!("Image exported to {}", name.display()))?;
    }
    Ok(())
}

fn directory_of(target: &Path) -> &Path {
    match target.parent() {
        _ if target.is_dir() => target,
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// A file beside the final one, with the mode of an ordinary new file.
fn part(directory: &Path) -> Result<NamedTempFile, Failure> {
    use std::os::unix::fs::PermissionsExt;
    tempfile::Builder::new()
        .prefix(".lxctl-")
        .suffix(".part")
        .permissions(std::fs::Permissions::from_mode(0o666))
        .tempfile_in(directory)
        .map_err(|e| Failure::io(directory.display(), &e))
}

/// Gives a finished file its name: the one asked for, or one of fingerprint and kind.
fn keep(part: NamedTempFile, target: &Path, fingerprint: &str, prefix: &str, rootfs: bool) -> Result<PathBuf, Failure> {
    let name = if target.is_dir() {
        let kind = kind(part.path()).map_err(|e| Failure::io(part.path().display(), &e))?;
        target.join(format!("{prefix}{fingerprint}{kind}"))
    } else if rootfs {
        let mut name = target.as_os_str().to_owned();
        name.push(".root");
        name.into()
    } else {
        target.to_owned()
    };
    part.persist(&name).map_err(|e| Failure::io(name.display(), &e.error))?;
    Ok(name)
}

/// Ending of a file's name by its first bytes.
fn kind(path: &Path) -> std::io::Result<&'static str> {
    let mut start = Vec::new();
    File::open(path)?.take(8).read_to_end(&mut start)?;
    Ok(match &start[..] {
        [0x1f, 0x8b, ..] => ".tar.gz",
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => ".tar.xz",
        [0x28, 0xb5, 0x2f, 0xfd, ..] => ".tar.zst",
        [b'B', b'Z', b'h', ..] => ".tar.bz2",
        [b'h', b's', b'q', b's', ..] => ".squashfs",
        _ => ".tar",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn files_are_named_by_fingerprint_and_kind() {
        let directory = tempfile::tempdir().unwrap();
        let made = |bytes: &[u8], target: &Path, prefix: &str, rootfs: bool| {
            let mut file = part(directory.path()).unwrap();
            file.write_all(bytes).unwrap();
            let name = keep(file, target, "3f2a", prefix, rootfs).unwrap();
            name.file_name().unwrap().to_string_lossy().into_owned()
        };
        assert_eq!(made(b"\xfd7zXZ\0..", directory.path(), "meta-", false), "meta-3f2a.tar.xz");
        assert_eq!(made(b"hsqs....", directory.path(), "", true), "3f2a.squashfs");
        assert_eq!(made(b"", directory.path(), "", false), "3f2a.tar");
        assert_eq!(made(b"x", &directory.path().join("mine"), "meta-", false), "mine");
        assert_eq!(made(b"x", &directory.path().join("mine"), "", true), "mine.root");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 5);
    }

    #[test]
    fn a_part_is_made_beside_its_final_name() {
        assert_eq!(directory_of(Path::new("mine")), Path::new("."));
        assert_eq!(directory_of(Path::new("/srv/mine")), Path::new("/srv"));
        assert_eq!(directory_of(Path::new("/")), Path::new("/"));
        assert!(part(Path::new("/nonexistent")).is_err());
    }
}
