//! The road of an instance, from nothing to nothing, and what is told on the way.

use crate::client::{empty, image, none, options, refused};
use crate::world::World;
use lxhost_model::Kind;
use zbus::wire::{OwnedObjectPath, Variant};

const INSTANCE: &str = "org.lxhost1.Instance";

fn text(value: &zbus::wire::OwnedVariant) -> String {
    String::try_from(value.try_clone().unwrap()).unwrap()
}

#[tokio::test]
async fn an_instance_is_made_started_used_stopped_and_deleted() {
    let world = World::start().await;
    let client = world.client().await;
    let manager = client.manager().await;
    let (path, job) = manager.create_instance("default", "c1", &image(), &none(), &none()).await.unwrap();
    let end = client.done(&job).await;
    assert_eq!(text(&end.output["name"]), "c1");
    assert_eq!(OwnedObjectPath::try_from(end.output["instance"].try_clone().unwrap()).unwrap(), path);
    assert_eq!(manager.get_instance("default", "c1").await.unwrap(), path);
    assert_eq!(manager.get_instance("", "c1").await.unwrap(), path, "no project is the default one");
    assert_eq!(client.states().await, [("c1".to_owned(), "stopped".to_owned())]);

    let instance = client.instance(&path).await;
    client.done(&instance.start(&none()).await.unwrap()).await;
    assert_eq!(instance.state().await.unwrap(), "running");
    let guest = client.guest(&path).await;
    let (exec, _) = guest.exec(&["true"], &Default::default(), &options([("null", all_streams())])).await.unwrap();
    assert_eq!(client.exec(&exec).await.wait(0).await.unwrap(), ("exited".to_owned(), 0));

    client.done(&instance.stop(&none()).await.unwrap()).await;
    assert_eq!(client.states().await, [("c1".to_owned(), "stopped".to_owned())]);
    refused(guest.exec(&["true"], &Default::default(), &none()).await, Kind::NotRunning);
    client.done(&instance.delete(&none()).await.unwrap()).await;
    assert!(client.list().await.is_empty());
    refused(manager.get_instance("default", "c1").await, Kind::NoSuchInstance);
    assert!(instance.state().await.is_err(), "its object is gone");
}

fn all_streams() -> Variant<'static> {
    Variant::from(vec!["stdin", "stdout", "stderr"])
}

#[tokio::test]
async fn a_first_launch_says_what_it_made() {
    let world = World::start().await;
    let client = world.client().await;
    let manager = client.manager().await;
    let start = options([("start", true.into())]);
    let (_, job) = manager.create_instance("default", "c1", &image(), &start, &none()).await.unwrap();
    let end = client.done(&job).await;
    let notes = Vec::<String>::try_from(end.output["notes"].try_clone().unwrap()).unwrap();
    assert!(notes.iter().any(|note| note.contains("pool default")), "{notes:?}");
    assert!(notes.iter().any(|note| note.contains("network lxbr0 (10.99.0.1/24")), "{notes:?}");
    assert!(notes.iter().any(|note| note.contains("lxbr0 is in the zone of the simulated firewall")), "{notes:?}");
    assert_eq!(manager.list_pools().await.unwrap().len(), 1);
    assert_eq!(manager.list_networks(&none(), "", 0).await.unwrap().0[0].name, "lxbr0");
    let profile = manager.get_profile("default", "default").await.unwrap();
    assert_eq!(client.text(profile.as_str(), "org.lxhost1.Profile", "Name").await, "default");

    let (_, job) = manager.create_instance("default", "c2", &image(), &start, &none()).await.unwrap();
    let end = client.done(&job).await;
    assert!(!end.output.contains_key("notes"), "nothing is left to choose: {:?}", end.output);
    assert_eq!(manager.list_pools().await.unwrap()[0].used_by, 2);
}

