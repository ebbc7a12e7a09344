//! Removes a tree that a guest has filled: no link is followed, and however deep it is, only a few
//! descriptors are open and the stack does not grow. Called by the drivers for roots and images.

use crate::{Dir, check_name, replace};
use rustix::fs::{AtFlags, FileType, Mode, RawDir};
use rustix::io::Errno;
use std::ffi::{CString, OsStr};
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;

/// Directories open at once; what lies deeper is moved up first.
const DEPTH: usize = 32;
/// Names of directories remembered per level; further ones are found by listing again.
const NAMES: usize = 1024;

/// A directory being emptied.
struct Level {
    dir: Dir,
    /// Its name in the level above.
    name: CString,
    /// Directories in it that were listed and are still there.
    below: Vec<CString>,
}

impl Dir {
    /// Removes `name` with everything below it; nothing there is fine. Mounts below are an error.
    ///
    /// # Errors
    /// As unlinkat(2); `EBUSY` or `EXDEV` for a mount. What was removed before stays removed.
    pub fn remove_tree(&self, name: &OsStr) -> io::Result<()> {
        check_name(name)?;
        let name = CString::new(name.as_bytes())?;
        match rustix::fs::unlinkat(self, name.as_c_str(), AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::ISDIR | Errno::PERM) => {}
            Err(errno) => return Err(errno.into()),
        }
        let mut levels: Vec<_> = self.enter(name)?.into_iter().collect();
        while let Some(level) = levels.last_mut() {
            let Some(below) = level.below.pop() else {
                self.leave(&mut levels)?;
                continue;
            };
            let (dir, depth) = (&levels[levels.len() - 1].dir, levels.len());
            if depth < DEPTH {
                if let Some(next) = dir.enter(below)? {
                    levels.push(next);
                }
            } else {
                // Too deep: hang it below the top, where it will be met again.
                let up = format!(".lxhost-{:016x}", replace::random());
                rustix::fs::renameat(dir, below.as_c_str(), &levels[0].dir, up)?;
            }
        }
        Ok(())
    }

    /// Removes the innermost directory, or finds out what else is in it.
    fn leave(&self, levels: &mut Vec<Level>) -> io::Result<()> {
        let Some(mut done) = levels.pop() else { return Ok(()) };
        let parent = levels.last().map_or(self, |level| &level.dir);
        match rustix::fs::unlinkat(parent, done.name.as_c_str(), AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(Errno::NOTEMPTY | Errno::EXIST) => {
                done.below = done.dir.empty_files()?;
                levels.push(done);
                Ok(())
            }
            Err(errno) => Err(errno.into()),
        }
    }

    /// Opens a directory and unlinks its files; one without permissions gets them (matters to
    /// ordinary users only).
    fn enter(&self, name: CString) -> io::Result<Option<Level>> {
        let dir = match self.open_dir(OsStr::from_bytes(name.as_bytes())) {
            // Somebody else removes the same tree.
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            dir => dir?,
        };
        if dir.readable().is_err_and(|e| e.kind() == io::ErrorKind::PermissionDenied) {
            rustix::fs::chmodat(self, name.as_c_str(), Mode::RWXU, AtFlags::empty())?;
        }
        let below = dir.empty_files()?;
        Ok(Some(Level { dir, name, below }))
    }

    /// Unlinks everything that is not a directory; gives the directories met first.
    fn empty_files(&self) -> io::Result<Vec<CString>> {
        let fd = match self.readable() {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            fd => fd?,
        };
        let mut buffer = [MaybeUninit::<u8>::uninit(); 16 * 1024];
        let mut entries = RawDir::new(&fd, &mut buffer);
        let mut below = Vec::new();
        while let Some(entry) = entries.next() {
            let entry = match entry {
                // The directory itself was removed meanwhile.
                Err(Errno::NOENT) => break,
                entry => entry?,
            };
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            if entry.file_type() != FileType::Directory {
                match rustix::fs::unlinkat(self, name, AtFlags::empty()) {
                    Ok(()) | Err(Errno::NOENT) => continue,
                    // Some file systems do not tell types in listings.
                    Err(Errno::ISDIR) => {}
                    Err(errno) => return Err(errno.into()),
                }
            }
            if below.len() < NAMES {
                below.push(name.to_owned());
            }
        }
        Ok(below)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_tree_deeper_than_any_path_goes_and_what_its_links_point_to_stays() {
        let place = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("canary"), "x").unwrap();
        let dir = Dir::open(place.path()).unwrap();
        let mut at = dir.make_dir(OsStr::new("tree"), 0o755).unwrap();
        for _ in 0..3000 {
            rustix::fs::symlinkat(outside.path(), &at, "link").unwrap();
            at = at.make_dir(OsStr::new("a-name"), 0o755).unwrap();
        }
        dir.remove_tree(OsStr::new("tree")).unwrap();
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
        assert!(outside.path().join("canary").exists());
    }

    #[test]
    fn two_may_remove_the_same_tree_at_once() {
        let place = tempfile::tempdir().unwrap();
        for n in 0..200 {
            fs::create_dir_all(place.path().join(format!("tree/{n}/a/b"))).unwrap();
            fs::write(place.path().join(format!("tree/{n}/a/file")), "x").unwrap();
        }
        std::thread::scope(|scope| {
            let remove = || Dir::open(place.path()).unwrap().remove_tree(OsStr::new("tree"));
            let both = [scope.spawn(remove), scope.spawn(remove)];
            both.into_iter().for_each(|thread| thread.join().unwrap().unwrap());
        });
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_link_is_removed_itself_and_nothing_is_fine() {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("kept")).unwrap();
        symlink("kept", place.path().join("link")).unwrap();
        let dir = Dir::open(place.path()).unwrap();
        dir.remove_tree(OsStr::new("link")).unwrap();
        dir.remove_tree(OsStr::new("link")).unwrap();
        assert!(place.path().join("kept").exists());
        assert!(dir.remove_tree(OsStr::new("../kept")).is_err());
    }
}
