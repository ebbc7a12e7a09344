//! Block volumes: a sparse file of a fixed name in the tree of the volume, whatever driver keeps that. Nothing is read from
//! it but to copy it. Called by `files`.

use lxhost_model::volume::IMAGE;
use lxhost_model::{Error, Kind, Result};
use lxhost_safefs::Dir;
use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// Bytes that are copied at once.
const PIECE: usize = 1 << 20;

/// Gives the volume in `tree` so many bytes, at least or `exactly`.
///
/// # Errors
/// `InvalidConfig` for more than the file system can give a file; `NoSpace`, `Failed`.
pub(crate) fn set(tree: &Path, bytes: u64, exactly: bool) -> Result<()> {
    let (dir, file) = image(tree).map_err(|e| failed(&e))?;
    let had = file.metadata().map_err(|e| failed(&e))?.len();
    if had < bytes || (exactly && had != bytes) {
        file.set_len(bytes).map_err(|e| failed(&e))?;
    }
    file.sync_all().and_then(|()| dir.sync()).map_err(|e| failed(&e))
}

/// Copies the volume in `from` to `to`, but for its holes, until it is to `stop`. Says how much of it was looked at.
///
/// # Errors
/// As `set`; `Canceled`.
pub(crate) fn copy(from: &Path, to: &Path, stop: &AtomicBool, told: &dyn Fn(f64)) -> Result<()> {
    let source = Dir::open(from).and_then(|dir| dir.open_file(OsStr::new(IMAGE))).map_err(|e| failed(&e))?;
    let source = source.ok_or_else(|| Error::failed("the volume has no disk in it"))?;
    let size = source.metadata().map_err(|e| failed(&e))?.len();
    let (dir, target) = image(to).map_err(|e| failed(&e))?;
    // What an earlier try has left in a hole would be there.
    target.set_len(0).and_then(|()| target.set_len(size)).map_err(|e| failed(&e))?;
    let (mut at, mut piece) = (0, vec![0; PIECE]);
    while let Some((begin, end)) = data(&source, at, size).map_err(|e| failed(&e))? {
        at = begin;
        while at < end {
            if stop.load(Ordering::Relaxed) {
                return Err(Error::new(Kind::Canceled, "the job was cancelled"));
            }
            let most = usize::try_from(end - at).unwrap_or(PIECE).min(PIECE);
            let read = source.read_at(&mut piece[..most], at).map_err(|e| failed(&e))?;
            if read == 0 {
                return Err(Error::failed("the disk of the volume became smaller while it was copied"));
            }
            target.write_all_at(&piece[..read], at).map_err(|e| failed(&e))?;
            at += read as u64;
            told(at as f64 / size as f64);
        }
    }
    target.sync_all().and_then(|()| dir.sync()).map_err(|e| failed(&e))
}

/// The next piece of `file` that is no hole, from `at` on.
fn data(file: &File, at: u64, size: u64) -> io::Result<Option<(u64, u64)>> {
    match seek(file, SeekFrom::Data(at)) {
        Ok(begin) if begin < size => Ok(Some((begin, seek(file, SeekFrom::Hole(begin))?.min(size)))),
        // There is none.
        Ok(_) | Err(Errno::NXIO) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

fn image(tree: &Path) -> io::Result<(Dir, File)> {
    let dir = Dir::open(tree)?;
    let file = dir.open_or_make(OsStr::new(IMAGE), 0o600)?;
    Ok((dir, file))
}

fn failed(error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::FileTooLarge => {
            Error::new(Kind::InvalidConfig, "size: the file system of its pool has no files that large")
        }
        _ => Error::io("write the disk of the volume", error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, symlink};

    #[test]
    fn a_disk_takes_what_was_written_and_keeps_it_when_it_grows() {
        let tree = tempfile::tempdir().unwrap();
        set(tree.path(), 10 << 30, false).unwrap();
        let disk = tree.path().join(IMAGE);
        let found = std::fs::metadata(&disk).unwrap();
        assert_eq!((found.len(), found.mode() & 0o777), (10 << 30, 0o600));
        assert!(found.blocks() < 1000, "it is not sparse");
        std::fs::OpenOptions::new().write(true).open(&disk).unwrap().write_all_at(b"kept", 5 << 30).unwrap();
        for (bytes, exactly, has) in [(11u64 << 30, false, 11u64 << 30), (1 << 30, false, 11 << 30), (10 << 30, true, 10 << 30)] {
            set(tree.path(), bytes, exactly).unwrap();
            assert_eq!(std::fs::metadata(&disk).unwrap().len(), has);
        }
        let refused = set(tree.path(), i64::MAX as u64, false).unwrap_err();
        assert_eq!(refused.kind, Kind::InvalidConfig, "{refused}");

        let copied = tempfile::tempdir().unwrap();
        std::fs::write(copied.path().join(IMAGE), vec![1; 1 << 20]).unwrap();
        copy(tree.path(), copied.path(), &AtomicBool::new(false), &|_| ()).unwrap();
        let found = File::open(copied.path().join(IMAGE)).unwrap();
        let (mut kept, mut hole) = ([0; 4], [1; 4]);
        found.read_exact_at(&mut kept, 5 << 30).unwrap();
        found.read_exact_at(&mut hole, 0).unwrap();
        assert_eq!((&kept, hole), (b"kept", [0; 4]));
        let found = found.metadata().unwrap();
        assert!(found.len() == 10 << 30 && found.blocks() < 3000, "holes were filled: {} blocks", found.blocks());
        let refused = copy(tree.path(), copied.path(), &AtomicBool::new(true), &|_| ()).unwrap_err();
        assert_eq!(refused.kind, Kind::Canceled);
    }

    #[test]
    fn what_lies_in_the_place_of_a_disk_leads_nowhere() {
        let (tree, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let secret = outside.path().join("secret");
        std::fs::write(&secret, "kept").unwrap();
        symlink(&secret, tree.path().join(IMAGE)).unwrap();
        assert!(set(tree.path(), 1 << 20, false).is_err());
        let to = tempfile::tempdir().unwrap();
        assert!(copy(tree.path(), to.path(), &AtomicBool::new(false), &|_| ()).is_err());
        assert_eq!(std::fs::read(&secret).unwrap(), b"kept");
        let other = tempfile::tempdir().unwrap();
        std::fs::create_dir(other.path().join(IMAGE)).unwrap();
        assert!(set(other.path(), 1 << 20, false).is_err());
    }
}