#[tokio::test]
async fn everything_about_a_run_is_told_in_one_signal() {
    let world = World::start().await;
    let client = world.client().await;
    let path = client.create("c1", &none()).await;
    let mut signals = client.signals().await;
    let job = client.instance(&path).await.start(&none()).await.unwrap();
    client.done(&job).await;
    let mut seen = vec![];
    loop {
        let changed = signals.changed(&path, INSTANCE).await;
        let Some(state) = changed.get("State") else { continue };
        for together in ["SubState", "StateTimestamp", "Leader", "Addresses"] {
            assert!(changed.contains_key(together), "{together} is missing: {changed:?}");
        }
        seen.push(text(state));
        let leader = u32::try_from(changed["Leader"].try_clone().unwrap()).unwrap();
        assert!(text(state) != "running" || leader > 0, "a running instance has a leader");
        let ready = text(&changed["SubState"]) == "ready";
        if text(state) == "running"
            && ready
            && !Vec::<String>::try_from(changed["Addresses"].try_clone().unwrap()).unwrap().is_empty()
        {
            break;
        }
    }
    assert_eq!(seen.first().map(String::as_str), Some("starting"), "{seen:?}");
}

#[tokio::test]
async fn jobs_and_states_are_told_to_everybody_in_order() {
    let world = World::start().await;
    let (client, listener) = (world.client().await, world.client().await);
    let path = client.create("c1", &none()).await;
    let mut signals = listener.signals().await;
    let job = client.instance(&path).await.start(&none()).await.unwrap();
    type New = (u32, OwnedObjectPath, String, Vec<OwnedObjectPath>);
    let new = signals.next("JobNew", |m| m.body().deserialize::<New>().is_ok_and(|new| new.1 == job)).await;
    let (id, _, verb, objects) = new.body().deserialize::<New>().unwrap();
    assert_eq!((verb.as_str(), objects), ("instance.start", vec![path.clone()]));
    assert_eq!(signals.state(&path).await, ("stopped".into(), "starting".into(), String::new()));
    assert_eq!(signals.state(&path).await, ("starting".into(), "running".into(), String::new()));
    type Removed = (u32, OwnedObjectPath, String, String);
    let removed = signals.next("JobRemoved", |m| m.body().deserialize::<Removed>().is_ok_and(|end| end.1 == job)).await;
    assert_eq!(removed.body().deserialize::<Removed>().unwrap(), (id, job, "done".to_owned(), String::new()));

    client.done(&client.instance(&path).await.stop(&options([("mode", "force".into())])).await.unwrap()).await;
    assert_eq!(signals.state(&path).await.1, "stopping");
    assert_eq!(signals.state(&path).await, ("stopping".into(), "stopped".into(), "killed".into()));
}

#[tokio::test]
async fn a_failed_job_tells_its_error_to_everybody() {
    let world = World::start().await;
    let client = world.client().await;
    let mut signals = client.signals().await;
    let source = options([("type", "image".into()), ("image", "sim:emtpy".into())]);
    let (path, job) = client.manager().await.create_instance("default", "c1", &source, &none(), &none()).await.unwrap();
    let error = client.fails(&job).await;
    assert_eq!(error.kind, Kind::NoSuchImage);
    assert!(error.message.contains("did you mean sim:empty"), "{error}");
    type Removed = (u32, OwnedObjectPath, String, String);
    let removed = signals.next("JobRemoved", |m| m.body().deserialize::<Removed>().is_ok_and(|end| end.1 == job)).await;
    let (_, _, result, name) = removed.body().deserialize::<Removed>().unwrap();
    assert_eq!((result.as_str(), name.as_str()), ("failed", "org.lxhost1.Error.NoSuchImage"));
    assert!(client.list().await.is_empty());
    assert!(client.properties(path.as_str(), INSTANCE).await.is_err());
}

