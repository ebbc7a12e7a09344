//! `org.lxhost1.Files`: the files of a volume. Descriptors pass through; data never does.

use super::error::Failure;
use super::job::value;
use super::options::Options;
use super::{Bus, invalid};
use lxhost_dbus::wire::{FileRow, Values};
use lxhost_engine::Result;
use lxhost_engine::ports::{FileAccess, FileEntry, FileOwner, Files as Port};
use lxhost_engine::volume::{Serve, Tree};
use lxhost_model::ObjectId;
use zbus::message::Header;
use zbus::wire::OwnedObjectPath;

/// Longest path, as the kernel's (PATH_MAX with its zero).
const LONGEST: usize = 4095;
/// Most rows of a page.
const MOST: u32 = 1000;

pub(super) struct Files {
    pub(super) bus: Bus,
    pub(super) volume: ObjectId,
}

impl Files {
    async fn tree(&self, header: &Header<'_>, verb: &str, path: &str) -> Result<Tree, Failure> {
        check(path)?;
        let caller = self.bus.caller(header).await?;
        Ok(self.bus.engine.volume_tree(&caller, self.volume, verb).await?)
    }

    fn port(&self) -> &dyn Port {
        self.bus.engine.ports().files.as_ref()
    }
}

/// D-Bus strings have no zero.
fn check(path: &str) -> Result<()> {
    if path.len() > LONGEST { Err(invalid(format!("the path is longer than {LONGEST} bytes"))) } else { Ok(()) }
}

/// Takes whose something is going to be.
fn owner(options: &mut Options) -> Result<FileOwner> {
    let mode: Option<u32> = options.take("mode")?;
    if mode.is_some_and(|mode| mode > 0o7777) {
        return Err(invalid("a mode has at most the bits 07777"));
    }
    let (uid, gid) = (options.take::<u32>("uid")?, options.take::<u32>("gid")?);
    // chown(2) takes this one for "as it is".
    if uid == Some(u32::MAX) || gid == Some(u32::MAX) {
        return Err(invalid(format!("{} is nobody's id", u32::MAX)));
    }
    Ok(FileOwner { mode, uid, gid })
}

fn row(entry: FileEntry) -> FileRow {
    let FileEntry { name, kind, mode, uid, gid, size, modified, target } = entry;
    FileRow { name, kind: kind.to_owned(), mode, uid, gid, size, modified, target }
}

fn about(entry: FileEntry) -> Result<Values> {
    Ok(Values::from([
        ("name".to_owned(), value(entry.name)?),
        ("type".to_owned(), value(entry.kind)?),
        ("mode".to_owned(), value(entry.mode)?),
        ("uid".to_owned(), value(entry.uid)?),
        ("gid".to_owned(), value(entry.gid)?),
        ("size".to_owned(), value(entry.size)?),
        ("modified".to_owned(), value(entry.modified)?),
        ("target".to_owned(), value(entry.target)?),
    ]))
}

#[zbus::interface(name = "org.lxhost1.Files")]
impl Files {
    #[zbus(out_args("data", "about"))]
    async fn open_file(
        &self,
        #[zbus(header)] header: Header<'_>,
        path: &str,
        mode: &str,
        options: Values,
    ) -> Result<(zbus::OwnedFd, Values), Failure> {
        let mut options = Options::new(options);
        let owner = owner(&mut options)?;
        options.done()?;
        let access = match mode {
            "read" if owner != FileOwner::default() => return Err(invalid("what is read keeps its owner and mode").into()),
            "read" => FileAccess::Read,
            "write" => FileAccess::Write { create: false },
            "create" => FileAccess::Write { create: true },
            "append" => FileAccess::Append,
            _ => return Err(invalid("a file is opened to read, write, create or append").into()),
        };
        let verb = if access == FileAccess::Read { "volume.read-file" } else { "volume.write-file" };
        let tree = self.tree(&header, verb, path).await?;
        let open = self.port().open(tree.path(), path, access, owner);
        let (data, entry) = if access == FileAccess::Read { open.await? } else { tree.change(open).await? };
        Ok((data.into(), about(entry)?))
    }

    #[zbus(out_args("about"))]
    async fn stat(&self, #[zbus(header)] header: Header<'_>, path: &str, options: Values) -> Result<Values, Failure> {
        let mut options = Options::new(options);
        let follow = options.flag("follow")?;
        options.done()?;
        let tree = self.tree(&header, "volume.stat-file", path).await?;
        Ok(about(self.port().look(tree.path(), path, follow).await?)?)
    }

    #[zbus(out_args("entries", "next"))]
    async fn list_directory(
        &self,
        #[zbus(header)] header: Header<'_>,
        path: &str,
        cursor: &str,
        limit: u32,
    ) -> Result<(Vec<FileRow>, String), Failure> {
        let tree = self.tree(&header, "volume.list-directory", path).await?;
        let limit = if limit == 0 { MOST } else { limit.min(MOST) } as usize;
        let entries = self.port().list(tree.path(), path, cursor, limit).await?;
        let next = entries.last().filter(|_| entries.len() == limit).map(|last| last.name.clone()).unwrap_or_default();
        Ok((entries.into_iter().map(row).collect(), next))
    }

    async fn make_directory(&self, #[zbus(header)] header: Header<'_>, path: &str, options: Values) -> Result<(), Failure> {
        let mut options = Options::new(options);
        let (owner, parents) = (owner(&mut options)?, options.flag("parents")?);
        options.done()?;
        let tree = self.tree(&header, "volume.make-directory", path).await?;
        Ok(tree.change(self.port().make_dir(tree.path(), path, owner, parents)).await?)
    }

    async fn make_link(
        &self,
        #[zbus(header)] header: Header<'_>,
        path: &str,
        target: &str,
        options: Values,
    ) -> Result<(), Failure> {
        let mut options = Options::new(options);
        let owner = owner(&mut options)?;
        options.done()?;
        check(target)?;
        if owner.mode.is_some() {
            return Err(invalid("a link has no mode of its own").into());
        }
        let tree = self.tree(&header, "volume.make-link", path).await?;
        Ok(tree.change(self.port().make_link(tree.path(), path, target, owner)).await?)
    }

    #[zbus(out_args("data", "job"))]
    async fn open_sftp(
        &self,
        #[zbus(header)] header: Header<'_>,
        options: Values,
    ) -> Result<(zbus::OwnedFd, OwnedObjectPath), Failure> {
        super::options::none(options)?;
        let (verb, socket) = Serve::new(self.bus.engine.ports(), self.volume)?;
        let job = self.bus.submit(&header, verb).await?;
        Ok((socket.into(), job))
    }

    async fn remove(&self, #[zbus(header)] header: Header<'_>, path: &str, options: Values) -> Result<(), Failure> {
        let mut options = Options::new(options);
        let recursive = options.flag("recursive")?;
        options.done()?;
        let tree = self.tree(&header, "volume.remove-file", path).await?;
        Ok(tree.change(self.port().remove(tree.path(), path, recursive)).await?)
    }
}
