//! Option dictionaries: every method that takes one refuses a key it does not know, and changes nothing.
//! The methods are found by introspection, so that a new one is tested from its first day.

use crate::client::{Client, empty, error, none, options, refused};
use crate::introspection::{attribute, every_object, interface};
use crate::world::World;
use lxhost_model::Kind;
use std::os::fd::AsFd;
use zbus::wire::signature::Signature;
use zbus::wire::{Array, Dict, Fd, ObjectPath, Structure, StructureBuilder, Variant};

/// A method and the signatures of what it takes.
#[derive(Debug)]
struct Method {
    name: String,
    takes: Vec<String>,
}

fn methods(lines: &[String]) -> Vec<Method> {
    let mut methods: Vec<Method> = vec![];
    for line in lines {
        if line.contains("<method ") {
            methods.push(Method { name: attribute(line, "name").unwrap().to_owned(), takes: vec![] });
        } else if line.contains("<arg ") && attribute(line, "direction") == Some("in") {
            methods.last_mut().unwrap().takes.push(attribute(line, "type").unwrap().to_owned());
        } else if line.contains("<signal ") {
            break;
        }
    }
    methods
}

/// Something of each type that gets as far as the options.
fn argument<'a>(method: &str, signature: &str, null: &'a std::fs::File) -> Variant<'a> {
    let parsed = Signature::try_from(signature).unwrap();
    match (&parsed, signature) {
        (_, "s") if method == "BulkOperation" => Variant::from("stop"),
        (_, "s") => Variant::from(""),
        (_, "as") => Variant::from(vec!["true"]),
        (_, "o") => ObjectPath::from_static_str_unchecked("/").into(),
        (_, "h") => Fd::from(null.as_fd()).into(),
        (_, "b") => false.into(),
        (_, "q") => 0u16.into(),
        (_, "u") => 0u32.into(),
        (_, "t") => 0u64.into(),
        (_, "i") => 0i32.into(),
        (Signature::Dict { key, value }, _) => Dict::new(key.signature(), value.signature()).into(),
        (Signature::Array(element), _) => Array::new(element.signature()).into(),
        other => panic!("{method} takes something new: {other:?}"),
    }
}

fn bogus() -> Variant<'static> {
    Variant::from(std::collections::HashMap::from([("bogus", Variant::from(true))]))
}

/// Arguments with an unknown key in the dictionary at `at`.
fn body<'a>(method: &Method, at: usize, null: &'a std::fs::File) -> Structure<'a> {
    let mut body = StructureBuilder::new();
    for (i, signature) in method.takes.iter().enumerate() {
        body = body.append_field(if i == at { bogus() } else { argument(&method.name, signature, null) });
    }
    body.build().unwrap()
}

/// Everything every object shows, and everything under way.
async fn everything(client: &Client, objects: &[(&'static str, String)]) -> String {
    let mut text = format!("{:?}", client.manager().await.list_jobs(&none(), "", 0).await.unwrap());
    for (name, path) in objects {
        let all = client.properties(path, &format!("org.lxhost1.{name}")).await.unwrap();
        let mut all: Vec<String> = all.iter().map(|(key, value)| format!("{key}={value:?}")).collect();
        all.sort();
        text.push_str(&format!("\n{path} {all:?}"));
    }
    text
}

#[tokio::test]
async fn every_method_refuses_an_option_it_does_not_know() {
    let world = World::start().await;
    let client = world.client().await;
    let null = std::fs::File::options().read(true).write(true).open("/dev/null").unwrap();
    let objects = every_object(&client).await;
    let before = everything(&client, &objects).await;
    let (mut tried, mut complaints) = (0, vec![]);
    for (name, path) in &objects {
        let interface_name = format!("org.lxhost1.{name}");
        let xml = client.introspect(path).await.unwrap();
        for method in methods(&interface(&xml, &interface_name)) {
            // The dictionaries of a source and a specification have tests of their own.
            let Some(at) = method.takes.iter().rposition(|signature| signature == "a{sv}") else { continue };
            let call = client
                .connection
                .call_method(
                    Some("org.lxhost1"),
                    path.as_str(),
                    Some(interface_name.as_str()),
                    method.name.as_str(),
                    &body(&method, at, &null),
                )
                .await;
            tried += 1;
            match call.map_err(error) {
                Err(refusal) if refusal.kind == Kind::UnknownOption && refusal.message.contains("bogus") => {}
                other => complaints.push(format!("{name}.{}: {other:?}", method.name)),
            }
        }
    }
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
    assert!(tried >= 35, "only {tried} methods were found");
    assert_eq!(everything(&client, &objects).await, before);
}

#[tokio::test]
async fn every_verb_that_changes_something_takes_options() {
    let world = World::start().await;
    let client = world.client().await;
    let reads = ["Get", "List", "Wait"];
    // What talks to a running command is as small as what it is for.
    let small = ["Exec.Signal", "Exec.Resize", "Exec.Close"];
    let mut complaints = vec![];
    for (name, path) in every_object(&client).await {
        let xml = client.introspect(&path).await.unwrap();
        for method in methods(&interface(&xml, &format!("org.lxhost1.{name}"))) {
            let full = format!("{name}.{}", method.name);
            let exempt = reads.iter().any(|read| method.name.starts_with(read)) || small.contains(&full.as_str());
            if !exempt && method.takes.last().map(String::as_str) != Some("a{sv}") {
                complaints.push(full);
            }
        }
    }
    assert!(complaints.is_empty(), "these cannot grow: {complaints:?}");
}

#[tokio::test]
async fn unknown_keys_of_a_source_and_a_specification_are_refused() {
    let world = World::start().await;
    let client = world.client().await;
    let manager = client.manager().await;
    let bogus = [("bogus", Variant::from(1u32))];
    for kind in ["empty", "image", "copy"] {
        let mut source = options([("type", Variant::from(kind)), ("image", "sim:empty".into())]);
        if kind == "copy" {
            source = options([
                ("type", kind.into()),
                (
                    "instance",
                    ObjectPath::from_static_str_unchecked("/org/lxhost1/instance/00000000000040008000000000000000").into(),
                ),
            ]);
        }
        if kind == "empty" {
            source.remove("image");
        }
        source.insert("bogus", 1u32.into());
        refused(manager.create_instance("default", "c1", &source, &none(), &none()).await, Kind::UnknownOption);
    }
    let image_for_nothing = options([("type", "empty".into()), ("image", "sim:empty".into())]);
    refused(manager.create_instance("default", "c1", &image_for_nothing, &none(), &none()).await, Kind::UnknownOption);
    refused(manager.create_instance("default", "c1", &empty(), &options(bogus), &none()).await, Kind::UnknownOption);
    assert!(client.list().await.is_empty());
    assert!(manager.list_jobs(&none(), "", 0).await.unwrap().0.is_empty());
}
