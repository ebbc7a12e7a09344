//! Export of an image: its files, as they came, into the caller's file descriptors.

use super::{by_id, questions};
use crate::job::Output;
use crate::ports::Progress;
use crate::{Engine, Error, Kind, Result};
use lxhost_model::job::JobId;
use lxhost_model::{Action, ObjectId};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

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
        let job = self.core.jobs.open(&self.core, caller.uid, "image.export", None, vec![export.id])?;
        let (core, id) = (self.core.clone(), job.id());
        tokio::spawn(async move {
            job.report("writing image", -1.0);
            let copied = tokio::task::spawn_blocking(move || copy(files, targets)).await;
            let result = copied
                .map_err(|e| Error::failed(format!("image.export: {e}")))
                .and_then(|copied| copied)
                .map(|()| Output::default());
            crate::audit::ended(&core, &job, None, &result);
            core.end(job, result);
        });
        Ok(id)
    }
}

fn copy(files: Vec<PathBuf>, targets: Vec<OwnedFd>) -> Result<()> {
    for (path, target) in files.into_iter().zip(targets) {
        let failed = |e: std::io::Error| Error::io(format!("export {}", path.display()), &e);
        let mut from = File::open(&path).map_err(failed)?;
        std::io::copy(&mut from, &mut File::from(target)).map_err(failed)?;
    }
    Ok(())
}
