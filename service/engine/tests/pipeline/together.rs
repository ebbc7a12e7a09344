//! Many verbs at once, on several threads.

use crate::world::{World, mia, root};
use futures_util::future::join_all;
use lxhost_engine::{Engine, Kind, image, instance, network};
use lxhost_model::Status;
use lxhost_sim::Sim;
use std::collections::BTreeSet;

/// A daemon on several threads, as the real one is.
async fn world() -> (tempfile::TempDir, World) {
    let dir = tempfile::tempdir().unwrap();
    let sim = Sim::new(dir.path(), false);
    let engine = Engine::new(sim.ports());
    engine.start().await;
    (dir, World { sim, engine })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_launches_make_what_they_need_once() {
    let (_dir, world) = world().await;
    let launches = (0..40).map(|i| {
        let world = world.clone();
        tokio::spawn(async move { world.perform(world.create(&format!("c{i}"), true)).await })
    });
    for launch in join_all(launches).await {
        launch.unwrap().unwrap();
    }
    let calls = world.sim.faults.take_calls();
    for once in ["pool.set_up", "source.fetch", "images.unpack"] {
        assert_eq!(calls.iter().filter(|call| *call == once).count(), 1, "{once}");
    }
    let bases: BTreeSet<u32> = world.state().instances.values().map(|instance| instance.ids.base).collect();
    assert_eq!(bases.len(), 40, "nobody shares user ids");
    world.is_whole("after all launches").await;
}

/// Every network writes the rules of all.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn networks_changed_side_by_side_keep_each_others_rules() {
    let (_dir, world) = world().await;
    for name in 0..12 {
        crate::deeds::new_acl(&world, &format!("a{name}")).await.unwrap();
    }
    let creates = (0..12).map(|name| {
        let world = world.clone();
        tokio::spawn(async move {
            let keys = [("security.acls".to_owned(), format!("a{name}"))].into();
            let name = format!("n{name}").parse().unwrap();
            let create = network::Create::new(world.engine.ports(), Default::default(), name, "bridge", keys).unwrap();
            world.perform(create).await
        })
    });
    for create in join_all(creates).await {
        create.unwrap().unwrap();
    }
    world.is_whole("after all networks").await;
    assert_eq!(world.sim.networks.rules().len(), 12);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_imports_under_one_alias_one_wins_and_its_files_stay() {
    let (_dir, world) = world().await;
    let import = |text: String| {
        let world = world.clone();
        tokio::spawn(async move {
            let aliases = vec!["i".parse().unwrap()];
            let random = world.engine.host().random();
            let import =
                image::Import::new(Default::default(), World::files(&text), aliases, Default::default(), random).unwrap();
            world.engine.perform(&root(), import).await
        })
    };
    // Half of them are the same image.
    let ends = join_all((0..20).map(|i| import(if i % 2 == 0 { "same".into() } else { format!("other {i}") }))).await;
    let ends: Vec<_> = ends.into_iter().map(Result::unwrap).collect();
    assert_eq!(ends.iter().filter(|end| end.is_ok()).count(), 1, "{ends:?}");
    assert!(ends.iter().flat_map(|end| end.as_ref().err()).all(|error| error.kind == Kind::AlreadyExists), "{ends:?}");
    world.rest().await;
    world.is_whole("after all imports").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_original_stands_still_while_it_is_copied_and_can_be_copied_by_many() {
    let (_dir, world) = world().await;
    let create = world.create("c0", false);
    let original = create.id();
    world.perform(create).await.unwrap();
    let copies = (0..20).map(|i| {
        let world = world.clone();
        tokio::spawn(async move {
            let source = instance::Source::Copy(instance::Original::whole(original));
            let name = format!("copy{i}").parse().unwrap();
            let random = world.engine.host().random();
            let copy = instance::Create::new(Default::default(), Some(name), source, Default::default(), random).unwrap();
            world.engine.perform(&root(), copy).await
        })
    });
    let caller = root();
    let start = world.engine.perform(&caller, instance::Start::new(original));
    let (copies, start) = tokio::join!(join_all(copies), start);
    for copy in copies {
        let error = copy.unwrap().err();
        assert!(error.as_ref().is_none_or(|e| matches!(e.kind, Kind::Busy | Kind::InvalidState)), "{error:?}");
    }
    assert!(start.as_ref().err().is_none_or(|error| error.kind == Kind::Busy), "{start:?}");
    world.rest().await;
    world.is_whole("after all copies").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn verbs_of_all_kinds_on_few_instances_leave_the_machine_whole() {
    let (_dir, world) = world().await;
    for name in ["c0", "c1", "c2"] {
        world.launch(name).await;
    }
    let storm = (0..8).map(|seed: usize| {
        let world = world.clone();
        tokio::spawn(async move {
            for round in 0..60 {
                let dice = (seed * 31 + round * 17) % 97;
                let name = format!("c{}", dice % 3);
                let Some(id) = world.id(&name) else {
                    let _ = world.engine.perform(&mia(), world.create(&name, dice.is_multiple_of(2))).await;
                    continue;
                };
                let engine = &world.engine;
                let _ = match dice % 8 {
                    0 | 1 => engine.perform(&mia(), instance::Start::new(id)).await,
                    2 => engine.perform(&mia(), instance::Stop::new(id, false, Some(5))).await,
                    3 => engine.perform(&mia(), instance::Stop::new(id, true, None)).await,
                    4 => engine.perform(&mia(), instance::Restart::new(id, true, None)).await,
                    5 => engine.perform(&mia(), instance::Freeze::new(id)).await,
                    6 => engine.perform(&mia(), instance::Thaw::new(id)).await,
                    _ => engine.perform(&mia(), instance::Delete::new(id, true)).await,
                };
            }
        })
    });
    for one in join_all(storm).await {
        one.unwrap();
    }
    world.rest().await;
    world.is_whole("after the storm").await;
    for name in ["c0", "c1", "c2"] {
        if let Some(id) = world.id(name) {
            world.perform(instance::Delete::new(id, true)).await.unwrap();
        }
        assert_eq!(world.status(name), None::<Status>);
    }
}

#[cfg(feature = "faults")]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_instance_that_ends_while_its_profile_is_changed_is_stopped_in_the_end() {
    let (_dir, world) = world().await;
    world.launch("c1").await;
    let id = world.id("c1").unwrap();
    let sim = world.sim.clone();
    world.engine.on_points(Box::new(move |point| {
        if point == "profile.replace/planned" {
            let _ = sim.launcher.end(id, lxhost_model::instance::ExitReason::Poweroff, 0);
            // Its end is heard of before the change is over.
            return Ok(Some(std::time::Duration::from_millis(50)));
        }
        Ok(None)
    }));
    let _ = world.perform(crate::deeds::default_profile(&world)).await;
    world.until(|world| world.status("c1") == Some(Status::Stopped)).await;
    world.rest().await;
    world.is_whole("after the change").await;
}
