//! Behaviour of the store as a whole, on real files.

use crate::fixture::{instance, pool};
use crate::{FILE, SqliteStore, StoreError};
use lxhost_engine::ports::{Row, RowKey, State, Store, Write};
use lxhost_model::instance::{Exit, ExitReason};
use lxhost_model::job::JobRow;
use lxhost_model::{Image, Kind, Network, ObjectId, Profile, Status, Trigger};
use rusqlite::Connection;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

fn one_of_each() -> Vec<Row> {
    let id = |n: u8| ObjectId::from_random([n; 16]);
    let mut c1 = instance("c1");
    let disk = [("type", "disk"), ("path", "/"), ("pool", "default")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    let root = "root".parse().unwrap();
    c1.devices.insert("root".parse().unwrap(), lxhost_model::device::Device::new(&root, disk.into()).unwrap());
    c1.last_exit = Some(Exit { reason: ExitReason::Crash, status: 139 });
    let image = Image {
        id: id(1),
        project: Default::default(),
        fingerprint: "cd".repeat(32).parse().unwrap(),
        aliases: vec!["debian/13".parse().unwrap()],
        architecture: "x86_64".into(),
        properties: [("os".to_owned(), "Debian é\u{1F980}".to_owned())].into(),
        split: true,
        size: u64::MAX,
        created: 1,
        uploaded: 2,
        last_used: 0,
        source: "debian:13".into(),
        cached: true,
        generation: 0,
    };
    let network = Network {
        id: id(2),
        project: Default::default(),
        name: "lxbr0".parse().unwrap(),
        kind: "bridge".into(),
        description: "d".into(),
        config: [("ipv4.address".to_owned(), "10.1.2.1/24".to_owned())].into(),
        forwards: Default::default(),
        load_balancers: Default::default(),
        checkpoint: None,
        created: 3,
        generation: 0,
    };
    let profile = Profile {
        id: id(3),
        project: Default::default(),
        name: "default".parse().unwrap(),
        description: String::new(),
        config: Default::default(),
        devices: c1.devices.clone(),
        created: 4,
        generation: 0,
    };
    let rule = [("action".to_owned(), "allow".to_owned())].into();
    let acl = lxhost_model::Acl {
        id: id(5),
        project: Default::default(),
        name: "web".parse().unwrap(),
        description: String::new(),
        config: Default::default(),
        ingress: vec![rule],
        egress: vec![],
        created: 5,
        generation: 0,
    };
    let job = JobRow { id: 7, verb: "instance.start".into(), object: Some(id(1)), uid: 1000, created: 5, plan: "{}".into() };
    let snapshot = lxhost_model::Snapshot {
        id: id(6),
        name: "snap0".parse().unwrap(),
        description: "before".into(),
        created: 5,
        expires: 0,
        instance: c1.clone(),
        generation: 0,
    };
    let volume = lxhost_model::Volume {
        id: id(8),
        project: Default::default(),
        pool: "default".parse().unwrap(),
        name: "data".parse().unwrap(),
        description: "shared".into(),
        config: [("user.a".to_owned(), "b".to_owned())].into(),
        content: lxhost_model::volume::Content::Block,
        volatile: [("snapshots.last".to_owned(), "7 @daily".to_owned())].into(),
        created: 6,
        generation: 0,
    };
    let volume_snapshot = lxhost_model::VolumeSnapshot {
        id: id(9),
        name: "snap0".parse().unwrap(),
        description: "before".into(),
        created: 7,
        expires: 8,
        volume: volume.clone(),
        generation: 0,
    };
    let trashed = lxhost_model::Trashed {
        id: id(10),
        deleted: 8,
        expires: 9,
        quota: Some(1 << 30),
        begun: false,
        what: lxhost_model::Discarded::Snapshot(Box::new(lxhost_model::Snapshot { id: id(10), ..snapshot.clone() })),
    };
    vec![
        Row::Trashed(Box::new(trashed)),
        Row::Instance(c1),
        Row::Snapshot(snapshot),
        Row::Image(image),
        Row::Network(network),
        Row::Acl(acl),
        Row::Profile(profile),
        Row::Pool(pool("default")),
        Row::Volume(volume),
        Row::VolumeSnapshot(volume_snapshot),
        Row::Job(job),
    ]
}

fn rows(state: &State) -> Vec<Row> {
    let mut all = Vec::new();
    all.extend(state.trash.values().map(|r| Row::Trashed(Box::new((**r).clone()))));
    all.extend(state.instances.values().map(|r| Row::Instance((**r).clone())));
    all.extend(state.snapshots.values().map(|r| Row::Snapshot((**r).clone())));
    all.extend(state.images.values().map(|r| Row::Image((**r).clone())));
    all.extend(state.networks.values().map(|r| Row::Network((**r).clone())));
    all.extend(state.acls.values().map(|r| Row::Acl((**r).clone())));
    all.extend(state.profiles.values().map(|r| Row::Profile((**r).clone())));
    all.extend(state.pools.values().map(|r| Row::Pool((**r).clone())));
    all.extend(state.volumes.values().map(|r| Row::Volume((**r).clone())));
    all.extend(state.volume_snapshots.values().map(|r| Row::VolumeSnapshot((**r).clone())));
    all.extend(state.jobs.values().map(|r| Row::Job((**r).clone())));
    all
}

fn insert(name: &str) -> Write {
    Write::Insert(Row::Instance(instance(name)))
}

/// A hash of every byte of the database and its companions. The index (`-shm`) and an empty log
/// say nothing.
fn bytes(dir: &Path) -> Vec<(String, u64)> {
    use std::hash::BuildHasher;
    let hash = std::hash::BuildHasherDefault::<std::hash::DefaultHasher>::default();
    let mut files: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap())
        .map(|e| (e.file_name().into_string().unwrap(), std::fs::read(e.path()).unwrap()))
        .filter(|(name, content)| {
            !(name.ends_with(".lock") || name.ends_with("-shm") || name.ends_with("-wal") && content.is_empty())
        })
        .map(|(name, content)| (name, hash.hash_one(content)))
        .collect();
    files.sort();
    files
}

