//! What cannot fit is refused with numbers before anything of it is there, and a pool that is nearly full is told of.

use crate::deeds::new_pool;
use crate::world::{Machine, World, root};
use lxhost_engine::{Kind, instance};
use lxhost_model::size::format_bytes;

const GIB: u64 = 1 << 30;

/// The one error, which changed nothing and says how much there is.
async fn has_no_room(world: &World, verb: impl lxhost_engine::Verb, free: u64) -> String {
    let before = world.seen();
    let error = world.perform(verb).await.unwrap_err();
    assert_eq!((error.kind, world.seen()), (Kind::NoSpace, before), "{error}");
    assert!(error.message.contains(&format!("{} are free", format_bytes(free))), "{error}");
    world.is_whole("after a refusal").await;
    error.message
}

#[test]
fn an_image_is_not_unpacked_where_not_even_the_packed_one_fits() {
    Machine::new().daemon(async |world| {
        world.launch("c0").await;
        let size = world.state().images.values().next().unwrap().size;
        assert!(size > 0);
        new_pool(&world, "p2").await.unwrap();
        let spec = || instance::Spec { pool: Some("p2".parse().unwrap()), ..Default::default() };
        // Of so little, a fiftieth is kept in reserve.
        world.sim.pools.have_room(50 * size, 2 * size - 1);
        let said = has_no_room(&world, world.create_as("c1", spec()), 2 * size - 1).await;
        assert!(said.contains("kept in reserve"), "{said}");
        world.sim.pools.have_room(50 * size, 2 * size);
        world.perform(world.create_as("c1", spec())).await.unwrap();
        // What lies there already needs no more.
        world.sim.pools.have_room(50 * size, 0);
        world.perform(world.create_as("c2", spec())).await.unwrap();
    });
}

#[test]
fn a_copy_to_another_pool_takes_what_its_original_does() {
    Machine::new().daemon(async |world| {
        world.perform(world.create("c1", false)).await.unwrap();
        new_pool(&world, "p2").await.unwrap();
        let id = world.id("c1").unwrap();
        world.sim.pools.fill(id, 3 * GIB);
        world.sim.pools.have_room(100 * GIB, 3 * GIB);
        let there = || instance::Move::new(world.engine.ports(), id, "p2".parse().unwrap());
        let said = has_no_room(&world, there(), 3 * GIB).await;
        assert!(said.contains("pool p2") && said.contains("3.00GiB"), "{said}");
        world.sim.pools.have_room(100 * GIB, 4 * GIB);
        world.perform(there()).await.unwrap();
        assert_eq!(world.state().instances[&id].pool.as_str(), "p2");
    });
}

#[test]
fn a_backup_is_not_unpacked_where_not_even_the_packed_one_fits() {
    Machine::new().daemon(async |world| {
        world.launch("c0").await;
        let backup = lxhost_model::backup::Backup {
            name: "b1".into(),
            pool: "default".into(),
            instance: lxhost_model::backup::Described { architecture: "x86_64".into(), ..Default::default() },
            snapshots: vec![],
        };
        let file = || World::files(&serde_json::to_string(&backup).unwrap()).meta;
        let import = async || world.engine.read_backup(&root(), Default::default(), file(), Default::default()).await.unwrap();
        world.sim.pools.have_room(50, 1);
        has_no_room(&world, import().await, 1).await;
        world.sim.pools.have_room(100 * GIB, GIB);
        world.perform(import().await).await.unwrap();
    });
}

#[test]
fn a_pool_that_is_nearly_full_is_a_finding() {
    Machine::new().daemon(async |world| {
        world.perform(world.create("c1", false)).await.unwrap();
        for (free, state) in [(50, "ok"), (11, "ok"), (10, "warn"), (0, "warn")] {
            world.sim.pools.have_room(100 * GIB, free * GIB);
            let checks = world.engine.pool_checks().await;
            assert_eq!((checks.len(), checks[0].name.as_str(), checks[0].state), (1, "pool default", state));
            assert!(checks[0].message.contains(&format!("{}%", 100 - free)), "{checks:?}");
        }
        assert_eq!(instance::used(&world.state(), world.engine.ports(), world.id("c1").unwrap()).await.unwrap().1, None);
    });
}
