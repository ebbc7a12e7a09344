//! `import`: the backup is opened here, with the caller's rights, and passed to the daemon.

use crate::args::Import;
use crate::bus::Session;
use crate::failure::Failure;
use crate::pairs;
use crate::progress::{self, OnInterrupt};
use lxhost_dbus::Options;
use lxhost_model::name::InstanceName;
use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;
use zbus::wire::Fd;

/// Imports an instance.
pub(crate) async fn run(session: &Session, args: &Import) -> Result<(), Failure> {
    let mut options = Options::new();
    if let Some(name) = args.name.as_ref().or(args.alias.as_ref()) {
        let name = crate::reference::local(name)?;
        name.parse::<InstanceName>()?;
        options.insert("name", name.into());
    }
    if let Some(pool) = &args.storage {
        options.insert("pool", pool.as_str().into());
    }
    if args.no_profiles || !args.profiles.is_empty() {
        options.insert("profiles", args.profiles.clone().into());
    }
    if !args.config.is_empty() {
        options.insert("config", pairs::config(&args.config).into());
    }
    let file = open(&args.file)?;
    let manager = session.manager().await?;
    let call = || manager.import_instance(&session.project, Fd::from(file.as_fd()), &options);
    let (_, job) = session.allowed(call).await.map_err(|failure| failure.context(args.file.display()))?;
    let output = progress::wait(session, &job, &format!("Importing {}", args.file.display()), OnInterrupt::Cancel).await;
    let output = output.map_err(|failure| failure.context(args.file.display()))?;
    let name = crate::values::text(&output, "name");
    session.name_or(&name, format!("Instance {name} imported"))
}

/// The backup as a regular file. What comes from a pipe is read twice, so it is kept until then, without a name.
pub(crate) fn open(path: &Path) -> Result<File, Failure> {
    let failed = |e: std::io::Error| Failure::io(path.display(), &e);
    if path != Path::new("-") {
        let file = File::open(path).map_err(failed)?;
        return match file.metadata().map_err(failed)?.is_dir() {
            true => Err(Failure::usage(format!("{} is a directory, not a backup", path.display()))),
            false => Ok(file),
        };
    }
    let mut kept = tempfile::tempfile_in("/var/tmp").map_err(|e| Failure::io("keep standard input in /var/tmp", &e))?;
    std::io::copy(&mut std::io::stdin().lock(), &mut kept).map_err(|e| Failure::io("keep standard input in /var/tmp", &e))?;
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_no_backup() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(open(directory.path()).unwrap_err().code, 2);
        assert!(open(&directory.path().join("missing")).is_err());
    }
}
