//! Sizes of roots and volumes: in effect at once, kept through starts, and refused where they cannot be.

use crate::backups::{exported, read};
use crate::deeds::quotas::{root, sized};
use crate::deeds::volumes::{named, new_volume};
use crate::world::{Machine, World};
use lxhost_engine::{Kind, Result, instance, pool, snapshot, volume};
use lxhost_model::name::PoolName;
use lxhost_sim::UNCOUNTED;

fn limit(world: &World, name: &str) -> Option<u64> {
    world.sim.pools.limit_of(world.id(name).unwrap())
}

async fn uncounted(world: &World, name: &str) -> PoolName {
    let config = [(UNCOUNTED.to_owned(), "true".to_owned())].into();
    let name: PoolName = name.parse().unwrap();
    world.perform(pool::Create::new(world.engine.ports(), name.clone(), "dir", config).await.unwrap()).await.unwrap();
    name
}

#[test]
fn a_root_that_holds_more_than_the_new_size_keeps_the_old_one() {
    Machine::new().daemon(async |world| {
        let spec = instance::Spec { devices: root(Some("2GiB")), start: true, ..Default::default() };
        world.perform(world.create_as("c1", spec)).await.unwrap();
        world.sim.pools.fill(world.id("c1").unwrap(), 1 << 30);
        let refused = world.perform(sized(&world, Some("512MiB"))).await.unwrap_err();
        assert!(refused.kind == Kind::LimitsExceeded && refused.message.contains("instance c1"), "{refused}");
        assert_eq!(limit(&world, "c1"), Some(2 << 30));
        let kept = world.state().instances[&world.id("c1").unwrap()].devices.clone();
        assert_eq!(kept, root(Some("2GiB")));
        world.perform(sized(&world, Some("1GiB"))).await.unwrap();
        // A guest that has filled its root can be started to be emptied.
        world.sim.pools.fill(world.id("c1").unwrap(), (1 << 30) + 4096);
        world.perform(instance::Restart::new(world.id("c1").unwrap(), true, None)).await.unwrap();
        assert_eq!(limit(&world, "c1"), Some(1 << 30));
        world.is_whole("after all").await;
    });
}

#[test]
fn a_pool_that_cannot_limit_refuses_sizes_before_anything_is_made() {
    Machine::new().daemon(async |world| {
        world.perform(world.create("c0", false)).await.unwrap();
        let (other, there) = (uncounted(&world, "plain").await, world.sim.pools.roots().len());
        let spec = |pool| instance::Spec { devices: root(Some("1GiB")), pool, ..Default::default() };
        let refused = world.perform(world.create_as("c1", spec(Some(other.clone())))).await.unwrap_err();
        assert!(refused.kind == Kind::Unsupported && refused.message.contains("size"), "{refused}");
        assert_eq!(world.id("c1"), None);
        world.perform(world.create_as("c1", spec(None))).await.unwrap();
        let (id, host) = (world.id("c1").unwrap(), world.engine.ports());
        let refused = world.perform(instance::Move::new(host, id, other)).await.unwrap_err();
        assert_eq!(refused.kind, Kind::Unsupported, "{refused}");
        assert_eq!((limit(&world, "c1"), world.sim.pools.roots().len()), (Some(1 << 30), there + 1));
        world.is_whole("after all").await;
    });
}

#[test]
fn a_copy_and_what_is_restored_have_the_size_that_their_configuration_says() {
    Machine::new().daemon(async |world| {
        world.perform(world.create_as("c1", instance::Spec { devices: root(Some("1GiB")), ..Default::default() })).await.unwrap();
        let id = world.id("c1").unwrap();
        let (name, random) = (Some("s1".parse().unwrap()), world.engine.host().random());
        let take = snapshot::Create::new(id, name, String::new(), false, random).unwrap();
        world.perform(take).await.unwrap();
        world.perform(sized(&world, Some("3GiB"))).await.unwrap();
        let source = instance::Source::Copy(instance::Original::whole(id));
        let (name, random) = (Some("c2".parse().unwrap()), world.engine.host().random());
        let copy = instance::Create::new(Default::default(), name, source, Default::default(), random).unwrap();
        world.perform(copy).await.unwrap();
        assert_eq!(limit(&world, "c2"), Some(3 << 30));
        world.perform(snapshot::Restore::new(id, "s1".parse().unwrap())).await.unwrap();
        world.perform(instance::Start::new(id)).await.unwrap();
        assert_eq!(limit(&world, "c1"), Some(1 << 30), "the next start sees to it");
    });
}

#[test]
fn a_backup_from_where_roots_have_sizes_comes_in_where_they_cannot() {
    Machine::new().daemon(async |world| {
        world.perform(world.create_as("c1", instance::Spec { devices: root(Some("1GiB")), ..Default::default() })).await.unwrap();
        let (other, backup) = (uncounted(&world, "plain").await, exported(&world, world.id("c1").unwrap(), false).await);
        let import = async |name: &str, pool: Option<PoolName>| -> Result<Vec<String>> {
            let wanted = instance::Wanted { name: Some(name.parse().unwrap()), pool, ..Default::default() };
            let import = read(&world, &crate::world::root(), &backup, wanted).await?;
            Ok(world.perform(import).await?.notes)
        };
        assert_eq!(import("c2", None).await.unwrap(), Vec::<String>::new());
        assert_eq!(limit(&world, "c2"), Some(1 << 30));
        let notes = import("c3", Some(other)).await.unwrap();
        assert!(notes.len() == 1 && notes[0].contains("size"), "{notes:?}");
        assert_eq!(limit(&world, "c3"), None);
    });
}

#[test]
fn a_volume_has_the_size_that_its_keys_say() {
    Machine::new().daemon(async |world| {
        crate::deeds::new_pool(&world, "p1").await.unwrap();
        new_volume(&world).await.unwrap();
        let id = named(&world, "v1").unwrap().id;
        let resize = async |size: Option<&str>| {
            let config = size.map(|size| ("size".to_owned(), size.to_owned())).into_iter().collect();
            world.perform(volume::Replace { id, config, description: None, expected: None }).await
        };
        resize(Some("1GiB")).await.unwrap();
        world.sim.pools.fill(id, 600 << 20);
        assert_eq!(resize(Some("512MiB")).await.unwrap_err().kind, Kind::LimitsExceeded);
        assert_eq!(world.sim.pools.limit_of(id), Some(1 << 30));
        assert_eq!(named(&world, "v1").unwrap().config["size"], "1GiB");
        resize(None).await.unwrap();
        assert_eq!(world.sim.pools.limit_of(id), None);
    });
}
