//! `org.lxhost1.ACL`.

use super::Bus;
use super::error::Failure;
use super::job::{described, value};
use super::options::{self, Options};
use super::rows::object;
use lxhost_dbus::path;
use lxhost_dbus::wire::{Config, Values};
use lxhost_engine::acl::{Delete, Rename, Replace, by_id, users};
use lxhost_engine::ports::State;
use lxhost_engine::{Question, Result};
use lxhost_model::{Acl as Record, Action, ObjectId};
use std::collections::HashMap;
use std::sync::Arc;
use zbus::message::Header;
use zbus::wire::{OwnedObjectPath, OwnedVariant};

pub(super) struct Acl {
    pub(super) bus: Bus,
    pub(super) id: ObjectId,
}

/// Properties that changed with a commit.
pub(super) fn changes(before: &State, after: &State, id: ObjectId) -> Result<HashMap<&'static str, OwnedVariant>> {
    let (Some(old), Some(new)) = (before.acls.get(&id), after.acls.get(&id)) else { return Ok(HashMap::new()) };
    let mut changed = described((&old.description, old.generation), (&new.description, new.generation))?;
    if old.name != new.name {
        changed.insert("Name", value(new.name.as_str())?);
    }
    Ok(changed)
}

impl Acl {
    fn record(&self) -> Result<Arc<Record>> {
        by_id(&self.bus.engine.state(), self.id)
    }
}

#[zbus::interface(name = "org.lxhost1.ACL")]
impl Acl {
    #[zbus(out_args("config", "ingress", "egress", "generation"))]
    async fn get_config(
        &self,
        #[zbus(header)] header: Header<'_>,
        options: Values,
    ) -> Result<(Config, Vec<Config>, Vec<Config>, u64), Failure> {
        options::none(options)?;
        let caller = self.bus.caller(&header).await?;
        let record = self.record()?;
        let details = vec![("acl", record.name.to_string()), ("verb", "acl.get-config".to_owned())];
        self.bus.engine.allow(&caller, Question { action: Action::Info, details }).await?;
        Ok((record.config.clone(), record.ingress.clone(), record.egress.clone(), record.generation))
    }

    #[zbus(out_args("job"))]
    async fn replace_config(
        &self,
        #[zbus(header)] header: Header<'_>,
        config: Config,
        ingress: Vec<Config>,
        egress: Vec<Config>,
        expected_generation: u64,
        options: Values,
    ) -> Result<OwnedObjectPath, Failure> {
        let mut options = Options::new(options);
        let description = options.take("description")?;
        options.done()?;
        let expected = Some(expected_generation);
        self.bus.submit(&header, Replace { id: self.id, config, ingress, egress, description, expected }).await
    }

    #[zbus(out_args("job"))]
    async fn rename(&self, #[zbus(header)] header: Header<'_>, name: &str, options: Values) -> Result<OwnedObjectPath, Failure> {
        options::none(options)?;
        self.bus.submit(&header, Rename { id: self.id, name: name.parse()? }).await
    }

    #[zbus(out_args("networks"))]
    async fn list_users(&self) -> Result<Vec<OwnedObjectPath>, Failure> {
        let state = self.bus.engine.state();
        let record = self.record()?;
        let paths = users(&state, &record).map(|network| object(path::network(network.id)));
        Ok(paths.collect::<Result<_>>()?)
    }

    #[zbus(out_args("job"))]
    async fn delete(&self, #[zbus(header)] header: Header<'_>, options: Values) -> Result<OwnedObjectPath, Failure> {
        options::none(options)?;
        self.bus.submit(&header, Delete::new(self.id)).await
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn id(&self) -> String {
        self.id.to_string()
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn project(&self) -> Result<String, Failure> {
        Ok(self.record()?.project.to_string())
    }

    #[zbus(property)]
    fn name(&self) -> Result<String, Failure> {
        Ok(self.record()?.name.to_string())
    }

    #[zbus(property)]
    fn description(&self) -> Result<String, Failure> {
        Ok(self.record()?.description.clone())
    }

    #[zbus(property)]
    fn generation(&self) -> Result<u64, Failure> {
        Ok(self.record()?.generation)
    }
}
