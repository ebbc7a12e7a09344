//! `storage volume file push`.

use super::{Place, join, link, owned, parents};
use crate::args::Owner;
use crate::bus::Session;
use crate::failure::Failure;
use lxhost_model::Kind;
use lxhost_model::name::quoted;
use std::fs::{File, Metadata};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Pushes `sources` to `place`; (directories, too, and whether those on the way are made).
pub(super) async fn run(
    session: &Session,
    sources: &[PathBuf],
    place: &Place,
    (recursive, create): (bool, bool),
    owner: &Owner,
) -> Result<(), Failure> {
    let says = place.path.ends_with('/');
    let several = sources.len() > 1;
    if create {
        let on_the_way = if says || several { join(&place.path, "x") } else { place.path.clone() };
        parents(session, place, &on_the_way).await?;
    }
    let into = says || place.is_directory(session, &place.path).await?;
    if several && !into {
        return Err(Failure::usage(format!("{} is not a directory of the volume", quoted(&place.path)))
            .hint("several files go into a directory; with -p it is made"));
    }
    let mut push = Push { session, place, owner, written: None };
    for source in sources {
        let name = source.canonicalize().ok().and_then(|path| path.file_name().map(|name| name.to_string_lossy().into_owned()));
        let target = match name {
            _ if !into => place.path.clone(),
            Some(name) if source.as_os_str() != "-" => join(&place.path, &name),
            _ => return Err(Failure::usage("standard input has no name").hint("give the file one: VOLUME/PATH")),
        };
        push.source(source, &target, recursive).await?;
    }
    push.keep()
}

struct Push<'a> {
    session: &'a Session,
    place: &'a Place,
    owner: &'a Owner,
    /// The file that was written last.
    written: Option<File>,
}

impl Push<'_> {
    async fn source(&mut self, source: &Path, target: &str, recursive: bool) -> Result<(), Failure> {
        let failed = |e: std::io::Error| Failure::io(source.display(), &e);
        if source.as_os_str() == "-" {
            return self.data(&mut std::io::stdin().lock(), source, target, *self.owner).await;
        }
        let about = source.metadata().map_err(failed)?;
        match about.is_dir() {
            true if recursive => self.tree(source, target).await,
            true => {
                Err(Failure::usage(format!("{} is a directory", source.display())).hint("--recursive pushes directories, too"))
            }
            false => self.file(source, target, &about).await,
        }
    }

    /// What lies at `source` and below; links are pushed as links.
    async fn tree(&mut self, source: &Path, target: &str) -> Result<(), Failure> {
        let mut left = vec![(source.to_owned(), target.to_owned())];
        while let Some((source, target)) = left.pop() {
            let failed = |e: std::io::Error| Failure::io(source.display(), &e);
            let about = source.symlink_metadata().map_err(failed)?;
            if about.is_symlink() {
                let leads = source.read_link().map_err(failed)?;
                let owner = self.owner_of(&about);
                link(self.session, &self.place.files, &target, &leads.to_string_lossy(), true, &owner).await?;
            } else if about.is_dir() {
                let mut options = owned(&self.owner_of(&about));
                options.insert("parents", true.into());
                self.session.allowed(|| self.place.files.make_directory(&target, &options)).await?;
                for entry in source.read_dir().map_err(failed)? {
                    let entry = entry.map_err(failed)?;
                    let name = entry.file_name().into_string().map_err(|name| {
                        Failure::usage(format!("{}: {} is not UTF-8", source.display(), quoted(&name.to_string_lossy())))
                    })?;
                    left.push((entry.path(), join(&target, &name)));
                }
            } else {
                self.file(&source, &target, &about).await?;
            }
        }
        Ok(())
    }

    async fn file(&mut self, source: &Path, target: &str, about: &Metadata) -> Result<(), Failure> {
        let kind = about.file_type();
        if kind.is_fifo() || kind.is_socket() || kind.is_char_device() || kind.is_block_device() {
            return Err(Failure::usage(format!("{} is not a regular file", source.display())));
        }
        let mut file = File::open(source).map_err(|e| Failure::io(source.display(), &e))?;
        self.data(&mut file, source, target, self.owner_of(about)).await
    }

    async fn data(&mut self, from: &mut impl std::io::Read, source: &Path, target: &str, owner: Owner) -> Result<(), Failure> {
        let opened = self.place.open(self.session, target, "create", &owner).await;
        let (mut file, _) = opened.map_err(|failure| match failure.kind {
            Some(Kind::NoSuchFile) => failure.hint("-p makes the directories on the way"),
            _ => failure,
        })?;
        std::io::copy(from, &mut file).map_err(|e| Failure::io(format!("{} to {}", source.display(), quoted(target)), &e))?;
        self.written = Some(file);
        Ok(())
    }

    /// As the file has it, unless somebody said otherwise.
    fn owner_of(&self, about: &Metadata) -> Owner {
        let (uid, gid) = (self.owner.uid.or(Some(about.uid())), self.owner.gid.or(Some(about.gid())));
        Owner { uid, gid, mode: self.owner.mode.or(Some(about.mode() & 0o7777)) }
    }

    /// What was pushed is on the disk when that is said: one call for all files, which lie on one file system.
    fn keep(self) -> Result<(), Failure> {
        match self.written {
            Some(file) => rustix::fs::syncfs(&file).map_err(|e| Failure::io("write to the disk", &e.into())),
            None => Ok(()),
        }
    }
}
