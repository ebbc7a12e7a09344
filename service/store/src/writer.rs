//! The one thread that writes. It takes all commits that wait, applies each to a copy of the state,
//! writes those that were accepted in one transaction, and shows the new state when it is on disk.

use crate::lock::Lock;
use crate::{StoreError, rows};
use lxhost_engine::ports::{Row, RowKey, State, Write};
use lxhost_model::{Error, Result};
use rusqlite::{Connection, TransactionBehavior};
use std::path::PathBuf;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::oneshot;

/// A commit on its way in.
pub(crate) struct Request {
    /// All or none of these.
    pub(crate) writes: Vec<Write>,
    /// Where the new state, or the reason there is none, goes.
    pub(crate) answer: oneshot::Sender<Result<Arc<State>>>,
}

/// Most commits in one transaction: enough to share a sync, few enough to answer soon.
const GROUP: usize = 64;

/// A change to a table.
enum Change {
    Put(Box<Row>),
    Remove(RowKey),
}

/// A request that the state accepted, and the state after it.
struct Accepted {
    changes: Vec<Change>,
    after: Arc<State>,
    request: Request,
}

/// The thread's own things.
pub(crate) struct Writer {
    pub(crate) db: Connection,
    pub(crate) path: PathBuf,
    pub(crate) shown: Arc<RwLock<Arc<State>>>,
    pub(crate) broken: bool,
    /// Last, so that the database is closed before another daemon may open it.
    pub(crate) _lock: Lock,
}

impl Writer {
    /// Works until nobody can send any more.
    pub(crate) fn run(mut self, requests: Receiver<Request>) {
        while let Ok(first) = requests.recv() {
            let group = std::iter::once(first).chain(requests.try_iter().take(GROUP - 1)).collect();
            self.commit(group);
        }
        if !self.broken {
            crate::reserve::close(&self.db, &self.path);
        }
    }

    /// Commits what can be committed of `group` and answers everybody.
    fn commit(&mut self, group: Vec<Request>) {
        let mut now = Arc::clone(&self.shown.read().unwrap_or_else(PoisonError::into_inner));
        let mut accepted = Vec::new();
        for request in group {
            match apply(&now, &request.writes) {
                Ok((after, changes)) => {
                    now = Arc::clone(&after);
                    accepted.push(Accepted { changes, after, request });
                }
                Err(error) => answer(request, Err(error)),
            }
        }
        if accepted.is_empty() {
            return;
        }
        match self.write(&accepted) {
            Ok(()) => {
                *self.shown.write().unwrap_or_else(PoisonError::into_inner) = now;
                for each in accepted {
                    answer(each.request, Ok(each.after));
                }
            }
            // One of them spoils it for the others: each alone, from the state that is still shown.
            Err(_) if accepted.len() > 1 && !self.broken => {
                accepted.into_iter().for_each(|each| self.commit(vec![each.request]));
            }
            Err(error) => {
                let error = Error::from(error);
                accepted.into_iter().for_each(|each| answer(each.request, Err(error.clone())));
            }
        }
    }

    /// One transaction, durable on return.
    fn write(&mut self, group: &[Accepted]) -> std::result::Result<(), StoreError> {
        if self.broken {
            return Err(StoreError::Broken { path: self.path.clone() });
        }
        let written = self.transact(group);
        if let Err(error) = &written {
            self.broken = error.is_lost_sync();
        }
        written
    }

    fn transact(&mut self, group: &[Accepted]) -> std::result::Result<(), StoreError> {
        let path = self.path.clone();
        let sql = |source| StoreError::Sql { what: "write to", path: path.clone(), source };
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sql)?;
        for change in group.iter().flat_map(|each| &each.changes) {
            match change {
                Change::Put(row) => rows::put(&transaction, &path, row)?,
                Change::Remove(key) => rows::remove(&transaction, &path, *key)?,
            }
        }
        transaction.commit().map_err(sql)
    }
}

/// Applies all `writes` to a copy of `state`, or none.
fn apply(state: &Arc<State>, writes: &[Write]) -> Result<(Arc<State>, Vec<Change>)> {
    let mut after = State::clone(state);
    let mut changes = Vec::with_capacity(writes.len());
    for write in writes {
        let removed = if let Write::Delete(key) = write { Some(*key) } else { None };
        let row = after.apply(write.clone())?;
        changes.extend(row.map(Box::new).map(Change::Put).or(removed.map(Change::Remove)));
    }
    Ok((Arc::new(after), changes))
}

