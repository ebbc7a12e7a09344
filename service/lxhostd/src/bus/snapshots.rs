//! `org.lxhost1.Snapshots`: the snapshots of an instance or of a volume, which are rows and no objects: there may be many.

use super::Bus;
use super::error::Failure;
use super::job::value;
use super::options::{self, Options};
use super::rows::page;
use lxhost_dbus::wire::{SnapshotRow, Values};
use lxhost_engine::ports::State;
use lxhost_engine::snapshot::{Create, Delete, Kept, Rename, Restore, find};
use lxhost_engine::volume::{self, snapshot as of_volume};
use lxhost_engine::{Error, Kind, Question, Result};
use lxhost_model::name::SnapshotName;
use lxhost_model::{Action, ObjectId, Snapshot, Timestamp, VolumeSnapshot};
use zbus::message::Header;
use zbus::object_server::SignalEmitter;
use zbus::wire::OwnedObjectPath;

/// Whose snapshots they are.
#[derive(Debug, Clone, Copy)]
pub(super) enum Of {
    Instance(ObjectId),
    Volume(ObjectId),
}

pub(super) struct Snapshots {
    pub(super) bus: Bus,
    pub(super) of: Of,
}

fn row(name: &SnapshotName, (created, expires): (Timestamp, Timestamp), description: &str) -> SnapshotRow {
    SnapshotRow { name: name.to_string(), created, expires, description: description.to_owned() }
}

/// What a commit did to the one snapshot, in a word, with its name.
pub(super) fn change(before: &State, after: &State, key: (ObjectId, ObjectId)) -> Option<(String, &'static str)> {
    let name = |state: &State| state.snapshots.get(&key).map(|snapshot| snapshot.name.clone());
    changed(name(before), name(after))
}

/// The same of one of a volume.
pub(super) fn change_of_volume(before: &State, after: &State, key: (ObjectId, ObjectId)) -> Option<(String, &'static str)> {
    let name = |state: &State| state.volume_snapshots.get(&key).map(|snapshot| snapshot.name.clone());
    changed(name(before), name(after))
}

fn changed(before: Option<SnapshotName>, after: Option<SnapshotName>) -> Option<(String, &'static str)> {
    match (before, after) {
        (None, Some(new)) => Some((new.to_string(), "created")),
        (Some(old), None) => Some((old.to_string(), "deleted")),
        (Some(old), Some(new)) if old != new => Some((new.to_string(), "renamed")),
        _ => None,
    }
}

/// What both sorts say of themselves.
fn about(snapshot: &SnapshotRow) -> Result<Values> {
    Ok(Values::from([
        ("name".to_owned(), value(snapshot.name.as_str())?),
        ("description".to_owned(), value(snapshot.description.as_str())?),
        ("created".to_owned(), value(snapshot.created)?),
        ("expires".to_owned(), value(snapshot.expires)?),
    ]))
}

fn of_instance(snapshot: &Snapshot) -> Result<Values> {
    let was = &snapshot.instance;
    let profiles: Vec<String> = was.profiles.iter().map(ToString::to_string).collect();
    let mut values = about(&row(&snapshot.name, (snapshot.created, snapshot.expires), &snapshot.description))?;
    values.extend([
        ("architecture".to_owned(), value(was.architecture.as_str())?),
        ("ephemeral".to_owned(), value(was.ephemeral)?),
        ("profiles".to_owned(), value(profiles)?),
        ("config".to_owned(), value(was.config.clone())?),
        ("devices".to_owned(), value(options::devices_out(&was.devices))?),
    ]);
    Ok(values)
}

fn of_a_volume(snapshot: &VolumeSnapshot) -> Result<Values> {
    let mut values = about(&row(&snapshot.name, (snapshot.created, snapshot.expires), &snapshot.description))?;
    values.extend([
        ("content-type".to_owned(), value(snapshot.volume.content.as_str())?),
        ("config".to_owned(), value(snapshot.volume.config.clone())?),
    ]);
    Ok(values)
}

