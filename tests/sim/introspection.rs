//! The published interfaces: what a running daemon says of itself is compared with the copy in
//! `dbus-interfaces/xml`, so that the API changes only where somebody meant it to. `LXHOST_BLESS=1` writes
//! the copy anew.

use crate::client::{Client, none, options};
use crate::world::World;
use std::path::{Path, PathBuf};
use zbus::wire::{OwnedObjectPath, Variant};

/// A bus with one object of every interface: interface and path.
pub(crate) async fn every_object(client: &Client) -> Vec<(&'static str, String)> {
    let manager = client.manager().await;
    let (path, job) = manager
        .create_instance("default", "c1", &crate::client::image(), &options([("start", true.into())]), &none())
        .await
        .unwrap();
    client.done(&job).await;
    let guest = client.guest(&path).await;
    let wanted = options([("null", Variant::from(vec!["stdin", "stdout", "stderr"]))]);
    let (exec, _) = guest.exec(&["sleep", "1000"], &Default::default(), &wanted).await.unwrap();
    let (volume, made) =
        crate::volumes::pool(client).await.create_volume("", "data", &Default::default(), &none()).await.unwrap();
    client.done(&made).await;
    let text = |path: OwnedObjectPath| path.as_str().to_owned();
    vec![
        ("Manager", "/org/lxhost1".to_owned()),
        ("Trash", "/org/lxhost1".to_owned()),
        ("Instance", text(path.clone())),
        ("Guest", text(path.clone())),
        ("Snapshots", text(path)),
        ("Image", text(manager.get_image("default", "sim:empty").await.unwrap())),
        ("Network", text(manager.get_network("default", "lxbr0").await.unwrap())),
        ("ACL", text(manager.create_acl("default", "web", &Default::default(), &[], &[], &none()).await.unwrap())),
        ("Profile", text(manager.get_profile("default", "default").await.unwrap())),
        ("Pool", text(manager.get_pool("default").await.unwrap())),
        ("Files", text(volume.clone())),
        ("Volume", text(volume)),
        ("Job", text(job)),
        ("Exec", text(exec)),
    ]
}

/// The lines of one interface in what a node says of itself.
pub(crate) fn interface(xml: &str, name: &str) -> Vec<String> {
    let open = format!("<interface name=\"{name}\">");
    let mut lines = xml.lines().skip_while(|line| line.trim() != open);
    let mut found: Vec<String> = lines.by_ref().take_while(|line| line.trim() != "</interface>").map(str::to_owned).collect();
    assert!(!found.is_empty(), "{name} is not in\n{xml}");
    found.push("  </interface>".to_owned());
    found
}

/// The value of an attribute of a tag.
pub(crate) fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    tag.split_once(&format!(" {name}=\""))?.1.split('"').next()
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../dbus-interfaces/xml/org.lxhost1.{name}.xml"))
}

fn document(lines: &[String]) -> String {
    let indent = lines[0].len() - lines[0].trim_start().len();
    let mut text = String::from(
        "<!DOCTYPE node PUBLIC \"-//freedesktop//DTD D-BUS Object Introspection 1.0//EN\"\n  \
         \"http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd\">\n<node>\n",
    );
    for line in lines {
        let deeper = (line.len() - line.trim_start().len()).saturating_sub(indent);
        text.push_str(&format!("  {}{}\n", " ".repeat(deeper), line.trim()));
    }
    text.push_str("</node>\n");
    text
}

#[tokio::test]
async fn the_interfaces_are_those_that_are_published() {
    let world = World::start().await;
    let client = world.client().await;
    let mut complaints = vec![];
    for (name, path) in every_object(&client).await {
        let xml = client.introspect(&path).await.unwrap();
        let now = document(&interface(&xml, &format!("org.lxhost1.{name}")));
        let copy = golden(name);
        if std::env::var_os("LXHOST_BLESS").is_some() {
            std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
            std::fs::write(&copy, &now).unwrap();
        }
        let published = std::fs::read_to_string(&copy).unwrap_or_default();
        let differs = now.lines().zip(published.lines()).find(|(now, then)| now != then);
        if now != published {
            complaints.push(format!("{}: {:?}", copy.display(), differs));
        }
    }
    assert!(complaints.is_empty(), "LXHOST_BLESS=1 publishes what is meant:\n{}", complaints.join("\n"));
}

#[tokio::test]
async fn every_argument_has_a_name() {
    let world = World::start().await;
    let client = world.client().await;
    let mut complaints = vec![];
    for (name, path) in every_object(&client).await {
        let (xml, mut member) = (client.introspect(&path).await.unwrap(), String::new());
        for line in interface(&xml, &format!("org.lxhost1.{name}")) {
            if line.contains("<method ") || line.contains("<signal ") {
                member = attribute(&line, "name").unwrap().to_owned();
            }
            if line.contains("<arg ") && attribute(&line, "name").is_none_or(str::is_empty) {
                complaints.push(format!("{name}.{member}: {}", line.trim()));
            }
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[tokio::test]
async fn nothing_secret_is_a_property_and_nothing_can_be_written() {
    let world = World::start().await;
    let client = world.client().await;
    for (name, path) in every_object(&client).await {
        let xml = client.introspect(&path).await.unwrap();
        for line in interface(&xml, &format!("org.lxhost1.{name}")).iter().filter(|line| line.contains("<property ")) {
            let property = attribute(line, "name").unwrap();
            assert_eq!(attribute(line, "access"), Some("read"), "{name}.{property}");
            assert!(!["Config", "Devices", "Environment", "CommandLine", "Argv"].contains(&property), "{name}.{property}");
        }
    }
}

#[tokio::test]
async fn every_object_shows_what_it_says_it_has() {
    let world = World::start().await;
    let client = world.client().await;
    for (name, path) in every_object(&client).await {
        let interface = format!("org.lxhost1.{name}");
        let xml = client.introspect(&path).await.unwrap();
        let lines = self::interface(&xml, &interface);
        let said: std::collections::BTreeSet<&str> =
            lines.iter().filter(|line| line.contains("<property ")).filter_map(|line| attribute(line, "name")).collect();
        let all = client.properties(&path, &interface).await.unwrap();
        assert_eq!(said, all.keys().map(String::as_str).collect(), "{name}");
    }
}

#[tokio::test]
async fn nodes_of_many_children_say_their_standard_interfaces_in_full() {
    let world = World::start().await;
    let client = world.client().await;
    for (path, wanted) in [
        ("/org/lxhost1", &["Introspect", "Ping", "GetMachineId", "Get", "GetAll", "Set", "PropertiesChanged"][..]),
        ("/org/lxhost1/instance", &["Introspect", "Ping", "GetAll", "GetManagedObjects", "InterfacesAdded", "InterfacesRemoved"]),
    ] {
        let xml = client.introspect(path).await.unwrap();
        for member in wanted {
            assert!(xml.contains(&format!(" name=\"{member}\"")), "{path} lacks {member}:\n{xml}");
        }
    }
}