/// The caller may have gone away; its writes count all the same.
fn answer(request: Request, result: Result<Arc<State>>) {
    drop(request.answer.send(result));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{instance, pool};
    use lxhost_model::Kind;
    use std::sync::mpsc;

    fn writer(dir: &std::path::Path) -> Writer {
        let path = dir.join(crate::FILE);
        let lock = crate::lock::lock(&path).unwrap();
        let db = crate::open::open(&path).unwrap();
        Writer { db, path, shown: Arc::default(), broken: false, _lock: lock }
    }

    fn ask(writer: &mut Writer, groups: Vec<Vec<Write>>) -> Vec<Result<Arc<State>>> {
        let (requests, answers): (Vec<_>, Vec<_>) = groups
            .into_iter()
            .map(|writes| {
                let (answer, receiver) = oneshot::channel();
                (Request { writes, answer }, receiver)
            })
            .unzip();
        writer.commit(requests);
        answers.into_iter().map(|mut a| a.try_recv().unwrap()).collect()
    }

    #[test]
    fn a_full_disk_is_no_space_and_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = writer(dir.path());
        writer.db.pragma_update(None, "max_page_count", 1).unwrap();
        let writes: Vec<_> = (0..200).map(|i| Write::Insert(Row::Instance(instance(&format!("c{i}"))))).collect();
        let error = ask(&mut writer, vec![writes]).remove(0).unwrap_err();
        assert_eq!(error.kind, Kind::NoSpace, "{error}");
        assert!(error.message.contains("state.db"), "{error}");
        assert!(writer.shown.read().unwrap().instances.is_empty());
        writer.db.pragma_update(None, "max_page_count", 100_000).unwrap();
        assert!(ask(&mut writer, vec![vec![Write::Insert(Row::Pool(pool("p")))]])[0].is_ok(), "it goes on when there is room");
        assert!(rows::load(&writer.db, &writer.path).unwrap().instances.is_empty());
    }

    #[test]
    fn a_read_only_database_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = writer(dir.path());
        writer.db.pragma_update(None, "query_only", true).unwrap();
        let error = ask(&mut writer, vec![vec![Write::Insert(Row::Pool(pool("p")))]]).remove(0).unwrap_err();
        assert_eq!(error.kind, Kind::Failed);
        assert!(error.message.contains(&*dir.path().to_string_lossy()), "{error}");
    }

    #[test]
    fn commits_that_wait_together_stand_or_fall_alone() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = writer(dir.path());
        let insert = |name: &str| vec![Write::Insert(Row::Instance(instance(name)))];
        let answers = ask(&mut writer, vec![insert("a"), insert("a"), insert("b")]);
        assert!(answers[0].is_ok() && answers[2].is_ok());
        assert_eq!(answers[1].as_ref().unwrap_err().kind, Kind::AlreadyExists);
        assert_eq!(answers[0].as_ref().unwrap().instances.len(), 1, "each sees the state after its own writes");
        assert_eq!(rows::load(&writer.db, &writer.path).unwrap().instances.len(), 2);
    }

    #[test]
    fn a_commit_that_the_database_refuses_does_not_spoil_its_neighbours() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = writer(dir.path());
        writer
            .db
            .execute_batch(
                "CREATE TEMP TRIGGER no BEFORE INSERT ON pool WHEN NEW.name = 'bad' BEGIN SELECT RAISE(ABORT, 'no'); END",
            )
            .unwrap();
        let insert = |name: &str| vec![Write::Insert(Row::Pool(pool(name)))];
        let answers = ask(&mut writer, vec![insert("good"), insert("bad"), insert("fine")]);
        assert_eq!(answers.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
        let names: Vec<_> = writer.shown.read().unwrap().pools.values().map(|p| p.name.to_string()).collect();
        assert_eq!((names.len(), names.contains(&"bad".into())), (2, false));
        assert_eq!(rows::load(&writer.db, &writer.path).unwrap().pools.len(), 2);
    }

    #[test]
    fn the_thread_ends_when_nobody_can_send_any_more() {
        let dir = tempfile::tempdir().unwrap();
        let writer = writer(dir.path());
        let (sender, receiver) = mpsc::channel();
        let thread = std::thread::spawn(move || writer.run(receiver));
        drop(sender);
        thread.join().unwrap();
    }
}
