//! lxhost-dbus
