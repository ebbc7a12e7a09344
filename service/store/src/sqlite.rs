//! The store: a snapshot for readers, a channel to the writer's thread for everybody else.

use crate::writer::{Request, Writer};
use crate::{FILE, StoreError, lock, open, rows};
use async_trait::async_trait;
use lxhost_engine::ports::{State, Store, Write};
use lxhost_model::{Error, Kind, Result};
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock, mpsc};
use std::thread::JoinHandle;
use tokio::sync::oneshot;

/// Records in `state.db` of a state directory.
#[derive(Debug)]
pub struct SqliteStore {
    shown: Arc<RwLock<Arc<State>>>,
    requests: Option<mpsc::Sender<Request>>,
    thread: Option<JoinHandle<()>>,
}

impl SqliteStore {
    /// Opens the database in `state_dir`, or makes it when there is none. Blocks for some
    /// milliseconds; needs no runtime.
    ///
    /// # Errors
    /// `InUse` when another process has it open; `Newer`, `Foreign` and `Damaged` for a file that is
    /// refused and left untouched; `Io`, `Sql`.
    pub fn open(state_dir: &Path) -> Result<SqliteStore, StoreError> {
        let path = state_dir.join(FILE);
        let lock = lock::lock(&path)?;
        let db = open::open(&path)?;
        let state = rows::load(&db, &path)?;
        let shown = Arc::new(RwLock::new(Arc::new(state)));
        let writer = Writer { db, path: path.clone(), shown: Arc::clone(&shown), broken: false, _lock: lock };
        let (requests, receiver) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("store".into())
            .spawn(move || writer.run(receiver))
            .map_err(|source| StoreError::Io { what: "start the writer of", path, source })?;
        Ok(SqliteStore { shown, requests: Some(requests), thread: Some(thread) })
    }
}

#[async_trait]
impl Store for SqliteStore {
    fn state(&self) -> Arc<State> {
        Arc::clone(&self.shown.read().unwrap_or_else(PoisonError::into_inner))
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<Arc<State>> {
        let gone = || Error::new(Kind::ShuttingDown, "the database is closed");
        let (answer, result) = oneshot::channel();
        let requests = self.requests.as_ref().ok_or_else(gone)?;
        requests.send(Request { writes, answer }).map_err(|_| gone())?;
        result.await.map_err(|_| gone())?
    }
}

impl Drop for SqliteStore {
    /// Waits until what was sent is written and the database is closed.
    fn drop(&mut self) {
        self.requests = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the database's writer did not end well");
        }
    }
}
