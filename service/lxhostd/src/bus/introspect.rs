//! One-level introspection for nodes with many children. The default answer of an object server holds
//! the whole subtree: with thousands of objects it exceeds what the bus carries, and the daemon is
//! disconnected.

use super::publish::Publisher;
use std::fmt::Write;
use zbus::fdo::{ObjectManager, Properties};
use zbus::object_server::Interface;

const HEAD: &str = "<!DOCTYPE node PUBLIC \"-//freedesktop//DTD D-BUS Object Introspection 1.0//EN\" \
                    \"http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd\">\n";

/// Those that the library keeps to itself (D-Bus specification, "Standard Interfaces").
const INTROSPECTABLE_AND_PEER: &str = r#"  <interface name="org.freedesktop.DBus.Introspectable">
    <method name="Introspect">
      <arg name="xml" type="s" direction="out"/>
    </method>
  </interface>
  <interface name="org.freedesktop.DBus.Peer">
    <method name="Ping"/>
    <method name="GetMachineId">
      <arg name="id" type="s" direction="out"/>
    </method>
  </interface>
"#;

/// Which node it is.
pub(super) enum Node {
    /// A node above the Manager, with its children.
    Above(&'static [&'static str]),
    /// The Manager itself.
    Manager(super::manager::Manager, super::trash::Trash),
    /// A collection.
    Collection(&'static str),
}

/// `org.freedesktop.DBus.Introspectable` of such a node.
pub(super) struct Introspect {
    pub(super) node: Node,
    pub(super) publisher: Publisher,
}

#[zbus::interface(name = "org.freedesktop.DBus.Introspectable")]
impl Introspect {
    fn introspect(&self) -> String {
        let mut xml = String::from(HEAD);
        xml.push_str("<node>\n");
        match &self.node {
            Node::Above(children) => children.iter().for_each(|child| node(&mut xml, child)),
            Node::Manager(manager, trash) => {
                manager.introspect_to_writer(&mut xml, 2);
                trash.introspect_to_writer(&mut xml, 2);
                standard(&mut xml, false);
                lxhost_dbus::path::COLLECTIONS.iter().for_each(|child| node(&mut xml, child));
            }
            Node::Collection(collection) => {
                standard(&mut xml, true);
                self.publisher.children(collection).iter().for_each(|child| node(&mut xml, child));
            }
        }
        xml.push_str("</node>\n");
        xml
    }
}

fn node(xml: &mut String, name: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(xml, "  <node name=\"{name}\"/>");
}

/// The interfaces that the object server adds to every node.
fn standard(xml: &mut String, object_manager: bool) {
    xml.push_str(INTROSPECTABLE_AND_PEER);
    Properties.introspect_to_writer(xml, 2);
    if object_manager {
        ObjectManager.introspect_to_writer(xml, 2);
    }
}
