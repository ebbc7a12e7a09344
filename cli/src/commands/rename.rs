//! `rename` and `move`.

use crate::args::Rename;
use crate::bus::Session;
use crate::failure::Failure;
use crate::progress::{self, OnInterrupt};
use lxhost_dbus::Options;
use lxhost_dbus::proxy::InstanceProxy;

/// Renames a stopped instance, or a snapshot.
pub(crate) async fn run(session: &Session, args: &Rename) -> Result<(), Failure> {
    let new = crate::reference::local(&args.new)?;
    if let Some((instance, name)) = super::snapshot::parts(&args.old) {
        // LXD takes the instance before the new name, too.
        let new = match super::snapshot::parts(new) {
            Some((same, new)) if same == crate::reference::local(instance)? => new,
            Some(_) => return Err(Failure::usage("a snapshot stays with its instance")),
            None => new,
        };
        return super::snapshot::rename(session, instance, name, new).await;
    }
    let instance: InstanceProxy<'static> = session.object(&session.instance(&args.old).await?).await?;
    let none = Options::new();
    let job = session.allowed(|| instance.rename(new, &none)).await?;
    progress::wait(session, &job, &format!("Renaming {}", args.old), OnInterrupt::Leave).await.map(drop)
}
