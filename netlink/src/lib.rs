//! lxhost-netlink
