//! `monitor`: signals of the Manager and of networks, as they come.

use crate::args::{EventFormat, EventType, Monitor};
use crate::bus::Session;
use crate::failure::Failure;
use crate::render;
use futures_util::StreamExt;
use lxhost_dbus::proxy::NetworkProxy;
use lxhost_model::Kind;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use zbus::proxy::{Builder, CacheProperties};
use zbus::wire::OwnedObjectPath;
use zbus::{MatchRule, Message, MessageStream};

/// Prints events until it is interrupted.
pub(crate) async fn run(session: &Session, args: &Monitor) -> Result<(), Failure> {
    let rule =
        |interface| MatchRule::builder().msg_type(zbus::message::Type::Signal).sender(lxhost_dbus::BUS_NAME).interface(interface);
    let manager = rule("org.lxhost1.Manager").path(lxhost_dbus::path::MANAGER).build()?;
    let leases = rule("org.lxhost1.Network").member("LeaseChanged").build()?;
    let manager = MessageStream::for_match_rule(manager, &session.conn, None).await?;
    let leases = MessageStream::for_match_rule(leases, &session.conn, None).await?;
    let mut events = futures_util::stream::select(manager, leases);
    let mut names = Names::new();
    // Starts a daemon that is not there yet, and says so when it cannot be.
    session.manager().await?.version().await?;
    while let Some(message) = events.next().await {
        let Some((kind, mut event)) = read(&message?)? else { continue };
        if args.types.is_empty() || args.types.contains(&kind) {
            name_network(session, &mut names, &mut event).await;
            let now = jiff::Zoned::now();
            render::print(&shown(event, args.format, &now)?)?;
        }
    }
    Err(Failure::of(Kind::Interrupted, "the connection to the system bus is gone"))
}

/// Names of networks, by path.
type Names = BTreeMap<String, String>;

/// Puts a network's name where an event has its path. One that is gone was named before, or keeps its path.
async fn name_network(session: &Session, names: &mut Names, event: &mut Event) {
    let Some((_, Value::String(network))) = event.iter_mut().find(|(key, _)| *key == "network") else { return };
    let asked = async {
        let path = OwnedObjectPath::try_from(network.as_str())?;
        let proxy = Builder::<NetworkProxy<'_>>::new(&session.conn).path(path).cache_properties(CacheProperties::No);
        proxy.build().await?.name().await
    };
    if let Ok(name) = asked.await {
        names.insert(network.clone(), name);
    }
    if let Some(name) = names.get(network) {
        *network = name.clone();
    }
}

