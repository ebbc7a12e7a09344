//! `delete`.

use crate::args::{AtOnce, Delete};
use crate::bus::Session;
use crate::failure::Failure;
use lxhost_dbus::proxy::InstanceProxy;

/// Deletes instances and snapshots.
pub(crate) async fn run(session: &Session, args: &Delete) -> Result<(), Failure> {
    each(session, &args.names, (args.interactive, args.force), args.at_once).await
}

/// Deletes what `words` name: instances, and snapshots as `INSTANCE/SNAPSHOT`.
pub(crate) async fn each(
    session: &Session,
    words: &[String],
    (interactive, force): (bool, bool),
    how: AtOnce,
) -> Result<(), Failure> {
    let mut options = how.options();
    if force {
        options.insert("force", true.into());
    }
    let mut names = Vec::new();
    for name in words {
        if !interactive || confirmed(name)? {
            names.push(name.clone());
        }
    }
    if names.is_empty() {
        return Ok(());
    }
    // An instance has one thing done to it at a time, be it to its snapshots.
    let at_once = if names.iter().any(|name| super::snapshot::parts(name).is_some()) { 1 } else { super::power::AT_ONCE };
    super::power::some(session, &names, "Deleting", at_once, async |name| {
        if let Some((instance, snapshot)) = super::snapshot::parts(name) {
            return super::snapshot::delete(session, instance, snapshot, how).await;
        }
        let instance: InstanceProxy<'static> = session.object(&session.instance(name).await?).await?;
        session.allowed(|| instance.delete(&options)).await
    })
    .await
}

fn confirmed(name: &str) -> Result<bool, Failure> {
    dialoguer::Confirm::new()
        .with_prompt(format!("Delete {} and its data", crate::render::printable(name)))
        .default(false)
        .interact()
        .map_err(|e| Failure::usage(format!("--interactive needs a terminal: {e}")))
}