#[tokio::test]
async fn every_noun_comes_back_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path()).unwrap();
    let written = one_of_each();
    store.commit(written.iter().cloned().map(Write::Insert).collect()).await.unwrap();
    assert_eq!(rows(&store.state()), written);
    drop(store);
    let store = SqliteStore::open(dir.path()).unwrap();
    assert_eq!(rows(&store.state()), written);
    let keys = written.iter().map(|r| Write::Delete(r.key())).collect();
    store.commit(keys).await.unwrap();
    drop(store);
    assert!(rows(&SqliteStore::open(dir.path()).unwrap().state()).is_empty());
}

#[tokio::test]
async fn updates_renames_and_transitions_survive_a_reopen() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path()).unwrap();
    let mut c1 = instance("c1");
    store.commit(vec![Write::Insert(Row::Instance(c1.clone()))]).await.unwrap();
    c1.name = "c2".parse().unwrap();
    store.commit(vec![Write::Update(Row::Instance(c1.clone())), Write::Transition(c1.id, Trigger::Created)]).await.unwrap();
    drop(store);
    let store = SqliteStore::open(dir.path()).unwrap();
    let state = store.state();
    let found = state.instance(&c1.project, &c1.name).unwrap();
    assert_eq!((found.status, found.generation), (Status::Stopped, 2));
    assert!(state.instance(&c1.project, &"c1".parse().unwrap()).is_none());
    let stale = store.commit(vec![Write::Update(Row::Instance(c1))]).await.unwrap_err();
    assert_eq!(stale.kind, Kind::GenerationMismatch);
}