/// Fields of an event, in order.
type Event = Vec<(&'static str, Value)>;

/// An event; `None` for a signal of a later version.
fn read(message: &Message) -> Result<Option<(EventType, Event)>, Failure> {
    let header = message.header();
    let body = message.body();
    let bad = |e: zbus::Error| Failure::of(Kind::Failed, format!("an event cannot be read: {e}"));
    Ok(match header.member().map(|m| m.as_str()) {
        Some("InstanceStateChanged") => {
            type Args = (OwnedObjectPath, String, String, String, String, String);
            let (_, project, name, old, new, reason) = body.deserialize::<Args>().map_err(bad)?;
            let event = vec![
                ("event", "instance-state".into()),
                ("project", project.into()),
                ("name", name.into()),
                ("old", old.into()),
                ("new", new.into()),
                ("reason", reason.into()),
            ];
            Some((EventType::Lifecycle, event))
        }
        Some("JobNew") => {
            let (id, _, verb, objects) =
                body.deserialize::<(u32, OwnedObjectPath, String, Vec<OwnedObjectPath>)>().map_err(bad)?;
            let objects: Vec<String> = objects.iter().map(|o| o.to_string()).collect();
            let event = vec![("event", "job-new".into()), ("id", id.into()), ("verb", verb.into()), ("objects", json!(objects))];
            Some((EventType::Operation, event))
        }
        Some("JobRemoved") => {
            let (id, _, result, error) = body.deserialize::<(u32, OwnedObjectPath, String, String)>().map_err(bad)?;
            let event =
                vec![("event", "job-removed".into()), ("id", id.into()), ("result", result.into()), ("error", error.into())];
            Some((EventType::Operation, event))
        }
        Some("LeaseChanged") => {
            let (mac, address, what) = body.deserialize::<(String, String, String)>().map_err(bad)?;
            let network = header.path().map(ToString::to_string).unwrap_or_default();
            let event = vec![
                ("event", "lease".into()),
                ("network", network.into()),
                ("mac", mac.into()),
                ("address", address.into()),
                ("what", what.into()),
            ];
            Some((EventType::Lease, event))
        }
        _ => None,
    })
}

fn shown(event: Event, format: EventFormat, now: &jiff::Zoned) -> Result<String, Failure> {
    if format == EventFormat::Pretty {
        return Ok(format!("{} {}\n", now.strftime("%Y-%m-%d %H:%M:%S"), render::printable(&line(&event))));
    }
    let mut map = Map::from_iter([("time".to_owned(), now.timestamp().to_string().into())]);
    map.extend(event.into_iter().map(|(key, value)| (key.to_owned(), value)));
    match format {
        EventFormat::Yaml => Ok(format!("---\n{}", render::yaml(&map)?)),
        _ => Ok(format!("{}\n", Value::Object(map))),
    }
}

fn line(event: &[(&'static str, Value)]) -> String {
    let text = |key: &str| match event.iter().find(|(known, _)| *known == key).map(|(_, value)| value) {
        Some(Value::String(s)) => s.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    };
    let aside = |text: String| if text.is_empty() { text } else { format!(" ({text})") };
    match text("event").as_str() {
        "instance-state" => format!("instance {}: {} → {}{}", text("name"), text("old"), text("new"), aside(text("reason"))),
        "lease" => format!("lease {} in {}: {} of {}", text("what"), text("network"), text("address"), text("mac")),
        "job-new" => format!("operation {}: {}", text("id"), text("verb")),
        _ => format!("operation {}: {}{}", text("id"), text("result"), aside(text("error"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signal<B: serde::Serialize + zbus::wire::DynamicType>(member: &'static str, body: &B) -> Message {
        Message::signal("/org/lxhost1", "org.lxhost1.Manager", member).build(body).unwrap()
    }

    fn path(path: &str) -> OwnedObjectPath {
        OwnedObjectPath::try_from(path).unwrap()
    }

    #[test]
    fn a_change_of_state_is_one_line_or_one_object() {
        let body = (path("/org/lxhost1/instance/x"), "default", "c1", "starting", "running", "");
        let (kind, event) = read(&signal("InstanceStateChanged", &body)).unwrap().unwrap();
        assert_eq!(kind, EventType::Lifecycle);
        assert_eq!(line(&event), "instance c1: starting → running");
        let text = shown(event, EventFormat::Json, &jiff::Zoned::now()).unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&value["name"], &value["new"]), (&json!("c1"), &json!("running")));
        assert_eq!(text.lines().count(), 1);
    }

    #[test]
    fn a_lease_is_one_line_or_one_object() {
        let body = ("00:16:3e:01:02:03", "10.1.2.9", "added");
        let message = Message::signal("/org/lxhost1/network/x", "org.lxhost1.Network", "LeaseChanged");
        let (kind, event) = read(&message.build(&body).unwrap()).unwrap().unwrap();
        assert_eq!(kind, EventType::Lease);
        assert_eq!(line(&event), "lease added in /org/lxhost1/network/x: 10.1.2.9 of 00:16:3e:01:02:03");
        let value: Value = serde_json::from_str(&shown(event, EventFormat::Json, &jiff::Zoned::now()).unwrap()).unwrap();
        assert_eq!((&value["event"], &value["what"], &value["mac"]), (&json!("lease"), &json!("added"), &json!(body.0)));
    }

    #[test]
    fn jobs_begin_and_end() {
        let begun = signal("JobNew", &(7u32, path("/org/lxhost1/job/7"), "instance.start", vec![path("/a")]));
        assert_eq!(line(&read(&begun).unwrap().unwrap().1), "operation 7: instance.start");
        let ended = signal("JobRemoved", &(7u32, path("/org/lxhost1/job/7"), "failed", "org.lxhost1.Error.NoSpace"));
        assert_eq!(line(&read(&ended).unwrap().unwrap().1), "operation 7: failed (org.lxhost1.Error.NoSpace)");
        assert!(read(&signal("SomethingNew", &(1u32))).unwrap().is_none());
        assert!(read(&signal("JobNew", &("no",))).is_err());
    }
}
