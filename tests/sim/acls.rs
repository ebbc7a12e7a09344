//! Network ACLs: made, carried, changed and refused while somebody needs them.

use crate::client::{Client, none, options, refused};
use crate::world::World;
use lxhost_dbus::Config;
use lxhost_dbus::proxy::{AclProxy, NetworkProxy};
use lxhost_model::Kind;
use zbus::wire::OwnedObjectPath;

fn rule(pairs: &[(&str, &str)]) -> Config {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

async fn acl(client: &Client, name: &str, ingress: &[Config]) -> AclProxy<'static> {
    let about = options([("description", "Web: one".into())]);
    let path = client.manager().await.create_acl("default", name, &Config::new(), ingress, &[], &about).await.unwrap();
    client.object(&path).await
}

/// A network that carries `acls`; its object.
async fn carrier(client: &Client, acls: &str) -> OwnedObjectPath {
    let keys = rule(&[("security.acls", acls)]);
    let (path, job) = client.manager().await.create_network("default", "lab", "bridge", &keys, &none()).await.unwrap();
    client.done(&job).await;
    path
}

#[tokio::test]
async fn an_acl_is_listed_changed_and_deleted() {
    let world = World::start().await;
    let client = world.client().await;
    let allow = rule(&[("action", "allow"), ("protocol", "tcp"), ("destination_port", "80")]);
    let web = acl(&client, "web", std::slice::from_ref(&allow)).await;
    let (_, ingress, egress, generation) = web.get_config(&none()).await.unwrap();
    assert_eq!((ingress, egress), (vec![allow.clone()], vec![]));
    let mut signals = client.signals().await;

    let drop = rule(&[("action", "drop")]);
    let about = options([("description", "Web: two".into())]);
    let job = web.replace_config(&Config::new(), &[], std::slice::from_ref(&drop), generation, &about).await.unwrap();
    client.done(&job).await;

    let path = OwnedObjectPath::from(web.inner().path().to_owned());
    signals.told(&path, "org.lxhost1.ACL", "Description").await;
    let (_, ingress, egress, later) = web.get_config(&none()).await.unwrap();
    assert_eq!((ingress, egress), (vec![], vec![drop]));
    assert!(later > generation);
    refused(web.replace_config(&Config::new(), &[], &[], generation, &none()).await, Kind::GenerationMismatch);

    client.done(&web.rename("www", &none()).await.unwrap()).await;
    let (rows, _) = client.manager().await.list_acls(&none(), "", 0).await.unwrap();
    assert_eq!(rows.iter().map(|row| (row.name.as_str(), row.used_by)).collect::<Vec<_>>(), [("www", 0)]);
    client.done(&web.delete(&none()).await.unwrap()).await;
    refused(client.manager().await.get_acl("default", "www").await, Kind::NoSuchAcl);
}

#[tokio::test]
async fn what_is_used_keeps_its_name_and_its_place() {
    let world = World::start().await;
    let client = world.client().await;
    let web = acl(&client, "web", &[]).await;
    let ops = acl(&client, "ops", &[rule(&[("action", "allow"), ("source", "web")])]).await;
    assert!(refused(web.delete(&none()).await, Kind::InUse).contains("ACL ops"));
    let network = carrier(&client, "ops").await;
    for refusal in [ops.delete(&none()).await, ops.rename("others", &none()).await] {
        assert!(refused(refusal, Kind::InUse).contains("network lab"));
    }
    assert_eq!(ops.list_users().await.unwrap(), std::slice::from_ref(&network));
    let network: NetworkProxy<'static> = client.object(&network).await;
    client.done(&network.delete(&none()).await.unwrap()).await;
    client.done(&ops.delete(&none()).await.unwrap()).await;
    client.done(&web.delete(&none()).await.unwrap()).await;
}

#[tokio::test]
async fn rules_without_sense_are_refused_by_number_and_change_nothing() {
    let world = World::start().await;
    let client = world.client().await;
    let manager = client.manager().await;
    let fine = rule(&[("action", "allow")]);
    for bad in [
        rule(&[]),
        rule(&[("action", "allow"), ("destination_port", "80")]),
        rule(&[("action", "allow"), ("protocol", "tcp"), ("destination_port", "65536")]),
        rule(&[("action", "allow"), ("source", "10.0.0.0/33")]),
        rule(&[("action", "allow\"; drop")]),
        rule(&[("action", "allow"), ("description", "a\u{7}b")]),
    ] {
        let rules = [fine.clone(), bad];
        let said = refused(manager.create_acl("default", "web", &Config::new(), &[], &rules, &none()).await, Kind::InvalidConfig);
        assert!(said.contains("egress 2"), "{said}");
    }
    let stranger = rule(&[("action", "allow"), ("source", "nobody")]);
    refused(manager.create_acl("default", "web", &Config::new(), &[stranger], &[], &none()).await, Kind::NoSuchAcl);
    refused(manager.create_acl("default", "1.2.3.4", &Config::new(), &[], &[], &none()).await, Kind::InvalidName);
    refused(manager.create_acl("default", "web", &rule(&[("color", "red")]), &[], &[], &none()).await, Kind::InvalidConfig);
    let many = vec![fine; 501];
    refused(manager.create_acl("default", "web", &Config::new(), &many, &[], &none()).await, Kind::InvalidConfig);
    assert!(manager.list_acls(&none(), "", 0).await.unwrap().0.is_empty());
    let keys = rule(&[("security.acls", "nobody")]);
    let (_, job) = manager.create_network("default", "lab", "bridge", &keys, &none()).await.unwrap();
    assert_eq!(client.fails(&job).await.kind, Kind::NoSuchAcl);
}
