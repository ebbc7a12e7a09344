//! Export of an image: its files, as they came, into the caller's file descriptors.

use super::{by_id, questions};
use crate::job::Output;
use crate::ports::Progress;
use crate::{Engine, Error, Kind, Result};
use lxhost_model::job::JobId;
use lxhost_model::{Action, ObjectId};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Where an image goes.
pub struct Export {
    /// The image.
    pub id: ObjectId,
    /// For the metadata or the unified tarball.
    pub data: OwnedFd,
    /// For the root filesystem of a split image.
    pub rootfs: Option<OwnedFd>,
}

impl Engine {
    /// Writes the files of an image.
    ///
    /// # Errors
    /// Those of the authority; `InvalidArgs` when a split image has one descriptor only.
    pub async fn export_image(&self, caller: &crate::ports::Caller, export: Export) -> Result<JobId> {
        let state = self.state();
        self.core.ask(caller, questions(&state, export.id, Action::ImageExport, "image.export")).await?;
        let image = by_id(&state, export.id)?;
        let targets: Vec<OwnedFd> = std::iter::once(export.data).chain(export.rootfs).collect();
        let files = self.core.ports.images.files(&image.fingerprint, image.split);
        if files.len() != targets.len() {
            let what = format!("image {} has {} file(s); pass as many descriptors", image.fingerprint.short(), files.len());
            return Err(Error::new(Kind::InvalidArgs, what));
        }
        let job = self.core.jobs.open(&self.core, caller.uid, "image.export", None, vec![(export.id, true)])?;
        let (core, id) = (self.core.clone(), job.id());
        tokio::spawn(async move {
            job.report("writing image", -1.0);
            job.may_be_canceled(true);
            let stop = Arc::new(AtomicBool::new(false));
            let (images, stopped) = (core.ports.images.clone(), stop.clone());
            let mut writing = tokio::task::spawn_blocking(move || {
                let mut pairs = files.iter().zip(targets);
                pairs.try_for_each(|(path, target)| images.export(path, target, &stopped))
            });
            let written = tokio::select! {
                written = &mut writing => written,
                () = job.canceled() => {
                    stop.store(true, Ordering::Relaxed);
                    writing.await
                }
            };
            let result = written.map_err(|e| Error::failed(format!("image.export: {e}"))).flatten().map(|()| Output::default());
            crate::audit::ended(&core, &job, None, &result);
            core.end(job, result);
        });
        Ok(id)
    }
}
