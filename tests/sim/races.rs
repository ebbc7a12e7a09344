//! Many callers at once: one of them wins, the others are told, nothing is left behind.

use crate::client::{Client, empty, error, image, none, options};
use crate::world::World;
use futures_util::future::join_all;
use lxhost_model::Kind;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use zbus::wire::OwnedObjectPath;

/// Ends of calls that open a job: `None` for done, the kind of the error else.
async fn outcome(client: &Client, call: zbus::Result<OwnedObjectPath>) -> Option<Kind> {
    match call {
        Err(refusal) => Some(error(refusal).kind),
        Ok(job) => {
            let end = client.end(&job).await;
            (end.result != "done").then(|| Kind::from_dbus_name(&end.error).unwrap_or(Kind::Canceled))
        }
    }
}

#[tokio::test]
async fn of_fifty_creations_of_one_name_one_wins() {
    let world = World::start().await;
    let client = world.client().await;
    let manager = client.manager().await;
    let (source, start, nothing) = (image(), options([("start", true.into())]), none());
    let one = async || {
        let call = manager.create_instance("default", "c1", &source, &start, &nothing).await;
        outcome(&client, call.map(|(_, job)| job)).await
    };
    let ends = join_all((0..50).map(|_| one())).await;
    assert_eq!(ends.iter().filter(|end| end.is_none()).count(), 1, "{ends:?}");
    let lost = |end: &&Kind| !matches!(end, Kind::AlreadyExists | Kind::Busy);
    assert_eq!(ends.iter().flatten().find(lost), None, "{ends:?}");
    assert_eq!(client.states().await, [("c1".to_owned(), "running".to_owned())]);
    assert_eq!(manager.list_pools().await.unwrap()[0].used_by, 1);
    assert_eq!(manager.list_images(&none(), "", 0).await.unwrap().0.len(), 1);
    assert_eq!(manager.list_networks(&none(), "", 0).await.unwrap().0.len(), 1);
    let path = manager.get_instance("default", "c1").await.unwrap();
    client.done(&client.instance(&path).await.delete(&options([("force", true.into())])).await.unwrap()).await;
    assert_eq!(manager.list_pools().await.unwrap()[0].used_by, 0);
}

#[tokio::test]
async fn fifty_launches_of_different_names_share_what_they_need() {
    let world = World::start().await;
    let client = world.client().await;
    let manager = client.manager().await;
    let (source, start, nothing) = (image(), options([("start", true.into())]), none());
    let one = async |i: usize| {
        let (_, job) = manager.create_instance("default", &format!("c{i}"), &source, &start, &nothing).await.unwrap();
        client.done(&job).await
    };
    let ends = join_all((0..50).map(one)).await;
    let notes = ends.iter().filter(|end| end.output.contains_key("notes")).count();
    assert!(notes >= 1, "somebody made the defaults");
    assert_eq!(manager.list_networks(&none(), "", 0).await.unwrap().0.len(), 1, "one network for all");
    assert_eq!(manager.list_images(&none(), "", 0).await.unwrap().0.len(), 1, "one image for all");
    let rows = client.list().await;
    assert_eq!(rows.iter().filter(|row| row.state == "running").count(), 50);
    let mut ids = BTreeSet::new();
    for row in &rows {
        let all = client.properties(row.path.as_str(), "org.lxhost1.Instance").await.unwrap();
        ids.insert(<(u32, u32)>::try_from(all["Ids"].try_clone().unwrap()).unwrap().0);
    }
    assert_eq!(ids.len(), 50, "every instance has user ids of its own");
    let network = manager.get_network("default", "lxbr0").await.unwrap();
    let network: lxhost_dbus::proxy::NetworkProxy<'static> = client.object(&network).await;
    let leases: BTreeSet<String> = network.list_leases().await.unwrap().into_iter().map(|lease| lease.address).collect();
    assert_eq!(leases.len(), 50, "and an address");
}

