//! Backups: what is in one, and what one may not bring.

use crate::world::{Machine, World, mia, root};
use lxhost_engine::instance::{Configure, Export, Import, Wanted};
use lxhost_engine::ports::Caller;
use lxhost_engine::{Kind, Result, instance, snapshot};
use lxhost_model::backup::{About, Backup, Described, Past};
use lxhost_model::{Action, Instance, ObjectId};
use lxhost_sim::Ruling;
use std::os::fd::OwnedFd;
use std::sync::Arc;

fn file(backup: &Backup) -> OwnedFd {
    World::files(&serde_json::to_string(backup).unwrap()).meta
}

fn said(name: &str, config: &[(&str, &str)]) -> Backup {
    let config = config.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let instance = Described { architecture: "x86_64".into(), profiles: vec!["default".into()], config, ..Default::default() };
    Backup { name: name.into(), pool: "elsewhere".into(), instance, snapshots: vec![] }
}

pub(crate) async fn read(world: &World, caller: &Caller, backup: &Backup, wanted: Wanted) -> Result<Import> {
    world.engine.read_backup(caller, Default::default(), file(backup), wanted).await
}

async fn import(world: &World, backup: &Backup, wanted: Wanted) -> Result<()> {
    let import = read(world, &root(), backup, wanted).await?;
    world.perform(import).await.map(drop)
}

fn record(world: &World, name: &str) -> Arc<Instance> {
    world.state().instances[&world.id(name).unwrap()].clone()
}

