//! What networks and pools have: a description and keys, as YAML for an editor. Called by both.

use crate::definition::Definition;
use crate::failure::Failure;
use lxhost_dbus::{Config, Options};
use serde_json::json;

/// A network or pool as it was read.
pub(crate) struct Keyed {
    /// Its description.
    pub(crate) description: String,
    /// Its keys.
    pub(crate) config: Config,
    /// What a change has to name.
    pub(crate) generation: u64,
}

impl Keyed {
    /// What an editor gets.
    pub(crate) fn yaml(&self, name: &str) -> Result<String, Failure> {
        crate::render::yaml(&json!({ "name": name, "description": self.description, "config": self.config }))
    }

    /// What an editor made of it: description and keys. What only describes is read and forgotten.
    pub(crate) fn edited(text: &str) -> Result<(String, Config), Failure> {
        let new = Definition::parse(text)?;
        if !new.devices.is_empty() || new.profiles.is_some_and(|profiles| !profiles.is_empty()) {
            return Err(Failure::usage("the definition has devices or profiles, which belong to instances"));
        }
        Ok((new.description.unwrap_or_default(), new.config))
    }
}

/// The option of that name, left out when there is none.
pub(crate) fn described(description: Option<&str>) -> Options<'_> {
    description.map(|text| ("description", text.into())).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_editor_leaves_alone_is_read_back() {
        let config = Config::from([("ipv4.nat".to_owned(), "true".to_owned())]);
        let keyed = Keyed { description: "Lab: one".into(), config: config.clone(), generation: 1 };
        let text = keyed.yaml("lxbr0").unwrap();
        assert_eq!(Keyed::edited(&text).unwrap(), ("Lab: one".to_owned(), config));
    }

    #[test]
    fn an_instances_definition_is_no_networks() {
        assert_eq!(Keyed::edited("devices:\n  root:\n    type: disk\n").unwrap_err().code, 2);
    }
}