#[tokio::test]
async fn a_transaction_is_all_or_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path()).unwrap();
    store.commit(vec![insert("c1")]).await.unwrap();
    let before = rows(&store.state());
    let gone = Write::Transition(ObjectId::from_random([9; 16]), Trigger::Start);
    let error = store.commit(vec![insert("c2"), Write::Delete(before[0].key()), gone]).await.unwrap_err();
    assert_eq!(error.kind, Kind::NoSuchInstance);
    assert_eq!(rows(&store.state()), before);
    drop(store);
    assert_eq!(rows(&SqliteStore::open(dir.path()).unwrap().state()), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_fifty_inserts_of_one_name_one_wins() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(SqliteStore::open(dir.path()).unwrap());
    let tasks: Vec<_> =
        (0..50).map(|_| Arc::clone(&store)).map(|s| tokio::spawn(async move { s.commit(vec![insert("c1")]).await })).collect();
    let mut won = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => won += 1,
            Err(e) => assert_eq!(e.kind, Kind::AlreadyExists),
        }
    }
    assert_eq!(won, 1);
    assert_eq!(store.state().instances.len(), 1);
}

#[tokio::test]
async fn a_second_daemon_is_told_who_has_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path()).unwrap();
    let error = SqliteStore::open(dir.path()).unwrap_err();
    assert!(matches!(error, StoreError::InUse { pid: Some(pid), .. } if pid == std::process::id()), "{error}");
    store.commit(vec![insert("c1")]).await.unwrap();
    drop(store);
    assert_eq!(SqliteStore::open(dir.path()).unwrap().state().instances.len(), 1);
}

#[tokio::test]
async fn a_newer_database_is_refused_and_untouched() {
    let dir = tempfile::tempdir().unwrap();
    drop(SqliteStore::open(dir.path()).unwrap());
    let db = Connection::open(dir.path().join(FILE)).unwrap();
    db.pragma_update(None, "user_version", 99).unwrap();
    drop(db);
    let before = bytes(dir.path());
    let error = SqliteStore::open(dir.path()).unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 99, .. }), "{error}");
    assert!(error.to_string().contains("install that version"));
    assert_eq!(bytes(dir.path()), before);
}

#[tokio::test]
async fn a_newer_version_that_is_only_in_the_log_is_refused_and_untouched() {
    let dir = tempfile::tempdir().unwrap();
    drop(SqliteStore::open(dir.path()).unwrap());
    let db = Connection::open(dir.path().join(FILE)).unwrap();
    db.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).unwrap();
    db.pragma_update(None, "user_version", 99).unwrap();
    drop(db);
    let before = bytes(dir.path());
    assert!(before.iter().any(|(name, _)| name.ends_with("-wal")));
    assert!(matches!(SqliteStore::open(dir.path()).unwrap_err(), StoreError::Newer { found: 99, .. }));
    assert_eq!(bytes(dir.path()), before);
}

#[tokio::test]
async fn what_is_no_database_of_ours_is_refused_and_untouched() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE);
    for content in [&b""[..], b"hello", &[0x41; 8192], b"SQLite format 3\0"] {
        std::fs::write(&path, content).unwrap();
        let before = bytes(dir.path());
        let error = SqliteStore::open(dir.path()).unwrap_err();
        assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains("move it"), "{error}");
        assert_eq!(bytes(dir.path()), before);
    }
    std::fs::remove_file(&path).unwrap();
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (1)").unwrap();
    let before = bytes(dir.path());
    assert!(matches!(SqliteStore::open(dir.path()).unwrap_err(), StoreError::Foreign { found: 0, .. }));
    assert_eq!(bytes(dir.path()), before);
}

#[tokio::test]
async fn damaged_pages_are_refused_and_untouched() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE);
    let store = SqliteStore::open(dir.path()).unwrap();
    store.commit((0..200).map(|i| insert(&format!("c{i}"))).collect()).await.unwrap();
    drop(store);
    let mut content = std::fs::read(&path).unwrap();
    content[4096..].fill(0x5a);
    std::fs::write(&path, content).unwrap();
    let before = bytes(dir.path());
    let error = SqliteStore::open(dir.path()).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    assert_eq!(bytes(dir.path()), before);
}

