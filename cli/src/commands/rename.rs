//! `rename` and `move`.

use crate::args::Move;
use crate::bus::Session;
use crate::failure::Failure;
use crate::progress::{self, OnInterrupt};
use lxhost_dbus::Options;
use lxhost_dbus::proxy::InstanceProxy;
use lxhost_model::name::InstanceName;

/// Renames a stopped instance, or a snapshot.
pub(crate) async fn run(session: &Session, old: &str, new: &str) -> Result<(), Failure> {
    let new = crate::reference::local(new)?;
    if let Some((instance, name)) = super::snapshot::parts(old) {
        // LXD takes the instance before the new name, too.
        let new = match super::snapshot::parts(new) {
            Some((same, new)) if same == crate::reference::local(instance)? => new,
            Some(_) => return Err(Failure::usage("a snapshot stays with its instance")),
            None => new,
        };
        return super::snapshot::rename(session, instance, name, new).await;
    }
    let instance: InstanceProxy<'static> = session.object(&session.instance(old).await?).await?;
    let none = Options::new();
    let job = session.allowed(|| instance.rename(new, &none)).await?;
    progress::wait(session, &job, &format!("Renaming {old}"), OnInterrupt::Leave).await.map(drop)
}

/// Moves a stopped instance to another pool, gives it another name, or both.
pub(crate) async fn relocate(session: &Session, args: &Move) -> Result<(), Failure> {
    if let Some(pool) = &args.storage {
        if super::snapshot::parts(&args.old).is_some() {
            return Err(Failure::usage("a snapshot stays on the pool of its instance"));
        }
        // Before the long part: a name that cannot be had.
        if let Some(new) = &args.new {
            crate::reference::local(new)?.parse::<InstanceName>()?;
        }
        let instance: InstanceProxy<'static> = session.object(&session.instance(&args.old).await?).await?;
        let none = Options::new();
        let job = session.allowed(|| instance.move_to(pool, &none)).await?;
        progress::wait(session, &job, &format!("Moving {}", args.old), OnInterrupt::Cancel).await?;
    }
    match &args.new {
        Some(new) => run(session, &args.old, new).await,
        None => Ok(()),
    }
}