#[tokio::test]
async fn a_rename_keeps_the_path_and_is_told() {
    let world = World::start().await;
    let client = world.client().await;
    let path = client.create("c1", &none()).await;
    let instance = client.instance(&path).await;
    let mut signals = client.signals().await;
    assert_eq!(instance.rename("c2", &none()).await.unwrap(), path);
    let changed = signals.changed(&path, INSTANCE).await;
    assert_eq!((text(&changed["Name"]), text(&changed["Unit"])), ("c2".to_owned(), "lxhost-c2.scope".to_owned()));
    assert_eq!(instance.name().await.unwrap(), "c2");
    let manager = client.manager().await;
    assert_eq!(manager.get_instance("default", "c2").await.unwrap(), path);
    let why = refused(manager.get_instance("default", "c1").await, Kind::NoSuchInstance);
    assert!(why.contains("did you mean c2?"), "{why}");

    client.create("c3", &none()).await;
    refused(instance.rename("c3", &none()).await, Kind::AlreadyExists);
    client.done(&instance.start(&none()).await.unwrap()).await;
    refused(instance.rename("c4", &none()).await, Kind::InvalidState);
    assert_eq!(instance.name().await.unwrap(), "c2");
}

#[tokio::test]
async fn a_copy_has_what_the_original_has_and_an_identity_of_its_own() {
    let world = World::start().await;
    let client = world.client().await;
    let spec = options([("config", Variant::from(std::collections::HashMap::from([("user.a", "1")])))]);
    let path = client.create("c1", &spec).await;
    let source = options([("type", "copy".into()), ("instance", Variant::from(path.as_ref()))]);
    let manager = client.manager().await;
    let (copy, job) = manager.create_instance("default", "c2", &source, &none(), &none()).await.unwrap();
    client.done(&job).await;
    assert_ne!(copy, path);
    let (config, _, profiles, _) = client.instance(&copy).await.get_config(&none()).await.unwrap();
    assert_eq!((config["user.a"].as_str(), profiles), ("1", vec!["default".to_owned()]));
    let ids =
        async |path: &OwnedObjectPath| client.properties(path.as_str(), INSTANCE).await.unwrap()["Ids"].try_clone().unwrap();
    assert_ne!(ids(&copy).await, ids(&path).await, "user ids are never shared");

    client.done(&client.instance(&path).await.start(&none()).await.unwrap()).await;
    let (_, job) = manager.create_instance("default", "c3", &source, &none(), &none()).await.unwrap();
    client.done(&job).await;
}

#[tokio::test]
async fn an_instance_without_a_name_gets_one() {
    let world = World::start().await;
    let client = world.client().await;
    let (path, job) = client.manager().await.create_instance("default", "", &empty(), &none(), &none()).await.unwrap();
    let end = client.done(&job).await;
    let name = text(&end.output["name"]);
    assert!(name.split('-').count() == 2, "{name}");
    assert_eq!(client.instance(&path).await.name().await.unwrap(), name);
}

#[tokio::test]
async fn a_frozen_instance_stands_still_until_it_is_thawed() {
    let world = World::start().await;
    let client = world.client().await;
    let path = client.launch("c1").await;
    let instance = client.instance(&path).await;
    client.done(&instance.freeze(&none()).await.unwrap()).await;
    assert_eq!(instance.state().await.unwrap(), "frozen");
    refused(instance.freeze(&none()).await, Kind::NotRunning);
    refused(client.guest(&path).await.exec(&["true"], &Default::default(), &none()).await, Kind::InvalidState);
    client.done(&instance.thaw(&none()).await.unwrap()).await;
    assert_eq!(instance.state().await.unwrap(), "running");
    refused(instance.thaw(&none()).await, Kind::InvalidState);
    client.done(&instance.freeze(&none()).await.unwrap()).await;
    client.done(&instance.stop(&none()).await.unwrap()).await;
    assert_eq!(instance.state().await.unwrap(), "stopped");
}

#[tokio::test]
async fn a_killed_guest_is_stopped_and_says_so() {
    let world = World::start().await;
    let client = world.client().await;
    let path = client.launch("c1").await;
    let mut signals = client.signals().await;
    client.instance(&path).await.kill("leader", 9, &none()).await.unwrap();
    while signals.state(&path).await.1 != "stopped" {}
    let all = client.properties(path.as_str(), INSTANCE).await.unwrap();
    let exit = <(String, i32)>::try_from(all["LastExit"].try_clone().unwrap()).unwrap();
    assert_eq!(exit, ("killed".to_owned(), 9));
}