#[tokio::test]
async fn a_start_against_a_deletion_ends_in_one_of_two_ways() {
    let world = World::start().await;
    let (first, second) = (world.client().await, world.client().await);
    for round in 0..40 {
        let name = format!("c{round}");
        let path = first.create(&name, &none()).await;
        let (starter, deleter) = (first.instance(&path).await, second.instance(&path).await);
        let nothing = none();
        let (start, delete) = tokio::join!(starter.start(&nothing), deleter.delete(&nothing));
        let (start, delete) = (outcome(&first, start).await, outcome(&second, delete).await);
        let state = first.states().await.into_iter().find(|(n, _)| *n == name).map(|(_, state)| state);
        match (start, delete, state.as_deref()) {
            (None, Some(Kind::Busy | Kind::InvalidState), Some("running")) => {}
            (Some(Kind::Busy | Kind::NoSuchInstance), None, None) => {}
            // The bus knows no such object any more, or it went between two looks.
            (Some(_), None, None) => {}
            other => panic!("round {round}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn of_many_verbs_on_one_instance_one_is_at_work_and_the_others_are_told() {
    let world = World::start().await;
    let client = world.client().await;
    let path = client.launch("c1").await;
    let instance = client.instance(&path).await;
    let nothing = none();
    for _ in 0..10 {
        let verbs = join_all((0..8).map(async |i| {
            let call = match i % 4 {
                0 => instance.stop(&nothing).await,
                1 => instance.restart(&nothing).await,
                2 => instance.freeze(&nothing).await,
                _ => instance.start(&nothing).await,
            };
            outcome(&client, call).await
        }))
        .await;
        let strange = |kind: &&Kind| !matches!(kind, Kind::Busy | Kind::InvalidState | Kind::NotRunning);
        assert_eq!(verbs.iter().flatten().find(strange), None, "{verbs:?}");
        let state = instance.state().await.unwrap();
        match state.as_str() {
            "stopped" => drop(client.done(&instance.start(&nothing).await.unwrap()).await),
            "frozen" => drop(client.done(&instance.thaw(&nothing).await.unwrap()).await),
            "running" => {}
            other => panic!("{other} with nothing under way"),
        }
    }
}

#[tokio::test]
async fn a_restart_by_force_leaves_it_running_every_time() {
    let world = World::start().await;
    let client = world.client().await;
    let path = client.launch("c1").await;
    let instance = client.instance(&path).await;
    for round in 0..200 {
        client.done(&instance.restart(&options([("mode", "force".into())])).await.unwrap()).await;
        assert_eq!(instance.state().await.unwrap(), "running", "round {round}");
    }
    // Whatever was to be dealt with late has been dealt with when a listing and a state agree.
    let (_, job) = client.manager().await.create_instance("default", "c2", &empty(), &none(), &none()).await.unwrap();
    client.done(&job).await;
    assert_eq!(instance.state().await.unwrap(), "running");
}

#[tokio::test]
async fn changes_of_one_record_never_get_lost() {
    let world = World::start().await;
    let client = world.client().await;
    let path = client.create("c1", &none()).await;
    let instance = client.instance(&path).await;
    let nothing = none();
    let set = async |i: usize| {
        let key = BTreeMap::from([(format!("user.k{i}"), i.to_string())]);
        instance.update_config(&key, &[], &nothing).await.map_err(|e| error(e).kind)
    };
    let ends = join_all((0..40).map(set)).await;
    let kept = ends.iter().filter(|end| end.is_ok()).count();
    assert!(kept >= 1 && ends.iter().flatten().count() == kept);
    assert!(ends.iter().all(|end| matches!(end, Ok(_) | Err(Kind::Busy | Kind::GenerationMismatch))), "{ends:?}");
    let config: HashMap<String, String> = instance.get_config(&nothing).await.unwrap().0.into_iter().collect();
    assert_eq!(config.len(), kept, "what was acknowledged is there, what was refused is not");
}
