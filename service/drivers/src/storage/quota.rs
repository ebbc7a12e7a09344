//! Quotas: how much a root or a volume may take. On ext4 and XFS everything in its directory belongs to a project, whose
//! blocks the kernel counts; files that are made there inherit it. A note beside the tree says that there is a limit, so
//! that one without costs nothing. Programs: chattr(1), lsattr(1), setquota(8). Called by the drivers.

use super::layout::QUOTA;
use super::tool;
use lxhost_model::{Error, Kind, ObjectId, Result};
use lxhost_safefs::{Dir, Durability};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Words in the options of a mount whose projects are counted and held to their limits.
const COUNTING: [&str; 2] = ["prjquota", "pquota"];
/// Where projects of ours begin: people number theirs from 1.
const FIRST: u32 = 0x8000_0000;

/// Sets or removes a limit by `apply`, and notes it in `dir` before: one that nobody knew of would stay for ever. A
/// directory without a limit, and without one wanted, is left alone, and so is one that is not there.
///
/// # Errors
/// `NoSpace`, `Failed`, and those of `apply`.
pub(super) async fn noted<F>(dir: &Path, bytes: Option<u64>, apply: impl FnOnce() -> F) -> Result<()>
where
    F: Future<Output = Result<()>>,
{
    let failed = |e: io::Error| Error::io("note its size", &e);
    let note = dir.join(QUOTA);
    match bytes {
        None if note.symlink_metadata().is_err() => Ok(()),
        None => {
            apply().await?;
            fs::remove_file(note).map_err(failed)
        }
        Some(bytes) => {
            let text = bytes.to_string();
            let written =
                Dir::open(dir).and_then(|dir| dir.replace_file(OsStr::new(QUOTA), text.as_bytes(), 0o600, Durability::Memory));
            written.map_err(failed)?;
            apply().await
        }
    }
}

/// Whether projects on the file system of `place` are counted.
///
/// # Errors
/// `Unsupported`, saying what is missing.
pub(super) fn can_limit(place: &Path) -> Result<()> {
    counting(place).map(drop)
}

/// The mount of `place`, if projects on it are counted.
fn counting(place: &Path) -> Result<Mount> {
    let mount = mount_of(place).map_err(|e| Error::io(place.display(), &e))?;
    if !mount.counts {
        let what = format!(
            "{} ({}) does not count what projects take: it needs the mount option prjquota, and ext4 the features quota and \
             project (tune2fs -O quota,project, while it is not mounted); a pool on btrfs needs nothing",
            mount.point.display(),
            mount.kind
        );
        return Err(Error::new(Kind::Unsupported, what));
    }
    Ok(mount)
}

/// Limits everything in `dir`, which is of the root or volume `id`, to `bytes`. `live`: guests change it now.
///
/// # Errors
/// `Unsupported`; `InUse` for a tree that guests change now and that does not belong to its project yet.
pub(super) async fn limit(dir: &Path, id: ObjectId, bytes: Option<u64>, live: bool) -> Result<()> {
    noted(dir, bytes, || bound(dir, project_of(id), bytes, live)).await
}

/// Limits everything in `tree`, which has to belong to that project. `live`: guests change it now.
///
/// # Errors
/// Those of `limit`.
pub(super) async fn bound(tree: &Path, project: u32, bytes: Option<u64>, live: bool) -> Result<()> {
    let mount = match counting(tree) {
        // Nothing is counted here any more.
        Err(_) if bytes.is_none() => return Ok(()),
        found => found?,
    };
    if project_at(tree).await? != Some(project) {
        if live {
            let what = "its file system has begun to count since it was started; stop it first";
            return Err(Error::new(Kind::InUse, what));
        }
        join(tree, project).await?;
    }
    // In units of 1 KiB; 0 is no limit.
    let blocks = bytes.map_or(0, |bytes| bytes.div_ceil(1024)).to_string();
    let [project, blocks, none] = [project.to_string(), blocks, "0".to_owned()].map(OsString::from);
    let words = [&project, &none, &blocks, &none, &none, &mount.point.into_os_string()];
    tool::run("setquota", &["-P"], &words).await.map(drop)
}

