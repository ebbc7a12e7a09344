//! One daemon per state directory: an flock(2) on a file beside the database, held until the
//! database is closed. The kernel drops it when the process dies, so it never goes stale.

use crate::StoreError;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a lock may be in other hands before somebody else has it.
const PATIENCE: Duration = Duration::from_millis(500);

/// The lock; dropping it lets another daemon in.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

/// Locks the database at `path` for this process.
///
/// # Errors
/// `InUse` with the holder's process id; `Io`.
pub(crate) fn lock(path: &Path) -> Result<Lock, StoreError> {
    let lock_path = beside(path, ".lock");
    let io = |what, source| StoreError::Io { what, path: lock_path.clone(), source };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&lock_path)
        .map_err(|e| io("open", e))?;
    match patiently(&file) {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            let pid = file.take(32).read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
            return Err(StoreError::InUse { path: path.to_owned(), pid });
        }
        Err(TryLockError::Error(e)) => return Err(io("lock", e)),
    }
    let write_pid = |file: &mut File| {
        // Written before it is cut: a full disk would not give back what a file lets go.
        let text = format!("{}\n", std::process::id());
        file.write_all(text.as_bytes())?;
        file.set_len(text.len() as u64)
    };
    write_pid(&mut file).map_err(|e| io("write", e))?;
    Ok(Lock { _file: file })
}

/// Locks at once, or within [`PATIENCE`]: what the last holder was just starting has a copy of the lock until it is
/// another program.
fn patiently(file: &File) -> Result<(), TryLockError> {
    let began = Instant::now();
    loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if began.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(10)),
            other => return other,
        }
    }
}

/// `path` with `suffix` behind its name.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
