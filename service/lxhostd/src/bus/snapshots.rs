//! `org.lxhost1.Snapshots`: the snapshots of an instance, which are rows and no objects: there may be many.

use super::Bus;
use super::error::Failure;
use super::job::value;
use super::options::{self, Options};
use super::rows::page;
use lxhost_dbus::wire::{SnapshotRow, Values};
use lxhost_engine::ports::State;
use lxhost_engine::snapshot::{Create, Delete, Kept, Rename, Restore, find};
use lxhost_engine::{Error, Kind, Question, Result};
use lxhost_model::{Action, ObjectId, Snapshot};
use zbus::message::Header;
use zbus::object_server::SignalEmitter;
use zbus::wire::OwnedObjectPath;

pub(super) struct Snapshots {
    pub(super) bus: Bus,
    pub(super) id: ObjectId,
}

fn row(snapshot: &Snapshot) -> SnapshotRow {
    SnapshotRow {
        name: snapshot.name.to_string(),
        created: snapshot.created,
        expires: snapshot.expires,
        description: snapshot.description.clone(),
    }
}

/// What a commit did to the one snapshot, in a word, with its name.
pub(super) fn change(before: &State, after: &State, key: (ObjectId, ObjectId)) -> Option<(String, &'static str)> {
    match (before.snapshots.get(&key), after.snapshots.get(&key)) {
        (None, Some(new)) => Some((new.name.to_string(), "created")),
        (Some(old), None) => Some((old.name.to_string(), "deleted")),
        (Some(old), Some(new)) if old.name != new.name => Some((new.name.to_string(), "renamed")),
        _ => None,
    }
}

#[zbus::interface(name = "org.lxhost1.Snapshots")]
impl Snapshots {
    #[zbus(out_args("snapshots", "next"))]
    async fn list(&self, cursor: &str, limit: u32) -> Result<(Vec<SnapshotRow>, String), Failure> {
        let state = self.bus.engine.state();
        if !state.instances.contains_key(&self.id) {
            return Err(Error::new(Kind::NoSuchInstance, "the instance does not exist any more").into());
        }
        let mut rows: Vec<SnapshotRow> = state.snapshots_of(self.id).map(|snapshot| row(snapshot)).collect();
        rows.sort_by(|a, b| (a.created, &a.name).cmp(&(b.created, &b.name)));
        let key = |row: &SnapshotRow| format!("{:020}/{}", row.created, row.name);
        Ok(page(rows, key, cursor, limit))
    }

    #[zbus(out_args("snapshot"))]
    async fn get(&self, #[zbus(header)] header: Header<'_>, name: &str, options: Values) -> Result<Values, Failure> {
        options::none(options)?;
        let caller = self.bus.caller(&header).await?;
        let snapshot = find(&self.bus.engine.state(), self.id, &name.parse()?)?;
        let was = &snapshot.instance;
        self.bus.engine.allow(&caller, Question::about(Action::InstanceInspect, was, "snapshot.get")).await?;
        let profiles: Vec<String> = was.profiles.iter().map(ToString::to_string).collect();
        Ok(Values::from([
            ("name".to_owned(), value(snapshot.name.as_str())?),
            ("description".to_owned(), value(snapshot.description.as_str())?),
            ("created".to_owned(), value(snapshot.created)?),
            ("expires".to_owned(), value(snapshot.expires)?),
            ("architecture".to_owned(), value(was.architecture.as_str())?),
            ("ephemeral".to_owned(), value(was.ephemeral)?),
            ("profiles".to_owned(), value(profiles)?),
            ("config".to_owned(), value(was.config.clone())?),
            ("devices".to_owned(), value(options::devices_out(&was.devices))?),
        ]))
    }

    #[zbus(out_args("job"))]
    async fn create(&self, #[zbus(header)] header: Header<'_>, name: &str, options: Values) -> Result<OwnedObjectPath, Failure> {
        let mut options = Options::new(options);
        let (description, reuse) = (options.text("description")?, options.flag("reuse")?);
        let stateful = options.flag("stateful")?;
        let kept = match options.take::<String>("expiry")? {
            None => Kept::AsConfigured,
            Some(text) if text.is_empty() => Kept::Forever,
            Some(text) => Kept::For(text.parse()?),
        };
        options.done()?;
        if stateful {
            let what = "snapshots of running processes are not supported by this version; leave --stateful out";
            return Err(Error::new(Kind::Unsupported, what).into());
        }
        let name = if name.is_empty() { None } else { Some(name.parse()?) };
        let random = self.bus.engine.host().random();
        self.bus.submit(&header, Create::new(self.id, name, description, reuse, random)?.kept(kept)).await
    }

    #[zbus(out_args("job"))]
    async fn restore(&self, #[zbus(header)] header: Header<'_>, name: &str, options: Values) -> Result<OwnedObjectPath, Failure> {
        options::none(options)?;
        self.bus.submit(&header, Restore::new(self.id, name.parse()?)).await
    }

    #[zbus(out_args("job"))]
    async fn delete(&self, #[zbus(header)] header: Header<'_>, name: &str, options: Values) -> Result<OwnedObjectPath, Failure> {
        options::none(options)?;
        self.bus.submit(&header, Delete::new(self.id, name.parse()?)).await
    }

    async fn rename(
        &self,
        #[zbus(header)] header: Header<'_>,
        name: &str,
        new_name: &str,
        options: Values,
    ) -> Result<(), Failure> {
        options::none(options)?;
        let caller = self.bus.caller(&header).await?;
        let rename = Rename { instance: self.id, name: name.parse()?, to: new_name.parse()? };
        self.bus.engine.perform(&caller, rename).await?;
        Ok(())
    }

    /// `what` is `created`, `renamed` or `deleted`.
    #[zbus(signal)]
    async fn changed(emitter: &SignalEmitter<'_>, name: &str, what: &str) -> zbus::Result<()>;
}
