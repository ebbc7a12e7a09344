//! `storage volume file pull`. What a guest has put into a volume is not trusted here either: a link that an earlier pull
//! made is not followed, and nothing becomes set-user-ID of whoever pulls it.

use super::{Place, join, last, rows};
use crate::args::Owner;
use crate::bus::Session;
use crate::failure::Failure;
use crate::values::{number, text};
use lxhost_dbus::Options;
use lxhost_model::Kind;
use lxhost_model::name::quoted;
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::rc::Rc;

/// Pulls `places` to `target`; (directories, too, and whether those on the way are made).
pub(super) async fn run(
    session: &Session,
    places: &[Place],
    target: &Path,
    (recursive, create): (bool, bool),
) -> Result<(), Failure> {
    if target.as_os_str() == "-" {
        for place in places {
            let (mut data, _) = place.open(session, &place.path, "read", &Owner::default()).await?;
            let copied = std::io::copy(&mut data, &mut std::io::stdout().lock());
            copied.map_err(|e| Failure::io(quoted(&place.path), &e))?;
        }
        return Ok(());
    }
    let failed = |e: std::io::Error| Failure::io(target.display(), &e);
    let says = target.as_os_str().as_encoded_bytes().ends_with(b"/") || places.len() > 1;
    if create {
        let on_the_way = if says { Some(target) } else { target.parent() };
        on_the_way.map_or(Ok(()), std::fs::create_dir_all).map_err(failed)?;
    }
    if says && !target.is_dir() {
        return Err(Failure::usage(format!("{} is not a directory", target.display())).hint("-p makes it"));
    }
    for place in places {
        let name = last(&place.path);
        let local = if target.is_dir() { target.join(name) } else { target.to_owned() };
        let directory = local.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let open = rustix::fs::openat(CWD, directory, flags, Mode::empty());
        let directory = open.map_err(|e| Failure::io(directory.display(), &e.into()))?;
        // Of a whole volume, what is in it.
        let name = local.file_name().filter(|_| !place.path.trim_matches('/').is_empty());
        let pull = Pull { session, place };
        match name {
            Some(name) => pull.all(Rc::new(directory), &name.to_string_lossy(), recursive).await?,
            None if recursive => {
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
                let into = rustix::fs::openat(CWD, target, flags, Mode::empty()).map_err(|e| failed(e.into()))?;
                pull.within(&Rc::new(into), &place.path, &mut Vec::new()).await?;
            }
            None => return Err(is_directory(&place.path)),
        }
    }
    Ok(())
}

fn is_directory(path: &str) -> Failure {
    Failure::usage(format!("{} is a directory", quoted(path))).hint("--recursive pulls directories, too")
}

/// Something that is still to be pulled.
struct Left {
    /// Directory of the host that it goes to.
    into: Rc<OwnedFd>,
    name: String,
    path: String,
    kind: String,
    mode: u32,
    target: String,
}

struct Pull<'a> {
    session: &'a Session,
    place: &'a Place,
}

impl Pull<'_> {
    /// Pulls what lies at the place as `name` into a directory.
    async fn all(&self, into: Rc<OwnedFd>, name: &str, recursive: bool) -> Result<(), Failure> {
        let files = &self.place.files;
        // A link that is named is followed; below, links are pulled as links.
        let follow = Options::from([("follow", true.into())]);
        let about = self.session.allowed(|| files.stat(&self.place.path, &follow)).await?;
        let mode = number(&about, "mode").and_then(|mode| u32::try_from(mode).ok()).unwrap_or(0o600);
        let (kind, path) = (text(&about, "type"), self.place.path.clone());
        if kind == "directory" && !recursive {
            return Err(is_directory(&path));
        }
        let mut left = vec![Left { into, name: name.to_owned(), path, kind, mode, target: String::new() }];
        while let Some(next) = left.pop() {
            self.one(next, &mut left).await?;
        }
        Ok(())
    }

    /// Pulls everything in a directory.
    async fn within(&self, into: &Rc<OwnedFd>, path: &str, left: &mut Vec<Left>) -> Result<(), Failure> {
        self.list(into, path, left).await?;
        while let Some(next) = left.pop() {
            self.one(next, left).await?;
        }
        Ok(())
    }

    async fn list(&self, into: &Rc<OwnedFd>, path: &str, left: &mut Vec<Left>) -> Result<(), Failure> {
        for row in rows(self.session, &self.place.files, path).await? {
            let path = join(path, &row.name);
            if row.name.is_empty() || row.name == "." || row.name == ".." || row.name.contains('/') {
                return Err(Failure::of(Kind::Untrusted, format!("{} is no name of a file", quoted(&row.name))));
            }
            left.push(Left { into: into.clone(), name: row.name, path, kind: row.kind, mode: row.mode, target: row.target });
        }
        Ok(())
    }

    async fn one(&self, one: Left, left: &mut Vec<Left>) -> Result<(), Failure> {
        let failed = |e: Errno| Failure::io(quoted(&one.path), &e.into());
        match one.kind.as_str() {
            "directory" => {
                match rustix::fs::mkdirat(&one.into, &one.name, Mode::from_raw_mode(one.mode & 0o777) | Mode::RWXU) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(errno) => return Err(failed(errno)),
                }
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let made = rustix::fs::openat(&one.into, &one.name, flags, Mode::empty()).map_err(failed)?;
                self.list(&Rc::new(made), &one.path, left).await
            }
            "symlink" => match rustix::fs::symlinkat(&one.target, &one.into, &one.name) {
                Err(Errno::EXIST) => {
                    rustix::fs::unlinkat(&one.into, &one.name, rustix::fs::AtFlags::empty()).map_err(failed)?;
                    rustix::fs::symlinkat(&one.target, &one.into, &one.name).map_err(failed)
                }
                made => made.map_err(failed),
            },
            "file" => self.file(&one).await,
            kind => {
                eprintln!("Warning: {} is a {kind} and is left out", quoted(&one.path));
                Ok(())
            }
        }
    }

    async fn file(&self, one: &Left) -> Result<(), Failure> {
        let (mut data, _) = self.place.open(self.session, &one.path, "read", &Owner::default()).await?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made = rustix::fs::openat(one.into.as_fd(), &one.name, flags, Mode::RUSR | Mode::WUSR);
        let mut made = File::from(made.map_err(|e| Failure::io(quoted(&one.name), &e.into()))?);
        let copied = std::io::copy(&mut data, &mut made);
        copied.map_err(|e| Failure::io(quoted(&one.path), &e))?;
        // Its set-user-ID bit would mean somebody else here.
        rustix::fs::fchmod(&made, Mode::from_raw_mode(one.mode & 0o777)).map_err(|e| Failure::io(quoted(&one.name), &e.into()))
    }
}
