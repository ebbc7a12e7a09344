//! Pools with a file system of their own: mounted for whatever needs it, and nothing happens below where it is missing.

use crate::deeds::pools::{bytes, in_file, named, sized, with_keys};
use crate::world::Machine;
use lxhost_engine::{Kind, instance, pool};

#[test]
fn what_is_unmounted_is_mounted_again_before_anything_is_done() {
    let machine = Machine::new();
    let all_mounted = |machine: &Machine| machine.sim.filesystems.all().values().all(|one| one.mounted);
    let id = machine.daemon(async |world| {
        // The pool of the default profile is another one.
        world.perform(world.create("c0", false)).await.unwrap();
        in_file(&world, "1GiB").await.unwrap();
        world.sim.filesystems.unmount();
        let spec = instance::Spec { pool: Some("f1".parse().unwrap()), ..Default::default() };
        world.perform(world.create_as("c1", spec)).await.unwrap();
        assert!(all_mounted(&machine), "a root was made below the pool");
        world.sim.filesystems.unmount();
        world.perform(instance::Start::new(world.id("c1").unwrap())).await.unwrap();
        assert!(all_mounted(&machine), "a guest was started without its pool");
        world.sim.filesystems.unmount();
        let id = named(&world).unwrap().id;
        pool::usage(&world.state(), world.engine.ports(), id).await.unwrap();
        assert!(all_mounted(&machine), "what is full was asked of another file system");
        world.perform(instance::Stop::new(world.id("c1").unwrap(), true, None)).await.unwrap();
        world.sim.filesystems.unmount();
        id
    });
    // As after the host was started.
    machine.daemon(async |world| {
        assert!(all_mounted(&machine), "a daemon has started without the pool");
        world.perform(instance::Delete::new(world.id("c1").unwrap(), false)).await.unwrap();
        world.perform(pool::Delete::new(id)).await.unwrap();
        world.is_whole("in the end").await;
    });
}

#[test]
fn a_pool_that_is_gone_is_an_error_for_what_needs_it_and_can_be_deleted() {
    Machine::new().daemon(async |world| {
        world.perform(world.create("c0", false)).await.unwrap();
        in_file(&world, "1GiB").await.unwrap();
        let spec = instance::Spec { pool: Some("f1".parse().unwrap()), ..Default::default() };
        world.perform(world.create_as("c1", spec)).await.unwrap();
        world.sim.filesystems.lose();
        let error = world.perform(instance::Start::new(world.id("c1").unwrap())).await.unwrap_err();
        assert!(error.message.contains("pool f1") && error.message.contains("gone"), "{error}");
        let id = named(&world).unwrap().id;
        assert_eq!(pool::usage(&world.state(), world.engine.ports(), id).await.unwrap_err().kind, Kind::Failed);
        world.perform(instance::Delete::new(world.id("c1").unwrap(), false)).await.unwrap();
        world.perform(pool::Delete::new(id)).await.unwrap();
        assert!(named(&world).is_none());
    });
}

#[test]
fn a_pool_that_is_only_named_gets_a_file_where_its_driver_wants_one() {
    Machine::new().daemon(async |world| {
        for (driver, keys, bytes) in
            [("zfs", &[][..], Some(5 << 30)), ("zfs", &[("source", "/dev/sdb")], Some(0)), ("dir", &[], None)]
        {
            let config = keys.iter().map(|(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned())).collect();
            let create = pool::Create::new(world.engine.ports(), "f1".parse().unwrap(), driver, config).await.unwrap();
            world.perform(create).await.unwrap();
            let made = named(&world).unwrap();
            assert_eq!(
                made.config.get("size").map(String::as_str),
                (bytes == Some(5 << 30)).then_some("5GiB"),
                "{driver} {keys:?}"
            );
            assert_eq!(world.sim.filesystems.all().get(&made.id).map(|one| one.bytes), bytes, "{driver} {keys:?}");
            world.perform(pool::Delete::new(made.id)).await.unwrap();
        }
    });
}

#[test]
fn a_pool_grows_and_does_not_shrink() {
    Machine::new().daemon(async |world| {
        in_file(&world, "1GiB").await.unwrap();
        sized(&world, "1024MiB").await.unwrap();
        sized(&world, "3GiB").await.unwrap();
        assert_eq!(bytes(&world), 3 << 30);
        let error = sized(&world, "2GiB").await.unwrap_err();
        assert!(error.kind == Kind::Unsupported && error.message.contains("shrink"), "{error}");
        assert_eq!(sized(&world, "much").await.unwrap_err().kind, Kind::InvalidConfig);
        assert_eq!((bytes(&world), named(&world).unwrap().config["size"].as_str()), (3 << 30, "3GiB"));
        world.is_whole("in the end").await;
    });
}

#[test]
fn a_device_is_wiped_once_and_nothing_else_is() {
    Machine::new().daemon(async |world| {
        for keys in [
            &[("source.wipe", "true")][..],
            &[("source.wipe", "true"), ("size", "1GiB")],
            &[("source.wipe", "perhaps"), ("source", "/dev/sdb")],
            &[("size", "1GiB"), ("source", "/dev/sdb")],
            &[("size", "1GiB"), ("source", "/srv/x")],
            &[("size", "")],
        ] {
            assert_eq!(with_keys(&world, keys).await.unwrap_err().kind, Kind::InvalidConfig, "{keys:?}");
        }
        world.is_whole("after what was refused").await;
        with_keys(&world, &[("source", "/dev/sdb"), ("source.wipe", "true")]).await.unwrap();
        let pool = named(&world).unwrap();
        assert_eq!(pool.config.keys().map(String::as_str).collect::<Vec<_>>(), ["source"]);
        let error = sized(&world, "2GiB").await.unwrap_err();
        assert_eq!(error.kind, Kind::InvalidConfig, "a device has no size: {error}");
    });
}
