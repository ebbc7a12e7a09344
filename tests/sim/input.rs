//! Hostile and mistaken arguments: each a typed error that names the thing, and nothing changed.

use crate::client::{Client, empty, image, none, options, refused};
use crate::world::World;
use lxhost_dbus::wire::Options;
use lxhost_model::Kind;
use std::collections::{BTreeMap, HashMap};
use zbus::wire::{ObjectPath, Variant};

/// Everything that can be listed.
async fn everything(client: &Client) -> String {
    let manager = client.manager().await;
    format!(
        "{:?}\n{:?}\n{:?}\n{:?}\n{:?}\n{:?}",
        client.list().await,
        manager.list_images(&none(), "", 0).await.unwrap(),
        manager.list_networks(&none(), "", 0).await.unwrap(),
        manager.list_profiles(&none(), "", 0).await.unwrap(),
        manager.list_pools().await.unwrap(),
        manager.list_jobs(&none(), "", 0).await.unwrap(),
    )
}

const BAD_NAMES: &[&str] =
    &["../x", "-x", "x-", "a/b", "a\nb", "a b", "1x", "é", ".", "..", "a_b", "a\u{7f}", "c1;reboot", "$(id)", "%s"];

#[tokio::test]
async fn bad_names_are_refused_everywhere_and_change_nothing() {
    let world = World::start().await;
    let client = world.client().await;
    let manager = client.manager().await;
    let path = client.create("c1", &none()).await;
    let instance = client.instance(&path).await;
    let before = everything(&client).await;
    let long = "x".repeat(300);
    for bad in BAD_NAMES.iter().copied().chain([long.as_str()]) {
        let why = refused(manager.create_instance("default", bad, &image(), &none(), &none()).await, Kind::InvalidName);
        assert!(why.len() < 300 && !why.chars().any(char::is_control), "{why:?}");
        refused(instance.rename(bad, &none()).await, Kind::InvalidName);
        refused(
            manager.create_instance(bad, "c2", &image(), &none(), &none()).await,
            if plain(bad) { Kind::NoSuchProject } else { Kind::InvalidName },
        );
        refused(manager.get_instance("default", bad).await, Kind::NoSuchInstance);
        if plain(bad) {
            continue;
        }
        refused(manager.create_network("default", bad, "bridge", &BTreeMap::new(), &none()).await, Kind::InvalidName);
        refused(manager.create_pool(bad, "dir", &BTreeMap::new(), &none()).await, Kind::InvalidName);
        refused(manager.create_profile("default", bad, &BTreeMap::new(), &BTreeMap::new(), &none()).await, Kind::InvalidName);
        refused(manager.get_pool(bad).await, Kind::NoSuchPool);
        refused(manager.get_network("default", bad).await, Kind::NoSuchNetwork);
        refused(manager.get_profile("default", bad).await, Kind::NoSuchProfile);
        let devices = BTreeMap::from([(bad.to_owned(), BTreeMap::from([("type".to_owned(), "none".to_owned())]))]);
        refused(manager.create_profile("default", "p", &BTreeMap::new(), &devices, &none()).await, Kind::InvalidName);
        let spec = options([("profiles", Variant::from(vec![bad]))]);
        refused(manager.create_instance("default", "c2", &empty(), &spec, &none()).await, Kind::InvalidName);
    }
    refused(instance.rename("", &none()).await, Kind::InvalidName);
    refused(manager.create_pool("", "dir", &BTreeMap::new(), &none()).await, Kind::InvalidName);
    assert_eq!(everything(&client).await, before);
}

/// Names that are fine for everything but instances.
fn plain(name: &str) -> bool {
    matches!(name, "x-" | "1x" | "a_b")
}

#[tokio::test]
async fn a_name_of_63_bytes_is_the_longest() {
    let world = World::start().await;
    let client = world.client().await;
    client.create(&"x".repeat(63), &none()).await;
    let manager = client.manager().await;
    refused(manager.create_instance("default", &"x".repeat(64), &empty(), &none(), &none()).await, Kind::InvalidName);
}