/// The project of a root or volume. Ids are random: of a thousand on one file system, two share one once in 5,000 times.
fn project_of(id: ObjectId) -> u32 {
    let bytes = id.bytes();
    FIRST | u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

/// The project that `dir` belongs to, and that what is made in it will.
async fn project_at(dir: &Path) -> Result<Option<u32>> {
    Ok(project_in(&tool::run("lsattr", &["-pd"], &[dir]).await?))
}

/// The number that lsattr(1) prints before flags, if they say that it is inherited.
fn project_in(line: &str) -> Option<u32> {
    let mut words = line.split_whitespace();
    let project = words.next()?.parse().ok()?;
    words.next()?.contains('P').then_some(project)
}

/// Makes everything in `dir` belong to a project. What can belong to none, as links and devices, takes no room.
///
/// # Errors
/// `Unsupported`, `Failed`.
pub(super) async fn join(dir: &Path, project: u32) -> Result<()> {
    let project = project.to_string();
    // What is made in a directory with the flag P belongs to the project, too.
    let ended = tool::ended("chattr", &["-R", "-f", "+P", "-p", &project], &[dir]).await?;
    match project_at(dir).await? {
        Some(found) if found.to_string() == project => Ok(()),
        _ => Err(Error::failed(format!("its project could not be set: {}", ended.complaint))),
    }
}

/// A mounted file system.
struct Mount {
    point: PathBuf,
    kind: String,
    counts: bool,
}

/// The one that `place`, or the nearest directory above it that exists, lies on.
fn mount_of(place: &Path) -> io::Result<Mount> {
    let there = place.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("/"));
    let device = fs::metadata(there)?.dev();
    let device = format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device));
    let table = fs::read("/proc/self/mountinfo")?;
    let mut mounts = table.split(|byte| *byte == b'\n').filter_map(|line| mount_in(line, &device));
    mounts.next().ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "its mount is not known"))
}

/// A line of proc_pid_mountinfo(5), if it is about `device`.
fn mount_in(line: &[u8], device: &str) -> Option<Mount> {
    let mut fields = line.split(|byte| *byte == b' ');
    if fields.nth(2)? != device.as_bytes() {
        return None;
    }
    let point = PathBuf::from(OsString::from_vec(unescaped(fields.nth(1)?)));
    let mut rest = fields.skip_while(|field| *field != b"-").skip(1);
    let kind = String::from_utf8_lossy(rest.next()?).into_owned();
    let options = String::from_utf8_lossy(rest.nth(1)?).into_owned();
    let counts = matches!(kind.as_str(), "ext4" | "xfs") && options.split(',').any(|option| COUNTING.contains(&option));
    Some(Mount { point, kind, counts })
}

/// Blanks and backslashes are written as three octal digits.
pub(super) fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((byte, after)) = rest.split_first() {
        let digits = after.get(..3).filter(|_| *byte == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(escaped) => {
                bytes.push(escaped);
                rest = &after[3..];
            }
            None => {
                bytes.push(*byte);
                rest = after;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_counts_projects_when_its_options_say_so() {
        let line = b"36 25 8:1 / /srv/with\\040blank rw,noatime shared:1 - ext4 /dev/sda1 rw,prjquota";
        let mount = mount_in(line, "8:1").unwrap();
        assert_eq!((mount.point.as_path(), mount.kind.as_str(), mount.counts), (Path::new("/srv/with blank"), "ext4", true));
        assert!(mount_in(line, "8:2").is_none());
        assert!(!mount_in(b"36 25 8:1 / / rw - ext4 /dev/sda1 rw,usrquota", "8:1").unwrap().counts);
        assert!(!mount_in(b"36 25 8:1 / / rw - tmpfs tmpfs rw,prjquota", "8:1").unwrap().counts);
        assert!(mount_in(b"36 25", "8:1").is_none());
    }

    #[test]
    fn a_directory_passes_its_project_on_when_its_flags_say_so() {
        assert_eq!(project_in("2147483650 --------------e----P-- /srv/a\n"), Some(0x8000_0002));
        assert_eq!(project_in("2147483650 --------------e------- /srv/P\n"), None);
        assert_eq!(project_in(""), None);
    }

    #[tokio::test]
    async fn a_limit_is_noted_until_it_is_gone() {
        let place = tempfile::tempdir().unwrap();
        let calls = std::cell::Cell::new(0);
        let apply = || {
            calls.set(calls.get() + 1);
            std::future::ready(Ok(()))
        };
        noted(place.path(), None, apply).await.unwrap();
        assert_eq!(calls.get(), 0, "nothing was limited");
        noted(place.path(), Some(1 << 20), apply).await.unwrap();
        noted(place.path(), None, apply).await.unwrap();
        noted(place.path(), None, apply).await.unwrap();
        assert_eq!(calls.get(), 2);
        noted(&place.path().join("gone"), None, apply).await.unwrap();
        let refuse = || std::future::ready(Err(Error::failed("no")));
        noted(place.path(), Some(1 << 20), refuse).await.unwrap_err();
        noted(place.path(), None, apply).await.unwrap();
        assert_eq!(calls.get(), 3, "what may have been limited is freed");
    }
}