pub(crate) async fn exported(world: &World, id: ObjectId, alone: bool) -> Backup {
    let to = tempfile::tempfile().unwrap().into();
    world.perform(Export::new(id, to, Default::default(), alone, world.engine.host().random())).await.unwrap();
    match world.sim.backups.packed().pop().unwrap().about {
        About::Backup(backup) => backup,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_was_exported_comes_back_with_ids_of_its_own() {
    Machine::new().daemon(async |world| {
        world.launch("c1").await;
        let id = world.id("c1").unwrap();
        let change = instance::Change { set: [("user.a".to_owned(), "1".to_owned())].into(), ..Default::default() };
        world.perform(Configure::new(id, change).unwrap()).await.unwrap();
        let random = world.engine.host().random();
        let name = Some("before".parse().unwrap());
        world.perform(snapshot::Create::new(id, name, "a note".into(), false, random).unwrap()).await.unwrap();
        let backup = exported(&world, id, false).await;
        assert_eq!(exported(&world, id, true).await.snapshots, []);

        let wanted = Wanted { name: Some("c2".parse().unwrap()), ..Default::default() };
        import(&world, &backup, wanted).await.unwrap();
        let (was, is) = (record(&world, "c1"), record(&world, "c2"));
        assert_eq!((&is.config, &is.profiles, is.image.as_ref()), (&was.config, &was.profiles, None));
        assert_ne!(is.id, was.id);
        assert!(!is.ids.overlaps(&was.ids));
        assert_ne!(is.volatile["eth0.hwaddr"], was.volatile["eth0.hwaddr"]);
        let kept = world.state().snapshot(is.id, &"before".parse().unwrap()).cloned().unwrap();
        assert_eq!((kept.description.as_str(), kept.instance.config.get("user.a").unwrap().as_str()), ("a note", "1"));
        assert_eq!(world.sim.backups.unpacked().len(), 2);
        world.perform(instance::Start::new(is.id)).await.unwrap();
        world.perform(snapshot::Restore::new(is.id, "before".parse().unwrap())).await.unwrap();
        world.is_whole("after an import").await;
    });
}

#[test]
fn an_instance_that_was_deleted_has_its_hardware_address_again() {
    Machine::new().daemon(async |world| {
        world.launch("c1").await;
        let id = world.id("c1").unwrap();
        let (backup, address) = (exported(&world, id, false).await, record(&world, "c1").volatile["eth0.hwaddr"].clone());
        world.perform(instance::Delete::new(id, true)).await.unwrap();
        import(&world, &backup, Wanted::default()).await.unwrap();
        assert_eq!(record(&world, "c1").volatile["eth0.hwaddr"], address);
    });
}

#[test]
fn what_no_instance_can_be_is_refused_and_nothing_is_left() {
    Machine::new().daemon(async |world| {
        world.launch("c1").await;
        let before = world.state();
        let past = |name: &str| Past { name: name.into(), expires: 0, instance: said("x", &[]).instance };
        let with = |snapshots: Vec<Past>| Backup { snapshots, ..said("b1", &[]) };
        let cases = [
            (said("c1", &[]), Kind::AlreadyExists),
            (said("../c1", &[]), Kind::Untrusted),
            (said("", &[]), Kind::Untrusted),
            (said("b1", &[("limits.memory", "all of it")]), Kind::Untrusted),
            (said("b1", &[("user.a", "x\0y")]), Kind::Untrusted),
            (with(vec![past("../../x")]), Kind::Untrusted),
            (with(vec![past("s"), past("s")]), Kind::Untrusted),
            (
                Backup { instance: Described { architecture: "vax".into(), ..said("b1", &[]).instance }, ..said("b1", &[]) },
                Kind::Unsupported,
            ),
            (
                Backup { instance: Described { profiles: vec!["web".into()], ..said("b1", &[]).instance }, ..said("b1", &[]) },
                Kind::NoSuchProfile,
            ),
        ];
        for (backup, kind) in cases {
            let error = import(&world, &backup, Wanted::default()).await.unwrap_err();
            assert_eq!(error.kind, kind, "{error}");
        }
        let pipe = std::io::pipe().unwrap().0.into();
        let error = world.engine.read_backup(&root(), Default::default(), pipe, Wanted::default()).await.err().unwrap();
        assert_eq!(error.kind, Kind::InvalidArgs);
        assert_eq!(world.state().instances.len(), before.instances.len());
        world.is_whole("after refusals").await;
    });
}

#[test]
fn what_has_no_meaning_here_is_left_out_and_said() {
    Machine::new().daemon(async |world| {
        world.launch("c1").await;
        let backup = said("b1", &[("security.syscalls.intercept.mknod", "true"), ("volatile.idmap.base", "0"), ("user.a", "1")]);
        let read = read(&world, &root(), &backup, Wanted::default()).await.unwrap();
        let output = world.perform(read).await.unwrap();
        assert!(output.notes.iter().any(|note| note.contains("security.syscalls.intercept.mknod")), "{:?}", output.notes);
        assert_eq!(record(&world, "b1").config.keys().collect::<Vec<_>>(), ["user.a"]);
    });
}

#[test]
fn what_a_snapshot_in_a_backup_may_not_have_been_is_asked_about_when_it_is_restored() {
    Machine::new().daemon(async |world| {
        let mut backup = said("c1", &[]);
        let disk = [("type", "disk"), ("source", "/etc"), ("path", "/mnt")].map(|(key, value)| (key.into(), value.into()));
        let past = Described { devices: [("host".to_owned(), disk.into())].into(), ..backup.instance.clone() };
        backup.snapshots = vec![Past { name: "before".into(), expires: 0, instance: past }];
        world.sim.authority.rule(1000, Action::InstanceConfigurePrivileged, Ruling::No);
        let wanted = read(&world, &mia(), &backup, Wanted::default()).await.unwrap();
        world.engine.perform(&mia(), wanted).await.unwrap();
        let (id, name) = (world.id("c1").unwrap(), || "before".parse().unwrap());
        let before = record(&world, "c1");
        let error = world.engine.perform(&mia(), snapshot::Restore::new(id, name())).await.unwrap_err();
        assert_eq!(error.kind, Kind::AccessDenied);
        let source = instance::Source::Copy(instance::Original { snapshot: Some(name()), ..instance::Original::whole(id) });
        let random = world.engine.host().random();
        let copy = instance::Create::new(Default::default(), Some("c2".parse().unwrap()), source, Default::default(), random);
        assert_eq!(world.engine.perform(&mia(), copy.unwrap()).await.unwrap_err().kind, Kind::AccessDenied);
        assert_eq!((record(&world, "c1"), world.state().instances.len()), (before, 1));
    });
}
