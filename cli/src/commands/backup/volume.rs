//! `storage volume export` and `storage volume import`: as those of instances.

use super::export::written;
use super::import::open;
use crate::args::{ExportVolume, HowCompressed, ImportVolume};
use crate::bus::Session;
use crate::failure::Failure;
use crate::progress::{self, OnInterrupt};
use lxhost_dbus::Options;
use lxhost_model::Kind;
use lxhost_model::name::VolumeName;
use std::os::fd::{AsFd, BorrowedFd};
use zbus::wire::Fd;

/// Exports a volume.
pub(crate) async fn export(session: &Session, args: &ExportVolume) -> Result<(), Failure> {
    let name = args.volume.name.strip_prefix("custom/").unwrap_or(&args.volume.name);
    let volume = session.volume(&args.volume.pool, name).await?;
    written(session, (name, args.target.as_deref()), args.compression, async |to: BorrowedFd<'_>, how: HowCompressed| {
        let options = Options::from([("compression", how.word().into()), ("volume-only", args.volume_only.into())]);
        let job = session.allowed(|| volume.export(Fd::from(to), &options)).await?;
        progress::wait(session, &job, &format!("Exporting {name}"), OnInterrupt::Cancel).await.map(drop)
    })
    .await
}

/// Imports a volume.
pub(crate) async fn import(session: &Session, args: &ImportVolume) -> Result<(), Failure> {
    if args.content.as_deref().is_some_and(|content| content != "backup") {
        return Err(Failure::of(Kind::Unsupported, "this version imports backups of volumes alone: leave --type out"));
    }
    let mut options = Options::new();
    if let Some(name) = &args.name {
        name.parse::<VolumeName>()?;
        options.insert("name", name.as_str().into());
    }
    let (file, pool) = (open(&args.file)?, session.pool(&args.pool).await?);
    let call = || pool.import_volume(&session.project, Fd::from(file.as_fd()), &options);
    let shown = args.file.display();
    let (_, job) = session.allowed(call).await.map_err(|failure| failure.context(&shown))?;
    let output = progress::wait(session, &job, &format!("Importing {shown}"), OnInterrupt::Cancel).await;
    let output = output.map_err(|failure| failure.context(&shown))?;
    let name = crate::values::text(&output, "name");
    session.name_or(&name, format!("Storage volume {name} imported"))
}