#[tokio::test]
async fn unknown_keys_and_malformed_values_are_named() {
    let world = World::start().await;
    let client = world.client().await;
    let manager = client.manager().await;
    let path = client.create("c1", &none()).await;
    let instance = client.instance(&path).await;
    let before = (everything(&client).await, instance.get_config(&none()).await.unwrap());
    let long = "x".repeat(70_000);
    for (key, value, hint) in [
        ("limits.memmory", "1GiB", "did you mean limits.memory?"),
        ("limits.memory", "200%", "1% to 100%"),
        ("limits.memory", "99999999999999999999", "size"),
        ("boot.autostart", "maybe", "true or false"),
        ("linux.init", "a\nb", "one line"),
        ("environment.A", "1\n2", "malformed"),
        ("user.", "1", "malformed"),
        ("user.a b", "1", "malformed"),
        ("user.x", "a\u{1b}[31m", "control characters"),
        ("user.x", long.as_str(), "too long"),
        ("", "1", "unknown key"),
        ("volatile.uuid", "1", "unknown key"),
    ] {
        let set = BTreeMap::from([(key.to_owned(), value.to_owned())]);
        let why = refused(instance.update_config(&set, &[], &none()).await, Kind::InvalidConfig);
        assert!(why.contains(hint) && why.len() < 500, "{key}: {why}");
        let spec = options([("config", Variant::from(HashMap::from([(key, value)])))]);
        refused(manager.create_instance("default", "c2", &empty(), &spec, &none()).await, Kind::InvalidConfig);
        refused(manager.create_profile("default", "p", &set, &BTreeMap::new(), &none()).await, Kind::InvalidConfig);
    }
    refused(instance.update_config(&BTreeMap::new(), &["user.unset"], &none()).await, Kind::InvalidConfig);
    let many: BTreeMap<String, String> = (0..2000).map(|i| (format!("user.k{i}"), "1".to_owned())).collect();
    refused(instance.update_config(&many, &[], &none()).await, Kind::InvalidConfig);
    refused(manager.create_profile("default", "p", &many, &BTreeMap::new(), &none()).await, Kind::InvalidConfig);
    let description = options([("description", Variant::from("a\u{1b}]0;x\u{7}"))]);
    refused(manager.create_instance("default", "c2", &empty(), &description, &none()).await, Kind::InvalidConfig);
    refused(manager.create_profile("default", "p", &BTreeMap::new(), &BTreeMap::new(), &description).await, Kind::InvalidConfig);
    assert_eq!((everything(&client).await, instance.get_config(&none()).await.unwrap()), before);
}

#[tokio::test]
async fn devices_are_checked_as_a_whole() {
    let world = World::start().await;
    let client = world.client().await;
    let path = client.create("c1", &none()).await;
    let instance = client.instance(&path).await;
    let (config, _, profiles, generation) = instance.get_config(&none()).await.unwrap();
    let profiles: Vec<&str> = profiles.iter().map(String::as_str).collect();
    for (keys, kind) in [
        (vec![], Kind::InvalidConfig),
        (vec![("type", "usb")], Kind::InvalidConfig),
        (vec![("type", "disk"), ("bogus", "1")], Kind::InvalidConfig),
        (vec![("type", "nic"), ("network", "no-such-net")], Kind::NoSuchNetwork),
        (vec![("type", "nic"), ("network", "../x")], Kind::InvalidName),
        (vec![("type", "nic"), ("network", "lxbr0"), ("mtu", "big")], Kind::InvalidConfig),
        (vec![("type", "nic"), ("network", "lxbr0"), ("ipv4.address", "10.0.0.256")], Kind::InvalidConfig),
    ] {
        let keys = keys.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        let devices = BTreeMap::from([("d0".to_owned(), keys)]);
        let why = refused(instance.replace_config(&config, &devices, &profiles, generation, &none()).await, kind);
        assert!(kind == Kind::InvalidName || why.contains("d0"), "{why}");
    }
    refused(instance.replace_config(&config, &BTreeMap::new(), &["no-such"], generation, &none()).await, Kind::NoSuchProfile);
    assert_eq!(instance.get_config(&none()).await.unwrap().3, generation);
}

#[tokio::test]
async fn a_change_of_what_was_changed_meanwhile_is_refused() {
    let world = World::start().await;
    let client = world.client().await;
    let path = client.create("c1", &none()).await;
    let instance = client.instance(&path).await;
    let (config, devices, profiles, read) = instance.get_config(&none()).await.unwrap();
    let profiles: Vec<&str> = profiles.iter().map(String::as_str).collect();
    let set = |value: &str| BTreeMap::from([("user.a".to_owned(), value.to_owned())]);
    let (now, _) = instance.update_config(&set("1"), &[], &none()).await.unwrap();
    assert!(now > read);
    refused(instance.replace_config(&config, &devices, &profiles, read, &none()).await, Kind::GenerationMismatch);
    let stale = options([("expected-generation", read.into())]);
    refused(instance.update_config(&set("2"), &[], &stale).await, Kind::GenerationMismatch);
    assert_eq!(instance.get_config(&none()).await.unwrap().0["user.a"], "1");
    let fresh = options([("expected-generation", now.into())]);
    assert!(instance.update_config(&set("2"), &[], &fresh).await.unwrap().0 > now);

    let manager = client.manager().await;
    let profile = manager.get_profile("default", "default").await.unwrap();
    let profile: lxhost_dbus::proxy::ProfileProxy<'static> = client.object(&profile).await;
    let (config, devices, read) = profile.get_config(&none()).await.unwrap();
    profile.replace_config(&config, &devices, read, &none()).await.unwrap();
    refused(profile.replace_config(&config, &devices, read, &none()).await, Kind::GenerationMismatch);
}

