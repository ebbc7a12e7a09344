//! `org.lxhost1.Image`.

use super::Bus;
use super::error::Failure;
use super::job::value;
use super::options::{self, Options};
use super::rows::object;
use lxhost_dbus::wire::Values;
use lxhost_engine::Result;
use lxhost_engine::image::{AddAlias, Delete, Export, RemoveAlias, by_id};
use lxhost_engine::ports::State;
use lxhost_model::{Image as Record, ObjectId};
use std::collections::{BTreeMap, HashMap};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use zbus::message::Header;
use zbus::wire::{OwnedObjectPath, OwnedVariant};

pub(super) struct Image {
    pub(super) bus: Bus,
    pub(super) id: ObjectId,
}

fn aliases(record: &Record) -> Vec<String> {
    record.aliases.iter().map(ToString::to_string).collect()
}

/// Properties that changed with a commit.
pub(super) fn changes(before: &State, after: &State, id: ObjectId) -> Result<HashMap<&'static str, OwnedVariant>> {
    let (Some(old), Some(new)) = (before.images.get(&id), after.images.get(&id)) else { return Ok(HashMap::new()) };
    let mut changed = HashMap::new();
    if old.aliases != new.aliases {
        changed.insert("Aliases", value(aliases(new))?);
    }
    if old.source != new.source {
        changed.insert("Source", value(new.source.as_str())?);
    }
    if old.cached != new.cached {
        changed.insert("Cached", value(new.cached)?);
    }
    Ok(changed)
}

impl Image {
    fn record(&self) -> Result<Arc<Record>> {
        by_id(&self.bus.engine.state(), self.id)
    }
}

#[zbus::interface(name = "org.lxhost1.Image")]
impl Image {
    #[zbus(out_args("job"))]
    async fn export(
        &self,
        #[zbus(header)] header: Header<'_>,
        data: zbus::OwnedFd,
        options: Values,
    ) -> Result<OwnedObjectPath, Failure> {
        let mut options = Options::new(options);
        let rootfs = options.fd("rootfs")?;
        options.done()?;
        let caller = self.bus.caller(&header).await?;
        let job = self.bus.engine.export_image(&caller, Export { id: self.id, data: OwnedFd::from(data), rootfs }).await?;
        Ok(object(self.bus.publisher.job(&self.bus, job).await?)?)
    }

    #[zbus(out_args("job"))]
    async fn delete(&self, #[zbus(header)] header: Header<'_>, options: Values) -> Result<OwnedObjectPath, Failure> {
        options::none(options)?;
        self.bus.submit(&header, Delete::new(self.id)).await
    }

    async fn add_alias(&self, #[zbus(header)] header: Header<'_>, alias: &str, options: Values) -> Result<(), Failure> {
        options::none(options)?;
        let caller = self.bus.caller(&header).await?;
        self.bus.engine.perform(&caller, AddAlias { id: self.id, alias: alias.parse()? }).await?;
        Ok(())
    }

    async fn remove_alias(&self, #[zbus(header)] header: Header<'_>, alias: &str, options: Values) -> Result<(), Failure> {
        options::none(options)?;
        let caller = self.bus.caller(&header).await?;
        self.bus.engine.perform(&caller, RemoveAlias { id: self.id, alias: alias.parse()? }).await?;
        Ok(())
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn fingerprint(&self) -> Result<String, Failure> {
        Ok(self.record()?.fingerprint.to_string())
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn architecture(&self) -> Result<String, Failure> {
        Ok(self.record()?.architecture.clone())
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn split(&self) -> Result<bool, Failure> {
        Ok(self.record()?.split)
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn size(&self) -> Result<u64, Failure> {
        Ok(self.record()?.size)
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn created_timestamp(&self) -> Result<u64, Failure> {
        Ok(self.record()?.created)
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn uploaded_timestamp(&self) -> Result<u64, Failure> {
        Ok(self.record()?.uploaded)
    }

    #[zbus(property)]
    fn aliases(&self) -> Result<Vec<String>, Failure> {
        Ok(aliases(self.record()?.as_ref()))
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn properties(&self) -> Result<BTreeMap<String, String>, Failure> {
        Ok(self.record()?.properties.clone())
    }

    #[zbus(property)]
    fn source(&self) -> Result<String, Failure> {
        Ok(self.record()?.source.clone())
    }

    #[zbus(property)]
    fn cached(&self) -> Result<bool, Failure> {
        Ok(self.record()?.cached)
    }

    #[zbus(property(emits_changed_signal = "false"))]
    fn last_used_timestamp(&self) -> Result<u64, Failure> {
        Ok(self.record()?.last_used)
    }
}