#[zbus::interface(name = "org.lxhost1.Snapshots")]
impl Snapshots {
    #[zbus(out_args("snapshots", "next"))]
    async fn list(&self, cursor: &str, limit: u32) -> Result<(Vec<SnapshotRow>, String), Failure> {
        let state = self.bus.engine.state();
        let mut rows: Vec<SnapshotRow> = match self.of {
            Of::Instance(id) if !state.instances.contains_key(&id) => {
                return Err(Error::new(Kind::NoSuchInstance, "the instance does not exist any more").into());
            }
            Of::Instance(id) => {
                state.snapshots_of(id).map(|one| row(&one.name, (one.created, one.expires), &one.description)).collect()
            }
            Of::Volume(id) => {
                volume::by_id(&state, id)?;
                let all = state.snapshots_of_volume(id);
                all.map(|one| row(&one.name, (one.created, one.expires), &one.description)).collect()
            }
        };
        rows.sort_by(|a, b| (a.created, &a.name).cmp(&(b.created, &b.name)));
        let key = |row: &SnapshotRow| format!("{:020}/{}", row.created, row.name);
        Ok(page(rows, key, cursor, limit))
    }

    #[zbus(out_args("snapshot"))]
    async fn get(&self, #[zbus(header)] header: Header<'_>, name: &str, options: Values) -> Result<Values, Failure> {
        options::none(options)?;
        let caller = self.bus.caller(&header).await?;
        let state = self.bus.engine.state();
        match self.of {
            Of::Instance(id) => {
                let snapshot = find(&state, id, &name.parse()?)?;
                let question = Question::about(Action::InstanceInspect, &snapshot.instance, "snapshot.get");
                self.bus.engine.allow(&caller, question).await?;
                Ok(of_instance(&snapshot)?)
            }
            Of::Volume(id) => {
                let snapshot = of_volume::find(&state, id, &name.parse()?)?;
                let record = volume::by_id(&state, id)?;
                let asked = volume::question(&record.pool, &record.project, record.name.as_str(), "volume-snapshot.get");
                self.bus.engine.allow(&caller, Question { action: Action::Info, ..asked }).await?;
                Ok(of_a_volume(&snapshot)?)
            }
        }
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
        match self.of {
            Of::Instance(id) => self.bus.submit(&header, Create::new(id, name, description, reuse, random)?.kept(kept)).await,
            Of::Volume(id) => {
                let verb = of_volume::Create::new(id, name, description, reuse, random)?.kept(kept);
                self.bus.submit(&header, verb).await
            }
        }
    }

    #[zbus(out_args("job"))]
    async fn restore(&self, #[zbus(header)] header: Header<'_>, name: &str, options: Values) -> Result<OwnedObjectPath, Failure> {
        options::none(options)?;
        match self.of {
            Of::Instance(id) => self.bus.submit(&header, Restore::new(id, name.parse()?)).await,
            Of::Volume(id) => self.bus.submit(&header, of_volume::Restore::new(id, name.parse()?)).await,
        }
    }

    #[zbus(out_args("job"))]
    async fn delete(&self, #[zbus(header)] header: Header<'_>, name: &str, options: Values) -> Result<OwnedObjectPath, Failure> {
        let mut options = Options::new(options);
        let at_once = options.flag("at-once")?;
        options.done()?;
        match self.of {
            Of::Instance(id) => self.bus.submit(&header, Delete::new(id, name.parse()?).at_once(at_once)).await,
            Of::Volume(id) => self.bus.submit(&header, of_volume::Delete::new(id, name.parse()?).at_once(at_once)).await,
        }
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
        let (name, to) = (name.parse()?, new_name.parse()?);
        match self.of {
            Of::Instance(instance) => self.bus.engine.perform(&caller, Rename { instance, name, to }).await?,
            Of::Volume(volume) => self.bus.engine.perform(&caller, of_volume::Rename { volume, name, to }).await?,
        };
        Ok(())
    }

    /// `what` is `created`, `renamed` or `deleted`.
    #[zbus(signal)]
    async fn changed(emitter: &SignalEmitter<'_>, name: &str, what: &str) -> zbus::Result<()>;
}
