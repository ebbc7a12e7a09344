//! `rename` and `move`.

use crate::args::Rename;
use crate::bus::Session;
use crate::failure::Failure;
use crate::progress::{self, OnInterrupt};
use lxhost_dbus::Options;
use lxhost_dbus::proxy::InstanceProxy;

/// Renames a stopped instance.
pub(crate) async fn run(session: &Session, args: &Rename) -> Result<(), Failure> {
    let new = crate::reference::local(&args.new)?;
    let instance: InstanceProxy<'static> = session.object(&session.instance(&args.old).await?).await?;
    let none = Options::new();
    let job = session.allowed(|| instance.rename(new, &none)).await?;
    progress::wait(session, &job, &format!("Renaming {}", args.old), OnInterrupt::Leave).await.map(drop)
}