#[tokio::test]
async fn a_record_that_does_not_parse_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path()).unwrap();
    store.commit(vec![insert("c1")]).await.unwrap();
    let id = store.state().instances.keys().next().unwrap().to_string();
    drop(store);
    let db = Connection::open(dir.path().join(FILE)).unwrap();
    db.execute("UPDATE instance SET body = json_set(body, '$.name', '../x')", []).unwrap();
    drop(db);
    let error = SqliteStore::open(dir.path()).unwrap_err().to_string();
    assert!(error.contains(&format!("instance {id}")), "{error}");
}

#[tokio::test]
async fn a_lost_database_with_its_log_left_behind_is_not_recreated() {
    let dir = tempfile::tempdir().unwrap();
    drop(SqliteStore::open(dir.path()).unwrap());
    std::fs::remove_file(dir.path().join(FILE)).unwrap();
    std::fs::write(dir.path().join("state.db-wal"), b"log").unwrap();
    assert!(matches!(SqliteStore::open(dir.path()).unwrap_err(), StoreError::Damaged { .. }));
    assert!(!dir.path().join(FILE).exists());
}

#[test]
fn only_root_may_read_the_database() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let _store = SqliteStore::open(dir.path()).unwrap();
    for (name, _) in bytes(dir.path()) {
        let mode = std::fs::metadata(dir.path().join(&name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{name}");
    }
}

#[tokio::test]
async fn what_was_acknowledged_before_a_kill_is_there_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = Vec::new();
    for round in 0..5 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "--nocapture", "tests::commits_until_killed"])
            .env("LXHOST_STORE_TEST", dir.path())
            .env("LXHOST_STORE_ROUND", round.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(|l| l.unwrap());
        let names: Vec<_> =
            lines.filter_map(|l| l.strip_prefix("acknowledged ").map(str::to_owned)).take(10 + round * 7).collect();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(names.len(), 10 + round * 7);
        acknowledged.extend(names);
        let store = SqliteStore::open(dir.path()).unwrap();
        let state = store.state();
        for name in &acknowledged {
            assert!(state.instance(&Default::default(), &name.parse().unwrap()).is_some(), "{name} is lost");
        }
        for job in state.jobs.values() {
            let partner = format!("k{}-{}", job.uid, job.id);
            assert!(state.instance(&Default::default(), &partner.parse().unwrap()).is_some(), "half a transaction");
        }
    }
}

/// Not a test of its own: the process that the test above kills.
#[tokio::test]
#[ignore = "run by another test, and killed"]
async fn commits_until_killed() {
    let Ok(dir) = std::env::var("LXHOST_STORE_TEST") else { return };
    let round: u32 = std::env::var("LXHOST_STORE_ROUND").unwrap().parse().unwrap();
    let store = SqliteStore::open(Path::new(&dir)).unwrap();
    for i in round * 1_000_000.. {
        let name = format!("k{round}-{i}");
        let job = JobRow { id: i, verb: "v".into(), object: None, uid: round, created: 0, plan: String::new() };
        store.commit(vec![Write::Insert(Row::Job(job)), insert(&name)]).await.unwrap();
        if i % 3 == 0 {
            store.commit(vec![Write::Delete(RowKey::Job(i))]).await.unwrap();
        }
        println!("\nacknowledged {name}");
    }
}

#[test]
fn a_volume_of_a_version_that_had_no_others_holds_files() {
    let text = r#"{"id":"07070707070707070707070707070707","project":"default","pool":"p","name":"v","config":{},"created":1,
        "generation":2}"#;
    let volume: lxhost_model::Volume = serde_json::from_str(text).unwrap();
    assert_eq!(volume.content, lxhost_model::volume::Content::Filesystem);
}