#[tokio::test]
async fn arguments_of_the_wrong_type_are_refused() {
    let world = World::start().await;
    let client = world.client().await;
    let manager = client.manager().await;
    let path = client.create("c1", &none()).await;
    let instance = client.instance(&path).await;
    let before = everything(&client).await;
    let create =
        async |source: &Options<'_>, spec: &Options<'_>| manager.create_instance("default", "c2", source, spec, &none()).await;
    for (key, value) in [
        ("start", Variant::from("yes")),
        ("ephemeral", 1u32.into()),
        ("config", vec!["a"].into()),
        ("config", HashMap::from([("user.a", 1u32)]).into()),
        ("profiles", "default".into()),
        ("devices", HashMap::from([("d0", "disk")]).into()),
        ("pool", 5u8.into()),
        ("type", true.into()),
    ] {
        let why = refused(create(&empty(), &options([(key, value)])).await, Kind::InvalidArgs);
        assert!(why.contains(key), "{why}");
    }
    refused(create(&none(), &none()).await, Kind::InvalidArgs);
    refused(create(&options([("type", "image".into())]), &none()).await, Kind::InvalidArgs);
    refused(create(&options([("type", "image".into()), ("image", 3u32.into())]), &none()).await, Kind::InvalidArgs);
    refused(create(&options([("type", "telepathy".into())]), &none()).await, Kind::InvalidArgs);
    let from =
        |path: &'static str| options([("type", "copy".into()), ("instance", ObjectPath::from_static_str_unchecked(path).into())]);
    refused(create(&from("/org/lxhost1/pool/x"), &none()).await, Kind::NoSuchInstance);
    refused(create(&from("/org/lxhost1/instance/00000000000040008000000000000000"), &none()).await, Kind::NoSuchInstance);
    refused(create(&empty(), &options([("type", "vm".into())])).await, Kind::Unsupported);
    refused(create(&empty(), &options([("pool", "no-such".into())])).await, Kind::NoSuchPool);
    refused(create(&options([("type", "image".into()), ("image", "no-such".into())]), &none()).await, Kind::NoSuchImage);
    refused(instance.stop(&options([("mode", "gently".into())])).await, Kind::InvalidArgs);
    refused(instance.stop(&options([("timeout-usec", "1".into())])).await, Kind::InvalidArgs);
    refused(instance.kill("everybody", 9, &none()).await, Kind::InvalidArgs);
    refused(instance.kill("all", 0, &none()).await, Kind::InvalidArgs);
    refused(instance.get_state(&["bogus"], &none()).await, Kind::InvalidArgs);
    // A message whose signature is not that of the method.
    let reply =
        client.connection.call_method(Some("org.lxhost1"), path.as_str(), Some("org.lxhost1.Instance"), "Start", &("x")).await;
    refused(reply, Kind::InvalidArgs);
    assert_eq!(everything(&client).await, before);
}

#[tokio::test]
async fn kinds_that_do_not_exist_are_named_with_those_that_do() {
    let world = World::start().await;
    let client = world.client().await;
    let manager = client.manager().await;
    let config = BTreeMap::new();
    assert!(refused(manager.create_pool("p", "zoo", &config, &none()).await, Kind::Unsupported).contains("overlay"));
    assert!(refused(manager.create_network("default", "n", "zoo", &config, &none()).await, Kind::Unsupported).contains("bridge"));
    assert!(refused(manager.pull_image("default", "zoo", "x", &none()).await, Kind::NoSuchImage).contains("sim"));
    assert!(refused(manager.list_remote_images("zoo").await, Kind::NoSuchImage).contains("sim"));
    assert_eq!(manager.list_remote_images("sim").await.unwrap()[0].alias, "empty");
}

#[tokio::test]
async fn what_is_used_cannot_be_deleted() {
    let world = World::start().await;
    let client = world.client().await;
    let manager = client.manager().await;
    let path = client.launch("c1").await;
    let pool: lxhost_dbus::proxy::PoolProxy<'static> = client.object(&manager.get_pool("default").await.unwrap()).await;
    let network = manager.get_network("default", "lxbr0").await.unwrap();
    let network: lxhost_dbus::proxy::NetworkProxy<'static> = client.object(&network).await;
    let profile = manager.get_profile("default", "default").await.unwrap();
    let profile: lxhost_dbus::proxy::ProfileProxy<'static> = client.object(&profile).await;
    assert!(refused(pool.delete(&none()).await, Kind::InUse).contains("c1"));
    assert!(refused(network.delete(&none()).await, Kind::InUse).contains("profile default"));
    assert!(refused(profile.delete(&none()).await, Kind::InUse).contains("c1"));
    let instance = client.instance(&path).await;
    refused(instance.delete(&none()).await, Kind::InvalidState);
    client.done(&instance.delete(&options([("force", true.into())])).await.unwrap()).await;
    profile.delete(&none()).await.unwrap();
    client.done(&network.delete(&none()).await.unwrap()).await;
    client.done(&pool.delete(&none()).await.unwrap()).await;
    assert!(manager.list_pools().await.unwrap().is_empty());
}
