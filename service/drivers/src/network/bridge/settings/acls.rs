//! The keys by which a bridge carries ACLs. Pure; read with the other settings.

use lxhost_model::acl::Action;
use lxhost_model::config::{Config, parse_bool};
use lxhost_model::name::{AclName, quoted};
use lxhost_model::{Error, Kind, Network, Result};

/// Most ACLs of one network.
const MAX_ACLS: usize = 32;

/// What becomes of traffic that no rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DefaultRule {
    /// What is done.
    pub(crate) action: Action,
    /// Whether it is logged.
    pub(crate) logged: bool,
}

/// ACLs that a network carries. Without any, everything is let through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Carried {
    /// Their names.
    pub(crate) names: Vec<AclName>,
    /// For what goes to instances.
    pub(crate) ingress: DefaultRule,
    /// For what comes from them.
    pub(crate) egress: DefaultRule,
}

/// The ACLs that `network` carries.
///
/// # Errors
/// `InvalidConfig`, naming the key; `InvalidName`.
pub(super) fn read(network: &Network) -> Result<Carried> {
    let names: Vec<AclName> = network.acls().map(str::parse).collect::<Result<_>>()?;
    if names.len() > MAX_ACLS {
        return Err(Error::new(Kind::InvalidConfig, format!("network key \"security.acls\": more than {MAX_ACLS} ACLs")));
    }
    let of = |direction: &str| default(&network.config, direction);
    Ok(Carried { names, ingress: of("ingress")?, egress: of("egress")? })
}

fn default(config: &Config, direction: &str) -> Result<DefaultRule> {
    let get = |what: &str| {
        let key = format!("security.acls.default.{direction}.{what}");
        config.get(&key).map(|value| (key, value))
    };
    let action = match get("action") {
        None => Action::Reject,
        Some((key, value)) => Action::parse(value).map_err(|e| e.context(format!("network key {}", quoted(&key))))?,
    };
    let logged = match get("logged") {
        None => false,
        Some((key, value)) => parse_bool(value)
            .ok_or_else(|| Error::new(Kind::InvalidConfig, format!("network key {}: expected true or false", quoted(&key))))?,
    };
    Ok(DefaultRule { action, logged })
}
