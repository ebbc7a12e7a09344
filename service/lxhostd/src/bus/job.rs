//! `org.lxhost1.Job`: a verb under way, and for a minute after its end.

use super::error::Failure;
use super::{Bus, options};
use lxhost_dbus::path;
use lxhost_dbus::wire::{JobEnd, Values};
use lxhost_engine::{JobView, Result};
use lxhost_model::job::{JobId, JobResult};
use std::collections::HashMap;
use std::time::Duration;
use zbus::message::Header;
use zbus::wire::{OwnedObjectPath, OwnedVariant, Variant};

pub(super) struct Job {
    pub(super) bus: Bus,
    pub(super) id: JobId,
}

/// A timeout of the wire: 0 is none.
pub(super) fn timeout(usec: u64) -> Option<Duration> {
    (usec > 0).then(|| Duration::from_micros(usec))
}

/// A value for a dictionary.
pub(super) fn value<'a>(value: impl Into<Variant<'a>>) -> Result<OwnedVariant> {
    OwnedVariant::try_from(value.into()).map_err(|e| lxhost_engine::Error::failed(e.to_string()))
}

/// The properties that profiles, networks and pools have in common, as far as they changed: of description and
/// generation before and after.
pub(super) fn described(old: (&str, u64), new: (&str, u64)) -> Result<HashMap<&'static str, OwnedVariant>> {
    let mut changed = HashMap::new();
    if old.0 != new.0 {
        changed.insert("Description", value(new.0)?);
    }
    if old.1 != new.1 {
        changed.insert("Generation", value(new.1)?);
    }
    Ok(changed)
}

impl Job {
    fn view(&self) -> Result<JobView> {
        self.bus.engine.job(self.id)
    }
}

#[zbus::interface(name = "org.lxhost1.Job")]
impl Job {
    #[zbus(out_args("result", "error", "message", "output"))]
    async fn wait(
        &self,
        #[zbus(header)] header: Header<'_>,
        timeout_usec: u64,
    ) -> Result<(String, String, String, Values), Failure> {
        let _call = self.bus.caller(&header).await?;
        let view = self.bus.engine.wait(self.id, timeout(timeout_usec)).await?;
        // What the job made is on the bus before its end is told.
        self.bus.publisher.settled().await;
        let end = end(&self.bus, &view)?;
        Ok((end.result, end.error, end.message, end.output))
    }

    async fn cancel(&self, #[zbus(header)] header: Header<'_>, options: Values) -> Result<(), Failure> {
        options::none(options)?;
        let caller = self.bus.caller(&header).await?;
        Ok(self.bus.engine.cancel(&caller, self.id).await?)
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn id(&self) -> u32 {
        self.id
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn verb(&self) -> Result<String, Failure> {
        Ok(self.view()?.verb.to_owned())
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn object(&self) -> Result<OwnedObjectPath, Failure> {
        let object = self.view()?.object.and_then(|id| super::publish::object_path(&self.bus.engine.state(), id));
        Ok(super::rows::object(object.unwrap_or_else(|| path::NONE.to_owned()))?)
    }

    #[zbus(property(emits_changed_signal = "const"), name = "UID")]
    fn uid(&self) -> Result<u32, Failure> {
        Ok(self.view()?.uid)
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn created_timestamp(&self) -> Result<u64, Failure> {
        Ok(self.view()?.created)
    }

    #[zbus(property)]
    fn state(&self) -> Result<String, Failure> {
        Ok(self.view()?.state.as_str().to_owned())
    }

    #[zbus(property)]
    fn phase(&self) -> Result<String, Failure> {
        Ok(self.view()?.phase)
    }

    #[zbus(property)]
    fn progress(&self) -> Result<f64, Failure> {
        Ok(self.view()?.progress)
    }

    #[zbus(property)]
    fn result(&self) -> Result<String, Failure> {
        Ok(self.view()?.result.map(|result| result.as_str().to_owned()).unwrap_or_default())
    }
}

/// A job's end for the wire.
pub(super) fn end(bus: &Bus, view: &JobView) -> Result<JobEnd> {
    let (error, message) = match &view.result {
        Some(JobResult::Failed(error)) => (error.kind.dbus_name().to_owned(), error.message.clone()),
        _ => (String::new(), String::new()),
    };
    let state = bus.engine.state();
    let mut output = Values::new();
    for (noun, id) in &view.output.objects {
        if let Some(path) = super::publish::object_path(&state, *id) {
            output.insert((*noun).to_owned(), value(super::rows::object(path)?.into_inner())?);
        }
    }
    for (key, text) in &view.output.texts {
        output.insert((*key).to_owned(), value(text.as_str())?);
    }
    if !view.output.notes.is_empty() {
        output.insert("notes".to_owned(), value(view.output.notes.clone())?);
    }
    let result = view.result.as_ref().map_or("running", JobResult::as_str).to_owned();
    Ok(JobEnd { result, error, message, output })
}
