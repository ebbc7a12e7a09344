//! Room on the disk that the database has before it needs it, so that on a full one instances can still be
//! stopped, deleted and recorded as ended. The room is the log's own: blocks behind its end, which nobody else
//! can take. Depends on fallocate(2); called by `open` and by the writer at its end.

use crate::lock::beside;
use rusqlite::Connection;
use rustix::fs::{FallocateFlags, Mode, OFlags};
use std::path::Path;

/// Twice what the log grows to before it is written back, for then the database itself may find no room.
const BYTES: u64 = 8 << 20;

/// Keeps room for the log of the database at `path`. A disk that has none, or cannot promise any, is no error.
pub(crate) fn keep(path: &Path) {
    let log = beside(path, "-wal");
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let kept = rustix::fs::open(&log, flags, Mode::RUSR | Mode::WUSR)
        .and_then(|file| rustix::fs::fallocate(file, FallocateFlags::KEEP_SIZE, 0, BYTES));
    if let Err(error) = kept {
        tracing::warn!(path = %log.display(), "there is no room in reserve: {error}");
    }
}

/// Writes the log back into the database at `path` and empties it, so that the database is whole by itself; the
/// room stays for the next daemon. What cannot be written back stays in the log, which is as good.
pub(crate) fn close(db: &Connection, path: &Path) {
    if let Err(error) = db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())) {
        tracing::warn!(path = %path.display(), "the log stays: {error}");
    }
    keep(path);
}

#[cfg(test)]
mod tests {
    use crate::fixture::pool;
    use crate::{FILE, SqliteStore};
    use lxhost_engine::ports::{Row, Store, Write};
    use std::os::unix::fs::MetadataExt;

    #[tokio::test]
    async fn the_log_has_room_from_the_first_open_to_the_next_and_is_empty_when_closed() {
        let dir = tempfile::tempdir().unwrap();
        let log = || std::fs::metadata(dir.path().join(format!("{FILE}-wal"))).unwrap();
        let store = SqliteStore::open(dir.path()).unwrap();
        assert!(log().blocks() * 512 >= super::BYTES, "{} blocks", log().blocks());
        store.commit(vec![Write::Insert(Row::Pool(pool("p")))]).await.unwrap();
        assert!(log().len() > 0);
        drop(store);
        assert_eq!(log().len(), 0);
        assert!(log().blocks() * 512 >= super::BYTES, "{} blocks", log().blocks());
        assert!(!dir.path().join(format!("{FILE}-shm")).exists());
        assert_eq!(SqliteStore::open(dir.path()).unwrap().state().pools.len(), 1);
    }
}
